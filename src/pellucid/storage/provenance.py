"""The head of every document that leaves the program: what it is, when and how it was made, of what."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pellucid._version import __version__
from pellucid.plugins import origins

if TYPE_CHECKING:
    from pellucid.contracts import Model, Picture, Sample

SCHEMA_VERSION = 1
"""Of a document: grows when a name in it goes away or means something else; new names do not count."""

_PACKAGES = {"torch": "torch", "numpy": "numpy", "pillow": "PIL"}


def head(
    *,
    created: str = "",
    command: str = "",
    model: Model | None = None,
    inputs: Iterable[Mapping[str, Any]] = (),
    schema_version: int = SCHEMA_VERSION,
) -> dict[str, Any]:
    """What every document begins with; the same fact has the same name in all of them.

    Args:
        created: time in ISO 8601, UTC; "" is now.
        command: the command line; "" where Python was called.
        model: the network, where there is one.
        inputs: what it was given, see `input_record`.
        schema_version: of the document.
    """
    return {
        "schema_version": schema_version,
        "created": created or now(),
        "command": command or None,
        "versions": versions(),
        "model": None if model is None else model_record(model),
        "inputs": [dict(each) for each in inputs],
    }


def now() -> str:
    """The time in ISO 8601, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of everything that can change a number; packages that add to Pellucid as well."""
    installed = {name: _version(name, module) for name, module in _PACKAGES.items()}
    own = {origin.package: origin.version for origin in origins()}
    return {"pellucid": __version__, **installed, "python": platform.python_version(), **own}


def _version(name: str, module: str) -> str:
    """As the package itself says, which may name its build too; as it was installed where it was not needed."""
    loaded = getattr(sys.modules.get(module), "__version__", None)
    return metadata.version(name) if loaded is None else str(loaded)


def model_record(model: Model) -> dict[str, Any]:
    """A network by name, what loads it again, its weights, all that it computes, and where its weights are."""
    return {
        "name": model.name,
        "source": model.source or None,
        "fingerprint": model.fingerprint,
        "computation": model.computation,
        "device": str(model.device),
    }


def named_inputs(sources: Iterable[Any]) -> list[dict[str, Any]]:
    """Inputs of which only the source is told: a path or `sample:NAME` each."""
    return [input_record(None, PurePath(str(source)).name, source) for source in sources]


def axes_record(sample: Sample) -> list[dict[str, Any]]:
    """The axes of a sample: name, size, and how far apart two places are, in which unit, where that is known."""
    units = sample.geometry.get("units", {})
    steps = [units.get(axis.name, (None, None)) for axis in sample.axes]
    pairs = zip(sample.axes, steps, strict=True)
    return [{"name": axis.name, "size": axis.size, "step": step, "unit": unit} for axis, (step, unit) in pairs]


def _plain(value: Any) -> Any:
    """Numbers, texts and lists of these; None for what a document has no room for."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist() if value.numel() <= _FEW else None
    if isinstance(value, list | tuple) and len(value) <= _FEW:
        return [_plain(each) for each in value]
    return None


_FEW = 10_000
"""Values that a document still lists."""


def input_record(picture: Picture | Sample | None, name: str = "", source: Any = None) -> dict[str, Any]:
    """One input of a network.

    Args:
        picture: as decoded, or what else was read; None for a tensor, and for a file that is only named.
        name: for people, where there is no picture.
        source: what reads it again: a path or `sample:NAME`; None where that is not known.

    Returns:
        name, source, size in pixels as rows and columns, the box that the model saw (left, top, right, bottom in
        pixels of the picture), and what was done on the way. Signals, rows of tables, ... have neither size nor box,
        but a kind, axes, channels and a geometry, as far as that is plain.
    """
    from pellucid.contracts import Sample

    known = {"name": name if picture is None else picture.name, "source": None if source is None else str(source)}
    if picture is None:
        return {**known, "size": None, "box": None, "notes": []}
    if isinstance(picture, Sample):
        geometry = {name: plain for name, value in picture.geometry.items() if (plain := _plain(value)) is not None}
        own = {"kind": picture.kind, "axes": axes_record(picture), "channels": list(picture.channels)}
        return {**known, "size": None, "box": None, "notes": list(picture.notes), **own, "geometry": geometry}
    return {
        **known,
        "size": {"rows": picture.image.height, "columns": picture.image.width},
        "box": list(picture.box),
        "notes": list(picture.notes),
    }
