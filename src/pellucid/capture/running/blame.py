"""Errors of the network's own code, as errors that say so and where."""

from __future__ import annotations

from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn

from pellucid.capture.running.batch_size import is_out_of_memory
from pellucid.capture.running.feeding import forward
from pellucid.errors import BadOption, PellucidError, Unexpected, said

_LONG = 300
"""Letters of an error to repeat."""
_OURS = Path(__file__).parents[2]
_UNFIT = ("shapes cannot be multiplied", "expected input", "size mismatch", "must match the size", "Kernel size")
"""What torch says when an input does not fit a network."""


def blame(error: BaseException | None) -> None:
    """Raise what `blamed` makes of an error; leave all others.

    Raises:
        BadOption: torch says that the shapes do not fit.
        Unexpected: it arose while a network ran, and not in Pellucid's own code.
    """
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        error = error.__cause__  # Python makes another error of it where it leaves a generator
    found = blamed(error)
    if found is not None:
        raise found from error


def blamed(error: BaseException | None) -> BadOption | Unexpected | None:
    """An error that code of a network raised, in words that say so; None for all others.

    Where torch says that an input does not fit the network it is `BadOption`, else `Unexpected`.
    """
    if not isinstance(error, Exception) or isinstance(error, PellucidError) or is_out_of_memory(error):
        return None
    frames = _frames(error)
    start = next((k for k, frame in enumerate(frames) if frame.f_code is forward.__code__), None)
    if start is None or start == len(frames) - 1 or _is_ours(frames[-1]):
        return None
    model, given = (frames[start].f_locals[name] for name in ("model", "given"))
    path = _path(model.module, frames[start:])
    where = f" in '{path}'" if path else ""
    if is_unfit(error):
        return BadOption(_unfit(model.name, list(given.shape), where, str(error).splitlines()[0]))
    return Unexpected(f"The code of {model.name} failed{where}: {_short(said(error))}. This is the model's own code.")


def is_unfit(error: BaseException) -> bool:
    """Whether torch says that an input does not fit a network."""
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _UNFIT)


def _unfit(name: str, shape: list[int], where: str, why: str) -> str:
    """What to say of an input that does not fit."""
    grey = " For grey pictures give one mean and one std: --mean 0 --std 1." if "to have 1 channels" in why else ""
    return (
        f"{name} cannot take an input of shape {shape}: {why.rstrip('.')}{where}. "
        f"Check the size and the number of channels.{grey}"
    )


def _short(text: str) -> str:
    """Without the tables that torch prints behind some errors."""
    first, *more = text.splitlines()
    return f"{first[:_LONG]} ..." if more or len(first) > _LONG else first


def _frames(error: BaseException) -> list[FrameType]:
    found, step = [], error.__traceback__
    while step is not None:
        found.append(step.tb_frame)
        step = step.tb_next
    return found


def _is_ours(frame: FrameType) -> bool:
    return Path(frame.f_code.co_filename).is_relative_to(_OURS)


def _path(module: nn.Module, frames: list[FrameType]) -> str:
    """The innermost part of the network that was running."""
    paths = {id(part): path for path, part in module.named_modules()}
    running: list[Any] = [frame.f_locals.get("self") for frame in frames]
    return next((paths[id(part)] for part in reversed(running) if id(part) in paths), "")
