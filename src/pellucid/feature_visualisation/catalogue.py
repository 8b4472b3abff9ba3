"""The objectives by name. Each gives one number per picture; layers are `[batch, channel, row, column]` unless said.

Layers that hold the channels last, or tokens, are looked at as such maps too, where their places are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.differentiable import gradient
from pellucid.contracts import Site
from pellucid.errors import BadOption, BadSite
from pellucid.feature_visualisation.grouping import channel_groups
from pellucid.feature_visualisation.objectives import CATALOGUE, Named, Objective, ObjectiveContext, entry, one_each
from pellucid.targets import probabilities
from pellucid.targets.classes import class_index

Units = int | tuple[int, ...]
"""A unit; or one for each picture of the batch."""


class OfLayer(Named):
    """Base of objectives that look at a layer."""

    layer: str

    @property
    def site(self) -> Site:
        """The layer."""
        return Site.parse(self.layer)

    def seen(self, seen: ObjectiveContext, *axes: int) -> Tensor:
        """What the layer gives, which must have one of these numbers of axes."""
        value = seen.layers[self.site]
        if axes and value.dim() not in axes:
            raise BadSite(f"{self} needs a layer with {axes[0]} axes; {self.layer} gives {list(value.shape)}.")
        return value

    def maps(self, seen: ObjectiveContext) -> Tensor:
        """What the layer gives as maps, `[batch, channel, row, column]`; of tokens those that are places."""
        return seen.as_maps(self.site, self.seen(seen, 4, 3))


def pick(value: Tensor, unit: Units, axis: int, where: str) -> Tensor:
    """One unit of each picture, along `axis`; views of one picture stand side by side."""
    units = torch.tensor(one_each(unit, len(value), where))
    if bool(((units < 0) | (units >= value.shape[axis])).any()):
        raise BadOption(f"{where}: units run from 0 to {value.shape[axis] - 1}.")
    chosen: Tensor = value.movedim(axis, 1)[torch.arange(len(value)), units.to(value.device)]
    return chosen


@entry("channel")
@dataclass(frozen=True)
class Channel(OfLayer):
    """Mean of a channel over all places."""

    each = ("unit",)
    layer: str
    unit: Units

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean of the map; of tokens `[batch, token, feature]`, of the feature."""
        value = self.seen(seen, 4, 3)
        if value.dim() == 3:
            return pick(value, self.unit, 2, str(self)).mean(1)
        return pick(self.maps(seen), self.unit, 1, str(self)).mean((1, 2))


@entry("neuron")
@dataclass(frozen=True)
class Neuron(OfLayer):
    """A channel at one place; the centre (rows // 2, columns // 2) unless told otherwise."""

    each = ("unit",)
    layer: str
    unit: Units
    row: int | None = None
    column: int | None = None

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The value there."""
        return place(pick(self.maps(seen), self.unit, 1, str(self)), self.row, self.column)


def place(maps: Tensor, row: int | None, column: int | None) -> Tensor:
    """The values `[batch, ...]` at a place of maps `[batch, ..., row, column]`."""
    rows, columns = maps.shape[-2:]
    row, column = rows // 2 if row is None else row, columns // 2 if column is None else column
    if not (0 <= row < rows and 0 <= column < columns):
        raise BadOption(f"Place {row}, {column} lies outside of {rows} rows and {columns} columns.")
    return maps[..., row, column]


@entry("unit")
@dataclass(frozen=True)
class Unit(OfLayer):
    """One output of a linear layer."""

    each = ("unit",)
    layer: str
    unit: Units

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Its value."""
        return pick(self.seen(seen, 2), self.unit, 1, str(self))


@entry("token")
@dataclass(frozen=True)
class Token(OfLayer):
    """One feature of one token of a transformer's layer `[batch, token, feature]`."""

    each = ("unit",)
    layer: str
    position: int
    unit: Units

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Its value."""
        tokens = self.seen(seen, 3)
        if not 0 <= self.position < tokens.shape[1]:
            raise BadOption(f"{self}: tokens run from 0 to {tokens.shape[1] - 1}.")
        return pick(tokens[:, self.position], self.unit, 1, str(self))


@entry("head")
@dataclass(frozen=True)
class Head(OfLayer):
    """Strength of one attention head: mean square of its slice of the features that go into the projection.

    The layer is the input of the projection, as in `blocks.3.attn.proj@input`, `heads` their number.
    """

    layer: str
    index: int
    heads: int

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean square over tokens and the head's features."""
        tokens = self.seen(seen, 3)
        if tokens.shape[2] % self.heads or not 0 <= self.index < self.heads:
            raise BadOption(f"{self}: {tokens.shape[2]} features do not split into {self.heads} heads with this one.")
        by_head = tokens.reshape(*tokens.shape[:2], self.heads, -1)
        return by_head[:, :, self.index].square().mean((1, 2))


@entry("direction")
@dataclass(frozen=True)
class Direction(OfLayer):
    """How far a layer points into a direction of its channels: dot times max(0.1, cosine)^power, at all places."""

    layer: str
    vector: tuple[float, ...]
    power: float = 0.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over places."""
        return along(self.maps(seen), self._vector(seen), self.power).mean((1, 2))

    def _vector(self, seen: ObjectiveContext) -> Tensor:
        value = self.maps(seen)
        if len(self.vector) != value.shape[1]:
            raise BadOption(
                f"{self.name} has {len(self.vector)} numbers for {value.shape[1]} channels of {self.layer}."
            )
        return value.new_tensor(self.vector)


@entry("direction_neuron")
@dataclass(frozen=True)
class DirectionNeuron(Direction):
    """The same at one place; the centre unless told otherwise."""

    row: int | None = None
    column: int | None = None

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The value there."""
        return place(along(self.maps(seen), self._vector(seen), self.power), self.row, self.column)


def along(maps: Tensor, vector: Tensor, power: float) -> Tensor:
    """Dot product with a direction at every place times max(0.1, cosine)^power, `[batch, row, column]`."""
    return along_each(maps, vector.expand(len(maps), -1), power)


def along_each(maps: Tensor, directions: Tensor, power: float) -> Tensor:
    """The same with a direction for each picture, `[batch, channel]`."""
    dot = torch.einsum("bchw,bc->bhw", maps, directions)
    if not power:
        return dot
    cosine = dot / (maps.norm(dim=1) * directions.norm(dim=1)[:, None, None]).clamp(min=1e-4)
    return dot * torch.pow(cosine.clamp(min=0.1), power)


@entry("deep_dream")
@dataclass(frozen=True)
class DeepDream(OfLayer):
    """Whatever a layer responds to, more of it: mean of its squares."""

    layer: str

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean square."""
        return self.seen(seen).square().flatten(1).mean(1)


@entry("logit")
@dataclass(frozen=True)
class ClassLogit(Named):
    """Score of a class before any softmax, by number or name; or of one class for each picture."""

    each = ("target",)
    target: int | str | tuple[int, ...]

    @property
    def needs_scores(self) -> bool:
        """The output is looked at."""
        return True

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The score."""
        scores = _scores(seen)
        unit = class_index(self.target, seen.model) if isinstance(self.target, str) else self.target
        return pick(scores, unit, 1, str(self))


@entry("probability")
@dataclass(frozen=True)
class ClassProbability(ClassLogit):
    """Probability of a class, after softmax unless the scores are some: it grows as all other classes shrink."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The probability, 0 to 1."""
        unit = class_index(self.target, seen.model) if isinstance(self.target, str) else self.target
        return pick(probabilities(_scores(seen), seen.model), unit, 1, str(self))


def _scores(seen: ObjectiveContext) -> Tensor:
    if seen.scores is None:
        raise BadOption("The network's output has no class scores.")
    return seen.scores


@entry("tv")
@dataclass(frozen=True)
class TotalVariation(Named):
    """Roughness of the picture: sum of the absolute differences of neighbours. Subtract it."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and places."""
        x = seen.pictures
        return x.diff(dim=2).abs().sum((1, 2, 3)) + x.diff(dim=3).abs().sum((1, 2, 3))


@entry("l1")
@dataclass(frozen=True)
class L1(Named):
    """Distance of the picture from a constant: sum |x - level|. Subtract it."""

    level: float = 0.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and places."""
        return (seen.pictures - self.level).abs().sum((1, 2, 3))


@entry("l2")
@dataclass(frozen=True)
class L2(Named):
    """Squared distance of the picture from a constant: sum (x - level)^2. Subtract it."""

    level: float = 0.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and places."""
        return (seen.pictures - self.level).square().sum((1, 2, 3))


@entry("energy")
@dataclass(frozen=True)
class Energy(Named):
    """Squared L2 norm of the network's input, which is 0 for the mean picture: Simonyan et al.'s |I|^2. Subtract it."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and places."""
        return seen.given.square().sum((1, 2, 3))


@entry("blur")
@dataclass(frozen=True)
class Blur(Named):
    """Squared difference of the picture from itself `smoothed` by 3 x 3 (which is held fixed). Subtract it."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and places, halved."""
        x = seen.pictures
        return 0.5 * (x - smoothed(x).detach()).square().sum((1, 2, 3))


@entry("alpha")
@dataclass(frozen=True)
class Alpha(Named):
    """Mean opacity of pictures with alpha, 0 to 1. Multiply by 1 - alpha() to see what can be left out."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over places."""
        return _opacity(self, seen).mean((1, 2))


@entry("blur_alpha")
@dataclass(frozen=True)
class BlurAlpha(Named):
    """Squared difference of the opacity from itself `smoothed` by 3 x 3 (which is held fixed). Subtract it."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over places, halved."""
        x = _opacity(self, seen)[:, None]
        return 0.5 * (x - smoothed(x).detach()).square().sum((1, 2, 3))


def _opacity(part: Objective, seen: ObjectiveContext) -> Tensor:
    if seen.opacity is None:
        raise BadOption(
            f"{part} is of pictures with alpha, and these have none. Set alpha, --alpha on the command line."
        )
    return seen.opacity


def smoothed(pictures: Tensor, width: int = 3) -> Tensor:
    """Each value's mean with its neighbours within the picture, `width` x `width`, those on the rim half as heavy."""

    def total(x: Tensor) -> Tensor:
        wide = F.avg_pool2d(x, width, 1, width // 2, divisor_override=1)
        return wide + F.avg_pool2d(x, width - 2, 1, width // 2 - 1, divisor_override=1)

    return total(pictures) / total(torch.ones_like(pictures[:1, :1]))


@entry("boundary")
@dataclass(frozen=True)
class Boundary(Named):
    """How much goes on near the edge: difference from the `smoothed` picture and from a grey level. Subtract it.

    Sum within `width` pixels of the edge of (x - smoothed(x, 5))^2 + 0.8 (x - level)^2, as in lucid.
    """

    width: int = 20
    level: float = 0.5

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and the margin's places."""
        x, w = seen.pictures, self.width
        inside = torch.zeros_like(x[:1, :1])
        inside[:, :, w : -w or None, w : -w or None] = 1
        away = (x - smoothed(x, 5)).square() + 0.8 * (x - self.level).square()
        return (away * (1 - inside)).sum((1, 2, 3))


@entry("alignment")
@dataclass(frozen=True)
class Alignment(OfLayer):
    """How unlike neighbouring pictures of the batch are at a layer; subtract it to make an interpolation smooth.

    Squared distances of pictures 1 to 4 apart, each half as heavy as the one before it.
    """

    together = True
    layer: str
    decay: float = 2.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """For each picture, towards the later ones."""
        value = self.seen(seen).flatten(1)
        total = torch.zeros(len(value), dtype=value.dtype, device=value.device)
        for apart in range(1, min(5, len(value))):
            away = (value[:-apart] - value[apart:]).square().mean(1)
            total = total + F.pad(away, (0, apart)) / self.decay**apart
        return total


@entry("diversity")
@dataclass(frozen=True)
class Diversity(OfLayer):
    """How alike the batch's pictures are in texture: mean cosine of their Gram matrices at a layer. Subtract it."""

    together = True
    layer: str

    def value(self, seen: ObjectiveContext) -> Tensor:
        """For each picture, against all others; -1 to 1."""
        maps = self.maps(seen).flatten(2)
        grams = F.normalize(torch.einsum("bcn,bdn->bcd", maps, maps).flatten(1), dim=1, eps=1e-10)
        alike = torch.einsum("bn,dn->bd", grams, grams)
        others = alike.sum(1) - alike.diagonal()
        return others / max(1, len(maps) - 1)


@entry("difference")
@dataclass(frozen=True)
class Difference(Named):
    """Mean squared difference from a photograph. Subtract it to stay near."""

    picture: str

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over channels and places."""
        return (seen.pictures - seen.picture(self.picture)).square().mean((1, 2, 3))


@entry("inversion")
@dataclass(frozen=True)
class Inversion(OfLayer):
    """Minus the squared distance from what a layer gives for a photograph, as a share: what a layer still knows of it.

    Mahendran and Vedaldi, "Understanding deep image representations by inverting them", CVPR (2015), eq. 2.
    """

    layer: str
    picture: str

    def value(self, seen: ObjectiveContext) -> Tensor:
        """-|f(x) - f(x0)|^2 / |f(x0)|^2; 0 at best."""
        goal = seen.of_picture(self.picture, self.site)
        away = (self.seen(seen) - goal).square().flatten(1).sum(1)
        return -away / goal.square().sum().clamp(min=1e-12)


@entry("caricature")
@dataclass(frozen=True)
class Caricature(OfLayer):
    """What a layer sees in a photograph, exaggerated: dot product with it times max(0.1, cosine)^power."""

    layer: str
    picture: str
    power: float = 1.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels, mean over places."""
        goal, value = seen.of_picture(self.picture, self.site).flatten(1), self.seen(seen).flatten(1)
        dot = (value * goal).sum(1)
        cosine = dot / (value.norm(dim=1) * goal.norm()).clamp(min=1e-4)
        return dot / value.shape[1] * torch.pow(cosine.clamp(min=0.1), self.power)


@entry("spot")
@dataclass(frozen=True)
class Spot(OfLayer):
    """What a layer gives at one place of a photograph, anywhere: dot product times max(0.1, cosine)^power.

    The photograph is looked at in rows and columns of `size`, or else of the pictures that are drawn.
    """

    each = ("row", "column")
    layer: str
    picture: str
    row: int | tuple[int, ...]
    column: int | tuple[int, ...]
    power: float = 1.0
    size: tuple[int, int] | None = None

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over places."""
        goal, value = seen.maps_of_picture(self.picture, self.site, self.size)[0], self.maps(seen)
        rows, columns = (one_each(each, len(value), str(self)) for each in (self.row, self.column))
        directions = torch.stack([place(goal, r, c) for r, c in zip(rows, columns, strict=True)])
        return along_each(value, directions, self.power).mean((1, 2))


@entry("group")
@dataclass(frozen=True)
class ChannelGroup(OfLayer):
    """A group of channels that a photograph excites together: dot product times max(0.1, cosine)^power.

    Group `index` of `of`, from 0, by non-negative factorisation of what the layer gives for the photograph.
    """

    each = ("index",)
    layer: str
    picture: str
    index: int | tuple[int, ...]
    of: int
    power: float = 1.0
    size: tuple[int, int] | None = None

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over places."""
        value = self.maps(seen)
        key = ("groups", self.picture, self.layer, self.of, self.size)
        if key not in seen.kept:
            seen.kept[key] = channel_groups(seen.maps_of_picture(self.picture, self.site, self.size)[0], self.of)[1]
        indices = one_each(self.index, len(value), str(self))
        if not all(0 <= k < self.of for k in indices):
            raise BadOption(f"{self}: groups run from 0 to {self.of - 1}.")
        return along_each(value, seen.kept[key][indices].to(value), self.power).mean((1, 2))


@entry("stored")
@dataclass(frozen=True)
class Stored(OfLayer):
    """A direction kept in a .safetensors file, anywhere: dot product times max(0.1, cosine)^power.

    The file holds `directions`, `[index, channel]`.
    """

    each = ("index",)
    layer: str
    file: str
    index: int | tuple[int, ...]
    power: float = 1.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over places."""
        value = self.maps(seen)
        if self.file not in seen.kept:
            seen.kept[self.file] = self._read()
        directions = seen.kept[self.file]
        indices = one_each(self.index, len(value), str(self))
        if directions.shape[1] != value.shape[1] or not all(0 <= k < len(directions) for k in indices):
            raise BadOption(
                f"{self.file!r} holds {len(directions)} directions of {directions.shape[1]} channels, which do not fit "
                f"{self.layer} with {value.shape[1]} or the index."
            )
        return along_each(value, directions[indices].to(value), self.power).mean((1, 2))

    def _read(self) -> Tensor:
        try:
            return load(Path(self.file).read_bytes())["directions"]  # by its bytes: names need not be UTF-8
        except (OSError, SafetensorError, KeyError) as error:
            raise BadOption(f"{self.file!r} holds no directions: {error}.") from error


@entry("facet")
@dataclass(frozen=True)
class Facet(OfLayer):
    """A unit, and of all that excites it, what points into a direction at an earlier layer.

    f(x) + w^T (g(x) * df/dg) with g the earlier layer and the gradient held fixed: Goh et al., "Multimodal neurons in
    artificial neural networks", Distill (2021), faceted feature visualisation.
    """

    layer: str
    vector: tuple[float, ...]
    of: Objective

    @property
    def parts(self) -> tuple[Objective, ...]:
        """The unit."""
        return (self.of,)

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The unit's value plus the facet's."""
        early, main = self.maps(seen), self.of.value(seen)
        if len(self.vector) != early.shape[1]:
            raise BadOption(f"facet has {len(self.vector)} numbers for {early.shape[1]} channels of {self.layer}.")
        slope = gradient(main, seen.edges[self.site]) if self.site in seen.edges else None
        if slope is None:
            raise BadSite(f"{self.of} does not depend on {self.layer}. Name a layer before it.")
        return main + torch.einsum("bchw,c->b", early * seen.as_maps(self.site, slope), early.new_tensor(self.vector))


def described() -> dict[str, str]:
    """Name and first line of every objective."""
    return {name: (kind.__doc__ or "").partition("\n")[0] for name, kind in sorted(CATALOGUE.items())}
