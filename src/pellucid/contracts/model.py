"""A network with what is needed to feed it and to read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.contracts.axes import TABLE, USUAL, AxisName
from pellucid.contracts.geometry import Canvas
from pellucid.contracts.layers import Site
from pellucid.digests import digest
from pellucid.errors import UnknownName, unknown


def kind_of(function: Any) -> str:
    """A function's name, or the name of an object's class."""
    return getattr(function, "__qualname__", None) or type(function).__name__


@dataclass(frozen=True)
class Preprocess:
    """What turns a decoded picture into the model's input.

    Attributes:
        size: rows and columns of the model input, in pixels; None keeps the whole picture in its own shape.
        resize: length of the picture's shorter side before the central crop, in pixels; None squeezes the whole
            picture into `size` without a crop, or without a size leaves it as large as it is.
        interpolation: `bicubic`, `bilinear`, `lanczos` or `nearest`.
        mean, std: mean and standard deviation per channel, for values between 0 and 1; one channel means a grey model.
        transform: a function of the user's own that does all this in one: from a PIL image in RGB to the model's input
            `[channel, row, column]`. The other values are then what was measured of it; see `pictures.transforms`.
    """

    size: tuple[int, int] | None = (224, 224)
    resize: int | None = 256
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    transform: Callable[..., Any] | None = field(default=None, repr=False)

    @property
    def known(self) -> dict[str, Any]:
        """The values by name, for files: a function stands there as the name of its kind."""
        values = {name: value for name, value in vars(self).items() if name != "transform"}
        return values if self.transform is None else {**values, "transform": kind_of(self.transform)}

    @property
    def channels(self) -> int:
        """Channels of the model's input: 3 is colour, 1 is grey."""
        return len(self.mean)

    @property
    def value_range(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What black and white are in the model's input: (lowest, highest), one number per channel each."""
        pairs = list(zip(self.mean, self.std, strict=True))
        return tuple((0.0 - mean) / std for mean, std in pairs), tuple((1.0 - mean) / std for mean, std in pairs)

    @property
    def fingerprint(self) -> str:
        """16 hex digits of everything that turns a picture into an input; a function counts by its code."""
        return digest(self)[:16]

    def normalise(self, pictures: Tensor) -> Tensor:
        """Pictures as the model's input: `(pictures - mean) / std`.

        Args:
            pictures: `[..., channel, row, column]`, 0 to 1, of any float type and device, which the result keeps.
        """
        mean, std = self._per_channel(pictures)
        return (pictures - mean) / std

    def denormalise(self, inputs: Tensor) -> Tensor:
        """The model's input as pictures: `inputs * std + mean`, 0 to 1 where it was made from a picture.

        Args:
            inputs: `[..., channel, row, column]`, of any float type and device, which the result keeps.
        """
        mean, std = self._per_channel(inputs)
        return inputs * std + mean

    def _per_channel(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, `[channel, 1, 1]`."""
        return like.new_tensor(self.mean)[:, None, None], like.new_tensor(self.std)[:, None, None]


@dataclass(frozen=True)
class Classes:
    """Class names, in the order of the model's output, with WordNet synset ids where known."""

    names: tuple[str, ...]
    synsets: tuple[str, ...] = ()

    def name(self, index: int) -> str:
        """The display name of a class, or its number when the list is shorter than the model's output."""
        return self.names[index] if 0 <= index < len(self.names) else f"class {index}"

    def find(self, text: str) -> int:
        """Index of the class named by number, synset id, exact name or any unambiguous part of its name.

        Raises:
            UnknownName: nothing matches, or several do; the message lists the near or matching names.
        """
        wanted = text.strip().lower()
        if wanted.isdecimal() and len(wanted) < 10:
            if int(wanted) < len(self.names):
                return int(wanted)
            raise UnknownName(f"Class {wanted} is out of range: the model names {len(self.names)} classes.")
        if wanted in self.synsets:
            return self.synsets.index(wanted)
        lowered = [name.lower() for name in self.names]
        full = [i for i, name in enumerate(lowered) if wanted == name]
        exact = [i for i, name in enumerate(lowered) if wanted in (p.strip() for p in name.split(","))]
        word = [i for i, name in enumerate(lowered) if f" {wanted} " in f" {name.replace(',', ' ')} "]
        part = [i for i, name in enumerate(lowered) if wanted and wanted in name]
        for matches in (full, exact, word, part):
            if len(matches) == 1:
                return matches[0]
            if matches:
                listed = ", ".join(f"{i} {self.names[i]!r}" for i in matches[:6])
                more = f" and {len(matches) - 6} more" if len(matches) > 6 else ""
                raise UnknownName(f"The class {text!r} is ambiguous: {listed}{more}. Give its number or its full name.")
        raise unknown("class", text, (p.strip() for name in self.names for p in name.split(",")))


@dataclass(frozen=True)
class InputPart:
    """One of the inputs that a network takes by name, and that are explained.

    Attributes:
        name: of the argument that the network takes it as.
        shape: of one row, as the network takes it: `[channel, *axes]`, of tables `[feature]`, of plain numbers `[]`.
        preprocess: what makes a picture this input; None where nothing is known.
    """

    name: str
    shape: tuple[int, ...]
    preprocess: Preprocess | None = None

    @property
    def is_tabular(self) -> bool:
        """Whether its rows have no channels."""
        return len(self.shape) < len(("channel", "time"))

    @property
    def axes(self) -> tuple[AxisName, ...]:
        """As `Model.axes`."""
        return TABLE if self.is_tabular else ()

    @property
    def held(self) -> tuple[int, ...]:
        """The shape of one row as methods see it, `[channel, *axes]`; those of a table have one channel."""
        return (1, prod(self.shape)) if self.is_tabular else self.shape

    @property
    def size(self) -> int:
        """How many numbers one row has."""
        return prod(self.shape)

    def given(self, rows: Tensor) -> Tensor:
        """Rows `[n, ...]` as the network takes them."""
        return rows.reshape(len(rows), *self.shape)


@dataclass(frozen=True, eq=False)
class Model:
    """A network with what is needed to feed it and to read it. Made by `pellucid.load` or `pellucid.wrap`.

    Attributes:
        module: the user's own module; Pellucid never changes it.
        name: short name for people.
        source: the text that loads it again (`efficientnet-lite0`, `torchvision:resnet50`, ...), or "".
        preprocess: None when only tensors can be explained.
        classes: None when the output's classes have no names.
        site: the default site when it is known beforehand; otherwise one pass finds it.
        output: picks the scores out of the module's output, when that is not a plain tensor.
        call: runs the module on pictures `[batch, channel, *axes]`, when that is not `module(pictures)`.
        canvas: plane that a picture of so many rows and columns becomes, for networks that resize and pad pictures
            themselves.
        inputs: what it takes besides the pictures of a call, one row for each, by position or by name.
        answers: what one number of its output is, a key of `targets.KINDS`; "" when nobody has said so.
        apart: True if its numbers were measured to be probabilities each by itself, as after a sigmoid.
        unit: text behind the numbers of a regression, such as "years".
        above: probability above which a label of a multi-label network is explained by default, 0 to 1; one for all
            labels, or one for each in the order of the output.
        by_config: what the module's own config says of its output, in words, by the name of the field.
        axes: names of the axes that an input has behind the channels; () are the usual ones for their number. Of a
            table it is `("feature",)`: rows `[batch, feature]` are held as `[batch, 1, feature]`, and given to the
            module without that one channel.
        mask: function, for self-explaining networks, that runs the module on the same pictures for the mask that it
            draws itself, `[batch, row, column]`, instead of for scores; None for all others.
        parts: the inputs that are explained, where they are given by name; () for a lone input, given by position.
            Several are held as one table, `contracts.joined`, and given to the module apart.
    """

    module: nn.Module
    name: str = "model"
    source: str = ""
    preprocess: Preprocess | None = None
    classes: Classes | None = None
    site: Site | None = None
    output: Callable[[Any], Any] | None = None
    call: Callable[..., Any] | None = None
    canvas: Callable[[tuple[int, ...]], Canvas] | None = None
    inputs: tuple[Tensor, ...] | Mapping[str, Tensor] = ()
    answers: str = ""
    apart: bool = False
    unit: str = ""
    above: float | tuple[float, ...] = 0.5
    by_config: Mapping[str, str] = field(default_factory=dict)
    axes: tuple[AxisName, ...] = ()
    mask: Callable[..., Any] | None = None
    parts: tuple[InputPart, ...] = ()

    def __repr__(self) -> str:
        return f"<Model {self.name}{f' ({self.source})' if self.source else ''}>"

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of a SHA-256 over every parameter's and buffer's name, type, shape and bytes."""
        from pellucid.contracts.fingerprint import fingerprint

        return fingerprint(self.module)

    @property
    def reading(self) -> tuple[Any, ...]:
        """What decides, besides the module itself, what an answer is: how it is fed, run and read."""
        fed = (self.preprocess, self.call, self.canvas, self.inputs)
        read = (self.output, self.classes, self.site, self.answers)
        labels = () if self.above == 0.5 else (("above", self.above),)
        unit = (("unit", self.unit),) if self.unit else ()
        return (*fed, *read, *self.axes, *labels, *unit, *self.parts)

    def along(self, names: tuple[AxisName, ...]) -> Model:
        """This model for inputs whose axes behind the channels have these names; itself where it has them already."""
        axes = () if names == USUAL.get(len(names)) else names
        return self if axes == self.axes else replace(self, axes=axes)

    @property
    def is_tabular(self) -> bool:
        """Whether it takes rows of features, which have no channels."""
        return self.axes == TABLE

    @cached_property
    def computation(self) -> str:
        """16 hex digits of all that an answer rests on: the weights, the preprocessing and the reading of the output.

        Two models with the same `fingerprint` that are fed or read in different ways differ here. Name and device play
        no part.
        """
        return digest(self.fingerprint, *self.reading)[:16]

    @property
    def device(self) -> torch.device:
        """Where the first of its weights is, or of its buffers if it has none; the CPU if there is neither."""
        first = next(chain(self.module.parameters(), self.module.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the first of its weights that are real numbers, or of its buffers; float32 if there is neither."""
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)

    def canvas_of(self, size: tuple[int, ...]) -> Canvas:
        """The plane that its layers see of a picture of so many rows and columns; the picture itself for most."""
        return self.canvas(size) if self.canvas else Canvas(size, size)

    def class_name(self, index: int) -> str:
        """The display name of an output class, or of a quantity."""
        kind = "quantity" if self.answers == "regression" else "class"
        return self.classes.name(index) if self.classes else f"{kind} {index}"
