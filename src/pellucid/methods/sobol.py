"""Sobol: how much of the score's variance under masking each cell of the picture has a hand in."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from pellucid.contracts import Evidence, Maps, Method, Noise, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._estimates import precision
from pellucid.methods._masks import cells_of, cells_to_pixels, fade_of
from pellucid.numerics import safe_divide

_CELLS = 8
_LEAST = 8
"""Designs without which there is no map worth having."""


def sobol(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    designs: int = 32,
    cells: int | tuple[int, ...] | None = None,
    fill: float | str | Tensor = 0.0,
) -> Evidence:
    """The share of the score's variance that is lost when all cells but this one are known: total Sobol indices.

    f(m) = S(I seen through a grid m of cells, each from 0, hidden, to 1, seen). With A, B uniform in [0, 1]^d and A_i
    as A but for cell i, taken from B: T_i = E[(f(A) - f(A_i))^2] / (2 Var f), Jansen's estimator. It counts what a
    cell does alone and together with others, so that the indices add up to more than 1 where cells interact. The
    points (A, B) are those of a Sobol sequence, all moved by one random step and wrapped round.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores the masked pictures.
        rng: random draws of the step; the same for all pictures.
        designs: points (A, B), best a power of two. Each takes as many masked pictures as there are cells, and 2.
        cells: number of cells of the grid along each axis, or one number for each, as in `8x4`; None is 8, of signals
            64 and of volumes 4, or as many as there are pixels or columns.
        fill: what is seen where a mask hides: a value in the model's normalised space (0 is the mean colour of its
            training data), `mean`, `blur`, `noise` or another picture (see `pellucid.masking.fills`).

    Returns:
        raw `[batch, *cells]`: T, never negative, 0 everywhere if no mask changes the score; extras `standard error`
        of the same shape, as if the points were drawn independently and Var f were known.

    Raises:
        BadOption: fewer than 2 designs, or a number of cells out of range.
    """
    size = tuple(image.shape[2:])
    grid = cells_of(METHOD.id, cells, _CELLS, image, probe)
    places = prod(grid)
    if designs < 2 or 2 * places > SobolEngine.MAXDIM:
        most = int((SobolEngine.MAXDIM / 2) ** (1 / len(size)))
        raise BadOption(f"Expected designs >= 2 and 1 to {most} cells for sobol, got {designs} and {cells}.")
    fade, points = fade_of(METHOD.id, fill, image, probe, rng), _points(designs, 2 * places, image, rng)

    def show(_: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        point, part = points[numbers // (places + 2)], numbers % (places + 2)
        one, other = point[:, :places], point[:, places:]
        from_other = (part[:, None] == 1) | (part[:, None] - 2 == torch.arange(places, device=part.device))
        shown = torch.where(from_other, other, one).reshape(-1, *grid)
        return fade.show(samples, cells_to_pixels(shown, size))

    step = places + 2
    score = probe.score(designs * step, show, least=_LEAST * step, step=step).score.reshape(len(image), -1, step)
    variance = score[:, :, :2].flatten(1).var(1)[:, None]
    lost = (score[:, :, :1] - score[:, :, 2:]) ** 2 / 2
    found = lost.mean(1), lost.std(1) / lost.shape[1] ** 0.5
    total, error = (safe_divide(part, variance.expand_as(part)).reshape(-1, *grid) for part in found)
    return Evidence(total, extras={"standard error": error}, notes=(precision(error, total, "cell"),))


def _points(count: int, places: int, image: Maps, rng: Noise) -> Tensor:
    """A Sobol sequence `[count, places]` in [0, 1), moved by a random step."""
    sequence = SobolEngine(places).draw(count, dtype=torch.float64)  # type: ignore[no-untyped-call]
    step = rng.uniform(torch.zeros(1, dtype=torch.long), image.new_empty(1, places))
    return (sequence.to(step) + step) % 1


METHOD = Method(
    sobol,
    id="sobol",
    title="Sobol indices",
    reference=Reference("arXiv:2111.04138", "eq. 4-5"),
    caveat="Says that a cell matters, not whether it speaks for or against the target; few designs leave a large "
    "standard error.",
)
