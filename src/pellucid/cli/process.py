"""What makes a short-lived process quick. Touches the process as a whole, so only the command itself calls it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from pellucid.memory import keep_freed_memory


def start() -> bool:
    """Prepare the process, before torch is imported; returns whether the C library keeps freed memory.

    Importing torch makes a million objects that stay. To look for garbage among them again and again costs a third of
    the import's time, so nothing is collected until `settled`.
    """
    gc.disable()
    stop_as_on_ctrl_c()
    return keep_freed_memory()


def stop_as_on_ctrl_c() -> None:
    """Being told to end, or losing the terminal, cleans up and keeps what is finished, just as Ctrl-C does.

    Only where the system would end the process at once: who started it with `nohup` wants it to go on.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a signal handler
    raise KeyboardInterrupt


def settled() -> None:
    """All is imported: from here on garbage is collected again, but not looked for among what was imported."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def end(code: int) -> NoReturn:
    """End the process with its exit status, without the interpreter's last look at every object.

    All files are closed by then. Besides its time, that last look makes libraries complain of the objects that
    `settled` put aside.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):  # whoever read it has stopped reading, or it was closed from the start
            stream.flush()
    os._exit(code)
