"""Where each unit of a layer answers most in each picture, and the strongest of these answers over all pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid.capture.passes import activations, read_grid
from pellucid.contracts import Model, Picture, Site
from pellucid.errors import PellucidError, TraceLeft
from pellucid.jobs import Store, content_of
from pellucid.models.preprocessing import preprocessing_of
from pellucid.numerics import full_precision
from pellucid.pictures import PictureRef, prepare

_AT_ONCE = 8


@dataclass(frozen=True, order=True)
class Hit:
    """One picture at the place where a unit answered most.

    Attributes:
        value: of the unit there.
        source: of the picture: its path or sample name.
        row, column: the place on the layer's grid.
    """

    value: float
    source: str
    row: int
    column: int


@dataclass(frozen=True, eq=False)
class Answers:
    """The largest answer of each unit to one picture.

    Attributes:
        values: `[unit]`.
        places: number of the cell on the grid, row by row, `[unit]`.
        columns: of the grid.
    """

    values: NDArray[np.float64]
    places: NDArray[np.int32]
    columns: int

    def to_bytes(self) -> bytes:
        """Columns, values and places one after the other."""
        return np.int64(self.columns).tobytes() + self.values.tobytes() + self.places.tobytes()

    @classmethod
    def from_bytes(cls, payload: bytes) -> Answers:
        """Reads what `to_bytes` wrote."""
        units, rest = divmod(len(payload) - 8, 12)
        if rest or units < 1:
            raise ValueError("no answers of units")
        return cls(
            np.frombuffer(payload, np.float64, units, 8),
            np.frombuffer(payload, np.int32, units, 8 + 8 * units),
            int(np.frombuffer(payload, np.int64, 1)[0]),
        )


@dataclass(frozen=True, eq=False)
class Lists:
    """What is known so far; a new value after each picture, so that an interrupt never finds it half changed.

    Attributes:
        units: hits of each unit, strongest first; one per picture.
        count: how many pictures went into them.
    """

    units: list[list[Hit]] = field(default_factory=list)
    count: int = 0
    log: list[tuple[str, str]] = field(default_factory=list)  # grows before `count` does, and is shared

    @property
    def seen(self) -> dict[str, str]:
        """Digests of the pictures that went into them, by source."""
        return dict(self.log[: self.count])

    def with_picture(self, source: str, content: str, answers: Answers, most: int) -> Lists:
        """The lists with one more picture in them, `most` hits for each unit; answers that are no numbers are none."""
        units = list(self.units) or [[] for _ in answers.values]
        floor = np.array([hits[-1].value if len(hits) == most else -math.inf for hits in units])
        for unit in np.nonzero(answers.values >= floor)[0].tolist():
            row, column = divmod(int(answers.places[unit]), answers.columns)
            hits = [*units[unit], Hit(float(answers.values[unit]), source, row, column)]
            units[unit] = sorted(hits, key=lambda hit: (-hit.value, hit.source))[:most]
        self.log[self.count :] = [(source, content)]
        return Lists(units, self.count + 1, self.log)


class HitSearch:
    """Looks at pictures one after the other; several go through the network together. Must run inside `guarded`.

    Args:
        model: the network.
        site: the layer.
        most: hits for each unit.
        every: the pictures to come.
        store: what earlier calls have seen.
    """

    def __init__(self, model: Model, site: Site, most: int, every: Sequence[PictureRef], store: Store) -> None:
        self.model, self.site, self.most, self.store = model, site, most, store
        self.lists = Lists()
        self.every, self._place = every, {found.source: k for k, found in enumerate(every)}
        self._ready: dict[str, Answers] = {}  # by digest of content
        self._alone: set[str] = set()

    def one(self, found: PictureRef) -> str:
        """Enter a picture into the lists; returns the digest of its content.

        Raises:
            BadPicture: it cannot be read.
            BadSite: the layer has no grid.
        """
        content = content_of(found.source)
        answers = self.store.parsed(content, Answers.from_bytes)
        if answers is None:
            answers = self._ready.pop(content) if content in self._ready else self._together(found, content)
            self.store.write(content, answers.to_bytes())
        self.lists = self.lists.with_picture(found.source, content, answers, self.most)
        return content

    def _together(self, found: PictureRef, content: str) -> Answers:
        """The answers to a picture; those to the next few are ready then."""
        read = {content: self._read(found)} | (self._next(found) if content not in self._alone else {})
        try:
            answers = self._answers(list(read.values()))
        except (KeyboardInterrupt, TraceLeft):
            raise
        except BaseException:
            if len(read) == 1:
                raise
            self._alone |= set(read)  # one of them is at fault; the others shall have their answers
            answers = self._answers([read[content]])
        self._ready = dict(zip(read, answers, strict=False))
        return self._ready.pop(content)

    def _next(self, found: PictureRef) -> dict[str, Picture]:
        """Pictures that come after one and that nobody has looked at, by digest of their content."""
        rows = _AT_ONCE if preprocessing_of(self.model).size is not None else 1  # else each has a grid of its own
        start = self._place[found.source] + 1
        read = {}
        for other in self.every[start : start + rows - 1]:
            content = content_of(other.source)
            if not self.store.has(content):
                with suppress(PellucidError):  # is said when it is its turn
                    read[content] = self._read(other)
        return read

    def _read(self, found: PictureRef) -> Picture:
        return prepare(found.source, preprocessing_of(self.model), found.name)

    def _answers(self, pictures: Sequence[Picture]) -> list[Answers]:
        image = torch.stack([picture.tensor for picture in pictures]).to(self.model.device)
        values = activations(self.model, image, [self.site])[self.site]
        maps = full_precision(read_grid(self.model, self.site, values, image).to_maps(values)).cpu()
        best, place = maps.flatten(2).max(2)
        rows = zip(best.double().numpy(), place.to(torch.int32).numpy(), strict=True)
        return [Answers(value, where, maps.shape[3]) for value, where in rows]
