"""Occlusion in coarse steps first, and in fine ones only where the coarse ones found something."""

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.masking import fill_of, refuse_tables
from pellucid.methods._squares import conventions, hidden, sizes, spread, starts, weighted, windows


def occlusion_coarse_to_fine(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    window: int | tuple[int, ...] | None = None,
    stride: int | tuple[int, ...] | None = None,
    factor: int = 4,
    share: float = 0.25,
    fill: float | str | Tensor = 0.0,
    shape: str = "square",
) -> Evidence:
    """Occlusion whose fine steps are spent where coarse steps lose or gain most: an approximation.

    The window first moves by `factor` strides. Linear interpolation of these drops is a guess for every fine
    position; the `share` of positions with the largest |guess| is then measured, as are all coarse ones. The rest of
    the map is the guess: a detail that no coarse window touched is missed.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores the pictures with hidden squares.
        rng: random draws of the noise of the fill `noise`; the same for all pictures.
        window: side of the square, in pixels of the model's input, or rows and columns, as in `8x4`; the same in both
            steps. None is a seventh of each side of the picture (32 of 224), at least 1.
        stride: distance between fine positions, likewise; None is a quarter of a window, at least 1.
        factor: fine strides per coarse one; coarse windows may leave gaps.
        share: share of the fine positions that are measured, 0 to 1; 1 is occlusion itself.
        fill: what hides: a value in the model's normalised space (0 is the mean colour of its training data), `mean`,
            `blur`, `noise`, `inpaint` or another picture (see `pellucid.masking.fills`).
        shape: `square`, or `disc` for the disc that fits into it.

    Returns:
        raw `[batch, *positions]`: d_p, measured or guessed, see `occlusion`; the map at input
        resolution, signed; extra `measured` of the same shape as raw: 1 where it is no guess.

    Raises:
        BadOption: a window, stride, factor, share or fill that cannot be.
        Refused: tables, whose columns have no neighbours.
    """
    refuse_tables(METHOD.id, probe, "it guesses columns from those beside them. Use occlusion")
    size = tuple(image.shape[2:])
    sides, moves = sizes(METHOD.id, size, window, stride, shape, steps=4)
    if factor < 1 or not 0 <= share <= 1:
        raise BadOption(f"Expected factor >= 1 and share from 0 to 1 for {METHOD.id}, got {factor} and {share}.")
    cover = fill_of(METHOD.id, fill, image, probe, rng)
    boxes, positions = windows(size, sides, moves)
    grid = (len(image), *positions)

    known_at = [_coarse(*each, factor) for each in zip(size, sides, moves, strict=True)]
    coarse = torch.zeros(1, dtype=torch.long)
    for places, count in zip(known_at, positions, strict=True):
        coarse = (coarse[:, None] * count + places).flatten()
    first = torch.cat([torch.zeros_like(boxes[:1]), boxes[coarse]])
    score = probe.score(len(first), hidden(first, cover, sides, shape)).score
    known = score[:, :1] - score[:, 1:]
    between = [_weights(*each).to(known) for each in zip(known_at, positions, strict=True)]
    guess = weighted(known.reshape(len(image), *map(len, known_at)), between).flatten(1)
    measured = torch.zeros_like(guess, dtype=torch.bool)
    guess[:, coarse], measured[:, coarse] = known, True

    more = round(share * guess.shape[1])
    if more:
        wanted = guess.abs().topk(more, 1).indices.sort(1).values
        fine = probe.score(more, hidden(boxes[wanted.cpu()], cover, sides, shape)).score
        guess.scatter_(1, wanted, score[:, :1] - fine)
        measured.scatter_(1, wanted, True)
    drop = guess.reshape(grid)
    note = f"{int(measured.sum(1).min())} of {guess.shape[1]} positions are measured; the others are interpolated."
    return Evidence(
        drop,
        values=spread(drop, sides, moves, size),
        extras={"measured": measured.reshape(grid).to(drop.dtype)},
        notes=(conventions(sides, moves, shape, fill), note),
    )


def _coarse(length: int, window: int, stride: int, factor: int) -> torch.Tensor:
    """Numbers of the coarse positions among the fine ones; the last fine one is always among them."""
    last = len(starts(length, window, stride)) - 1
    return torch.tensor(sorted({*range(0, last, factor), last}))


def _weights(places: torch.Tensor, count: int) -> torch.Tensor:
    """Weight of each known place in the interpolation at each position, `[position, place]`; each row sums to 1."""
    position = torch.arange(count)[:, None].double()
    if len(places) == 1:
        return torch.ones_like(position)
    after = torch.searchsorted(places, torch.arange(count)).clamp(1, len(places) - 1)
    low, high = places[after - 1].double(), places[after].double()
    right = ((position[:, 0] - low) / (high - low)).clamp(0, 1)
    weights = torch.zeros(count, len(places), dtype=torch.float64)
    weights.scatter_(1, (after - 1)[:, None], (1 - right)[:, None])
    return weights.scatter_add_(1, after[:, None], right[:, None])


METHOD = Method(
    occlusion_coarse_to_fine,
    id="occlusion-coarse-to-fine",
    title="Occlusion, coarse to fine",
    reference=Reference("doi:10.1145/3299869.3319874", "section 5.2, adaptive drill-down"),
    caveat="Only places that coarse steps found are looked at closely; the rest of the map is interpolated.",
)
