"""Maps that know nothing of the network: what a score is worth is what it is beyond theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.contracts import Map, Maps, Noise
from pellucid.numerics import CHANNEL, places

_WIDTH = 0.25
"""Standard deviation of the hill in the centre, as a fraction of the picture's side along each axis."""


def random_map(image: Maps, rng: Noise) -> Map:
    """Uniform noise, the same for all pictures."""
    return rng.uniform(torch.zeros(1, dtype=torch.long), image[:1, 0]).expand(len(image), *image.shape[2:])


def centre_map(image: Maps, rng: Noise) -> Map:  # noqa: ARG001 - controls share one signature
    """A Gaussian hill in the middle, where photographers put things."""
    bells = []
    for length in image.shape[2:]:
        place = (torch.arange(length, dtype=image.dtype, device=image.device) + 0.5) / length - 0.5
        bells.append(torch.exp(-0.5 * (place / _WIDTH) ** 2))
    hill = reduce(lambda known, more: known[..., None] * more, bells)
    return hill.expand(len(image), *image.shape[2:])


def edge_map(image: Maps, rng: Noise) -> Map:  # noqa: ARG001 - controls share one signature
    """The length of the picture's gradient by Sobel's filter, of the mean over its channels."""
    axes = places(image)
    grey = F.pad(image.mean(CHANNEL, keepdim=True), (1, 1) * len(axes), mode="replicate")
    slopes = []
    for along in axes:
        slope = grey
        for axis in (*(other for other in axes if other != along), along):
            first, middle, last = (slope.narrow(axis, k, image.shape[axis]) for k in range(3))
            slope = last - first if axis == along else first + 2 * middle + last
        slopes.append(slope)
    length: Tensor = sum((slope**2 for slope in slopes[1:]), slopes[0] ** 2).sqrt()[:, 0]
    return length


WRONG_TARGET = "wrong target"
"""The further control of maps that an optimisation found: the same method's map for another class."""
CONTROLS: Mapping[str, Callable[[Maps, Noise], Map]] = MappingProxyType(
    {"random": random_map, "centre": centre_map, "edges": edge_map}
)
"""By name: a map `[batch, *axes]` from the model's input `[batch, channel, *axes]`."""
