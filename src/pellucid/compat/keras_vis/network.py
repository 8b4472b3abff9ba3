"""What all three functions ask of a network: a layer by number, a picture, the gradient of some filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.capture.differentiable import DifferentiableForward, ForwardResult
from pellucid.capture.running import paths
from pellucid.contracts import Model, Site
from pellucid.errors import BadOption, BadSite, Refused, unknown
from pellucid.models.preprocessing import preprocessing_of
from pellucid.pictures import prepare

Layer = int | str
Filters = int | Sequence[int] | None


def layers(model: Model) -> dict[str, nn.Module]:
    """The layers that hold no others, by path."""
    return {path: part for path, part in paths(model.module).items() if not list(part.children())}


def site_of(model: Model, layer: Layer) -> Site:
    """The layer of a path, or of a number among `layers`.

    Raises:
        BadOption: there are not as many.
        UnknownName: no such path.
    """
    if isinstance(layer, str):
        parts = paths(model.module)
        if Site.parse(layer).path not in parts:
            raise unknown("layer", layer, parts, "`pellucid inspect MODEL` lists them.")
        return Site.parse(layer)
    if not isinstance(layer, int) or isinstance(layer, bool):
        raise BadOption(f"A layer is named by its number or path, got {type(layer).__name__}.")
    known = list(layers(model))
    if not -len(known) <= layer < len(known):
        raise BadOption(f"There is no layer {layer}: {model.name} has {len(known)}, numbered from 0.")
    return Site(known[layer])


def as_input(model: Model, picture: Any) -> Tensor:
    """A picture as the network takes it, `[1, channel, row, column]`.

    Tensors and arrays of floats are taken as they are, arrays with the channels last; anything else is prepared.
    """
    if isinstance(picture, Tensor):
        found = picture if picture.dim() == 4 else picture[None]
    elif isinstance(picture, np.ndarray) and np.issubdtype(picture.dtype, np.floating):
        batch = picture if picture.ndim == 4 else picture[None]
        if batch.ndim != 4:
            raise BadOption(f"Expected an array [row, column, channel], got shape {list(picture.shape)}.")
        found = torch.from_numpy(np.moveaxis(batch, -1, 1).copy()).float()
    else:
        found = prepare(picture, preprocessing_of(model)).tensor[None]
    if found.dim() != 4 or len(found) != 1:
        raise BadOption(f"Expected one picture, got shape {list(found.shape)}.")
    return found.detach().to(model.device)


def filters_of(value: Tensor, wanted: Filters, site: Site) -> Tensor:
    """Sum over filters of their means, `[batch]`; None is all of them."""
    if value.dim() < 2:
        raise BadSite(f"The layer '{site}' gives {list(value.shape)}, which has no filters.")
    count = value.shape[1]
    chosen = range(count) if wanted is None else [wanted] if isinstance(wanted, int) else list(wanted)
    for k in chosen:
        if not isinstance(k, int | np.integer) or not 0 <= k < count:
            raise BadOption(f"There is no filter {k!r} in the layer '{site}': it has {count}, numbered from 0.")
    return torch.stack([value[:, k : k + 1].flatten(1).mean(1) for k in chosen]).sum(0)


def ask(
    eyes: DifferentiableForward, given: Tensor, site: Site, wanted: Filters, rule: str, at: Site | None = None
) -> ForwardResult:
    """The activation of some filters, and its gradient at the input or at a layer.

    Raises:
        Refused: the rule is not defined for the network's activations.
    """
    found = eyes.ask(given, lambda layers, _: filters_of(layers[site], wanted, site), rule=rule, at=at)
    if found.uncovered:
        raise Refused(
            f"The backprop modifiers are defined for ReLU and its capped forms, and {eyes.model.name} uses "
            f"{', '.join(found.uncovered)}; leave backprop_modifier out."
        )
    return found


def as_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """`[batch, channel, ...]` as keras-vis has it, with the channels last."""
    return np.moveaxis(tensor.detach().float().cpu().numpy(), 1, -1)


def from_array(array: np.ndarray[Any, Any], like: Tensor) -> Tensor:
    """The way back."""
    return torch.from_numpy(np.moveaxis(array, -1, 1).copy()).to(like)


def normalised(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """From 0 at the least to 1 at the greatest; 0 where all are the same."""
    low, high = array.min(), array.max()
    return (array - low) / (high - low) if high > low else np.zeros_like(array)
