"""Objectives under lucent's names, from functions of T, where T("layer4_1") is what a layer gives for the whole batch.

In one file, since lucent has them in one module of this name.

Layers are named as in lucent, parts joined by "_", or as torch prints them. lucent makes its objectives small and
negates each inside; here they are made large, so that `channel("a", 1) - 0.1 * diversity("b")` means the same in both.
A function of one's own is a loss, as it is in lucent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.differentiable import differentiable_forward
from pellucid.capture.running import paths
from pellucid.contracts import Model, Site
from pellucid.errors import BadOption, BadSite, unknown
from pellucid.feature_visualisation.objectives import Blur, Objective, ObjectiveContext, rebuilt, smoothed

Layers = Callable[[str], Tensor]
INPUT, LABELS = "input", "labels"
"""Names that are no layers: the pictures, and the network's scores."""


@dataclass(frozen=True)
class OfBatch(Objective):
    """One number of what layers give for the whole batch; every picture is given it.

    Attributes:
        function: of T.
        text: for people.
        places: the layers that it asks for, by the names that it has for them; found by `bind`.
    """

    function: Callable[[Layers], Tensor]
    text: str
    places: Mapping[str, Site | None] = field(default_factory=dict)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The layers."""
        return tuple(site for site in self.places.values() if site is not None)

    @property
    def needs_scores(self) -> bool:
        """Whether it asks for the labels."""
        return LABELS in self.places

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The number, once for each picture."""
        return self._asked(seen).expand(len(seen.pictures))

    def _asked(self, seen: ObjectiveContext) -> Tensor:
        def give(name: str) -> Tensor:
            site = self.places[name]
            if site is not None:
                return seen.layers[site]
            found = seen.pictures if name == INPUT else seen.scores
            if found is None:
                raise BadOption(f"{self}: the network's output has no class scores.")
            return found

        return self.function(give)

    def __str__(self) -> str:
        return self.text


class _Unmet(Exception):
    """A layer that has not been read yet."""


def bind(objective: Objective, model: Model, pictures: Tensor) -> Objective:
    """The same with its layers found: each function is asked for them, on what the network gives for `pictures`."""

    def found(part: Objective) -> Objective:
        return replace(part, places=_places(part, model, pictures)) if isinstance(part, OfBatch) else part

    return rebuilt(objective, found)


def _places(part: OfBatch, model: Model, pictures: Tensor) -> dict[str, Site | None]:
    places: dict[str, Site | None] = {}
    while True:
        layers: dict[Site, Tensor] = {}
        scores: Tensor | None = None
        sites = [site for site in places.values() if site is not None]
        if sites or LABELS in places:
            with differentiable_forward(model, sites, scores=LABELS in places) as eyes:
                eyes.check(pictures)
                layers, scores = eyes.see(pictures)

        def give(name: str, layers: dict[Site, Tensor] = layers, scores: Tensor | None = scores) -> Tensor:
            if name not in places:
                raise _Unmet(name)
            site = places[name]
            return layers[site] if site is not None else pictures if scores is None or name == INPUT else scores

        try:
            value = part.function(give)
        except _Unmet as asked:
            name = str(asked)
            places[name] = None if name in (INPUT, LABELS) else Site(path_of(model, name))
        else:
            if not isinstance(value, Tensor) or value.numel() != 1:
                got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise BadOption(f"Expected one number from the objective {part}, got {got}.")
            return places


def path_of(model: Model, name: str) -> str:
    """The path of a layer that is named by its path, or by its parts joined by "_".

    Raises:
        UnknownName: there is none.
        BadSite: several layers have this name.
    """
    known = list(paths(model.module))
    if name in known:
        return name
    meant = [path for path in known if path.replace(".", "_") == name]
    if not meant:
        raise unknown("layer", name, known, "`pellucid inspect MODEL` lists them.")
    if len(meant) > 1:
        raise BadSite(f"The layer {name!r} may be {' or '.join(map(repr, meant))}. Name it by its path.")
    return meant[0]


def as_objective(obj: Objective | Callable[[Layers], Tensor] | str) -> Objective:
    """An objective from an objective, from a loss, or from text such as "mixed4a:476".

    Raises:
        BadOption: anything else.
    """
    if isinstance(obj, Objective):
        return obj
    if isinstance(obj, str):
        layer, _, unit = obj.rpartition(":")
        if not layer.strip() or not unit.strip().isdecimal():
            raise BadOption(f'Expected a layer and a channel, as in "mixed4a:476", got {obj!r}.')
        return channel(layer.strip(), int(unit))
    if callable(obj):
        loss = obj
        return OfBatch(lambda t: -loss(t), f"-{getattr(obj, '__name__', 'loss')}(T)")
    raise BadOption(f'Expected an objective, a function of T, or "layer:channel", got {type(obj).__name__}.')


def _of(t: Layers, layer: str, batch: int | None) -> Tensor:
    """What a layer gives, for the whole batch or for one of its pictures."""
    value = t(layer)
    if batch is None:
        return value
    if not 0 <= batch < len(value):
        raise BadOption(f"There is no picture {batch} in a batch of {len(value)}.")
    return value[batch : batch + 1]


def _units(value: Tensor, unit: int, layer: str) -> Tensor:
    if value.dim() < 2 or not 0 <= unit < value.shape[1]:
        raise BadOption(f"The layer {layer!r} gives {list(value.shape)}, which has no channel {unit}.")
    return value[:, unit]


def _place(value: Tensor, x: int | None, y: int | None, layer: str) -> Tensor:
    if value.dim() != 4:
        raise BadSite(f"The layer {layer!r} gives {list(value.shape)}, which has no places.")
    rows, columns = value.shape[2:]
    row, column = rows // 2 if y is None else y, columns // 2 if x is None else x
    if not (0 <= row < rows and 0 <= column < columns):
        raise BadOption(f"Place x={column}, y={row} lies outside of {rows} rows and {columns} columns of {layer!r}.")
    return value[:, :, row : row + 1, column : column + 1]


def _vector(weight: Tensor, value: Tensor, layer: str) -> Tensor:
    if weight.numel() != value.shape[1]:
        raise BadOption(f"Got {weight.numel()} numbers for {value.shape[1]} channels of {layer!r}.")
    return weight.to(value).reshape(1, -1, 1, 1)


def _in_words(name: str, *arguments: object) -> str:
    shown = ("..." if isinstance(a, Tensor) else repr(a) for a in arguments if a is not None)
    return f"{name}({', '.join(shown)})"


def channel(layer: str, n_channel: int, batch: int | None = None) -> Objective:
    """Mean of a channel over places and pictures; of a linear layer, of a unit."""
    text = _in_words("channel", layer, n_channel, batch)
    return OfBatch(lambda t: _units(_of(t, layer, batch), n_channel, layer).mean(), text)


def neuron(
    layer: str, n_channel: int, x: int | None = None, y: int | None = None, batch: int | None = None
) -> Objective:
    """A channel at one place, x columns from the left and y rows from the top; the centre unless told otherwise."""
    text = _in_words("neuron", layer, n_channel, x, y, batch)
    return OfBatch(lambda t: _units(_place(_of(t, layer, batch), x, y, layer), n_channel, layer).mean(), text)


def neuron_weight(
    layer: str, weight: Tensor | None, x: int | None = None, y: int | None = None, batch: int | None = None
) -> Objective:
    """Mean over channels of a layer times weights `[channel]`, at one place; all weights 1 where there are none."""

    def value(t: Layers) -> Tensor:
        found = _place(_of(t, layer, batch), x, y, layer)
        return (found if weight is None else found * _vector(weight, found, layer)).mean()

    return OfBatch(value, _in_words("neuron_weight", layer, weight, x, y, batch))


def channel_weight(layer: str, weight: Tensor, batch: int | None = None) -> Objective:
    """Mean over channels and places of a layer times weights `[channel]`."""

    def value(t: Layers) -> Tensor:
        found = _of(t, layer, batch)
        return (found * _vector(weight, found, layer)).mean()

    return OfBatch(value, _in_words("channel_weight", layer, weight, batch))


def localgroup_weight(
    layer: str, weight: Tensor | None = None, x: int | None = None, y: int | None = None, wx: int = 1, wy: int = 1,
    batch: int | None = None,
) -> Objective:  # fmt: skip
    """The same within a window of wx columns and wy rows whose upper left corner is at x, y."""
    if x is None or y is None:
        raise BadOption("localgroup_weight needs x and y, the window's upper left corner.")

    def value(t: Layers) -> Tensor:
        found = _of(t, layer, batch)[:, :, y : y + wy, x : x + wx]
        if not found.numel():
            raise BadOption(f"The window at x={x}, y={y} lies outside of {layer!r}.")
        return (found if weight is None else found * _vector(weight, found, layer)).mean()

    return OfBatch(value, _in_words("localgroup_weight", layer, weight, x, y, wx, wy, batch))


def direction(layer: str, direction: Tensor, batch: int | None = None) -> Objective:
    """Mean over places of the cosine between the layer and a direction of its channels."""

    def value(t: Layers) -> Tensor:
        found = _of(t, layer, batch)
        return F.cosine_similarity(_vector(direction, found, layer), found, dim=1).mean()

    return OfBatch(value, _in_words("direction", layer, direction, batch))


def direction_neuron(
    layer: str, direction: Tensor, x: int | None = None, y: int | None = None, batch: int | None = None
) -> Objective:
    """The same at one place; the centre unless told otherwise."""

    def value(t: Layers) -> Tensor:
        found = _place(_of(t, layer, batch), x, y, layer)
        return F.cosine_similarity(_vector(direction, found, layer), found, dim=1).mean()

    return OfBatch(value, _in_words("direction_neuron", layer, direction, x, y, batch))


def blur_input_each_step() -> Objective:
    """Half the squared difference of the pictures from themselves blurred; subtract it."""

    def value(t: Layers) -> Tensor:
        pictures = t(INPUT)
        return 0.5 * (pictures - smoothed(pictures).detach()).square().sum()

    return OfBatch(value, f"{Blur.name}_input_each_step()")


def channel_interpolate(layer1: str, n_channel1: int, layer2: str, n_channel2: int) -> Objective:
    """From one channel at the first picture of the batch to another at the last, in equal steps."""

    def value(t: Layers) -> Tensor:
        first, last = _units(t(layer1), n_channel1, layer1), _units(t(layer2), n_channel2, layer2)
        share = torch.linspace(0, 1, len(first)).to(first)
        return ((1 - share) * first.flatten(1).mean(1) + share * last.flatten(1).mean(1)).sum()

    return OfBatch(value, _in_words("channel_interpolate", layer1, n_channel1, layer2, n_channel2))


def alignment(layer: str, decay_ratio: float = 2) -> Objective:
    """Minus the squared distances at a layer of pictures up to four apart in the batch; add it."""

    def value(t: Layers) -> Tensor:
        found = t(layer)
        away = [
            (found[:-apart] - found[apart:]).square().flatten(1).mean(1).sum() / decay_ratio**apart
            for apart in range(1, min(5, len(found)))
        ]
        return -torch.stack(away).sum() if away else found.sum() * 0

    return OfBatch(value, _in_words("alignment", layer, decay_ratio))


def diversity(layer: str) -> Objective:
    """How alike the pictures of the batch are in texture: cosines of their Gram matrices at a layer; subtract it."""

    def value(t: Layers) -> Tensor:
        found = t(layer)
        if found.dim() != 4:
            raise BadSite(f"diversity needs a layer with places; {layer!r} gives {list(found.shape)}.")
        maps = found.flatten(2)
        grams = F.normalize(torch.einsum("bcn,bdn->bcd", maps, maps).flatten(1), dim=1)
        alike = grams @ grams.T
        return (alike.sum() - alike.diagonal().sum()) / len(found)

    return OfBatch(value, _in_words("diversity", layer))
