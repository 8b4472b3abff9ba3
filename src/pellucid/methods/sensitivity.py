"""Sensitivity: what a small change of brightness does to the score, and whether the gradient had said so."""

from __future__ import annotations

from itertools import pairwise, product

import torch
from torch import Tensor

from pellucid.contracts import Evidence, LocalPerturbation, Maps, Method, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.masking import inside
from pellucid.methods._masks import cells_of
from pellucid.numerics import CHANNEL, per_row, safe_divide

_CELLS = 14


def sensitivity(
    image: Maps,
    image_gradient: Maps,
    probe: ProbeLike,
    *,
    cells: int | tuple[int, ...] | None = None,
    step: float = 0.05,
) -> Evidence:
    """How much the score changes when a cell of the picture gets a little brighter: measured, not differentiated.

    d_c = (S(I + e 1_c) - S(I - e 1_c)) / 2e with 1_c the pixels of cell c in all channels: a central difference. The
    gradient predicts the sum of dS/dI over the cell. Where both differ the network bends within the step, and maps
    made of gradients say little about a change that one could see.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        image_gradient: dS/dI, of the same shape.
        probe: scores the changed pictures.
        cells: number of cells of the grid along each axis, or one number for each, as in `8x4`; None is 14, of signals
            196 and of volumes 6, or as many as there are pixels or columns.
        step: e, as a fraction of the range of the picture's values.

    Returns:
        raw `[batch, *cells]`: d, in units of the score per unit of the model's normalised space, signed; extras
        `gradient` of the same shape: what the gradient predicts; `agreement` `[batch]`: the correlation of both, 1 for
        a network that is straight within the step; `excess` `[batch]`: length of their difference over length of d, 0
        for such a network.

    Raises:
        BadOption: more cells than pixels or none, or a step that is not positive.
    """
    size = tuple(image.shape[2:])
    if step <= 0:
        raise BadOption(f"Expected step > 0 for {METHOD.id}, got {step}.")
    grid = cells_of(METHOD.id, cells, _CELLS, image, probe)
    flat = image.flatten(1)
    epsilon = step * (flat.amax(1) - flat.amin(1)).clamp(min=torch.finfo(image.dtype).eps)
    borders = [
        [-(-cell * length // count) for cell in range(count + 1)] for length, count in zip(size, grid, strict=True)
    ]
    sides = list(product(*map(pairwise, borders)))  # of each cell, where it begins and ends along each axis
    boxes = torch.tensor(sides).transpose(1, 2).flatten(1)
    twice = boxes.repeat_interleave(2, 0)  # brighter, then darker

    def change(parts: Maps, samples: Tensor, numbers: Tensor, corners: Tensor) -> Maps:
        up = epsilon[samples] * (1 - 2 * (numbers % 2))
        return parts + per_row(up, parts) * inside(twice[numbers.cpu()].to(corners), corners, parts.shape)

    score = probe.score(len(twice), LocalPerturbation(twice, change)).score.reshape(len(image), -1, 2)
    measured = (score[:, :, 0] - score[:, :, 1]) / (2 * epsilon[:, None])
    slope = image_gradient.sum(CHANNEL)
    cells_of_slope = [slope[(slice(None), *(slice(*side) for side in cell))] for cell in sides]
    parts = [part.sum(tuple(range(1, part.ndim))) for part in cells_of_slope]
    predicted = torch.stack(parts, 1).to(measured.dtype)
    extras = {
        "gradient": predicted.reshape(-1, *grid),
        "agreement": _correlation(measured, predicted),
        "excess": safe_divide((measured - predicted).norm(dim=1), measured.norm(dim=1)),
    }
    agreement = ", ".join(f"{float(one):.2f}" for one in extras["agreement"])
    note = f"What was measured and what the gradient foresaw correlate by {agreement}."
    return Evidence(measured.reshape(-1, *grid), extras=extras, notes=(note,))


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of rows `[batch, n]`; 0 where one of them is constant."""
    a, b = (part - part.mean(1, keepdim=True) for part in (a, b))
    return safe_divide((a * b).sum(1), a.norm(dim=1) * b.norm(dim=1))


METHOD = Method(
    sensitivity,
    id="sensitivity",
    title="Input sensitivity",
    reference=Reference("arXiv:1312.6034", "eq. 3, by central differences"),
    caveat="One cell at a time gets brighter or darker: what the score would say to a change of shape or colour, or of "
    "several cells at once, does not show.",
)
