"""Extremal perturbation: of all smooth masks of a given area, the one that keeps the score highest."""

from __future__ import annotations

import math
from functools import reduce
from itertools import product
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.errors import BadOption, Refused
from pellucid.masking import refuse_tables
from pellucid.methods._masks import Fade, MaskSearch, ends, fade_of, readings, score_and_slope
from pellucid.numerics import along_axes, per_row, places, resize, safe_divide

_VARIANTS = ("preserve", "delete", "both")
_LEAST = 50
"""Steps without which there is no mask worth having."""
_FIRST, _LAST = 1.0, 300.0
"""Weight of the area constraint in the first step, where the score shall rule, and in the last, where the area must."""
_TIE = 0.01
"""Pixels whose mask values differ by less are ranked by what the score gains from them."""
_RADIUS = 3.0
"""How far a cell of the mask reaches, in cells (21 pixels of 224 with 32 cells)."""
_REACH = math.ceil(2 * _RADIUS)
"""Beyond so many cells a bump is no more than 1/100 high."""
_COLD = 20.0
"""Inverse temperature of the smooth maximum."""


def extremal_perturbation(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    areas: str = "0.05,0.1,0.2",
    variant: str = "preserve",
    steps: int = 300,
    cells: int = 32,
    rate: float = 0.05,
    fill: float | str | Tensor = "blur",
) -> Evidence:
    """What a fixed share of the picture must show for the score to be as high as it can: masks found by optimisation.

    For each area a, maximises S(I behind m) / D - w |sort(m) - r_a|^2 / |m| over smooth masks m, with r_a the sorted
    mask of an area of exactly a: zeros, then ones. D = |S(I) - S(all hidden)| makes the weight w fit any kind of score;
    w grows from 1 to 300 (the paper: from 300 for scores that differ by about 15, by gradient descent with momentum).
    Smooth masks are maxima of bumps: m(u) = smax_v k(u - v) p(v) over cells v in and around the picture, p from 0 to 1,
    with k(z) = exp(-2 max(|z| / 3 - 1/2, 0)^2) for distances in cells and smax f = sum f e^(20 f) / sum e^(20 f), drawn
    out to pixels. Adam finds p from p = 1/2 everywhere.

    Args:
        image: I, `[batch, channel, *axes]`: pictures `[batch, channel, row, column]`, or signals.
        probe: scores masked pictures and differentiates.
        rng: random draws of the noise of the fill `noise`; the same for all pictures.
        areas: shares of the picture, above 0 and below 1, with commas between.
        variant: `preserve` shows the area and hides the rest; `delete` hides the area, for the score to fall; `both`
            does both with one mask.
        steps: number of steps of the optimisation; a forward and a backward pass for each area, two for `both`.
        cells: number of cells of p that lie in the picture, along each axis.
        rate: largest change of a cell in a step.
        fill: what is seen where the mask hides: `blur` (ever blurrier), a value in the model's normalised space,
            `mean`, `noise` or another picture (see `pellucid.masking.fills`).

    Returns:
        raw `[batch, *axes]` at the size of the input: the mean of the masks, 0 to 1, highest where the smallest
        area lies; extras: `masks` `[batch, area, *axes]`, `areas` `[batch, area]` (what they cover in fact),
        `scores` `[batch, area]` (of the picture with the area shown, or hidden for `delete`), and `score` and
        `score hidden` `[batch]`, of the picture and of all hidden.

    Raises:
        BadOption: areas that are no shares, another variant, or no steps or cells.
        Refused: volumes, where the bumps around one cell are thousands, and tables, whose columns have no neighbours.
    """
    if image.ndim > 4:
        raise Refused(
            f"{METHOD.id} is defined for pictures and signals; in three axes each cell is the maximum of thousands of "
            "bumps. Use meaningful-perturbation."
        )
    refuse_tables(METHOD.id, probe, "its masks are smooth and columns have no neighbours. Use kernel-shap")
    shares = _shares(areas)
    if variant not in _VARIANTS:
        raise BadOption(f"Expected {', '.join(_VARIANTS)} as variant of extremal-perturbation, got {variant!r}.")
    if steps < 1 or cells < 1 or rate <= 0:
        raise BadOption(
            f"Expected steps >= 1, cells >= 1 and rate > 0 for extremal-perturbation, got {steps}, {cells} and {rate}."
        )
    fade = fade_of(METHOD.id, fill, image, probe, rng)
    whole, hidden = ends(probe, fade)
    drop = (whole - hidden).abs()
    unit = per_row(drop.where(drop > 0, torch.ones_like(drop)).to(image.dtype), image)
    bumps = _Bumps(cells, image)
    side = cells + 2 * _REACH
    climb = MaskSearch(image.new_full((len(image), len(shares), *(side for _ in places(image))), 0.5), rate)
    with probe.interruptible(steps, _LEAST) as tally:
        for step in range(steps):
            mask = bumps(climb.here)
            score, slope = _score(probe, fade, mask, variant)
            found = mask, score
            tally.done = step + 1
            weight = _FIRST * (_LAST / _FIRST) ** (step / max(1, steps - 1))
            climb.step(bumps.back(climb.here, slope / unit - weight * _area_slope(mask, slope, shares)))
    mask, score = found
    covered, verb = mask.mean(places(mask)), "hidden" if variant == "delete" else "shown"
    extras = {"masks": mask, "areas": covered, "scores": score, "score": whole, "score hidden": hidden}
    return Evidence(mask.mean(1), extras=extras, notes=readings(verb, covered, score, whole, hidden))


def _shares(areas: str) -> list[float]:
    try:
        shares = [float(word) for word in areas.split(",")]
    except ValueError:
        shares = []
    if not shares or not all(0 < share < 1 for share in shares):
        raise BadOption(
            "Expected shares of the picture, above 0 and below 1, with commas between as areas of "
            f"extremal-perturbation, got {areas!r}."
        )
    return shares


def _score(probe: ProbeLike, fade: Fade, mask: Tensor, variant: str) -> tuple[Tensor, Tensor]:
    """Score of each masked picture `[batch, area]`, and the derivative of what is maximised by the mask's pixels."""
    if variant == "preserve":
        return score_and_slope(probe, fade, mask)
    if variant == "delete":
        return score_and_slope(probe, fade, 1 - mask)
    count = mask.shape[1]
    score, slope = score_and_slope(probe, fade, torch.cat([mask, 1 - mask], 1))
    return score[:, :count], slope[:, :count] + slope[:, count:]


def _area_slope(mask: Tensor, gain: Tensor, shares: list[float]) -> Tensor:
    """Derivative of the mean squared difference between the sorted mask and that of the right area.

    Where a mask is flat, as it is everywhere at first, its order says nothing; `gain`, the score's derivative by it,
    decides there.
    """
    flat, gain = mask.flatten(2), gain.flatten(2)
    order = (flat + _TIE * safe_divide(gain, gain.abs().amax(2, keepdim=True).expand_as(gain))).argsort(
        dim=2, stable=True
    )
    length = flat.shape[2]
    zeros = torch.tensor([length - round(share * length) for share in shares], device=mask.device)
    sorted_target = (torch.arange(length, device=mask.device) >= zeros[:, None]).to(mask.dtype)
    target = torch.zeros_like(flat).scatter_(2, order, sorted_target.expand_as(flat))
    return (2 * (flat - target) / length).reshape(mask.shape)


class _Bumps:
    """From cells to masks: the smooth maximum over bumps around the cells, drawn out to the pixels of `image`.

    There are `_REACH` cells more on each side than the picture has: without them its corners, which fewer bumps reach,
    would differ from its middle even where all cells are equal.
    """

    def __init__(self, cells: int, image: Maps) -> None:
        offset = torch.arange(-_REACH, _REACH + 1, dtype=image.dtype, device=image.device)
        self.axes = image.ndim - 2
        squares = reduce(lambda known, more: known[..., None] + more, [offset**2] * self.axes)
        distance = squares.sqrt() / _RADIUS
        self.kernel = torch.exp(-2 * (distance - 0.5).clamp(min=0) ** 2)
        eye = torch.eye(cells, dtype=image.dtype, device=image.device)[None]
        self.spread = [resize(eye, (length, cells))[0] for length in image.shape[2:]]

    def __call__(self, cells: Tensor) -> Tensor:
        """Masks `[..., *axes]` of cells `[..., *cells]`."""
        bumps, share = self._bumps(cells)
        return along_axes((share * bumps).sum(self._neighbours), self.spread)

    def back(self, cells: Tensor, signal: Tensor) -> Tensor:
        """What the cells get of a signal `[..., *axes]` at the mask: the product with the derivative."""
        bumps, share = self._bumps(cells)
        highest = (share * bumps).sum(self._neighbours, keepdim=True)
        low = along_axes(signal, [each.mT for each in self.spread])
        low = low.reshape(*low.shape, *(1,) * self.axes)
        parts = low * share * (1 + _COLD * (bumps - highest)) * self.kernel
        total, side = torch.zeros_like(cells), cells.shape[-1] - 2 * _REACH
        for steps in product(range(2 * _REACH + 1), repeat=self.axes):
            reached: tuple[Any, ...] = (..., *(slice(step, step + side) for step in steps))
            of_step: tuple[Any, ...] = (..., *steps)
            total[reached] += parts[of_step]
        return total

    @property
    def _neighbours(self) -> tuple[int, ...]:
        """The last axes of bumps."""
        return tuple(range(-self.axes, 0))

    def _bumps(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """k(u - v) p(v) and its share in the smooth maximum, `[..., *cells, *neighbours]`."""
        around = cells
        for _ in self.spread:
            around = around.unfold(-self.axes, 2 * _REACH + 1, 1)
        bumps = around * self.kernel
        return bumps, (_COLD * bumps).flatten(-self.axes).softmax(-1).reshape(bumps.shape)


METHOD = Method(
    extremal_perturbation,
    id="extremal-perturbation",
    title="Extremal perturbation",
    reference=Reference("arXiv:1910.08485", "section 3"),
    caveat="The best area that was found, not the only one; what would do twice is shown once, and the "
    "blur around it is like no photograph's.",
    optimised=True,
    passes=Passes("steps", 3, 3, shared=False),
)
