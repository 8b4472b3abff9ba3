"""Occlusion: hide a window at a time and see what the score loses."""

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.masking import fill_of
from pellucid.methods._squares import ONE_AT_A_TIME, conventions, hidden, sizes, spread, windows


def occlusion(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    window: int | tuple[int, ...] | None = None,
    stride: int | tuple[int, ...] | None = None,
    fill: float | str | Tensor = 0.0,
    shape: str = "square",
    precision: str = "exact",
    by_channel: bool = False,
) -> Evidence:
    """What the score loses when a square of the picture is hidden, at every position of the square.

    d_p = S(I) - S(I hidden at p). A pixel's value is the mean of d_p over the windows that cover it. Windows start at
    multiples of the stride until the picture is covered; the last ones are cut off at the edge. Only what a hidden
    square changes is computed (`capture/patches`), with the same numbers as whole passes but for rounding. In a volume
    it is a box of three sizes, as in `4x8x8`, in a signal a stretch of time, in a table one column unless said.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores the pictures with hidden squares.
        rng: random draws of the noise of the fill `noise`; the same for all pictures.
        window: side of the square, in pixels of the model's input, or rows and columns, as in `8x4`; None is a seventh
            of each side of the picture (32 of 224), at least 1.
        stride: distance between positions, likewise; None is half a window, at least 1. It may be larger than the
            window, to probe single pixels here and there.
        fill: what hides: a value in the model's normalised space (0 is the mean colour of its training data), `mean`,
            `blur`, `noise`, `inpaint` or another picture (see `pellucid.masking.fills`).
        shape: `square`, or `disc` for the disc (of two sizes, the ellipse) that fits into it.
        precision: `exact`, or `fast` for heavy convolutions in bfloat16, on differences only, where the processor has
            it; a note then tells the measured deviation.
        by_channel: True if the square hides one channel at a time, at each position all of them in turn, as windows of
            shape (1, rows, columns) do elsewhere; as many times the passes as the picture has channels.

    Returns:
        raw `[batch, *positions]`, one axis of positions for each of the picture: d_p; the map at input resolution,
        signed; extras `scores` and `classes` of the same shape as raw: S(I hidden at p), and the top class there, and
        `positions with another top class`, `[batch]` (when there are classes). With `by_channel`, raw shaped as the
        input, the map of each channel at input resolution, summed over channels for the map; extras `drops`, which is
        d_p, and `scores` and `classes`, `[batch, channel, *positions]`.
    """
    size = tuple(image.shape[2:])
    sides, moves = sizes(METHOD.id, size, 1 if window is None and probe.is_tabular else window, stride, shape)
    if precision not in ("exact", "fast"):
        raise BadOption(f"Expected exact or fast as precision of {METHOD.id}, got {precision!r}.")
    boxes, positions = windows(size, sides, moves)
    places, count = len(boxes), image.shape[1] if by_channel else 1
    boxes = torch.cat([torch.zeros_like(boxes[:1]), boxes.repeat(count, 1)])  # the first hides nothing
    which = (torch.arange(len(boxes)) - 1).clamp(min=0) // places if by_channel else None
    change = hidden(boxes, fill_of(METHOD.id, fill, image, probe, rng), sides, shape, which)
    answers = probe.score(len(boxes), change, fast=precision == "fast")
    grid = (len(image), *((count,) if by_channel else ()), *positions)
    scores = answers.score[:, 1:].reshape(grid)
    drop = (answers.score[:, :1] - answers.score[:, 1:]).reshape(grid)
    extras = {"scores": scores}
    if answers.top is not None:
        extras["classes"] = answers.top[:, 1:].reshape(grid)
        extras["positions with another top class"] = (answers.top[:, 1:] != answers.top[:, :1]).sum(1)
    notes = [conventions(sides, moves, shape, fill)]
    if answers.deviation is not None:
        notes.append(
            "Heavy convolutions were computed in bfloat16: scores differ from exact ones by up to "
            f"{answers.deviation:.2g} where both were computed; the largest drop is {float(drop.abs().max()):.2g}."
        )
    elif precision == "fast":
        notes.append("Computed exactly: this device or network does not allow the fast way.")
    if not by_channel:
        return Evidence(drop, values=spread(drop, sides, moves, size), extras=extras, notes=tuple(notes))
    notes.append(ONE_AT_A_TIME)
    raw = spread(drop.flatten(0, 1), sides, moves, size).reshape(image.shape)
    return Evidence(raw, extras={"drops": drop, **extras}, notes=tuple(notes))


METHOD = Method(
    occlusion,
    id="occlusion",
    title="Occlusion",
    reference=Reference("arXiv:1311.2901", "section 4.2"),
    caveat="A hidden square is itself something to see; the map depends on its size and colour, and evidence that is "
    "there twice does not show.",
    reduce="sum",
)
