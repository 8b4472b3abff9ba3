"""The vocabulary: frozen values that every other part of Pellucid speaks in.

Shapes are written `[batch, channel, row, column]`. `Maps` keep the channel axis, a `Map` does not, `Scores` hold one
number per sample. A larger score is always better.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from pellucid.errors import BadOption, UnknownName, unknown

if TYPE_CHECKING:
    from PIL.Image import Image

    from pellucid.judging import Score

Maps: TypeAlias = Tensor
"""Float tensor `[batch, channel, row, column]`."""
Map: TypeAlias = Tensor
"""Float tensor `[batch, row, column]`."""
Scores: TypeAlias = Tensor
"""Float tensor `[batch]`, one number per sample."""


def kind_of(function: Any) -> str:
    """A function's name, or the name of an object's class."""
    return getattr(function, "__qualname__", None) or type(function).__name__


_GRID = re.compile(
    r"(?:(channels-first|channels-last|tokens|tokens-last):)?([1-9]\d{0,5})x([1-9]\d{0,5})(?:\+(\d{1,6}))?"
)


@dataclass(frozen=True)
class Site:
    """A place in a model: the output (or first input) of a module, at one of its calls.

    Attributes:
        path: dotted module path exactly as `named_modules()` prints it; empty for the whole model.
        call: which call of the module within one forward pass, from 0; None when it is called once only.
        port: `"output"` or `"input"`.
        grid: how its tensor holds the places of the picture, where the user says so instead of having it measured:
            `14x14` (rows x columns), `14x14+1` (one token before them), `channels-last:14x14` (see `Grid.layout`).

    Written as text: `layer4`, `layer4.1.relu:1` (second call), `fc@input`, `blocks.11#14x14+1` (declared grid).
    """

    path: str
    call: int | None = None
    port: Literal["output", "input"] = "output"
    grid: str = ""

    @classmethod
    def parse(cls, text: str | Site) -> Site:
        """Read the text form.

        Raises:
            BadOption: the text after `:` is not a call number, the port is neither input nor output, or the text
                after `#` is no grid.
        """
        if isinstance(text, Site):
            return text
        place, hash_, grid = text.partition("#")
        if hash_ and not _GRID.fullmatch(grid):
            raise BadOption(
                f"Expected the grid of a layer after '#' as ROWSxCOLUMNS, with '+' and the number of tokens before it "
                f"if there are any, such as 14x14+1 or channels-last:14x14; got {grid!r} in {text!r}."
            )
        path, _, port = place.partition("@")
        path, _, call = path.partition(":")
        if port not in ("", "input", "output"):
            raise BadOption(f"A layer's port is 'input' or 'output', got {port!r} in {text!r}.")
        if call and not call.isdecimal():
            raise BadOption(f"Expected a call number from 0 after ':' in the layer {text!r}, got {call!r}.")
        return cls(path, int(call) if call else None, "input" if port == "input" else "output", grid)

    def __str__(self) -> str:
        call = "" if self.call is None else f":{self.call}"
        return f"{self.path}{call}{'@input' if self.port == 'input' else ''}{'#' if self.grid else ''}{self.grid}"


Layout: TypeAlias = Literal["channels-first", "channels-last", "tokens", "tokens-last"]


@dataclass(frozen=True)
class Grid:
    """How a tensor at a site holds its spatial positions.

    Attributes:
        layout: `channels-first` `[batch, channel, row, column]`, `channels-last` `[batch, row, column, channel]`,
            `tokens` `[batch, token, channel]` or `tokens-last` `[batch, channel, token]`.
        rows, columns: size of the grid in cells, as they lie on the picture.
        prefix: class, distillation and register tokens that stand before the grid (tokens only); what stands behind it
            is no place either.
        order: for each cell, row by row, its number among all the tensor's positions, where the cells do not follow
            each other row by row (then without a prefix): maps that the network turns, mirrors or permutes.
    """

    layout: Layout
    rows: int
    columns: int
    prefix: int = 0
    order: tuple[int, ...] = ()

    def to_maps(self, tensor: Tensor) -> Maps:
        """The site's tensor channels first, cells as they lie on the picture; a view where they lie so already."""
        if self.layout == "channels-first" and not self.order:
            return tensor
        if self.layout == "channels-last" and not self.order:
            return tensor.permute(0, 3, 1, 2)
        cells = self._flat(tensor)[:, :, self._which(tensor)]
        return cells.reshape(*cells.shape[:2], self.rows, self.columns)

    def from_maps(self, maps: Maps, original: Tensor) -> Tensor:
        """Put such maps back into the site's own layout; tokens that are no cells come from `original`."""
        if self.layout == "channels-first" and not self.order:
            return maps
        if self.layout == "channels-last" and not self.order:
            return maps.permute(0, 2, 3, 1)
        flat = self._flat(original).expand(len(maps), -1, -1)
        if self.order:
            flat = flat.clone()
            flat[:, :, self._which(original)] = maps.flatten(2)
        else:
            stop = self.prefix + self.rows * self.columns
            flat = torch.cat([flat[:, :, : self.prefix], maps.flatten(2), flat[:, :, stop:]], 2)
        whole = flat if self.layout in ("channels-first", "tokens-last") else flat.transpose(1, 2)
        return whole.reshape(maps.shape[0], *original.shape[1:])

    def _flat(self, tensor: Tensor) -> Tensor:
        """`[batch, channel, position]`."""
        if self.layout in ("channels-first", "tokens-last"):
            return tensor.flatten(2)
        return tensor.flatten(1, -2).transpose(1, 2)

    def _which(self, tensor: Tensor) -> slice | Tensor:
        """The positions of the cells, row by row."""
        if not self.order:
            return slice(self.prefix, self.prefix + self.rows * self.columns)
        return torch.tensor(self.order, dtype=torch.int64, device=tensor.device)


@dataclass(frozen=True)
class Preprocess:
    """What turns a decoded picture into the model's input.

    Attributes:
        size: rows and columns of the model input, in pixels; None keeps the whole picture in its own shape.
        resize: length of the picture's shorter side before the central crop, in pixels; None squeezes the whole
            picture into `size` without a crop, or without a size leaves it as large as it is.
        interpolation: `bicubic`, `bilinear`, `lanczos` or `nearest`.
        mean, std: per channel, for values between 0 and 1; one channel means a grey model.
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
        exact = [i for i, name in enumerate(lowered) if wanted in (name, *(p.strip() for p in name.split(",")))]
        word = [i for i, name in enumerate(lowered) if f" {wanted} " in f" {name.replace(',', ' ')} "]
        part = [i for i, name in enumerate(lowered) if wanted and wanted in name]
        for matches in (exact, word, part):
            if len(matches) == 1:
                return matches[0]
            if matches:
                listed = ", ".join(f"{i} {self.names[i]!r}" for i in matches[:6])
                more = f" and {len(matches) - 6} more" if len(matches) > 6 else ""
                raise UnknownName(f"The class {text!r} is ambiguous: {listed}{more}. Give its number or its full name.")
        raise unknown("class", text, (p.strip() for name in self.names for p in name.split(",")))


@dataclass(frozen=True)
class Canvas:
    """The plane that the layers of a network see when it resizes and pads pictures itself.

    Attributes:
        size: its rows and columns.
        part: rows and columns of the picture on it, which lies in the upper left corner.
    """

    size: tuple[int, int]
    part: tuple[int, int]


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
        call: runs the module on pictures `[batch, channel, row, column]`, when that is not `module(pictures)`.
        canvas: for networks that resize and pad pictures themselves: the plane that a picture of so many rows and
            columns becomes.
        inputs: what it takes besides the pictures of a call, one row for each, by position or by name.
        answers: what one number of its output is, a key of `targets.KINDS`; "" when nobody has said so.
        mask: of self-explaining networks: runs the module on the same pictures for the mask that it draws itself,
            `[batch, row, column]`, instead of for scores; None for all others.
    """

    module: nn.Module
    name: str = "model"
    source: str = ""
    preprocess: Preprocess | None = None
    classes: Classes | None = None
    site: Site | None = None
    output: Callable[[Any], Any] | None = None
    call: Callable[..., Any] | None = None
    canvas: Callable[[tuple[int, int]], Canvas] | None = None
    inputs: tuple[Tensor, ...] | Mapping[str, Tensor] = ()
    answers: str = ""
    mask: Callable[..., Any] | None = None

    def __repr__(self) -> str:
        return f"<Model {self.name}{f' ({self.source})' if self.source else ''}>"

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of a SHA-256 over every parameter's and buffer's name, type, shape and bytes."""
        from pellucid.models.fingerprint import fingerprint

        return fingerprint(self.module)

    def canvas_of(self, size: tuple[int, int]) -> Canvas:
        """The plane that its layers see of a picture of so many rows and columns; the picture itself for most."""
        return self.canvas(size) if self.canvas else Canvas(size, size)

    def class_name(self, index: int) -> str:
        """The display name of an output class."""
        return self.classes.name(index) if self.classes else f"class {index}"


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image, what the model sees of it, and the way back.

    Attributes:
        name: file name or sample name, for people; untrusted text.
        image: RGB or grey `PIL.Image`, upright (EXIF rotation applied), at its own size.
        tensor: float32 `[channel, row, column]`, the model's input.
        box: the part of `image` that the model sees: left, top, right, bottom in its pixels. Together with the
            tensor's size this is the affine map between the two.
        notes: what was done on the way that a user may not expect ("first of 12 frames").
    """

    name: str
    image: Image
    tensor: Tensor
    box: Box
    notes: tuple[str, ...] = ()

    @property
    def frame(self) -> Frame:
        """How its pixels lie in the model's input."""
        rows, columns = self.tensor.shape[-2:]
        return Frame((self.image.height, self.image.width), self.box, (rows, columns))


Box: TypeAlias = "tuple[float, float, float, float]"
"""Left, top, right, bottom in pixels, the edges between pixels counted from 0."""


@dataclass(frozen=True)
class Frame:
    """How the pixels of a picture, as it was given, lie in the model's input.

    Attributes:
        picture: rows and columns of the picture as given.
        box: the part of it that the input shows, in its pixels.
        size: rows and columns of the input.
    """

    picture: tuple[int, int]
    box: Box
    size: tuple[int, int]

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Frame:
        """That of a tensor, which is the input itself."""
        return cls(size, (0.0, 0.0, float(size[1]), float(size[0])), size)

    def into(self, box: Box) -> Box:
        """A box in pixels of the picture, in those of the input; it may reach beyond."""
        return self._mapped(box, *self._scale(), self.box[:2], (0.0, 0.0))

    def back(self, box: Box) -> Box:
        """A box in pixels of the input, in those of the picture."""
        across, down = self._scale()
        return self._mapped(box, 1 / across, 1 / down, (0.0, 0.0), self.box[:2])

    def _scale(self) -> tuple[float, float]:
        left, top, right, bottom = self.box
        return self.size[1] / (right - left), self.size[0] / (bottom - top)

    @staticmethod
    def _mapped(box: Box, across: float, down: float, origin: tuple[float, float], onto: tuple[float, float]) -> Box:
        left, right = ((x - origin[0]) * across + onto[0] for x in (box[0], box[2]))
        top, bottom = ((y - origin[1]) * down + onto[1] for y in (box[1], box[3]))
        return left, top, right, bottom


@dataclass(frozen=True)
class Paper:
    """Where a method is defined: `arXiv:...` or a venue, and the equation or section."""

    where: str
    equation: str = ""

    def __str__(self) -> str:
        return f"{self.where}, {self.equation}" if self.equation else self.where


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a method may return instead of a bare tensor.

    Attributes:
        raw: the evidence as the method defines it: `[batch, row, column]` on the site's grid or on a grid of
            positions, or `[batch, channel, row, column]` at the model's input.
        values: the signed map `[batch, row, column]` at model-input resolution, when it is not simply `raw` resized
            or reduced over its channels.
        extras: further findings by name, each with the batch axis first.
        notes: what the reader of the map must know.
    """

    raw: Tensor
    values: Map | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Attentions:
    """What the attention layers of a transformer did for one target, in one summary of their matrices.

    Attributes:
        layers: one tensor for each attention layer, from the first to the last: `[batch, query, key]`, heads joined, or
            `[batch, key]`, queries joined too. Tokens are in the same order in all of them.
        places: `[row, column]`, the number of the token that stands for each cell of the picture; all other tokens
            (class, distillation, registers) stand for no place.
        read: `[batch, token]`, 1 for the tokens behind the last layer that the score depends on, else 0; None where
            the summary does not need it.
        notes: what the reader of a map must know about how this was come by.
        trouble: why the matrices of this network would mislead, in words that follow "this network:"; then nothing else
            is here.
    """

    layers: tuple[Tensor, ...] = ()
    places: Tensor | None = None
    read: Tensor | None = None
    notes: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class Answers:
    """What the model said to every variant of every picture.

    Attributes:
        score: the target's score, `[batch, count]`, or of the first variants only if the work was stopped and the
            method can do with less.
        top: index of the top class, of the same shape; None when the output has no classes to choose among.
        deviation: of fast answers, the largest difference from exact ones where both were computed.
    """

    score: Tensor
    top: Tensor | None
    deviation: float | None = None


Change: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`change(rows, samples, numbers)`: `rows` `[n, ...]` are fresh copies of the pictures' values, `samples` `[n]` says
which picture each is of and `numbers` `[n]` which of the variants 0..count-1 it shall become; returns the changed rows,
which may be the same tensor."""


@dataclass(frozen=True, eq=False)
class Local:
    """A `Change` that touches one box of the picture and leaves the rest: it can be scored without whole passes.

    Attributes:
        boxes: first row, first column, and the row and column after the last, of each variant's box, in pixels of the
            model's input, `[count, 4]`, or `[batch, count, 4]` where they differ from picture to picture. An empty box
            leaves the picture as it is.
        paint: `paint(parts, samples, numbers, corners)`: as `Change`, for copies of parts of the pictures that hold
            the boxes, `[n, channel, height, width]`; `corners` `[n, 2]` is where each begins in its picture.
    """

    boxes: Tensor
    paint: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

    def __call__(self, rows: Tensor, samples: Tensor, numbers: Tensor) -> Tensor:
        """Change whole pictures."""
        return self.paint(rows, samples, numbers, numbers.new_zeros(len(numbers), 2))


@dataclass
class Tally:
    """How far a piece of work that may end early has come: `done` of `total` samples for each picture."""

    total: int
    done: int = 0


class ProbeLike(Protocol):
    """What a method sees of `capture.probe.Probe`, where each of these is explained."""

    @property
    def site(self) -> Site | None:
        """The layer in question."""

    @property
    def target(self) -> Any:
        """The resolved `targets.Target`."""

    @property
    def base(self) -> Method | None:
        """The method named by the option `of`."""

    def score(
        self, count: int, change: Change, *, least: int | None = None, step: int = 1, fast: bool = False
    ) -> Answers:
        """Score variants of each picture; with `least`, the first ones will do when the work is stopped."""

    def interruptible(self, total: int, least: int) -> AbstractContextManager[Tally]:
        """Work that the user may end early."""

    def each(
        self,
        count: int,
        change: Change,
        function: Callable[..., Any] | None = None,
        target: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Run the method named by the option `of`, or a one-pass function, on variants of each picture."""

    def late(self, count: int, change: Change) -> Answers:
        """Score variants of each picture's activation at the site."""

    def read(self) -> Maps:
        """The activation at the site."""

    def own_mask(self) -> Map | None:
        """The mask that the network itself draws, None when it draws none."""

    def rivals(self, count: int) -> Any:
        """Mean score of the classes nearest the target's, as a target for `each`; None if the target is no class."""

    def residual(self) -> Any:
        """Score and log-probability of the target's class, as a target for `each`; None if there are not both."""

    def grey(self, level: float) -> Tensor | None:
        """The model's input value for a grey of 0 (black) to 1 (white), None when that is not known."""

    def picture(self, name: str) -> Maps:
        """Another picture, a file or a sample, as the model's input `[1, channel, row, column]`."""

    def labels(self, name: str) -> Tensor:
        """A label map from a file, as the model sees the pictures, int64 `[1, row, column]`."""


class Noise(Protocol):
    """What a method sees of `capture.randomness.Draws`: randomness by number, never by order."""

    def normal(self, numbers: Tensor, like: Tensor) -> Tensor:
        """Standard normal rows shaped as `like`."""

    def uniform(self, numbers: Tensor, like: Tensor) -> Tensor:
        """Uniform rows in [0, 1) shaped as `like`."""


_FOUND = {
    "activation",
    "assumed",
    "attention_evidence",
    "attention_sensitivity",
    "attentions",
    "collected",
    "curvature",
    "enlarge",
    "gradient",
    "head",
    "image_gradient",
    "relevance",
    "score",
    "uncovered",
}
RESERVED = frozenset({*_FOUND, "image", "probe", "rng"})
"""Names of a method's parameters that the engine fills in; all others are the user's options."""


@dataclass(frozen=True)
class Entry:
    """A function of a registry and the facts about it: what methods and metrics share.

    Attributes:
        function: its parameters name what it needs (`reserved`); keyword-only parameters are the user's options.
        id: as on the command line.
        title: for people.
        reference: paper and equation.
        caveat: one sentence on when it misleads.
        kind: what such an entry is called.
        reserved: names of parameters that are filled in; all others are the user's options.
    """

    function: Callable[..., Any]
    id: str
    title: str
    reference: Paper
    caveat: str = ""
    kind: ClassVar[str]
    reserved: ClassVar[frozenset[str]]

    @cached_property
    def needs(self) -> frozenset[str]:
        """The reserved names that the function asks for."""
        return frozenset(inspect.signature(self.function).parameters) & self.reserved

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """Option names with their default values."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in self.reserved}

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


@dataclass(frozen=True)
class Method(Entry):
    """One explanation method: its function returns a map, or `Evidence`.

    Attributes:
        rule: backward rule of `image_gradient` and `relevance`: a name in `capture/catalogue.py`.
        reduce: how `raw` loses its channel axis: `sum` (evidence that adds up) or `max-abs` (sensitivity, Simonyan et
            al.); `of` takes the rule of the method named by the option `of`; "" for maps without channels.
        fuse: how the method joins its maps of several layers, a rule of `fusing.py`; "" for methods that look at one.
        optimised: whether the map is what an optimisation found, which may have fooled the network: it is judged beside
            the same method's map for another class.
    """

    rule: str = "plain"
    reduce: Literal["", "sum", "max-abs", "of"] = ""
    fuse: Literal["", "max", "mean", "product"] = ""
    optimised: bool = False
    kind: ClassVar[str] = "method"
    reserved: ClassVar[frozenset[str]] = RESERVED

    @property
    def at_site(self) -> bool:
        """Whether the method looks at a layer, so that the choice of layer changes its map."""
        return bool({"activation", "curvature", "gradient", "head", "relevance"} & self.needs)

    @property
    def at_attention(self) -> bool:
        """Whether the method reads attention layers, which only transformers have."""
        return bool({"attention_evidence", "attention_sensitivity", "attentions"} & self.needs)

    @property
    def is_gradient(self) -> bool:
        """Whether the raw map is a gradient at the input, under some backward rule, and nothing else."""
        return "image_gradient" in self.needs and self.needs <= {"image_gradient", "uncovered"}


@dataclass(frozen=True)
class Cost:
    """What an attribution took. Passes shared by several methods are counted in full for each of them.

    Attributes:
        seconds: wall-clock time, the shared pass included.
        forward, backward: samples sent forward and backward through all or part of the network.
    """

    seconds: float
    forward: int
    backward: int


@dataclass(frozen=True, eq=False)
class Question:
    """What was asked of the model for one attribution, so that it can be judged, and asked again of changed pictures.

    Attributes:
        image: the model's input `[batch, channel, row, column]`. All attributions of a call hold the same one, apart
            from whatever the caller gave; it is not to be written to.
        frames: how each picture lies in it.
        target: the resolved `targets.Target`.
        sites: where the method looked; none for methods that look at the input only.
        fuse: how the maps at these sites were joined, None if there was one.
        step: the method with all options filled in, also those of a method that it builds on (`engine.Step`).
    """

    image: Maps
    frames: tuple[Frame, ...]
    target: Any
    sites: tuple[Site, ...]
    fuse: str | None
    step: Any


@dataclass(frozen=True, eq=False)
class Attribution:
    """The result of one method for one target on a batch of pictures. Its tensors are its own.

    Attributes:
        method: the method's record.
        values: float `[batch, row, column]`: signed map at model-input resolution, on the model's device.
        raw: before resizing or reduction; see `Evidence.raw`.
        site: where it looked; None for methods that look at the input only.
        target: what was explained, one text per picture.
        options: every option, defaults included.
        seed, cost, model: how it was made.
        extras: further findings of the method (grids of scores, completeness gaps, ...).
        notes: what the reader of the map must know ("no positive evidence", "activations treated as plain: silu").
        partial: None when the work was done. Otherwise it was stopped, the map is the estimate so far, and these are
            the samples of each picture that it rests on and those that were asked for.
    """

    method: Method
    values: Map
    raw: Tensor
    site: Site | None
    target: tuple[str, ...]
    options: Mapping[str, Any]
    seed: int
    cost: Cost
    model: Model
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    partial: tuple[int, int] | None = None
    question: Question | None = None

    def score(self, metric: str, *, seed: int = 0, **options: Any) -> Score:
        """Judge the map by one metric, beside the controls; see `pellucid.evaluate` for several at once.

        Args:
            metric: id, as in `pellucid.metrics()`.
            seed: of all random draws and of the interval.
            options: the metric's own.

        Raises:
            UnknownName: there is no such metric.
            BadOption: an option that does not fit, or an attribution that was put together by hand.
            Refused: the metric has no answer for this model.
        """
        from pellucid.evaluation import evaluate

        return evaluate(self, metric, options={metric: options}, seed=seed)[self.method.id, metric]

    def __repr__(self) -> str:
        place = f" at '{self.site}'" if self.site else ""
        return f"<Attribution {self.method.id}{place}: values {list(self.values.shape)}, of {self.target[0]!r}>"


@dataclass(frozen=True)
class Prediction:
    """One class of a picture's prediction.

    Attributes:
        index: of the class.
        name: of the class.
        score: as the network gives it.
        probability: 0 to 1, as the kind of output has it; None where nothing says that there is one.
        share: of the picture that the class fills, for networks that score every pixel; score and probability are then
            means over that part.
        box: of the object, in pixels of the picture, for detectors.
    """

    index: int
    name: str
    score: float
    probability: float | None
    share: float | None = None
    box: Box | None = None

    @property
    def known(self) -> dict[str, Any]:
        """What there is to say, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}
