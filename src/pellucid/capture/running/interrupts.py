"""Ctrl-C and SIGTERM while a network is guarded: a wish, granted where nothing is half done.

Python calls a signal's handler between any two instructions of the main thread. The usual one raises there: in the
middle of putting a network back, inside a comparison of NumPy that makes a TypeError of it, between the two halves of
a context manager. So for as long as a network is guarded in the main thread, the handlers of these signals only note
the wish. It is granted, by calling the handler that was there before,

- at the next border of a chunk (`obey`), where all finished work is stored,
- at once when it is repeated, or when no border came within `PATIENCE` seconds, as in a single pass of a slow network;
  but never while anything is entered or left: that is a masked section, whoever wrote the context manager; nor while
  a module is imported, of which half would stay in the process,
- at the latest when the guard is left and everything has been put back.
"""

from __future__ import annotations

import _thread
import importlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

PATIENCE = 1.0
"""Seconds after which a wish no longer waits for the border of a chunk."""
_AGAIN = 0.05
"""Seconds between two tries to grant a wish that is overdue."""
_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_MASKED = frozenset({"__enter__", "__exit__", "__del__"})
_CALLED_BACK = ("weakref.py", "_weakrefset.py", "weak.py")
"""Files whose functions are called when an object goes: Python prints what is raised there and goes on."""
_IMPORTING = "<frozen importlib"
"""How the names of the files begin in which imports are at work."""


class _Watch:
    """Who is being watched and what they wish; written by the main thread only, but for `ticked`.

    Attributes:
        depth: guards that the main thread is in.
        owner: that thread.
        previous: by signal, the handler that was there before.
        wish: the signal that came and is not granted yet.
        hurry: True if it came again.
        broken: True if it was granted in the middle of something, which may have made another error of it.
        number: of the wish, by which the thread that repeats it knows that it is over.
        ticked: True if the next call of the handler is such a repetition.
    """

    def __init__(self) -> None:
        self.depth = self.owner = 0
        self.previous: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self.wish: int | None = None
        self.hurry = self.broken = self.ticked = False
        self.number = 0
        self.ticking = _thread.allocate_lock()


_watch = _Watch()


def begin() -> bool:
    """Take the signals over; returns whether there is something to `end`: only the main thread is ever interrupted."""
    if threading.current_thread() is not threading.main_thread():
        return False
    _watch.depth += 1
    if _watch.depth == 1:
        try:
            _take_over()
        except BaseException:
            end(None)
            raise
    return True


def _take_over() -> None:
    _watch.wish, _watch.hurry, _watch.broken = None, False, False
    _watch.owner = threading.get_ident()
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):  # neither ignored, nor the system's, nor one that is not Python's
            _watch.previous[number] = handler
            signal.signal(number, _note)


def end(error: BaseException | None) -> None:
    """Give the signals back, and grant what is still wished.

    Args:
        error: with which the guarded block ended. One that ends the program already stands for the wish; any other
            may be what an interrupt in the middle of something was turned into.
    """
    _watch.depth -= 1
    if _watch.depth:
        return
    with _watch.ticking:  # from here on no repetition comes
        _watch.number += 1
    previous = dict(_watch.previous)
    _give_back(list(previous.items()))
    _watch.previous.clear()
    wish, broken = _watch.wish, _watch.broken
    _watch.wish, _watch.broken = None, False
    if error is not None and not isinstance(error, Exception):
        return
    if wish is not None:
        previous[wish](wish, None)
    elif broken and error is not None:
        raise KeyboardInterrupt from error


def _give_back(handlers: list[tuple[int, Any]]) -> None:
    """All of them, even if one that is back already raises."""
    if handlers:
        number, handler = handlers.pop()
        try:
            signal.signal(number, handler)
        finally:
            _give_back(handlers)


def import_whole(name: str) -> None:
    """Import a module that something below would import at its first use, where an interrupt could leave half of it."""
    taken, failed = begin(), None
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed = error
        raise
    finally:
        if taken:
            end(failed)


def obey() -> None:
    """Grant the wish to stop, if there is one: call it where finished work is stored and nothing is half done.

    Raises:
        KeyboardInterrupt: or whatever the handler raises that was there before.
    """
    if _watch.wish is not None and threading.current_thread() is threading.main_thread():
        _grant()


def _grant() -> None:
    with _watch.ticking:
        _watch.number += 1
    wish, _watch.wish = _watch.wish, None
    if wish is not None:
        _watch.previous[wish](wish, None)


def _note(number: int, frame: FrameType | None) -> None:
    """The handler: the first signal is a wish, another one an order."""
    ticked, _watch.ticked = _watch.ticked, False
    if _watch.wish is None:
        if not ticked:
            _watch.wish, _watch.hurry = number, False
            _watch.number += 1
            # `threading` takes locks, which the code that was interrupted may hold
            _thread.start_new_thread(_repeat, (number, _watch.number))
        return
    _watch.hurry = True
    if _may_break(frame):
        _watch.broken = True
        wish, _watch.wish = _watch.wish, None
        _watch.number += 1
        _watch.previous[wish](wish, frame)


def _may_break(frame: FrameType | None) -> bool:
    """Whether nothing is being entered, left or imported, and whoever called would hear of it."""
    while frame is not None:
        code = frame.f_code
        if code.co_name in _MASKED or code.co_filename.endswith(_CALLED_BACK):
            return False
        if code.co_filename.startswith(_IMPORTING):
            return False
        frame = frame.f_back
    return True


def _repeat(signum: int, number: int) -> None:
    """In a thread of its own: order what was wished, once it has waited long enough, until it is granted."""
    start = time.monotonic()
    while _watch.number == number:
        time.sleep(_AGAIN)
        if _watch.hurry or time.monotonic() - start > PATIENCE:
            with _watch.ticking:
                if _watch.number == number and signal.getsignal(signum) is _note:
                    _watch.ticked = True
                    _thread.interrupt_main(signal.Signals(signum))


def _after_fork() -> None:
    """A child process has the thread that made it, and no other: not the one that repeats, perhaps no guarded one."""
    _watch.ticking = _thread.allocate_lock()
    _watch.number += 1
    if _watch.depth and _watch.owner != threading.get_ident():
        _watch.depth = 0
        _give_back(list(_watch.previous.items()))
        _watch.previous.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
