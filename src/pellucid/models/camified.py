"""A network whose head is replaced by global average pooling and one linear layer, so that CAM is defined for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pellucid.errors import BadSite


class Camified(nn.Module):
    """Another network up to one of its layers, the mean of each map there, and a linear layer.

    Zhou et al., "Learning deep features for discriminative localization", CVPR (2016), section 2.

    Args:
        trunk: the network, in evaluation mode; what lies behind the layer stays and is never run.
        path: of the layer, as `named_modules()` prints it; called once, with maps `[batch, channel, row, column]`.
        maps: number of its channels.
        classes: number of outputs.

    Raises:
        BadSite: the network has no such layer.
    """

    def __init__(self, trunk: nn.Module, path: str, maps: int, classes: int) -> None:
        super().__init__()
        self.trunk, self.path = trunk, path
        _part(trunk, path)
        self.linear = nn.Linear(maps, classes)

    def maps(self, pictures: Tensor) -> Tensor:
        """What the layer makes of the pictures."""
        return maps_at(self.trunk, self.path, pictures)

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores `[batch, class]`."""
        scores: Tensor = self.linear(self.maps(pictures).mean((2, 3)))
        return scores


class _Reached(Exception):
    """Carries the maps out of the middle of a forward pass."""

    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps


def maps_at(trunk: nn.Module, path: str, pictures: Tensor) -> Tensor:
    """The output of a layer; the network is run no further.

    Raises:
        BadSite: the layer is not met, or its output is not maps `[batch, channel, row, column]`.
    """

    def leave(_: nn.Module, __: Any, out: Any) -> None:
        if not isinstance(out, Tensor) or out.dim() != 4:
            shape = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise BadSite(f"{path} gives {shape}; global average pooling needs maps [batch, channel, row, column].")
        raise _Reached(out)

    handle = _part(trunk, path).register_forward_hook(leave)
    try:
        trunk(pictures)
    except _Reached as reached:
        return reached.maps
    finally:
        handle.remove()
    raise BadSite(f"The network never calls {path}.")


def pooled_at(trunk: nn.Module, path: str, pictures: Tensor, batch: int = 16) -> Tensor:
    """Mean of each map at a layer, `[picture, channel]`; all that a linear head behind the pooling can ever see."""
    with torch.no_grad():
        return torch.cat([maps_at(trunk, path, rows).mean((2, 3)) for rows in torch.split(pictures, batch)])


def _part(trunk: nn.Module, path: str) -> nn.Module:
    try:
        return trunk.get_submodule(path)
    except AttributeError as error:
        raise BadSite(f"The network has no layer {path!r}; `pellucid layers MODEL` lists them.") from error
