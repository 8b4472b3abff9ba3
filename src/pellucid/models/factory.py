"""Models made by other people's code: `python:package.module:factory`, `path/to/file.py:factory`, and by packages."""

from __future__ import annotations

import copy
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from torch import nn

from pellucid.contracts import Model
from pellucid.errors import BadModel, PellucidError, said, unknown
from pellucid.models.recognisers import ModelRecogniser
from pellucid.models.weights import load_weights
from pellucid.models.wrap import wrap
from pellucid.plugins import origin_of

DEFAULT_FACTORY = "model"
FILE_SPEC = re.compile(r"(?P<file>.+\.py)(?::(?P<factory>\w*))?")


def from_python(rest: str, weights: Path | None) -> Model:
    """A model from an importable module: `package.module:factory`."""
    path, _, factory = rest.partition(":")
    try:
        with _reported(path):
            module = importlib.import_module(path)
    except BadModel as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        raise BadModel(
            f"{path} cannot be imported: {error.__cause__}. Is its folder on PYTHONPATH? "
            "A file works too: path/to/file.py:factory."
        ) from error.__cause__
    return _make(module, factory or DEFAULT_FACTORY, path, weights)


def from_file(spec: str, weights: Path | None) -> Model:
    """A model from a Python file: `path/to/file.py:factory`; modules beside the file can be imported by it."""
    match = FILE_SPEC.fullmatch(spec)
    path = Path(match["file"] if match else spec).expanduser().resolve()
    if not path.is_file():
        raise BadModel(f"There is no Python file {str(path)!r}. Expected path/to/file.py:factory.")
    with _importable(path.parent):
        module = _execute(path)
        return _make(module, (match and match["factory"]) or DEFAULT_FACTORY, path.name, weights)


def from_package(recogniser: ModelRecogniser, rest: str, weights: Path | None) -> Model:
    """A model by the name that an installed package gives it: `id:rest`."""
    spec, whose = f"{recogniser.id}:{rest}", origin_of(recogniser)
    if recogniser.load is None:
        raise BadModel(f"The package {whose} loads no models by name. Make the module, and give it to pellucid.wrap.")
    with _reported(f"{spec}, which the package {whose} loads,"):
        made: object = recogniser.load(rest)
    if not isinstance(made, nn.Module | Model):
        raise BadModel(f"{spec} is a {type(made).__name__} by the package {whose}, expected a torch.nn.Module.")
    return _ready(made, weights)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def _execute(path: Path) -> ModuleType:
    name = f"pellucid_factory_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadModel(f"Python cannot import {path.name}.")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses, and pickling of what the file defines, look their module up here.
    sys.modules[name] = module
    try:
        with _reported(path.name):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _make(module: ModuleType, name: str, where: str, weights: Path | None) -> Model:
    """Call the factory and check what it gives."""
    factory = getattr(module, name, None)
    if factory is None:
        offered = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown("factory", name, offered, f"Expected a function in {where} that returns a torch.nn.Module.")
    if isinstance(factory, nn.Module):
        made: object = copy.deepcopy(factory)  # it belongs to its module, and is about to be put in evaluation mode
    else:
        with _reported(f"{where}:{name}"):
            made = factory()
    if not isinstance(made, nn.Module | Model):
        raise BadModel(f"{where}:{name} returned a {type(made).__name__}, expected a torch.nn.Module.")
    return _ready(made, weights)


def _ready(made: nn.Module | Model, weights: Path | None) -> Model:
    """With a file's weights, and in evaluation mode."""
    model = wrap(made)
    (load_weights(model.module, weights) if weights else model.module).eval()
    return model


@contextmanager
def _reported(where: str) -> Iterator[None]:
    """Turn whatever the user's code raises into one sentence that says where."""
    try:
        yield
    except (PellucidError, KeyboardInterrupt):
        raise
    except BaseException as error:
        ended = "it ended the program, " if isinstance(error, SystemExit) else ""
        raise BadModel(f"{where} failed: {ended}{said(error)}.") from error
