"""Whose turn it is: two threads never run the same module at the same time, and none waits for ever."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from pellucid.capture.running.interrupts import obey
from pellucid.errors import Refused

_PAUSE = 0.1
"""Seconds after which a waiting thread looks whether it was interrupted."""


@dataclass(frozen=True, eq=False)
class User:
    """One thread's wish to run some modules, from the moment that it waits for them."""

    parts: frozenset[int]
    thread: int = field(default_factory=threading.get_ident)


_free = threading.Condition()
_users: list[User] = []
_waiting: dict[int, User] = {}  # by thread


def take(user: User) -> bool:
    """Wait until no other thread uses any of these modules, then keep all others out; returns whether it had to wait.

    Raises:
        Refused: another thread waits, perhaps through others, for modules that this thread uses.
    """
    waited = False
    try:
        while not _taken(user):
            waited = True
            obey()
    finally:
        with _free:
            _waiting.pop(user.thread, None)
    return waited


def _taken(user: User) -> bool:
    with _free:
        if not _ahead(user):
            _users.append(user)
            return True
        if user.thread in _threads_before(user):
            raise Refused(
                "Two threads each explain a model whose forward pass explains the other's, so they would wait for each "
                "other for ever. Explain them in one thread, one after the other."
            )
        _waiting[user.thread] = user
        _free.wait(_PAUSE)
        return False


def _ahead(user: User) -> set[int]:
    """The threads that use what `user` wants."""
    return {u.thread for u in _users if u.thread != user.thread and not u.parts.isdisjoint(user.parts)}


def _threads_before(user: User) -> set[int]:
    """The threads that have to go on before `user` can: those that it waits for, and those that these wait for."""
    found: set[int] = set()
    open_ends: Iterable[int] = _ahead(user)
    while open_ends:
        found.update(open_ends)
        open_ends = {t for end in open_ends if end in _waiting for t in _ahead(_waiting[end])} - found
    return found


def leave(user: User) -> None:
    """Let others run these modules; nothing where they were not taken."""
    with _free:
        if user in _users:
            _users.remove(user)
            _free.notify_all()


def _after_fork() -> None:
    """A child process has the thread that made it, and no other."""
    global _free  # noqa: PLW0603 - a lock that another thread held stays locked for ever
    _free = threading.Condition()
    _users[:] = [user for user in _users if user.thread == threading.get_ident()]
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
