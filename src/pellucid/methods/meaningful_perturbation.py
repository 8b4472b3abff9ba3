"""Meaningful perturbation: the smallest smooth mask that takes the score away."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.masking import refuse_tables
from pellucid.methods._masks import MaskSearch, ends, fade_of, readings, score_and_slope
from pellucid.numerics import along_axes, per_row

_LEAST = 20
"""Steps without which there is no mask worth having."""
_POWER = 3
"""beta: of the differences between neighbouring cells."""
_SMOOTH = 0.625
"""Standard deviation of the Gaussians that draw the mask out to pixels, in cells (5 pixels of 8 in the paper)."""
_JITTER = 4 / 224
"""Places that the picture is moved to, as a fraction of its side."""


def meaningful_perturbation(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    steps: int = 300,
    cells: int = 28,
    area: float = 1e-4,
    smooth: float = 1e-2,
    rate: float = 0.1,
    fill: float | str | Tensor = "blur",
) -> Evidence:
    """Where the picture must be blurred, and how little of it, for the score to go: a mask found by optimisation.

    Minimises area sum(1 - m) + smooth sum |grad m|^3 + max(S(I behind m) - S_0, 0) / D over masks m of cells between 0
    (hidden) and 1 (seen), by Adam from m = 1, with I moved at random by up to 2 pixels of 224 in every step. D is what
    hiding everything changes, |S(I) - S(all hidden)|, and S_0 = S(I) - D: for a probability close to 1 the paper's own
    objective; for a score without bounds the same weights hold, and there is no reward for pushing it below that of a
    hidden picture.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores masked pictures and differentiates.
        rng: random draws of the moves; the same for all pictures.
        steps: number of steps of the optimisation; one forward and one backward pass each.
        cells: number of cells of the mask along each axis.
        area: weight of the hidden area, per cell.
        smooth: weight of the cube of the differences between neighbouring cells.
        rate: largest change of a cell in a step.
        fill: what is seen where the mask hides: `blur` (ever blurrier), a value in the model's normalised space,
            `mean`, `noise` or another picture (see `pellucid.masking.fills`).

    Returns:
        raw `[batch, *cells]`: 1 - m, 0 (may stay) to 1 (must go); the map: the same drawn out smoothly; extras
        `[batch]`: `score`, `score hidden` and `score masked`, those of the picture, of all hidden and of the mask.

    Raises:
        BadOption: no steps or cells, or a negative weight.
        Refused: tables, whose columns have no neighbours.
    """
    refuse_tables(METHOD.id, probe, "its masks are smooth and columns have no neighbours. Use kernel-shap")
    if steps < 1 or cells < 2 or min(area, smooth) < 0 or rate <= 0:
        raise BadOption(
            "Expected steps >= 1, cells >= 2, area >= 0, smooth >= 0 and rate > 0 for meaningful-perturbation, got "
            f"{steps}, {cells}, {area}, {smooth} and {rate}."
        )
    fade = fade_of(METHOD.id, fill, image, probe, rng)
    whole, hidden = ends(probe, fade)
    drop = (whole - hidden).abs()
    spread = [_spread(length, cells, image) for length in image.shape[2:]]
    climb = MaskSearch(image.new_ones(len(image), *(cells for _ in spread)), rate)
    with probe.interruptible(steps, _LEAST) as tally:
        for step in range(steps):
            mask = climb.here
            gone = along_axes(1 - mask, spread)
            score, slope = score_and_slope(probe, replace(fade, move=_move(step, image, rng)), 1 - gone[:, None])
            found = 1 - mask, gone, score[:, 0]
            tally.done = step + 1
            above = (score[:, 0] > whole - drop) / drop.where(drop > 0, torch.ones_like(drop))
            pull = along_axes(slope[:, 0], [each.mT for each in spread])
            climb.step(area - smooth * _roughness_slope(mask) - per_row(above, pull).to(pull.dtype) * pull)
    cut, gone, score = found
    extras = {"score": whole, "score hidden": hidden, "score masked": score}
    notes = readings("hidden", gone.mean(tuple(range(1, gone.ndim)))[:, None], score[:, None], whole, hidden)
    return Evidence(cut, values=gone, extras=extras, notes=notes)


def _spread(length: int, cells: int, like: Tensor) -> Tensor:
    """How cells spread over pixels along an axis, `[length, cell]`: Gaussians that add up to 1 at every pixel."""
    pixel = (torch.arange(length, dtype=torch.float64) + 0.5) * cells / length
    distance = pixel[:, None] - torch.arange(cells, dtype=torch.float64) - 0.5
    return (-((distance / _SMOOTH) ** 2) / 2).softmax(1).to(like)


def _move(step: int, image: Maps, rng: Noise) -> tuple[int, ...]:
    """How far the picture is moved along each axis (down and right) in a step, in pixels."""
    places = [1 + math.ceil(_JITTER * length) for length in image.shape[2:]]
    drawn = rng.uniform(torch.tensor([step + 1]), image.new_empty(1, len(places)))[0].tolist()  # 0 is the fill's noise
    return tuple(int(share * count) - count // 2 for share, count in zip(drawn, places, strict=True))


def _roughness_slope(mask: Tensor) -> Tensor:
    """Derivative of the sum of |differences between neighbouring cells|^3 by each cell, `[batch, *cells]`."""
    slope = torch.zeros_like(mask)
    for axis in range(1, mask.ndim):
        difference = mask.diff(dim=axis)
        pull = _POWER * difference.abs() ** (_POWER - 1) * difference.sign()
        slope.narrow(axis, 1, pull.shape[axis]).add_(pull)
        slope.narrow(axis, 0, pull.shape[axis]).sub_(pull)
    return slope


METHOD = Method(
    meaningful_perturbation,
    id="meaningful-perturbation",
    title="Meaningful perturbation",
    reference=Reference("arXiv:1704.03296", "eq. 3-4"),
    caveat="One of many masks that would do: the weights decide how much is hidden, and the network may be fooled by "
    "the outline of the blur.",
    optimised=True,
    passes=Passes("steps", 1, 1, shared=False),
)
