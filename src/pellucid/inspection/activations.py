"""What every layer makes of one picture: maps unit by unit, from the strongest to the silent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pellucid.capture.layers import survey
from pellucid.capture.passes import activations, read_grid
from pellucid.capture.tracing import ModuleCall, Trace, TracedStep
from pellucid.contracts import Map, Model, Picture, Site
from pellucid.errors import BadOption, BadSite
from pellucid.numerics import full_precision
from pellucid.pictures.colour import ColourScale, colour_map_for, scale
from pellucid.pictures.tiles import tiles

Common = Literal["unit", "layer", "global"]
COMMON: tuple[Common, ...] = ("unit", "layer", "global")

_LAYERS = 12
_FULL = 0.5
_NEAR = 1e-3
_LIMITS: dict[str, tuple[float | None, float | None]] = {
    "sigmoid": (0.0, 1.0), "hardsigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, None), "relu6": (0.0, 6.0),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """The maps of one layer.

    Attributes:
        site: the layer.
        kind: class name of its module.
        maps: `[unit, row, column]`, a copy on the CPU.
        order: units from the strongest to the weakest; strength is the mean size of a unit's values.
        silent: units with one and the same value everywhere: dead, as far as this picture tells.
        saturated: units with at least half of their values at the end of a bounded activation, such as the 6 of ReLU6.
        limits: least and largest value that the layer's activation can give; None where it has no end.
    """

    site: Site
    kind: str
    maps: Tensor
    order: tuple[int, ...]
    silent: tuple[int, ...]
    saturated: tuple[int, ...]
    limits: tuple[float | None, float | None]

    @property
    def mean(self) -> Map:
        """Mean over the units of the sizes of their values, `[row, column]`."""
        return self.maps.abs().mean(0)


def activations_of(
    model: Model, image: Tensor, found: Trace, layers: Sequence[Site] | None = None
) -> tuple[LayerMaps, ...]:
    """The maps of some layers for the first picture of a batch. Must run inside `guarded`.

    Args:
        model: the network.
        image: its input `[batch, channel, row, column]`.
        found: a trace of the same network.
        layers: None: the outermost layers with a grid, pooling included, at most 12 of them, evenly spread.

    Raises:
        BadSite: a layer without a grid.
    """
    if image.ndim != 4 or not image.is_floating_point():
        return ()
    kinds = {call.path: type(call.module).__name__ for call in found.calls}
    sites = tuple(layers) if layers is not None else _chosen(_offered(model, image, found))
    values = activations(model, image[:1], sites) if sites else {}
    made = []
    for site in sites:
        grid = read_grid(model, site, values[site], image[:1])
        maps = full_precision(grid.to_maps(values[site]))[0].detach().cpu().clone()
        made.append(_described(site, kinds.get(site.path, ""), maps, _limits(found, site)))
    return tuple(made)


def _offered(model: Model, image: Tensor, found: Trace) -> dict[str, Site]:
    """Layers with a grid and pooling layers by path, in the order in which the network computes them."""
    ends: dict[str, int] = {}
    for call in found.calls:
        ends.setdefault(call.path, call.steps.stop)
    times = Counter(call.path for call in found.calls)
    paths = {call.path: Site(call.path) for call in found.calls if times[call.path] == 1 and _pools(found, call)}
    for candidate in survey(model, image).candidates:
        if candidate.site.path in ends:  # noise may go another way through the network
            paths[candidate.site.path] = candidate.site
            alone = candidate.site.call is None
            paths |= {alias: Site(alias) for alias in candidate.aliases if alone and times[alias] == 1}
    return dict(sorted(paths.items(), key=lambda item: ends[item[0]]))


def _pools(found: Trace, call: ModuleCall) -> bool:
    """Whether a module without parts does nothing but pool, to a grid of more than one place."""
    names = [found.steps[number].operation for number in call.steps]
    places = (call.shape or ())[2:]
    leaf = not any(True for _ in call.module.children())
    return leaf and len(names) == 1 and "pool" in names[0] and len(places) == 2 and max(places) > 1


def _chosen(paths: Mapping[str, Site]) -> tuple[Site, ...]:
    """The outermost layers; those that hold most others give way to their parts until there are enough."""

    def inside(path: str) -> list[str]:
        return [p for p in paths if p.startswith(f"{path}.")]

    chosen = [path for path in paths if not any(path.startswith(f"{other}.") for other in paths)]
    while len(chosen) < _LAYERS // 2 and any(inside(path) for path in chosen):
        largest = max(chosen, key=lambda path: len(inside(path)))
        parts = inside(largest)
        direct = [p for p in parts if not any(p.startswith(f"{other}.") for other in parts)]
        chosen = [p for path in chosen for p in (direct if path == largest else [path])]
    if len(chosen) > _LAYERS:
        chosen = [chosen[k] for k in np.linspace(0, len(chosen) - 1, _LAYERS).round().astype(int)]
    return tuple(paths[path] for path in chosen)


def _described(site: Site, kind: str, maps: Tensor, limits: tuple[float | None, float | None]) -> LayerMaps:
    flat = maps.flatten(1)
    strength = flat.abs().mean(1)
    silent = (flat == flat[:, :1]).all(1)
    full = flat.new_zeros(len(flat))
    for end in limits[1:] if limits[0] == 0 else limits:  # zero is where a rectifier rests
        if end is not None:
            full = full + ((flat - end).abs() <= _NEAR * max(abs(end), 1.0)).float().mean(1)
    return LayerMaps(
        site=site,
        kind=kind,
        maps=maps,
        order=tuple(strength.argsort(descending=True, stable=True).tolist()),
        silent=tuple(silent.nonzero()[:, 0].tolist()),
        saturated=tuple((full >= _FULL).nonzero()[:, 0].tolist()),
        limits=limits,
    )


def _limits(found: Trace, site: Site) -> tuple[float | None, float | None]:
    """The ends of the activation that made a layer's output, if the last step tells."""
    calls = [c for c in found.calls if c.path == site.path and c.times == (site.call or 0)]
    sources = calls[0].sources if calls and site.port == "output" else ()
    if len(sources) != 1 or sources[0][0] < 0:
        return None, None
    return limits_of(found.steps[sources[0][0]])


def limits_of(step: TracedStep) -> tuple[float | None, float | None]:
    """Least and largest value of an activation function."""
    name = step.operation.removeprefix("aten::").rstrip("_")
    if name in ("hardtanh", "clamp"):
        low, high = (step.arguments.get(k, step.arguments.get(j)) for k, j in (("min_val", "min"), ("max_val", "max")))
        return low, high
    return _LIMITS.get(name, (None, None))


def scales(layers: Sequence[LayerMaps], common: Common) -> list[list[ColourScale]]:
    """The colour scale of every unit of every layer.

    Args:
        layers: all that are shown together.
        common: `unit`: each its own; `layer`: one per layer; `global`: one for all.

    Raises:
        BadOption: none of these.
    """
    if common not in COMMON:
        raise BadOption(f"Expected one scale per 'unit', per 'layer' or 'global', got {common!r}.")
    if common == "unit":
        return [[scale(unit) for unit in layer.maps] for layer in layers]
    own = [scale(layer.maps) for layer in layers]
    if common == "global":
        signed, high = any(s.signed for s in own), max((s.high for s in own), default=0.0)
        own = [replace(s, low=-high if signed else 0.0, high=high, signed=signed) for s in own]
    return [[s] * len(layer.maps) for s, layer in zip(own, layers, strict=True)]


def sheet(layer: LayerMaps, drawn: Sequence[ColourScale], *, most: int = 96) -> Image.Image:
    """The strongest maps of a layer, strongest first, cell by cell."""
    return tiles([coloured(layer.maps[unit], drawn[unit]) for unit in layer.order[:most]], cell=72)


def coloured(values: Map, drawn: ColourScale) -> NDArray[np.uint8]:
    """A map as colours, uint8 `[row, column, 3]`."""
    placed = drawn.place(values.double().numpy())
    index = np.rint(128 + 127 * placed if drawn.signed else 255 * placed).astype(int)
    return np.asarray(colour_map_for(drawn)[index][..., :3])


def strip(layers: Sequence[LayerMaps], picture: Picture | None = None, *, cell: int = 160) -> Image.Image:
    """From edges to objects: each layer's mean map, side by side, behind the picture itself."""
    if not layers:
        raise BadSite("No layer has a spatial grid, so there is nothing to draw.")
    cells = [coloured(layer.mean, scale(layer.mean, signed=False)) for layer in layers]
    images = [Image.fromarray(c).resize((cell, cell), Image.Resampling.NEAREST) for c in cells]
    if picture is not None:
        left, top, right, bottom = picture.box
        seen = picture.image.convert("RGB").resize((cell, cell), Image.Resampling.BICUBIC, (left, top, right, bottom))
        images = [seen, *images]
    return tiles([np.asarray(image) for image in images], columns=len(images), cell=cell, gap=4)
