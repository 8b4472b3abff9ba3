"""HSIC: how strongly the score depends on whether each cell of the picture is seen."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.masking import fill_of
from pellucid.methods._estimates import precision
from pellucid.methods._masks import cells_of, cells_to_pixels
from pellucid.numerics import product

_LEAST = 100
"""Masks without which there is no map worth having."""
_CELLS = 7
_FEWEST = 5
"""Fewer do not define the estimate and its error."""
_WIDTH_FROM = 1000
"""The kernel's width is the median distance between the scores of so many masks; more do not change it."""
_ROWS = 512
"""Rows of the kernel matrix in memory at once."""


def hsic(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    masks: int = 1500,
    cells: int | tuple[int, ...] | None = None,
    fill: float | str | Tensor = 0.0,
) -> Evidence:
    """The Hilbert-Schmidt independence criterion between "is this cell seen?" and the score, over random masks.

    Each cell of a grid is seen with probability 1/2. HSIC is 0 if and only if the score does not depend on the cell in
    any way. Kernels: equality for cells, exp(-(s - t)^2 / 2 w^2) for scores with w their median distance (the paper's
    w, the median score, would change with any constant added to the score). The paper's estimate is biased: above 0 for
    cells without influence; ours is the unbiased one of Song et al. (Feature selection via dependence maximization,
    2012, eq. 5), whose values for such cells scatter around 0.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores the masked pictures.
        rng: random draws of the masks, each by its number; the same for all pictures.
        masks: number of masks.
        cells: number of cells of the grid along each axis, or one number for each, as in `8x4`; None is 7, of signals
            49 and of volumes 4, or as many as there are pixels or columns.
        fill: what hides: a value in the model's normalised space (0 is the mean colour of its training data), `mean`,
            `blur`, `noise`, `inpaint` or another picture (see `pellucid.masking.fills`).

    Returns:
        raw `[batch, *cells]`: HSIC, from about 0 to 1/4; extras `standard error` of the same shape, by leaving out
        one mask at a time (for cells without influence right on average only: it varies with the value).

    Raises:
        BadOption: fewer than 5 masks, no cells, or more than there are pixels.
    """
    if masks < _FEWEST:
        raise BadOption(f"Expected masks >= {_FEWEST} for {METHOD.id}, got {masks}.")
    cover, size = fill_of(METHOD.id, fill, image, probe, rng), tuple(image.shape[2:])
    grid = cells_of(METHOD.id, cells, _CELLS, image, probe)

    def seen(numbers: Tensor) -> Tensor:
        return rng.uniform(numbers, image.new_empty(1, *grid)) < 0.5

    def hide(rows: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        return cover.hide(rows, samples, ~cells_to_pixels(seen(numbers), size)[:, None])

    score = probe.score(masks, hide, least=_LEAST).score
    # few numbers, many digits: on the CPU, as not every device has float64
    signs = 2 * seen(torch.arange(score.shape[1])).flatten(1).to("cpu", torch.float64) - 1
    found = [_dependence(signs, one.to("cpu", torch.float64)) for one in score]
    values, error = (torch.stack(part).reshape(-1, *grid).to(image) for part in zip(*found, strict=True))
    return Evidence(values, extras={"standard error": error}, notes=(precision(error, values, "cell"),))


def _dependence(signs: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Unbiased HSIC of each column of `signs` `[mask, cell]` (1 or -1) with `score` `[mask]`, and its jackknife error.

    With K, L the kernel matrices without their diagonals, all that is asked of them are sums. K has the form
    (1 1' + s s') / 2 - 1, so nothing but L s is ever multiplied out.
    """
    n = len(score)
    lines, times = _kernel_times(signs, score)  # L 1 and L s
    total = signs.sum(0)
    k = (n + signs * total) / 2 - 1  # K 1
    l_k = (n / 2 - 1) * lines + total * times / 2  # L K 1
    k_l = (lines.sum() + signs * (signs * lines).sum(0)) / 2 - lines  # K L 1
    both = (lines + signs * times) / 2  # diagonal of K L
    d = (k * lines).sum(0)  # 1' K L 1
    whole = _estimate(n, both.sum(0), k.sum(0), lines.sum(), d)
    without = _estimate(
        n - 1,
        both.sum(0) - 2 * both,
        k.sum(0) - 2 * k,
        lines.sum() - 2 * lines,
        d - k * lines - l_k - k_l + both,
    )
    error = (((without - without.mean(0)) ** 2).sum(0) * (n - 1) / n).sqrt()
    return whole, error


def _estimate(n: int, trace: Tensor, k: Tensor, lines: Tensor, cross: Tensor) -> Tensor:
    """Unbiased HSIC of n samples from tr K L, 1' K 1, 1' L 1 and 1' K L 1."""
    return (trace + k * lines / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)) / (n * (n - 3))


def _kernel_times(signs: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """The scores' kernel matrix, without its diagonal, times 1 `[mask, 1]` and times `signs` `[mask, cell]`."""
    distance = torch.pdist(score[:_WIDTH_FROM, None])
    # scores that never change depend on nothing: any width will do
    width = distance.median().clamp(min=torch.finfo(score.dtype).tiny)
    columns, rows = torch.cat([torch.ones_like(signs[:, :1]), signs], 1), []
    for start in range(0, len(score), _ROWS):
        part = score[start : start + _ROWS, None]
        kernel = torch.exp(-(((part - score) / width) ** 2) / 2)
        kernel.diagonal(start).zero_()
        rows.append(product(kernel, columns))
    done = torch.cat(rows)
    return done[:, :1], done[:, 1:]


METHOD = Method(
    hsic,
    id="hsic",
    title="HSIC",
    reference=Reference("arXiv:2206.06219", "eq. 3"),
    caveat="Says that a cell matters, not whether it speaks for or against the target; an effect that is small next to "
    "others drowns in the standard error.",
    passes=Passes("masks"),
)
