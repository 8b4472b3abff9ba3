"""The record of a kind of input: what reads its files, and what draws maps of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from pellucid.contracts import AxisName, Sample


@dataclass(frozen=True)
class ReadOption:
    """Something that a file does not say and a user may: the sample rate, the row of a table.

    Attributes:
        name: in Python `rate`, on the command line `--rate`.
        type: of its value: `int`, `float` or `str`.
        metavar: how the help writes the value.
        help: a sentence for people.
    """

    name: str
    type: type
    metavar: str
    help: str


@dataclass(frozen=True)
class SampleRef:
    """What one explanation is of: a file, a folder, or a part of a file such as a row of a table.

    Attributes:
        name: for people; untrusted text.
        source: a path, or a float tensor as the caller gave it, without its batch axis.
        kind: id of its modality.
        options: what the user said of how it is to be read, by name.
        beside: all tensors of the call, of a tensor's row.
    """

    name: str
    source: Any
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    beside: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class View:
    """A kind's part of the report page, in HTML that is safe as it stands, with texts escaped.

    The page allows no inline styles or handlers and no requests: what moves is in `script`, and looks in `style`.

    Attributes:
        html: what stands on the page, for one sample.
        data: what the script needs to know of it, as plain values for JSON. The page holds a list, one for each sample,
            as the JSON text of the element `#data`, under the name `views`.
        style: CSS, the same for all samples of the kind.
        script: JavaScript, likewise. It sets `document.documentElement.dataset.ready` when all is drawn.
    """

    html: str
    data: Any = None
    style: str = ""
    script: str = ""


@dataclass(frozen=True, eq=False)
class DrawnMap:
    """A map that a view shows.

    Attributes:
        title: method, with target and layer where these tell it from others.
        values: float64 `[*axes]`, the signed map.
    """

    title: str
    values: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Modality:
    """A kind of input. One package in `modalities/`, or an entry point in `pellucid.modalities`.

    Attributes:
        id: as in `--kind signal`.
        title: one sample of it, for people: "a signal".
        axes: names of the axes behind the channels.
        suffixes: endings of its files in small letters, such as `.wav` or `.nii.gz`. Several kinds may share one.
        read: a function of a `SampleRef` that gives its `Sample`, float32 or better. Raises `BadSample`, with file and
            place.
        draw: a function of a sample and a map `[*axes]` (a tensor) that gives an RGB picture.
        view: a function of a sample and its maps that gives its part of the report page.
        first: what the first operation with weights of networks that take it can be, see
            `capture.running.first_operation`: `convolution 1`, `linear 2`, ... Empty: any.
        options: what a user may say of its files.
        parts: a function of a source and its options that gives its parts; None: a file is one, and a folder stands for
            the files with its suffixes in it.
        write: a function of a sample and a map `[*axes]` that gives further files of the map, by how their names end
            (`.nii.gz`); None: there are none.
        recognise: a function of a path that tells by its content whether a file is one of its, for names that have no
            ending of letters; None: only endings tell.
        stated_fill: True if 0 is no better than any other number for what is absent: a method that hides parts takes
            the sample's own `fill`, and where that is None what stands for an absent part must be said.
    """

    id: str
    title: str
    axes: tuple[AxisName, ...]
    suffixes: tuple[str, ...]
    read: Callable[[SampleRef], Sample]
    draw: Callable[[Sample, Tensor], Image]
    view: Callable[[Sample, Sequence[DrawnMap]], View]
    first: frozenset[str] = frozenset()
    options: tuple[ReadOption, ...] = ()
    parts: Callable[[str | Path, Mapping[str, Any]], Sequence[SampleRef]] | None = None
    write: Callable[[Sample, Tensor], Mapping[str, bytes]] | None = None
    recognise: Callable[[Path], bool] | None = None
    stated_fill: bool = False

    def takes(self, source: str | Path) -> bool:
        """Whether a file's name ends as its files do; one without an ending of letters may be known by its content."""
        if str(source).lower().endswith(self.suffixes):
            return True
        return self.recognise is not None and not Path(source).suffix[1:].isalpha() and self.recognise(Path(source))
