"""Occlusion: hide a window at a time and see what the score loses."""

import torch

from pellucid.errors import BadOption
from pellucid.fills import fill_of, inside
from pellucid.types import Evidence, Local, Maps, Method, Noise, Paper, ProbeLike


def occlusion(
    image: Maps, probe: ProbeLike, rng: Noise, *, window: int = 32, stride: int | None = None, fill: float | str = 0.0
) -> Evidence:
    """What the score loses when a square of the picture is hidden, at every position of the square.

    d_p = S(I) - S(I hidden at p). A pixel's value is the mean of d_p over the windows that cover it. Windows start at
    multiples of the stride until the picture is covered; the last ones are cut off at the edge.

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: scores the pictures with hidden squares.
        window: side of the square, in pixels of the model's input.
        stride: distance between positions, in the same pixels; None is half a window.
        rng: draws the noise of the fill `noise`; the same for all pictures.
        fill: what hides: a value in the model's normalised space (0 is the mean colour of its training data), `mean`,
            `blur`, `noise`, `inpaint` or another picture (see `pellucid.fills`).

    Returns:
        raw `[batch, position row, position column]`: d_p; the map at input resolution, signed; extras `scores` and
        `classes` of the same shape as raw: S(I hidden at p), and the top class there (when there are classes).
    """
    rows, columns = image.shape[2:]
    stride = max(1, window // 2) if stride is None else stride
    if window < 1 or stride < 1 or stride > window:
        raise BadOption(f"Expected 1 <= stride <= window for occlusion, got stride {stride} and window {window}.")
    cover = fill_of(METHOD.id, fill, image, probe, rng)
    tops, lefts = _starts(rows, window, stride), _starts(columns, window, stride)

    boxes = torch.tensor(
        [(0, 0, 0, 0), *((t, c, min(t + window, rows), min(c + window, columns)) for t in tops for c in lefts)]
    )

    def hide(parts: Maps, samples: torch.Tensor, numbers: torch.Tensor, corners: torch.Tensor) -> Maps:
        return cover.hide(parts, samples, inside(boxes[numbers.cpu()].to(corners), corners, parts.shape), corners)

    answers = probe.score(len(boxes), Local(boxes, hide))
    shape = (len(image), len(tops), len(lefts))
    scores = answers.score[:, 1:].reshape(shape)
    drop = answers.score[:, :1, None] - scores
    extras = {"scores": scores}
    if answers.top is not None:
        extras["classes"] = answers.top[:, 1:].reshape(shape)
    return Evidence(drop, values=_spread(drop, tops, lefts, window, (rows, columns)), extras=extras)


def _starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows, up to the one that reaches the end."""
    count = 1 + max(0, -(-(length - window) // stride))
    return [k * stride for k in range(count)]


def _spread(drop: torch.Tensor, tops: list[int], lefts: list[int], window: int, size: tuple[int, int]) -> torch.Tensor:
    """Mean over the covering windows, `[batch, row, column]`: cover matrices are separable in rows and columns."""
    rows = _cover(tops, window, size[0]).to(drop)
    columns = _cover(lefts, window, size[1]).to(drop)
    total = torch.einsum("bij,ri,cj->brc", drop, rows, columns)
    return total / torch.outer(rows.sum(1), columns.sum(1))


def _cover(starts: list[int], window: int, length: int) -> torch.Tensor:
    pixel = torch.arange(length)[:, None]
    start = torch.tensor(starts)[None]
    return (pixel >= start) & (pixel < start + window)


METHOD = Method(
    occlusion,
    id="occlusion",
    title="Occlusion",
    reference=Paper("arXiv:1311.2901", "section 4.2"),
    caveat="A hidden square is itself something to see; the map depends on its size and colour, and evidence that is "
    "there twice does not show.",
)
