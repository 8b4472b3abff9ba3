"""RISE: what the score is with and without each pixel, over random masks."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Map, Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._estimates import precision
from pellucid.methods._masks import cells_of, fade_of
from pellucid.numerics import along_axes, per_row, product, resize, safe_divide

_CELLS = 7
_LEAST = 100
"""Masks without which there is no map worth having."""
_BYTES = 2**24
"""Masks in memory at once."""


def rise(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    masks: int = 4000,
    cells: int | tuple[int, ...] | None = None,
    keep: float = 0.5,
    fill: float | str | Tensor = 0.0,
) -> Evidence:
    """The mean score over random masks that show a pixel, above the mean over all masks.

    S(pixel) = sum_i f(I . M_i) M_i(pixel) / sum_i M_i(pixel). The paper divides by the denominator's expectation
    instead: the same in the limit, but then a constant score would give a map of noise. The masks are cells kept at
    random, drawn out smoothly and shifted by up to a cell.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores the masked pictures.
        rng: random draws of the masks, each by its number; the same for all pictures.
        masks: number of masks. The error falls with the square root of it.
        cells: number of cells of a mask along each axis, or one number for each, as in `8x4`; finer ones need more
            masks. None is 7, of signals 49 and of volumes 4, or as many as there are pixels.
        keep: probability that a cell is shown, above 0 and below 1.
        fill: what is seen where a mask hides: a value in the model's normalised space (0 is the mean colour of its
            training data), `mean`, `blur`, `noise` or another picture (see `pellucid.masking.fills`).

    Returns:
        raw `[batch, *axes]` at the size of the input: S; the map: S less the mean score of all masked pictures,
        signed. extras `standard error` of the same shape, of the map.

    Raises:
        BadOption: fewer than 2 masks, no cells, more than there are pixels, or a probability out of range.
    """
    if masks < 2 or not 0 < keep < 1:
        raise BadOption(f"Expected masks >= 2 and 0 < keep < 1 for {METHOD.id}, got {masks} and {keep}.")
    grid = cells_of(METHOD.id, cells, _CELLS, image, probe)
    fade, draw = fade_of(METHOD.id, fill, image, probe, rng), _Masks(image, rng, grid, keep, sharp=probe.is_tabular)

    def show(_: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        return fade.show(samples, draw(numbers))

    score = probe.score(masks, show, least=_LEAST).score
    values, error = _shifts(score, draw, image)
    return Evidence(
        values + per_row(score.mean(1), values),
        values=values,
        extras={"standard error": error},
        notes=(precision(error, values, "pixel"),),
    )


class _Masks:
    """Random masks `[n, *axes]` for the size of `image`, each a function of its number alone.

    Those of tables are `sharp`, as their columns have no neighbours: each column is seen or not.
    """

    def __init__(self, image: Maps, rng: Noise, cells: tuple[int, ...], keep: float, *, sharp: bool) -> None:
        self.image, self.rng, self.cells, self.keep = image, rng, cells, keep
        self.steps = [-(-length // count) for length, count in zip(image.shape[2:], cells, strict=True)]
        if sharp:
            self.steps = [1] * len(cells)
            self.spread = [
                torch.eye(count, dtype=image.dtype, device=image.device)[torch.arange(length) * count // length]
                for length, count in zip(image.shape[2:], cells, strict=True)
            ]
            return
        # how the cells' values spread along each axis, one cell longer than the picture
        self.spread = [
            resize(torch.eye(count, dtype=image.dtype, device=image.device)[None], ((count + 1) * step, count))[0]
            for count, step in zip(cells, self.steps, strict=True)
        ]

    def __call__(self, numbers: Tensor) -> Tensor:
        axes = len(self.cells)
        drawn = self.rng.uniform(numbers, self.image.new_empty(1, prod(self.cells) + axes))
        kept = (drawn[:, :-axes] < self.keep).to(drawn).reshape(-1, *self.cells)
        return along_axes(kept, [self._shifted(axis, drawn[:, axis - axes]) for axis in range(axes)])

    def _shifted(self, axis: int, shift: Tensor) -> Tensor:
        """The spread along an axis behind a shift of 0 to 1 cells, `[n, length, cell]`."""
        first = (shift * self.steps[axis]).long()
        return self.spread[axis][first[:, None] + torch.arange(self.image.shape[2 + axis], device=first.device)]


def _shifts(score: Tensor, draw: _Masks, image: Maps) -> tuple[Map, Map]:
    """The mean of `score` `[batch, mask]` weighted by each pixel's mask values less the plain mean, and its error.

    Both `[batch, *axes]`. The masks are drawn a second time, as they are cheap to draw and too many to keep. The
    error is that of a difference of two means, one of them a ratio, to first order.
    """
    size, count, step = image.shape[2:], score.shape[1], max(1, _BYTES // image[0, 0].nbytes)
    mean = score.mean(1, keepdim=True)
    sums = [image.new_zeros(rows, size.numel()) for rows in (1, 1, *[len(score)] * 4)]
    for start in range(0, count, step):
        numbers = torch.arange(start, min(start + step, count), device=score.device)
        mask, part = draw(numbers).flatten(1), (score[:, numbers] - mean).to(image.dtype)
        powers = mask, mask * mask
        for k, weights in enumerate((torch.ones_like(part[:1]), part, part * part)):
            for power, values in enumerate(powers):
                sums[2 * k + power] += product(weights, values)
    share = sums[0] / count
    # sums over the masks of M, M^2, g M, g M^2, g^2 M and g^2 M^2, M now as a multiple of its mean
    _, m2, gm, gm2, g2m, g2m2 = (
        safe_divide(part, (share ** (1 + k % 2)).expand_as(part)) for k, part in enumerate(sums)
    )
    shift = gm / count
    spread = g2m2 - 2 * g2m + ((score - mean) ** 2).sum(1, keepdim=True) - 2 * shift * (gm2 - gm) + shift**2 * m2
    error = spread.clamp(min=0).sqrt() / count
    return shift.reshape(len(score), *size), error.reshape(len(score), *size)


METHOD = Method(
    rise,
    id="rise",
    title="RISE",
    reference=Reference("arXiv:1806.07421", "eq. 6"),
    caveat="An estimate: what is not well above its standard error is noise, and half a picture behind a soft mask is "
    "unlike any that the network was trained on.",
    passes=Passes("masks"),
)
