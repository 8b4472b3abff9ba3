"""Results as one file of numbers, and back: `result.npz` holds every value exactly; documents beside it are for people.

An archive of arrays as numpy writes them. The array `tree` is a JSON text in UTF-8: the fields of every value by name,
with the numbers of the arrays that belong there. Nothing in such a file is ever run: what it can become are values of
Pellucid's own classes, pictures, arrays and plain values.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid import errors
from pellucid._version import __version__
from pellucid.contracts import Method, Metric, Model, NetworkNotSaved, Unsaved, kind_of
from pellucid.errors import BadResult, PellucidError, UnknownName
from pellucid.registry import find_method, find_metric
from pellucid.storage.provenance import now

NAME = "result.npz"
"""Of the file in a result's folder."""
SCHEMA_VERSION = 1
"""Of the archive: grows when older programs would misread it."""
_TREE = "tree"
_AS_BYTES = (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
"""Types that numpy does not know."""


def to_bytes(value: Any) -> bytes:
    """A result as the content of a file."""
    writer = _Writer()
    facts = {"schema_version": SCHEMA_VERSION, "pellucid": __version__, "created": now()}
    tree = {**facts, "value": writer.write(value)}
    text = np.frombuffer(json.dumps(tree).encode("ascii"), np.uint8)
    content = io.BytesIO()
    np.savez(content, **{_TREE: text}, **writer.arrays)  # type: ignore[arg-type]
    return content.getvalue()


@dataclass(frozen=True)
class SavedResult:
    """What a file holds.

    Attributes:
        value: the result, equal to the one that was written.
        created: time of writing in ISO 8601, UTC; "" in files of versions that did not say it.
        version: of Pellucid that wrote it.
    """

    value: Any
    created: str
    version: str


def from_file(path: Path, find: Callable[[str], type]) -> SavedResult:
    """What is in a file.

    Args:
        path: of a file from `to_bytes`.
        find: the class of a name; raises `LookupError` of others than results are made of.

    Raises:
        BadResult: another kind of file, a damaged one, or one that a newer program has written.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            tree = json.loads(archive[_TREE].tobytes())
            _check(path, tree)
            value = _Reader(archive, find).read(tree["value"])
            return SavedResult(value, str(tree.get("created", "")), str(tree["pellucid"]))
    except PellucidError:
        raise
    except (OSError, EOFError, ValueError, LookupError, TypeError, zipfile.BadZipFile, RecursionError) as error:
        raise BadResult(
            f"{str(path)!r} is damaged, or holds no result of Pellucid: {type(error).__name__}: {error}. Save the "
            "result again."
        ) from error


def _check(path: Path, tree: Mapping[str, Any]) -> None:
    if tree["schema_version"] > SCHEMA_VERSION:
        raise BadResult(
            f"{str(path)!r} was written by Pellucid {tree['pellucid']}, in version {tree['schema_version']} of the "
            f"format; this is {__version__}, which reads up to {SCHEMA_VERSION}. Upgrade Pellucid to read it."
        )


class _Writer:
    """Turns values into a tree and arrays; what occurs twice is written once."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self.known: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no address is used twice

    def write(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return value if np.isfinite(value) else {"float": str(value)}
        if id(value) in self.known:
            return {"same": self.known[id(value)]}
        written = self._new(value)
        self.known[id(value)] = len(self.kept)
        self.kept.append(value)
        return written

    def _new(self, value: Any) -> dict[str, Any]:
        if isinstance(value, list | tuple | Set):
            kind = "list" if isinstance(value, list) else "tuple" if isinstance(value, tuple) else "set"
            return {kind: [self.write(item) for item in value]}
        if isinstance(value, Mapping):
            return {"map": [[self.write(key), self.write(item)] for key, item in value.items()]}
        if isinstance(value, Tensor | np.ndarray | np.generic | PIL.Image.Image):
            return self._numbers(value)
        return self._object(value)

    def _numbers(self, value: Any) -> dict[str, Any]:
        if isinstance(value, PIL.Image.Image):
            return {"image": self._array(_as_png(value))}
        if not isinstance(value, Tensor):
            return {"array": self._array(np.asarray(value))}
        tensor = value.detach().cpu().contiguous()
        if tensor.dtype not in _AS_BYTES:
            return {"tensor": self._array(tensor.numpy())}
        raw = tensor.reshape(-1).view(torch.uint8).numpy()
        kind = str(tensor.dtype).removeprefix("torch.")
        return {"tensor": self._array(raw), "dtype": kind, "shape": list(tensor.shape)}

    def _array(self, array: NDArray[Any]) -> str:
        name = f"a{len(self.arrays)}"
        self.arrays[name] = array
        return name

    def _object(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Method | Metric):
            return {value.kind: value.id}
        if isinstance(value, Model):
            facts = {"fingerprint": value.fingerprint, "computation": value.computation}
            return {"model": self.write({**_fields(value), **facts, "module": None})}
        if isinstance(value, PellucidError):
            return {"error": type(value).__name__, "message": str(value)}
        if _is_own(value):
            return {"value": type(value).__name__, "fields": self.write(_fields(value))}
        return {"unsaved": kind_of(value)}


class _Reader:
    """Turns a tree and arrays into values again."""

    def __init__(self, archive: Mapping[str, NDArray[Any]], find: Callable[[str], type]) -> None:
        self.archive, self.find = archive, find
        self.kept: list[Any] = []

    def read(self, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        kind, content = next(iter(tree.items()))
        if kind == "float":
            return float(content)
        if kind == "same":
            return self.kept[content]
        value = getattr(self, f"_{kind}")(content, tree)
        self.kept.append(value)
        return value

    def _list(self, items: list[Any], _: Any) -> list[Any]:
        return [self.read(item) for item in items]

    def _tuple(self, items: list[Any], _: Any) -> tuple[Any, ...]:
        return tuple(self.read(item) for item in items)

    def _set(self, items: list[Any], _: Any) -> frozenset[Any]:
        return frozenset(self.read(item) for item in items)

    def _map(self, pairs: list[list[Any]], _: Any) -> dict[Any, Any]:
        return {self.read(key): self.read(item) for key, item in pairs}

    def _array(self, name: str, _: Any) -> Any:
        array = self.archive[name]
        return array if array.ndim else array[()]

    def _tensor(self, name: str, tree: Mapping[str, Any]) -> Tensor:
        tensor = torch.from_numpy(self.archive[name])
        if "dtype" not in tree:
            return tensor
        kind = next(each for each in _AS_BYTES if str(each) == f"torch.{tree['dtype']}")
        return tensor.view(kind).reshape(tree["shape"])

    def _image(self, name: str, _: Any) -> PIL.Image.Image:
        image = PIL.Image.open(io.BytesIO(self.archive[name].tobytes()), formats=("PNG",))
        image.load()
        return image.copy()  # an image as any other, not one of a file

    def _method(self, name: str, _: Any) -> Method:
        return find_method(name)

    def _metric(self, name: str, _: Any) -> Metric:
        return find_metric(name)

    def _model(self, tree: Any, _: Any) -> Model:
        found = self.read(tree)
        facts = {name: found.pop(name) for name in ("fingerprint", "computation")}
        model = Model(**{**found, "module": NetworkNotSaved(found["name"], found["source"])})
        model.__dict__.update(facts)  # of the network that was asked, which is not here to be looked at
        return model

    def _error(self, name: str, tree: Mapping[str, Any]) -> PellucidError:
        kind = getattr(errors, name, None)
        if not (isinstance(kind, type) and issubclass(kind, PellucidError)):
            raise UnknownName(f"There is no error {name!r}.")
        return kind(tree["message"])

    def _value(self, name: str, tree: Mapping[str, Any]) -> Any:
        return self.find(name)(**self.read(tree["fields"]))

    def _unsaved(self, kind: str, _: Any) -> Unsaved:
        return Unsaved(kind)


def _is_own(value: Any) -> bool:
    """Whether it is one of Pellucid's public values."""
    kind = type(value)
    own = kind.__module__.startswith("pellucid.") and not kind.__name__.startswith("_")
    return own and dataclasses.is_dataclass(value)


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.init}


def _as_png(image: PIL.Image.Image) -> NDArray[np.uint8]:
    content = io.BytesIO()
    kept = image if image.mode in ("1", "L", "LA", "I;16", "RGB", "RGBA", "P") else image.convert("RGB")
    kept.save(content, "PNG", compress_level=1)
    return np.frombuffer(content.getvalue(), np.uint8)
