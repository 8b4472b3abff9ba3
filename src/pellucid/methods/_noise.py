"""What the methods that average over noisy copies of the picture share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pellucid.contracts import Maps, Noise, ProbeLike, cut, joined
from pellucid.errors import BadOption
from pellucid.numerics import per_row


def noisy(
    method: str,
    probe: ProbeLike,
    rng: Noise,
    samples: int,
    noise: float,
    sigma: float | None,
    *,
    least: int = 1,
    function: Callable[..., Tensor] | None = None,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Run the method named by `of`, or `function`, on I + sigma e_n; sigma None is noise (max I - min I).

    Yields:
        As `Probe.each`: (which picture `[n]`, which copy `[n]`, raw map `[n, ...]`).

    Raises:
        BadOption: fewer than `least` samples, or negative noise or sigma; the message names `method`.
    """
    if samples < least or noise < 0:
        raise BadOption(f"Expected samples >= {least} and noise >= 0 for {method}, got {samples} and {noise}.")

    if sigma is not None and sigma < 0:
        raise BadOption(f"Expected sigma >= 0 for {method}, got {sigma}.")

    def disturb(rows: Maps, _: Tensor, numbers: Tensor) -> Maps:
        width = noise * own_range(rows, probe) if sigma is None else sigma
        return rows + width * rng.normal(numbers, rows)

    yield from probe.each(samples, disturb, function)


def colours(rng: Noise, numbers: Tensor, image: Maps, probe: ProbeLike) -> Maps:
    """One colour for all places, uniform in [0, 1), `[n, channel, 1...]`; of several inputs one each."""
    parts = [each.part for each in probe.parts]
    pieces = cut(image[:1], parts)
    first = [piece[:, :, *(slice(1),) * (piece.ndim - 2)] for piece in pieces]
    if not parts:
        return rng.uniform(numbers, first[0])
    drawn = rng.uniform(numbers, joined(first))[:, 0].split_with_sizes([each.shape[1] for each in first], 1)
    spread = [
        colour.reshape(len(numbers), *like.shape[1:]).expand(-1, *piece.shape[1:])
        for colour, like, piece in zip(drawn, first, pieces, strict=True)
    ]
    return joined(spread)


def own_range(rows: Maps, probe: ProbeLike) -> Tensor:
    """Largest less smallest value of each row `[n, 1...]`; of several inputs that of each, `[n, 1, feature]`."""
    parts = [each.part for each in probe.parts]
    if parts:
        return joined([_range(piece).expand_as(piece) for piece in cut(rows, parts)])
    return _range(rows)


def _range(rows: Maps) -> Tensor:
    flat = rows.flatten(1)
    return per_row(flat.amax(1) - flat.amin(1), rows)


def noisy_mean(
    method: str,
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    samples: int,
    noise: float,
    sigma: float | None,
    change: Callable[[Tensor], Tensor],
) -> Tensor:
    """Mean over the noisy copies of `change(raw map)`, one per picture."""
    mean = torch.zeros(0)
    for pictures, _, raw in noisy(method, probe, rng, samples, noise, sigma):
        if not len(mean):  # only now is the shape of the other method's maps known
            mean = raw.new_zeros(len(image), *raw.shape[1:])
        mean.index_add_(0, pictures, change(raw) / samples)
    return mean
