"""Leaves no trace: whatever a pass does, the user's model is afterwards exactly as it was before."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from pellucid.capture.running import interrupts, turns
from pellucid.capture.running.blame import blame
from pellucid.capture.running.modules import remember, walk
from pellucid.capture.running.random_state import RandomState
from pellucid.capture.running.recall import Recalled, keep, recall
from pellucid.capture.running.settings import Modes, ProcessSettings, compiler_off, compiler_on
from pellucid.capture.running.snapshot import Snapshot
from pellucid.errors import Refused


class guarded:  # noqa: N801 - used as the function that it replaces
    """Run passes through `module` alone, in evaluation mode, and put everything back afterwards.

    Restored, also after an error or an interrupt: parameters and buffers (the objects, their values, `.grad` and
    `requires_grad`), submodules, hooks, train/eval flags, attributes with all that they hold (containers, tensors,
    arrays, generators, modules and objects of the network's own), the random state of Python, NumPy and torch, what
    torch is set to (grad mode, default type and device, threads, determinism, modes), warning filters. Other threads
    wait while they would use any of the same modules, also as parts of another model. The caller's autocast does not
    reach in: the model runs in the type that it has. Ctrl-C inside waits for the border of a chunk, see
    `capture/running/interrupts.py`.

    A class, as a generator can be interrupted between its own first line and the `with` that it is for.

    Raises:
        Unexpected: the network's own code failed; says where.
        TraceLeft: values of a parameter or gradient changed in place, which cannot be undone without a copy of the
            whole model.
        Refused: a layer normalises over the whole batch, so samples cannot be explained one by one, or has no weights
            yet; or two threads would wait for each other's model for ever.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module, self.thread = module, threading.get_ident()
        self._interruptible = False
        self._undo: list[Callable[[], object]] = []
        self._of_thread: tuple[Callable[[], object], ...] = ()

    def __enter__(self) -> None:
        self._interruptible = interrupts.begin()
        try:
            self._enter()
        except BaseException as error:
            self._leave(error)
            raise

    def _enter(self) -> None:
        known = recall(self.module)
        recalled = None if known is None else self._recalled(known)
        parts = self._walked() if recalled is None else recalled.parts
        self._undo.append(lambda: _active.remove(self))
        _active.append(self)
        self._undo.append(lambda: compiler_on(self))
        compiler_off(self)
        modes = Modes()
        self._of_thread = (modes.drop, modes.put_back)
        self._undo.append(modes.put_back)
        modes.enter()
        snapshot = Snapshot(parts) if recalled is None else recalled
        self._undo.append(ProcessSettings().put_back)
        self._undo.append(RandomState(snapshot.parameters).put_back)
        self._undo.append(remember(self.module, parts))
        self._undo.append(lambda: keep(self.module, snapshot, known))
        self._undo += reversed(snapshot.steps())
        self._undo.append(modes.drop)
        for attributes in snapshot.flagged:
            attributes["training"] = False
        if snapshot.has_inference_tensors:
            _replace_inference_tensors(parts)

    def _recalled(self, known: Recalled) -> Snapshot | None:
        """The snapshot of the last call, if it holds still; then it is this guard's turn."""
        self._take_turn(known.ids)
        found = known.take_again(self.module)
        if found is None:
            self._undo.pop()()
        return found

    def _walked(self) -> list[nn.Module]:
        """All parts of the network, once it is this guard's turn."""
        parts = walk(self.module, again=True)
        if self._take_turn(frozenset(map(id, parts))):
            parts = walk(self.module, again=True)  # it may have changed meanwhile
        _refuse_unready(parts)
        return parts

    def _take_turn(self, parts: frozenset[int]) -> bool:
        user = turns.User(parts)
        self._undo.append(lambda: turns.leave(user))
        return turns.take(user)

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self._leave(error)
        blame(error)

    def _leave(self, error: BaseException | None) -> None:
        try:
            _undo(self._undo)
        except BaseException as failed:
            self._end(failed)
            raise
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if self._interruptible:
            self._interruptible = False
            interrupts.end(error)

    def forget(self) -> None:
        """Put back what the thread of this guard cannot, as this process has no such thread."""
        self._undo = [step for step in self._undo if step not in self._of_thread]
        with suppress(Exception):
            _undo(self._undo)


_active: list[guarded] = []


def _undo(steps: list[Callable[[], object]]) -> None:
    """Take every step, the last first, whatever the others raise; one that is interrupted is taken again.

    Only what is no signal can interrupt a step: those of the main thread are noted only, see `interrupts.begin`.
    """
    try:
        while steps:
            steps[-1]()
            steps.pop()
    except BaseException as error:
        if isinstance(error, Exception):
            steps.pop()
        _undo(steps)
        raise


def _after_fork() -> None:
    """A child process has the thread that made it, and no other: nobody else would put the networks back."""
    for guard in reversed(_active):
        if guard.thread != threading.get_ident():
            guard.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _replace_inference_tensors(modules: list[nn.Module]) -> None:
    """Weights made in inference mode let no gradient through; copies stand in until the tables are restored."""
    for part in modules:
        for name, weight in part._parameters.items():
            if weight is not None and weight.is_inference():
                part._parameters[name] = nn.Parameter(weight.clone(), requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None and buffer.is_inference():
                part._buffers[name] = buffer.clone()


def _refuse_unready(modules: list[nn.Module]) -> None:
    suspects = {kind for kind in set(map(type, modules)) if issubclass(kind, LazyModuleMixin | _BatchNorm)}
    for part in [part for part in modules if type(part) in suspects]:
        if isinstance(part, LazyModuleMixin) and part.has_uninitialized_params():
            raise Refused(
                f"{type(part).__name__} has no weights yet. Run the network once on a batch of its inputs first."
            )
        if isinstance(part, _BatchNorm) and part._buffers.get("running_mean") is None:
            raise Refused(
                f"{type(part).__name__} without running statistics normalises over the batch, so one picture's score "
                "depends on the others. Use a layer with track_running_stats=True."
            )
