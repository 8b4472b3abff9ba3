"""The progress bar."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from pellucid.cli import console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

PATIENCE = 2.0
"""Seconds that nobody minds: shorter work shows no bar."""
LONG = 60.0
"""Seconds from which it is said beforehand how long work will take."""


def minutes(seconds: float) -> str:
    """A long time for people, in whole minutes or hours."""
    whole = max(1, round(seconds / 60))
    number, unit = (whole, "minute") if whole < 120 else (round(whole / 60), "hour")
    return f"{number} {unit}{'' if number == 1 else 's'}"


class Bar:
    """A progress bar with the time left, on terminals only, and only for work above `PATIENCE`.

    `explain` calls `tick` as its `progress`. As a context manager it is off the screen at the end.

    Args:
        pictures: how many there are in all.
        terminal: where it is drawn; None is standard error.
    """

    def __init__(self, pictures: int, terminal: Console | None = None) -> None:
        self.pictures, self.terminal = pictures, terminal or console.terminal(errors=True)
        self.done, self.label = 0, ""
        self.foretold: set[str] = set()
        self.since = time.monotonic()
        self.drawn: Progress | None = None
        self.tasks: list[TaskID] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish_picture()

    def tick(self, label: str, done: int, total: int) -> None:
        """Report that `done` of `total` samples of a method are finished."""
        if not self.terminal.is_terminal:
            self._foretell(label, done, total)
            return
        if self.drawn is None and self._takes_long(done / max(total, 1)):
            self._draw()
        if label != self.label:
            self.label, self.since = label, time.monotonic()
            if self.drawn is not None:
                self.drawn.remove_task(self.tasks[-1])
                self.tasks[-1] = self.drawn.add_task(label, total=total)
        if self.drawn is not None:
            self.drawn.start()
            self.drawn.update(self.tasks[-1], completed=done, total=total)

    def _foretell(self, label: str, done: int, total: int) -> None:
        """Where no bar is drawn: say once, and early, of each method that takes long how long it will take."""
        if label != self.label:
            self.label, self.since = label, time.monotonic()
        passed = time.monotonic() - self.since
        expected = passed * total / max(done, 1)
        if passed > PATIENCE and expected > LONG and label not in self.foretold:
            self.foretold.add(label)
            console.note(f"{label} takes about {minutes(expected)} for each map.")

    def finish_picture(self) -> None:
        """One more picture is done: take the bar off the screen until the next tick, so that results can be printed."""
        self.done += 1
        self.since = time.monotonic()
        if self.drawn is not None:
            self.drawn.update(self.tasks[0], completed=self.done if self.pictures > 1 else None)
            self.drawn.stop()

    def _takes_long(self, share: float) -> bool:
        passed = time.monotonic() - self.since
        return passed > PATIENCE / 4 and passed * (self.pictures - self.done) > PATIENCE * share

    def _draw(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        # Results go to standard output, which must not be redirected into the bar's stream.
        self.drawn = Progress(
            *columns,
            TimeRemainingColumn(),
            console=self.terminal,
            transient=True,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        if self.pictures > 1:
            self.tasks.append(self.drawn.add_task("pictures", total=self.pictures, completed=self.done))
        self.tasks.append(self.drawn.add_task(self.label, total=None))
