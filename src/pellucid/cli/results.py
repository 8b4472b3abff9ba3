"""What is asked of `explain`'s pictures, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pellucid.contracts import Picture, Sample
from pellucid.errors import PellucidError, exit_code
from pellucid.explanation import Explanation
from pellucid.modalities import SampleRef
from pellucid.pictures import PictureRef

if TYPE_CHECKING:
    from pellucid.cli.forecast import Forecast

Ref: TypeAlias = PictureRef | SampleRef
"""What was asked for: a picture, a signal, a row of a table, ..."""


@dataclass(frozen=True)
class Done:
    """A picture, or what else was asked for, explained and saved; `explanation` is partial if it was interrupted."""

    found: Ref
    picture: Picture | Sample
    explanation: Explanation
    folder: Path
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Earlier:
    """A picture that the same command had explained before it was stopped; its files are as it left them.

    Attributes:
        found: the picture.
        folder: of its files.
        document: what `--json` says of it.
    """

    found: Ref
    folder: Path
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Failed:
    """A picture that could not be explained, and why."""

    found: Ref
    error: PellucidError


@dataclass
class CommandResult:
    """What came of all pictures."""

    done: list[Done | Earlier] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    interrupted: str = ""
    pictures: int = 0
    plan: Forecast | None = None

    @property
    def exit_code(self) -> int:
        """Of the process: interrupted, or the gravest failure, or 0."""
        return exit_code((failed.error for failed in self.failed), interrupted=bool(self.interrupted))
