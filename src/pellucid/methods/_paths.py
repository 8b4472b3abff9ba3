"""What the methods that integrate gradients along a path share: where paths begin, and the integrals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from pellucid.contracts import Maps, PartLike, ProbeLike, cut, joined
from pellucid.errors import BadOption
from pellucid.held import as_pictures
from pellucid.numerics import gaussian_blur, per_row, places

NAMES = ("black", "white", "mean", "blur")
_BLUR = 0.1

BaselineDraw: TypeAlias = Callable[[Maps, Tensor, Tensor], tuple[Maps, Maps, Tensor]]
"""`draw(rows, pictures, numbers)`: start and end of each path `[n, ...]`, and how far along it to look, from 0 to 1;
`rows` are the pictures themselves, `pictures` says which they are and `numbers` which of their paths it is."""


def plain_gradient(image_gradient: Maps) -> Maps:
    """The gradient at the input, for `probe.each`."""
    return image_gradient


def read_baselines(
    method: str, choice: float | str | Tensor, image: Maps, probe: ProbeLike | PartLike
) -> tuple[list[Maps], tuple[str, ...]]:
    """The pictures that paths begin at, each shaped as `image`, and notes for the result.

    Args:
        method: id of the method, for messages.
        choice: a number in the model's normalised space, `black`, `white`, `mean` (the picture's own mean colour),
            `blur` (the picture blurred by a tenth of its shorter side), several of these with commas between, or a
            tensor, see `held.as_pictures`.
        image: the pictures `[batch, channel, row, column]`.
        probe: knows black and white where the model has preprocessing. Elsewhere the picture's own smallest and
            largest value stand in, and a note says so.

    Raises:
        BadOption: the choice is none of these.
    """
    if isinstance(choice, Tensor):
        return [as_pictures(method, "baseline", choice, image)], ()
    if probe.parts:
        return _of_all_inputs(method, choice, image, probe.parts)
    words = [word.strip() for word in str(choice).split(",")]
    unknown = bool({"black", "white"} & set(words)) and probe.grey(0) is None
    return [_baseline(method, word, image, probe) for word in words], unknown_colours() if unknown else ()


def _of_all_inputs(
    method: str, choice: float | str, image: Maps, parts: Sequence[PartLike]
) -> tuple[list[Maps], tuple[str, ...]]:
    """The same of several inputs: each begins at its own."""
    pieces = zip(parts, cut(image, [each.part for each in parts]), strict=True)
    every = [read_baselines(method, choice, piece, each) for each, piece in pieces]
    starts = [joined(inputs) for inputs in zip(*(starts for starts, _ in every), strict=True)]
    return starts, tuple(dict.fromkeys(note for _, notes in every for note in notes))


def unknown_colours() -> tuple[str, ...]:
    """The note that goes with `colour_range` where the model has no preprocessing."""
    return ("Black and white are unknown without preprocessing; the picture's smallest and largest value stand in.",)


def colour_range(image: Maps, probe: ProbeLike | PartLike) -> tuple[Tensor, Tensor]:
    """Black and white `[batch or 1, channel or 1, 1...]` in the model's space, or the picture's own extremes.

    Of several inputs those of each, `[batch, 1, feature]`.
    """
    if probe.parts:
        pieces = list(zip(probe.parts, cut(image, [each.part for each in probe.parts]), strict=True))
        ends = [[end.expand_as(piece) for end in colour_range(piece, each)] for each, piece in pieces]
        return joined([black for black, _ in ends]), joined([white for _, white in ends])
    black, white = probe.grey(0), probe.grey(1)
    if black is None or white is None:
        every = tuple(range(1, image.ndim))
        return image.amin(every, keepdim=True), image.amax(every, keepdim=True)
    return black, white


def _baseline(method: str, word: str, image: Maps, probe: ProbeLike | PartLike) -> Maps:
    if word in ("black", "white"):
        black, white = colour_range(image, probe)
        return (white if word == "white" else black).expand_as(image)
    if word == "mean":
        return image.mean(places(image), keepdim=True).expand_as(image)
    if word == "blur":
        return gaussian_blur(image, image.new_full((len(image),), _BLUR * min(image.shape[2:])))
    try:
        return torch.full_like(image, float(word))
    except ValueError:
        raise BadOption(
            f"Expected numbers or {', '.join(NAMES)} as baseline of {method}, with commas between, got {word!r}."
        ) from None


_MOST_POINTS = 2_000
"""The points of a quadrature take time with the cube of their number; a few hundred are exact to rounding already."""


def along_lines(
    method: str,
    image: Maps,
    probe: ProbeLike,
    starts: Sequence[Maps],
    steps: int,
    function: Callable[..., Tensor] | None,
    *,
    times_way: bool = True,
) -> Maps:
    """Mean over the starts B of (I - B) integral_0^1 g(B + t (I - B)) dt, by Gauss-Legendre quadrature.

    Args:
        method: id of the method, for messages.
        image: I, `[batch, channel, row, column]`.
        probe: gives g on the way.
        starts: each shaped as `image`.
        steps: points on the way.
        function: what gives g; None is the method named by the option `of`.
        times_way: True if the factor I - B is there.

    Raises:
        BadOption: no steps, or so many that finding the points would take longer than all gradients.
    """
    if not 1 <= steps <= _MOST_POINTS:
        raise BadOption(f"Expected 1 to {_MOST_POINTS:,} steps for {method}, got {steps:,}.")
    points, weights = np.polynomial.legendre.leggauss(steps)
    t, weight = (torch.tensor(v / 2, dtype=image.dtype, device=image.device) for v in (points + 1, weights))
    stacked = torch.stack(list(starts))

    def along(rows: Maps, pictures: Tensor, numbers: Tensor) -> Maps:
        start = stacked[numbers // steps, pictures]
        return start + per_row(t[numbers % steps], rows) * (rows - start)

    total = torch.zeros_like(image)
    for pictures, numbers, gradient in probe.each(len(starts) * steps, along, function):
        if gradient.shape[1:] != image.shape[1:]:
            raise BadOption(f"{method} needs a gradient at the input, and its option `of` names a method at a layer.")
        way = image[pictures] - stacked[numbers // steps, pictures]
        share = per_row(weight[numbers % steps], gradient) / len(starts)
        total.index_add_(0, pictures, (share * (way * gradient if times_way else gradient)).to(total.dtype))
    return total


def along_random_lines(method: str, image: Maps, probe: ProbeLike, samples: int, draw: BaselineDraw) -> Maps:
    """Mean over n of (E - B) g(B + t (E - B)) with start B, end E and t drawn for each n: a Monte Carlo integral.

    Raises:
        BadOption: no samples.
    """
    if samples < 1:
        raise BadOption(f"Expected at least 1 sample for {method}, got {samples}.")

    def between(rows: Maps, pictures: Tensor, numbers: Tensor) -> Maps:
        start, end, t = draw(rows, pictures, numbers)
        return start + t * (end - start)

    total = torch.zeros_like(image)
    for pictures, numbers, gradient in probe.each(samples, between, plain_gradient):
        start, end, _ = draw(image[pictures], pictures, numbers)
        total.index_add_(0, pictures, ((end - start) * gradient / samples).to(total.dtype))
    return total


def completeness_gap(image: Maps, probe: ProbeLike, starts: Sequence[Maps], raw: Maps) -> Tensor:
    """What `raw` misses of S(I) - mean S(B), `[batch]`."""
    stacked = torch.stack([image, *starts])
    score = probe.score(len(stacked), lambda _, pictures, numbers: stacked[numbers, pictures]).score
    return score[:, 0] - score[:, 1:].mean(1) - raw.flatten(1).sum(1)


def what_is_missing(raw: Maps, gap: Tensor) -> tuple[str, ...]:
    """A note where more than a fiftieth of a difference of scores has not been found, or nothing."""
    difference = raw.flatten(1).sum(1) + gap
    worst = int((gap.abs() - 0.02 * difference.abs()).argmax())
    if not float(gap[worst].abs()) > 0.02 * float(difference[worst].abs()) + 1e-6:
        return ()
    return (
        f"The parts sum to {float(difference[worst] - gap[worst]):.3g} where the scores differ by "
        f"{float(difference[worst]):.3g}. More steps help, unless the network jumps, or hides something that it "
        "computes from the picture from its gradient (detach, no_grad, .data, item, numpy).",
    )
