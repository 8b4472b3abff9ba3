"""Progress of a call: what is counted, told and stopped while a network is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pellucid.capture.running import obey
from pellucid.contracts import SamplesDone
from pellucid.errors import Cancelled


@dataclass
class ProgressMeter:
    """Counts samples, reports progress and honours a wish to stop.

    Attributes:
        stop: the wish to stop, once a method makes do with what it has; it is passed on when the method has finished.
        cut: how far that method's work had come; None when it was complete.
        tally: of the loop that a method is in, which progress is reported of instead of each question's.
        said: notes of another method on changed pictures, in order.
    """

    progress: Callable[[str, int, int], None] | None = None
    cancel: Callable[[], bool] | None = None
    forward: int = 0
    backward: int = 0
    label: str = ""
    stop: KeyboardInterrupt | None = None
    cut: SamplesDone | None = None
    tally: SamplesDone | None = None
    said: dict[str, None] = field(default_factory=dict)

    def tick(self, done: int, total: int) -> None:
        """Report progress; raise `Cancelled` if the caller wants to stop, `KeyboardInterrupt` if the user does."""
        self.report(*((done, total) if self.tally is None else (self.tally.done, self.tally.total)))
        if self.stop is not None:
            raise self.stop
        obey()
        if self.cancel and self.cancel():
            raise Cancelled(f"Stopped at the caller's wish during {self.label}, {done} of {total} samples done.")

    def report(self, done: int, total: int) -> None:
        """Tell the caller how far the work has come, once there is something to tell."""
        if self.progress and done:
            self.progress(self.label, done, total)
