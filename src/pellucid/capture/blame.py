"""Errors of the network's own code, as errors that say so and where."""

from __future__ import annotations

from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn

from pellucid.capture.budget import is_out_of_memory
from pellucid.capture.feeding import forward
from pellucid.errors import PellucidError, Unexpected, said

_LONG = 300
"""Letters of an error to repeat."""
_OURS = Path(__file__).parents[1]


def blame(module: nn.Module, error: BaseException | None) -> None:
    """Raise `Unexpected` from an error that code of the network raised; leave all others.

    Args:
        module: the network.
        error: that ended its passes.

    Raises:
        Unexpected: it arose while the network ran, and not in Pellucid's own code.
    """
    if not isinstance(error, Exception) or isinstance(error, PellucidError) or is_out_of_memory(error):
        return
    frames = _frames(error)
    start = next((k for k, frame in enumerate(frames) if frame.f_code is forward.__code__), None)
    if start is None or start == len(frames) - 1 or _is_ours(frames[-1]):
        return
    name = getattr(frames[start].f_locals.get("model"), "name", type(module).__name__)
    path = _path(module, frames[start:])
    where = f" in '{path}'" if path else ""
    raise Unexpected(
        f"The code of {name} failed{where}: {_short(said(error))}. This is the model's own code."
    ) from error


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
