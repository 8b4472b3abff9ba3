"""Weights files: read without running anything in them, and fitted with a message that says what differs."""

from __future__ import annotations

import pickle
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pellucid.errors import BadModel

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "weights")
"""Where training scripts put the state dict inside a checkpoint."""
PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every name."""

STACK_TO_CALLER = 5
"""Frames from `load_weights` up to whoever called `pellucid.load`."""

PICKLE = b"\x80"

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def load_weights(
    module: ModuleT, path: Path, *, made: Callable[[int], ModuleT] | None = None, classes: int | None = None
) -> ModuleT:
    """Load a weights file into a module that was freshly made, and return that module.

    Args:
        module: the network as its library makes it.
        path: the file.
        made: makes it again with another number of classes: the file's, where nothing but that keeps it from fitting.
        classes: how many `module` was made with, if that is known.

    Returns:
        `module`, or what `made` gave.

    Raises:
        BadModel: the file cannot be read safely, or does not fit; the message names what differs.

    Warns:
        UserWarning: it was made again; both numbers are said.
    """
    state = _match_names(read_weights(path), module.state_dict().keys())
    if made is not None:
        module = _remade(module, state, path.name, made, classes)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise BadModel(_difference(module, state, path.name) or f"{path.name} does not fit: {error}") from error
    return module


def read_weights(path: Path) -> dict[str, Any]:
    """The state dict in a file, on the CPU.

    Raises:
        BadModel: no such file, another kind of file, damaged, holding code, or without a state dict.
    """
    path = path.expanduser()
    if path.suffix.lower() not in SUFFIXES:
        raise BadModel(f"Expected a weights file that ends in {', '.join(SUFFIXES)}; got {path.name!r}.")
    if not path.is_file():
        raise BadModel(f"There is no weights file {str(path)!r}.")
    content = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pickle(path)
    return _unwrap(content, path.name)


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        content: Mapping[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadModel(f"{path.name} is not a readable safetensors file: {error}.") from error
    return content


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # torch warns about TorchScript archives before it raises; the error below says it once.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        content = _without_objects(path)
        if content is not None:
            return content
        raise _refusal(path, error) from error


class _Object:
    """Stands for an object of a class that a weights file names: nothing of that class is imported or run."""

    def __init__(self, *_: Any) -> None:
        """Takes what the class would be made with, and forgets it."""

    def __setstate__(self, _: Any) -> None:
        """Forgets that as well."""


_HARMLESS = ("argparse.Namespace", "types.SimpleNamespace", "pathlib.", "datetime.", "enum.")
"""What training scripts keep beside the weights. All else of Python's own may act on the machine."""


def _without_objects(path: Path) -> Any:
    """What is in a file beside objects, such as the arguments of a training; None if that is no state dict.

    Each class that the file names is one of ours that does nothing, so no code is chosen by the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            if any(_acts(name) for name in named):
                return None
            stand_ins: list[Any] = [(type("_Object", (_Object,), {}), name) for name in named]
            with torch.serialization.safe_globals(stand_ins):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - whatever is wrong with the file, the first error says it
        return None
    return content if isinstance(content, Mapping) else None


def _acts(name: str) -> bool:
    """Whether a name in a file is of Python's own library, and no mere container."""
    return name.partition(".")[0] in sys.stdlib_module_names and not name.startswith(_HARMLESS)


def _refusal(path: Path, error: Exception) -> BadModel:
    """Tell a file that would run code from one that is merely broken."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named or (isinstance(error, pickle.UnpicklingError) and path.read_bytes()[:1] == PICKLE):
        what = named[1] if named else "a plain pickle"
        return BadModel(
            f"{path.name} was refused: reading it could run code ({what}), and a weights file holds tensors only. "
            "If you trust it, save its state dict again: torch.save(model.state_dict(), 'weights.pth')."
        )
    reason = re.split(r"\. |\n", str(error).strip())[0]
    return BadModel(
        f"{path.name} is damaged or not a weights file ({type(error).__name__}{': ' + reason if reason else ''}). "
        "Expected a state dict saved by torch.save or safetensors."
    )


def _unwrap(content: Any, file: str) -> dict[str, Any]:
    """Find the state dict inside a checkpoint."""
    if isinstance(content, Mapping):
        for key in WRAPPERS:
            if isinstance(content.get(key), Mapping):
                return _unwrap(content[key], file)
        if any(isinstance(value, Tensor) for value in content.values()):
            return {str(key): value for key, value in content.items()}
        found = f"a dict with the keys {_some(map(str, content))}"
    else:
        found = f"a {type(content).__name__}"
    raise BadModel(f"{file} holds no state dict: expected names with tensors, got {found}.")


def _match_names(state: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Drop a common prefix of all names, as long as none of them fits the module."""
    wanted = set(names)
    while not wanted & state.keys():
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in state)), "")
        if not prefix:
            break
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _remade(
    module: ModuleT, state: Mapping[str, Any], file: str, made: Callable[[int], ModuleT], classes: int | None
) -> ModuleT:
    """The network with as many classes as the file has, where that makes it fit; else the one that was given."""
    for number in head_sizes(module, state, classes):
        other = made(number)
        if _fits(other, state):
            warnings.warn(
                f"The weights in {file} are of {number} classes, so the network was made with {number} in place of "
                f"{classes or 'its usual number'}. Their names are not known: --classes FILE (classes=) gives them.",
                UserWarning,
                STACK_TO_CALLER,
            )
            return other
    return module


def head_sizes(module: nn.Module, state: Mapping[str, Any], classes: int | None) -> list[int]:
    """The numbers of classes that a state dict may be of, where it differs in the length of some tensors only.

    Detectors have a multiple of the number of classes at each place, so the ratio counts where `classes` is known.
    """
    ours = module.state_dict()
    if ours.keys() != state.keys():
        return []
    pairs = [(tuple(ours[name].shape), tuple(state[name].shape)) for name in ours if isinstance(state[name], Tensor)]
    other = [(one, theirs) for one, theirs in pairs if one != theirs]
    if any(not one or not theirs or one[1:] != theirs[1:] for one, theirs in other):
        return []
    scaled = {theirs[0] * classes // one[0] for one, theirs in other if classes and theirs[0] * classes % one[0] == 0}
    return sorted(scaled | {theirs[0] for _, theirs in other})


def _fits(module: nn.Module, state: Mapping[str, Any]) -> bool:
    ours = module.state_dict()
    return ours.keys() == state.keys() and all(ours[name].shape == state[name].shape for name in ours)


def _difference(module: nn.Module, state: Mapping[str, Any], file: str) -> str:
    ours = module.state_dict()
    missing = [name for name in ours if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in ours]
    other = [
        f"{name} {list(state[name].shape)} for {list(ours[name].shape)}"
        for name in ours
        if isinstance(state.get(name), Tensor) and not is_lazy(ours[name]) and state[name].shape != ours[name].shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", other))
    parts = [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds if names]
    if not parts:
        return ""
    return (
        f"The weights in {file} do not fit {type(module).__name__}: {'; '.join(parts)}. {_heads(module, state)}"
        "Take the file that belongs to this model, or build the model to its sizes in a factory (FILE.py:FACTORY)."
    )


def _heads(module: nn.Module, state: Mapping[str, Any]) -> str:
    """Both numbers of classes, where the last layer alone is of another size; a sentence with a space behind it."""
    ours = module.state_dict()
    shapes = [(tuple(ours[n].shape), tuple(state[n].shape)) for n in ours if isinstance(state.get(n), Tensor)]
    lengths = {(one[:1], other[:1]) for one, other in shapes if one != other}
    if len(lengths) != 1 or not head_sizes(module, state, None):
        return ""
    ((mine,), (theirs,)) = lengths.pop()
    return f"It looks as if the file is of {theirs} classes and the network of {mine}. "


def _some(names: Iterable[str], most: int = 3) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more
