"""Layers with a grid, and which of them is the best place to look."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from pellucid.contracts import Grid, Site

PASSES_ON = (
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Flatten, nn.Unflatten,
    nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, nn.LPPool1d,
    nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.LPPool2d, nn.FractionalMaxPool2d,
    nn.MaxPool3d, nn.AvgPool3d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d, nn.LPPool3d, nn.FractionalMaxPool3d,
    nn.Softmax, nn.Softmax2d, nn.Upsample, nn.ZeroPad1d, nn.ReflectionPad1d, nn.ReplicationPad1d, nn.ZeroPad2d,
    nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ZeroPad3d, nn.ReflectionPad3d, nn.ReplicationPad3d,
)  # fmt: skip
"""They only pass on or thin out what another layer found: never the best place to look."""


@dataclass(frozen=True)
class Candidate:
    """A layer whose output has a spatial grid.

    Attributes:
        site: where.
        kind: class name of the module.
        shape: of its output for one sample, in the layer's own layout.
        grid: how to read it.
        stride: input pixels per cell along each axis: vertically and horizontally.
        influences: True if the top score's gradient reaches the grid at all (not so for the patch tokens behind the
            last attention of a model that reads its class token).
        aliases: other layers that return the same tensor.
        recommended: the default site for methods that look at a layer.
        final: True if the network only resizes what it gives into a score of every pixel, so that a map of it shows no
            more than the scores do.
        projection: True if it is one of several dense layers that read the same tokens, as those of queries, keys and
            values are: the place to look is what they read.
    """

    site: Site
    kind: str
    shape: tuple[int, ...]
    grid: Grid
    stride: tuple[float, ...]
    influences: bool
    aliases: tuple[str, ...] = ()
    recommended: bool = False
    final: bool = False
    projection: bool = False


@dataclass(frozen=True)
class Survey:
    """What one pass over all layers found.

    Attributes:
        candidates: layers with a grid, in the order in which the network computes them.
    """

    candidates: tuple[Candidate, ...]


def why_recommended(candidate: Candidate) -> str:
    """Why methods look at the recommended layer, for people."""
    if candidate.influences:
        return "the last layer with a grid that the score depends on"
    return "the last layer with a grid, though the score seems to depend on none: are the weights random?"


def without_projections(candidates: list[Candidate]) -> list[Candidate]:
    """Of token layers keep those as wide as the stream they belong to; queries, keys and hidden layers are no maps.

    A pyramid has a stream of its own for each size of grid.
    """

    def stream(candidate: Candidate) -> tuple[int, ...]:
        return candidate.grid.size

    widths: dict[tuple[int, ...], list[int]] = {}
    tokens = [c for c in candidates if c.grid.layout == "tokens"]
    for candidate in tokens:
        widths.setdefault(stream(candidate), []).append(candidate.shape[-1])
    usual = {size: max(seen, key=seen.count) for size, seen in widths.items()}
    return [c for c in candidates if c.grid.layout != "tokens" or c.shape[-1] == usual[stream(c)]]


def settle(candidates: list[Candidate]) -> tuple[Candidate, ...]:
    """The same with the recommended one marked: the last that the score depends on, and that is no mere projection."""
    usable = [c for c in candidates if c.influences and not c.final] or candidates
    usable = [c for c in usable if not c.projection] or usable
    return tuple(replace(c, recommended=c is usable[-1]) for c in candidates)
