"""`visualize_saliency` and `visualize_cam`, with the parameters of keras-vis 0.5.0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules import conv, pooling

from pellucid.capture.differentiable import differentiable_forward
from pellucid.compat.keras_vis.modifiers import EPSILON, Array, on_gradients
from pellucid.compat.keras_vis.modifiers import rule as rule_of
from pellucid.compat.keras_vis.network import (
    Filters,
    Layer,
    as_array,
    as_input,
    ask,
    layers,
    normalised,
    site_of,
)
from pellucid.contracts import Model, Site
from pellucid.errors import BadSite
from pellucid.models.wrap import wrap
from pellucid.numerics import resize

_SPATIAL = (conv._ConvNd, pooling._MaxPoolNd, pooling._AvgPoolNd)


def visualize_saliency(
    model: Model | nn.Module,
    layer_idx: Layer,
    filter_indices: Filters,
    seed_input: Any,
    wrt_tensor: Layer | None = None,
    backprop_modifier: str | None = None,
    grad_modifier: str | Callable[[Array], Array] | None = "absolute",
    keepdims: bool = False,
) -> Array:
    """Which pixels some filters are most sensitive to: their gradient, by default its greatest absolute value.

    `pellucid.explain(model, picture, "saliency")` keeps the sign and the scale, and says how far to trust it.

    Args:
        model: any network, or a `Model`; left as it was.
        layer_idx: the layer of the filters; of classes, the last one before any softmax.
        filter_indices: one or several of its channels or units; None is all.
        seed_input: a picture: a path or image for a `Model` with preprocessing; or what the network takes, as a tensor
            `[channel, row, column]` or an array of floats `[row, column, channel]`.
        wrt_tensor: a layer whose gradient is wanted instead of the input's, by number or path.
        backprop_modifier: `guided`, or `relu` (also `rectified`, `deconv`): every positive signal passes a ReLU.
        grad_modifier: `absolute`, `negate`, `relu`, `invert`, `small_values` or a function of an array.
        keepdims: keep the channels apart.

    Returns:
        0 to 1, `[row, column]`, or `[row, column, channel]` with `keepdims`.

    Raises:
        BadOption, UnknownName, BadSite: arguments that do not fit the network.
        Refused: a backprop modifier for a network with other activations than ReLU.
    """
    model, modify, rule = wrap(model), on_gradients(grad_modifier), rule_of(backprop_modifier)
    site = site_of(model, layer_idx)
    wrt = None if wrt_tensor is None else site_of(model, wrt_tensor)
    given = as_input(model, seed_input)
    with differentiable_forward(model, [site] if wrt is None else [site, wrt], scores=False) as eyes:
        eyes.check(given)
        found = ask(eyes, given, site, filter_indices, rule, wrt).gradient
    changed = modify(as_array(found))
    return normalised((changed if keepdims or changed.ndim < 4 else changed.max(-1))[0])


def visualize_cam(
    model: Model | nn.Module,
    layer_idx: Layer,
    filter_indices: Filters,
    seed_input: Any,
    penultimate_layer_idx: Layer | None = None,
    backprop_modifier: str | None = None,
    grad_modifier: str | Callable[[Array], Array] | None = None,
) -> Array:
    """Grad-CAM: where the maps of a layer speak for some filters of a later one.

    keras-vis divides the gradients by their greatest value, which turns the map over where all of them are negative;
    here they are divided by their greatest absolute value.

    Args:
        model: as of `visualize_saliency`, and so are the other parameters.
        layer_idx: the layer of the filters.
        filter_indices: of the layer.
        seed_input: a picture.
        penultimate_layer_idx: the layer whose maps are weighed; None is the last convolution, or max or average
            pooling, before the layer, in the order in which torch prints them.
        backprop_modifier: of the gradients that weigh the maps.
        grad_modifier: likewise.

    Returns:
        0 to 1, `[row, column]` of the input.

    Raises:
        BadSite: there is no such layer, or it has no places.
    """
    model, modify, rule = wrap(model), on_gradients(grad_modifier), rule_of(backprop_modifier)
    site = site_of(model, layer_idx)
    maps = _penultimate(model, site) if penultimate_layer_idx is None else site_of(model, penultimate_layer_idx)
    given = as_input(model, seed_input)
    with differentiable_forward(model, [site, maps], scores=False) as eyes:
        shape = eyes.check(given)[maps]
        if len(shape) != 4:
            raise BadSite(
                f"The layer '{maps}' gives {list(shape)}, which has no places. Name one by its number or path."
            )
        found = ask(eyes, given, site, filter_indices, rule, maps)
    gradient = modify(as_array(found.gradient))
    weights = (gradient / max(float(np.abs(gradient).max()), EPSILON)).mean((0, 1, 2))
    heat = np.maximum((as_array(found.layers[maps])[0] * weights).sum(-1), 0.0)
    enlarged = resize(torch.from_numpy(heat)[None], (given.shape[2], given.shape[3]))
    return normalised(enlarged[0].numpy())


def _penultimate(model: Model, site: Site) -> Site:
    known = layers(model)
    before = list(known)[: list(known).index(site.path)] if site.path in known else list(known)
    spatial = [path for path in before if isinstance(known[path], _SPATIAL)]
    if not spatial:
        raise BadSite(f"There is no convolution or pooling before '{site}'. Name a layer as penultimate_layer_idx.")
    return Site(spatial[-1])
