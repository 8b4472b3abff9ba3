"""What a picture is put through before the network sees it, so that only what survives it is worth drawing.

Shift, scale and rotation are drawn per picture, composed into one affine map, and sampled once: five resamplings become
one, and the edge is a reflection, never black.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.errors import unknown
from pellucid.seeds import seeded


@dataclass(frozen=True)
class Transform:
    """How pictures are moved, in each step anew.

    Attributes:
        shifts: each adds a whole number of pixels from -n // 2 to n // 2, both ways.
        scales: one is drawn.
        angles: one is drawn, in degrees.
        crops: views of the picture that are looked at together.
        box: side of a crop as a share of the picture, at the first and at the last step; None is the whole picture.
        even: the side of each crop is drawn evenly between the two of `box` instead of going from one to the other.
        noise: standard deviation of what is added, in units of 0 to 1.
        grain: width of what else is added, spread evenly around 0.
    """

    shifts: tuple[int, ...] = ()
    scales: tuple[float, ...] = (1.0,)
    angles: tuple[float, ...] = (0.0,)
    crops: int = 1
    box: tuple[float, float] | None = None
    even: bool = False
    noise: float = 0.0
    grain: float = 0.0

    def apply(self, pictures: Tensor, step: int, steps: int, seed: int, numbers: Sequence[int]) -> Tensor:
        """The pictures as the network shall see them, `crops` views of each, those of one picture side by side.

        Draws depend on the seed, the step and each picture's own number only.
        """
        if self == NONE:
            return pictures
        height, width = pictures.shape[2:]
        draws = [self._draw(step, steps, seed, k, (height, width)) for k in numbers]
        maps = torch.stack([each for maps, _ in draws for each in maps])
        rows = pictures.repeat_interleave(self.crops, 0)
        theta = _in_units(maps, height, width).to(pictures)
        grid = F.affine_grid(theta, list(rows.shape), align_corners=False)
        moved = F.grid_sample(rows, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        if self.noise or self.grain:
            moved = moved + torch.cat([self._noise(g, pictures.shape[1:]) for _, g in draws]).to(moved)
        return moved

    def _draw(
        self, step: int, steps: int, seed: int, number: int, size: tuple[int, int]
    ) -> tuple[list[Tensor], torch.Generator]:
        """Maps from output to input pixels around the centre, `[2, 3]`, one per crop."""
        generator = seeded((seed * 1_000_003 + number) * 100_003 + step)
        maps = []
        for _ in range(self.crops):
            scale = self.scales[_below(len(self.scales), generator)]
            angle = math.radians(self.angles[_below(len(self.angles), generator)])
            down, across = (float(sum(_below(2 * (n // 2) + 1, generator) - n // 2 for n in self.shifts)) for _ in "yx")
            if self.box is not None:
                share = self._share(step / max(1, steps - 1), generator)
                scale = scale / share
                centre = (0.5 + 0.15 * torch.randn(2, generator=generator)).clamp(share / 2, 1 - share / 2) - 0.5
                down, across = down + float(centre[0]) * size[0], across + float(centre[1]) * size[1]
            cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
            maps.append(torch.tensor([[cos, -sin, across], [sin, cos, down]]))
        return maps, generator

    def _share(self, passed: float, generator: torch.Generator) -> float:
        """Side of a crop as a share of the picture's."""
        first, last = self.box or (1.0, 1.0)
        if self.even:
            return first + (last - first) * float(torch.rand((), generator=generator))
        share = first + (last - first) * passed
        return float((share + 0.05 * share * torch.randn((), generator=generator)).clamp(0.02, 1.0))

    def _noise(self, generator: torch.Generator, shape: Sequence[int]) -> Tensor:
        drawn = self.noise * torch.randn(self.crops, *shape, generator=generator)
        return drawn + self.grain * (torch.rand(self.crops, *shape, generator=generator) - 0.5) if self.grain else drawn


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator)) if count > 1 else 0


def _in_units(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps of pixels around the centre as `affine_grid` wants them: the picture reaches from -1 to 1."""
    half = maps.new_tensor([width / 2, height / 2])
    linear = maps[:, :, :2] * half[None, None, :] / half[None, :, None]
    return torch.cat([linear, maps[:, :, 2:] / half[None, :, None]], 2)


def _powers(base: float, exponents: range) -> tuple[float, ...]:
    return tuple(base**n for n in exponents)


NONE = Transform()
_TURNS = (*range(-20, 20), *range(-10, 10), *range(-5, 5), *[0] * 5)
PRESETS: dict[str, Transform] = {
    "none": NONE,
    "lucid": Transform((8, 4), tuple(1 + (k - 5) / 50 for k in range(11)), (*map(float, range(-10, 11)), *[0.0] * 5)),
    "lucid-atlas": Transform((4, 4, 8, 8, 8, 2), _powers(0.998, range(20, 40)), tuple(map(float, _TURNS))),
    "captum": Transform(
        (8,) * 10 + (4,),
        (*_powers(0.995, range(-5, 80)), *_powers(0.998, range(20, 40)), *_powers(0.998, range(20, 40))),
        tuple(map(float, _TURNS)),
    ),
    "horama": Transform(crops=6, box=(0.25, 0.30), even=True, noise=0.01, grain=0.01),
    "maco": Transform(crops=4, box=(0.4, 1.0), noise=0.08),
}
"""By name: those of lucid, captum (its unreleased optim-wip) and horama, as their code has them; and one for MACO.

lucid: its `standard_transforms`, and what it draws icons of atlases with. captum: a jitter of n goes n pixels each way
there, half of n here. horama: says a box of 0.20 to 0.25 and draws 0.25 to 0.30; its noise of 0.05 is on a scale from
-2.5 to 2.5. maco: crops that grow until the picture is looked at as a whole, as what comes out will be; with crops that
shrink, as the paper has them, two of the first four classes tried came out as something else to the embedded network.
The padding of the others has no counterpart: what comes in from outside is the picture's mirror image.
"""


def find_transform(name: str) -> Transform:
    """A preset.

    Raises:
        UnknownName: there is none of this name.
    """
    if name not in PRESETS:
        raise unknown("transform", name, PRESETS, f"Transforms: {', '.join(PRESETS)}.")
    return PRESETS[name]
