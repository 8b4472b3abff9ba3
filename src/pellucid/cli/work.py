"""The loop over pictures: each is read, explained and saved alone, so that a bad one never stops the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pellucid.api import explain
from pellucid.choices import AUTO, choice_of
from pellucid.cli.progress import Bar
from pellucid.engine import Step, plan
from pellucid.errors import BadOption, BadPicture, Cancelled, OutOfMemory, PellucidError, Refused, exit_code
from pellucid.explanation import Explanation
from pellucid.models.preprocessing import preprocessing_of
from pellucid.pictures import Found, prepare
from pellucid.registry import DEFAULT_METHODS
from pellucid.report.names import picture_slug, unique
from pellucid.targets import parse_targets
from pellucid.types import Model, Picture, Site


@dataclass(frozen=True)
class Work:
    """What is to be done with each picture."""

    model: Model
    methods: Sequence[str] | None
    target: str | None
    layers: Sequence[str]
    options: Mapping[str, Mapping[str, Any]]
    seed: int
    chunk: int | None
    fuse: str | None
    trust: bool
    out: Path
    command: str

    @property
    def device(self) -> str:
        """Where the model runs."""
        weight = next(self.model.module.parameters(), None)
        return "cpu" if weight is None else str(weight.device)

    def check(self) -> None:
        """Find misuse before any picture is read.

        Raises:
            UnknownName, BadOption: a target or layer that cannot be.
        """
        parse_targets(self.target, self.model)
        if self.methods == [AUTO]:
            chosen_methods([choice_of(self.model).method], self.options)
        for layer in self.layers:
            Site.parse(layer)


@dataclass(frozen=True)
class Done:
    """A picture that was explained and saved; `explanation` is partial when the work was interrupted."""

    found: Found
    picture: Picture
    explanation: Explanation
    folder: Path
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Failed:
    """A picture that could not be explained, and why."""

    found: Found
    error: PellucidError


@dataclass
class Result:
    """What came of all pictures."""

    done: list[Done] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    interrupted: str = ""
    pictures: int = 0

    @property
    def exit_code(self) -> int:
        """Of the process: interrupted, or the gravest failure, or 0."""
        return exit_code((failed.error for failed in self.failed), interrupted=bool(self.interrupted))


def chosen_methods(names: Sequence[str] | None, options: Mapping[str, Mapping[str, Any]]) -> tuple[Step, ...]:
    """The methods that will run.

    Raises:
        UnknownName: a method that does not exist.
        BadOption: an option's value does not fit, or it belongs to a method that is not run.
    """
    if names == [AUTO]:  # known when the model is
        return ()
    steps = plan(names or DEFAULT_METHODS, options)
    run = {step.method.id for step in steps} | {step.base.method.id for step in steps if step.base}
    for method, given in options.items():
        if method not in run:
            raise BadOption(
                f"--{method}.{next(iter(given)).replace('_', '-')} was given, but {method} is not among the methods "
                f"({', '.join(step.method.id for step in steps)}). Add --method {method}."
            )
    return steps


def explain_all(work: Work, pictures: Sequence[Found], report: Callable[[Done | Failed], None]) -> Result:
    """Explain and save all pictures.

    Args:
        work: what to do.
        pictures: which ones.
        report: called with each as soon as it is finished.
    """
    result = Result(pictures=len(pictures))
    try:
        with Bar(len(pictures)) as bar:
            folders = unique(picture_slug(found.name) for found in pictures)
            for found, folder in zip(pictures, folders, strict=True):
                outcome = _attempt(work, found, work.out / folder, bar)
                bar.finish_picture()
                (result.done if isinstance(outcome, Done) else result.failed).append(outcome)  # type: ignore[arg-type]
                report(outcome)
    except _Stopped as stop:
        result.interrupted = stop.message
        if stop.partial:
            result.done.append(stop.partial)
            report(stop.partial)
    except KeyboardInterrupt:
        result.interrupted = "Interrupted."
    return result


def _attempt(work: Work, found: Found, folder: Path, bar: Bar) -> Done | Failed:
    try:
        return _explain_one(work, found, folder, bar)
    except _OfThePicture as error:
        return Failed(found, error.error)


def _explain_one(work: Work, found: Found, folder: Path, bar: Bar) -> Done:
    picture = _read(work, found)
    try:
        explanation = explain(
            work.model,
            picture,
            work.methods,
            work.target,
            list(work.layers) or None,
            work.options,
            work.seed,
            chunk=work.chunk,
            fuse=work.fuse,
            trust=work.trust,
            progress=bar.tick,
        )
    except (BadPicture, OutOfMemory, Refused) as error:
        raise _OfThePicture(error) from error
    except Cancelled as stop:
        finished: Explanation | None = stop.finished
        partial = _save(work, found, picture, finished, folder) if finished and len(finished) else None
        raise _Stopped(str(stop), partial) from stop
    return _save(work, found, picture, explanation, folder)


def _read(work: Work, found: Found) -> Picture:
    try:
        return prepare(found.source, preprocessing_of(work.model), found.name)
    except PellucidError as error:
        raise _OfThePicture(error) from error


def _save(work: Work, found: Found, picture: Picture, explanation: Explanation, folder: Path) -> Done:
    from pellucid.report import save

    before = _files(folder)
    try:
        save(explanation, folder, command=work.command)
    except PellucidError as error:
        raise _OfThePicture(error) from error
    return Done(
        found, picture, explanation, folder, tuple(p for p, mark in _files(folder).items() if before.get(p) != mark)
    )


def _files(folder: Path) -> dict[Path, tuple[int, int]]:
    """The files in a folder with what tells a new one from an old one of the same name."""
    files = sorted(path for path in folder.glob("*") if path.is_file())
    return {path: ((stat := path.stat()).st_ino, stat.st_mtime_ns) for path in files}


class _OfThePicture(Exception):
    """An error that concerns one picture only."""

    def __init__(self, error: PellucidError) -> None:
        super().__init__(str(error))
        self.error = error


class _Stopped(Exception):
    """Ctrl-C, with what was saved of the picture at hand."""

    def __init__(self, message: str, partial: Done | None) -> None:
        super().__init__(message)
        self.message, self.partial = message, partial
