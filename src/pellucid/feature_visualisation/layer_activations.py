"""What a layer gives for pictures, and which part of them a place can depend on."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.capture.differentiable import differentiable_forward
from pellucid.capture.passes import activations, read_grid
from pellucid.capture.receptive import ReceptiveField, receptive_fields
from pellucid.capture.running import guarded
from pellucid.contracts import Grid, Model, Preprocess, Site
from pellucid.errors import TraceLeft
from pellucid.numerics import full_precision


def layer_maps(model: Model, layer: str, pictures: Tensor, preprocess: Preprocess) -> Tensor:
    """What a layer gives, `[batch, channel, row, column]` on the CPU, also for token and channels-last layers.

    Args:
        model: the network; afterwards exactly as it was.
        layer: path of a layer with a grid.
        pictures: `[batch, channel, row, column]`, 0 to 1.
        preprocess: how they become the network's input.

    Raises:
        BadSite: the layer has no grid.
    """
    return _maps(model, Site.parse(layer), _given(model, pictures, preprocess))[0]


def layer_field(
    model: Model, layer: str, pictures: Tensor, preprocess: Preprocess
) -> tuple[tuple[int, ...], ReceptiveField | None]:
    """The layer's shape `[batch, channel, row, column]` and its receptive field; arguments as of `layer_maps`."""
    site, given = Site.parse(layer), _given(model, pictures, preprocess)
    maps, grids = _maps(model, site, given)
    with guarded(model.module):
        return tuple(maps.shape), receptive_fields(model, given, grids)[site]


def takes(model: Model, channels: int, *sizes: tuple[int, int]) -> bool:
    """Whether the network takes pictures of other sizes than its own; some are built for one."""
    try:
        with differentiable_forward(model, [], scores=True) as eyes:
            for rows, columns in sizes:
                eyes.check(torch.zeros(1, channels, rows, columns, device=model.device))
    except (KeyboardInterrupt, TraceLeft):
        raise
    except BaseException:  # noqa: BLE001 - whatever it says, it does not take them
        return False
    return True


def _given(model: Model, pictures: Tensor, preprocess: Preprocess) -> Tensor:
    return preprocess.normalise(pictures).to(model.device)


def _maps(model: Model, site: Site, given: Tensor) -> tuple[Tensor, dict[Site, Grid | None]]:
    with guarded(model.module):
        values = activations(model, given, [site])[site]
        grid = read_grid(model, site, values, given)
        return full_precision(grid.to_maps(values)).cpu(), {site: grid}
