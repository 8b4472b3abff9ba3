"""The loop over pictures: each is read, explained and saved alone, so that a bad one never stops the others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from pellucid.api import explain, with_trust
from pellucid.cli import console
from pellucid.cli.forecast import Forecast, forecast
from pellucid.cli.outcome import of_picture
from pellucid.cli.progress import LONG, Bar, minutes
from pellucid.cli.request import Work
from pellucid.cli.results import CommandResult, Done, Earlier, Failed, Ref
from pellucid.contracts import Picture, Sample
from pellucid.digests import digest
from pellucid.errors import BadOption, Cancelled, TraceLeft
from pellucid.evaluation import seconds_for
from pellucid.explanation import Explanation
from pellucid.jobs import Failure, Store, content_of, over
from pellucid.modalities import SampleRef
from pellucid.report.names import picture_slug, unique
from pellucid.storage.plain_json import as_file

KEPT = ".explained"
"""Folder in the results' one for what is remembered until all pictures were reached; no picture's has such a name."""
_PAUSE = 5.0
"""Seconds between two times that unfinished work is saved, at least."""
_SHARE = 20.0
"""How many times longer than saving takes the work goes on without."""


def explain_all(
    work: Work, pictures: Sequence[Ref], report: Callable[[Done | Earlier | Failed], None]
) -> CommandResult:
    """Explain and save all pictures.

    Several are remembered as they are finished, so that the same command goes on where it was stopped; once all were
    reached that is forgotten, and the same command begins anew.

    Args:
        work: what to do.
        pictures: which ones.
        report: function that is called with each as soon as it is finished.
    """
    several = len(pictures) > 1
    store = Store(work.out / KEPT, work.question if several else "") if several else Store(None, "")
    folders = unique(picture_slug(found.name) for found in pictures)
    with Bar(len(pictures)) as bar:
        job = _Job(work, store, bar, len(pictures))

        def tell(outcome: Done | Earlier | Failure[_Asked]) -> None:
            bar.finish_picture()
            if isinstance(outcome, Done):
                _foretell(outcome, len(pictures) - bar.done, first=not job.finished)
                job.finished += 1
            report(_failed(outcome) if isinstance(outcome, Failure) else outcome)

        asked = list(zip(pictures, folders, strict=True))
        outcome = over(asked, job.one, name=lambda one: one[0].name, each=tell)
    result = CommandResult(
        outcome.done, [_failed(each) for each in outcome.failed], pictures=len(pictures), plan=job.plan
    )
    if outcome.interrupted is None:
        store.forget()
        return result
    result.interrupted = str(outcome.interrupted) or "Interrupted."
    if job.partial is not None:
        result.done.append(job.partial)
        report(job.partial)
    return result


def _foretell(done: Done, left: int, *, first: bool) -> None:
    """After the first picture, say how long the others will take, if that is long."""
    expected = done.explanation.seconds * left
    if first and expected > LONG:
        console.note(f"The other {left} pictures take about {minutes(expected)}. What is finished is kept at once.")


_Asked: TypeAlias = tuple[Ref, str]
"""A picture, and the name of its folder."""


def _failed(failure: Failure[_Asked]) -> Failed:
    return Failed(failure.input[0], failure.error)


def _content(found: Ref) -> str:
    """A digest of what was asked for; of a part of a file also of which part, and of how it is read."""
    content = content_of(found.source)
    return digest(content, found.kind, dict(found.options)) if isinstance(found, SampleRef) else content


class _Job:
    """Explains and saves one picture after the other.

    Attributes:
        partial: what was finished of the picture at hand when the work was stopped.
        finished: how many pictures were explained and reported.
        plan: what each picture takes, by the first that was explained.
    """

    def __init__(self, work: Work, store: Store, bar: Bar, pictures: int) -> None:
        self.work, self.store, self.bar, self.pictures = work, store, bar, pictures
        self.plan: Forecast | None = None
        self.partial: Done | None = None
        self.finished = 0

    def one(self, asked: _Asked) -> Done | Earlier:
        """Explain a picture, or find that it was explained before."""
        found, name = asked
        content = _content(found) if self.store.folder else ""
        if earlier := self._earlier(found, name, content):
            return earlier
        done = self._explained(found, self.work.out / name)
        self._keep(done, content)
        return done

    def _explained(self, found: Ref, folder: Path) -> Done:
        work, before = self.work, _files(folder)
        picture = work.read(found)

        def done(explanation: Explanation) -> Done:
            files = tuple(path for path, mark in _files(folder).items() if before.get(path) != mark)
            return Done(found, picture, explanation, folder, files)

        self._foretell(picture)
        saver = _Saver(folder, work.command)
        how: dict[str, Any] = {"chunk": work.chunk, "progress": self.bar.tick}
        try:
            explanation = explain(
                work.model, work.asked(picture), work.methods, work.target, list(work.layers) or None, work.options,
                work.seed, explain=list(work.explained) or None, fuse=work.fuse, each=saver.now_and_then, **how,
            )  # fmt: skip
            if work.trust:
                saver.save(explanation)  # judging may take longer than all that was done so far
                limit = seconds_for(explanation) if work.trust == "brief" else None
                explanation = with_trust(explanation, seconds=limit, **how)
        except Cancelled as stop:
            finished: Explanation | None = stop.finished
            if finished is not None and len(finished):
                saver.save(finished)
                self.partial = done(finished)
            raise
        saver.save(explanation)
        return done(explanation)

    def _foretell(self, picture: Picture | Sample) -> None:
        """Before the first picture, find out what all take, and say so where it is long."""
        if self.plan is not None:
            return
        try:
            self.plan = forecast(self.work, picture)
        except TraceLeft:
            raise
        except Exception:  # noqa: BLE001 - whatever is wrong with the picture or the network, explaining it says so
            return
        left = self.pictures - self.bar.done
        if said := self.plan.said(self.work.model.name, left, judged=self.work.trust == "brief"):
            console.note(f"{said} What is finished is kept at once.")

    def _earlier(self, found: Ref, name: str, content: str) -> Earlier | None:
        """What an earlier call did with the same picture, if its files are still there as they were."""
        record = self.store.parsed(content, _record, name)
        if record is None:
            return None
        folder = self.work.out / name
        if any(content_of(folder / file) != digest for file, digest in record["files"].items()):
            return None
        return Earlier(found, folder, {**record["document"], "name": found.name, "source": found.source})

    def _keep(self, done: Done, content: str) -> None:
        if self.store.folder is not None:
            record = {"files": {path.name: content_of(path) for path in done.files}, "document": of_picture(done)}
            self.store.write(content, as_file(record), done.folder.name)


def _record(payload: bytes) -> dict[str, Any]:
    """What `_Job._keep` wrote: digests of the files by name, and the picture's document."""
    record = json.loads(payload)
    if not record["files"].keys() or not isinstance(record["document"], dict):
        raise ValueError("no record of a picture")
    return {"files": dict(record["files"]), "document": record["document"]}


class _Saver:
    """Writes what is finished of a picture, now and then while the work goes on, and at its end."""

    def __init__(self, folder: Path, command: str) -> None:
        self.folder, self.command = folder, command
        self.saved, self.pause = time.monotonic(), _PAUSE

    def now_and_then(self, explanation: Explanation) -> None:
        """Save if that was long ago, so that it takes little of the time; without room for it the work goes on."""
        if time.monotonic() - self.saved > self.pause:
            with suppress(BadOption):  # is said at the end, if there is no room then either
                self.save(explanation)

    def save(self, explanation: Explanation) -> None:
        """Write it.

        Raises:
            BadOption: the folder cannot be written to.
        """
        from pellucid.report import save

        start = time.monotonic()
        save(explanation, self.folder, command=self.command)
        self.saved = time.monotonic()
        self.pause = max(_PAUSE, _SHARE * (self.saved - start))


def _files(folder: Path) -> dict[Path, tuple[int, int]]:
    """The files in a folder with what tells a new one from an old one of the same name."""
    files = sorted(path for path in folder.glob("*") if path.is_file())
    return {path: ((stat := path.stat()).st_ino, stat.st_mtime_ns) for path in files}
