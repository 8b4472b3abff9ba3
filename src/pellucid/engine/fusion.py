"""Maps of several layers joined into one: deep layers know what, early layers know where.

How a map is scaled before it is joined decides what the joint map shows, so each rule has the scaling of the paper
that it comes from. Evidence against the target (negative values) is set to 0 first, as all of these papers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pellucid.contracts import Attribution, Canvas, Cost, JoinedSites, Map
from pellucid.errors import BadOption
from pellucid.numerics import onto_picture, safe_divide

SCALING = {
    "max": "each divided by its maximum, those of finer grids than the coarsest as tanh(2 m / max m) (LayerCAM)",
    "mean": "each stretched from its minimum to its maximum (public Grad-CAM code)",
    "product": "each stretched from its minimum to its maximum (RefineCAM, arXiv:2605.14641, with grad-cam++)",
}
"""The rules, and what happens to each layer's map before them."""


def check_fuse(how: str | None, layers: int) -> None:
    """Refuse with `BadOption` a rule that does not exist, or fewer than two different layers to fuse."""
    if how is None:
        return
    if not isinstance(how, str) or how not in SCALING:
        raise BadOption(f"Expected {', '.join(SCALING)} or None as fuse, got {how!r}.")
    if layers < 2:
        raise BadOption(f"Fusing needs at least two layers, got {layers}. Name them, or leave fuse out.")


def fused(parts: Sequence[Attribution], how: str) -> Attribution:
    """One attribution of a method at several layers; `extras["layers"]` keeps the scaled map of each."""
    size, on_grid = tuple(parts[0].values.shape[1:]), parts[0].raw.ndim == parts[0].values.ndim
    canvas = parts[0].model.canvas_of(size) if on_grid else None
    values, layers = fuse_maps([a.raw if on_grid else a.values for a in parts], size, how, canvas)
    names = [str(a.site) for a in parts]
    notes = dict.fromkeys(note for a in parts for note in a.notes)
    return replace(
        parts[0],
        values=values,
        raw=values.clone(),
        site=JoinedSites(tuple(site for a in parts if a.site for site in a.site.sites)),
        cost=sum((a.cost for a in parts), Cost(0.0, 0, 0)),
        extras={"layers": layers},
        notes=(*notes, f"The {how} of the maps at {', '.join(names)}, {SCALING[how]}."),
    )


def fuse_maps(maps: Sequence[Map], size: tuple[int, ...], how: str, canvas: Canvas | None = None) -> tuple[Map, Tensor]:
    """Join the maps of several layers.

    Each is scaled on its own grid, picture by picture, then resized linearly.

    Args:
        maps: one per layer, `[batch, *axes]`, each on its own grid.
        size: of the result, of pictures rows and columns.
        how: `max`, `mean` or `product`, see `SCALING`.
        canvas: what the layers see, when that is not just the picture.

    Returns:
        The joint map `[batch, *axes]`, 0 to 1; and the scaled maps `[batch, layer, *axes]`.
    """
    coarsest = min(m[0].numel() for m in maps)
    scaled = [_scale(m.relu(), how, finer=m[0].numel() > coarsest) for m in maps]
    layers = torch.stack([onto_picture(m, size, canvas or Canvas(size, size)) for m in scaled], 1)
    if how == "max":
        return layers.amax(1), layers
    return (layers.mean(1) if how == "mean" else layers.prod(1)), layers


def _scale(values: Map, how: str, *, finer: bool) -> Map:
    axes = tuple(range(1, values.ndim))
    high = values.amax(axes, keepdim=True)
    if how == "max":
        share = safe_divide(values, high.expand_as(values))
        return torch.tanh(2 * share) if finer else share
    low = values.amin(axes, keepdim=True)
    return safe_divide(values - low, (high - low).expand_as(values))
