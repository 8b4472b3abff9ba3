"""What a comparison found: scores of methods over pictures, and who is ahead."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from pellucid.contracts import Cost, Method, Model, Picture, Prediction
from pellucid.errors import PellucidError
from pellucid.evaluation import Column, Evaluation, Metric, Score, column_of, joined
from pellucid.evaluation.lead import Lead, closest, lead
from pellucid.evaluation.trust import better
from pellucid.metrics.randomisation import FAILS
from pellucid.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Compared:
    """One picture that was judged.

    Attributes:
        name: for people; untrusted text.
        source: where it is from: a path, `sample:NAME`, or "" for what was given as an object.
        target: what was explained.
        evaluation: the scores of all methods on it.
        costs: of each method's map, by id.
        refused: methods that would be wrong for this model, with the reason.
        seconds: that it took, of the run in which it was judged.
        prediction: the network's first; None if it gives no class scores.
        picture: as decoded; None for tensors.
        sanity: by method, how alike its map stays when the network's weights are drawn at random (`randomisation`);
            of the first pictures only, None of those that were not checked.
        maps: signed values `[row, column]` by method, of the first pictures only, which are shown.
    """

    name: str
    source: str
    target: str
    evaluation: Evaluation
    costs: Mapping[str, Cost] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    prediction: Prediction | None = None
    picture: Picture | None = None
    sanity: Mapping[str, float] | None = None
    maps: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class NotCompared:
    """A picture that could not be judged, and why."""

    name: str
    source: str
    error: PellucidError


@dataclass(frozen=True)
class Place:
    """Where a method stands.

    Attributes:
        method: its id.
        rank: mean of its ranks by the metrics, 1 is best; methods that tie share the mean of their ranks.
        ranks: by id of the metric; nothing for metrics without a score of it.
    """

    method: str
    rank: float
    ranks: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """What `pellucid.compare` found.

    Attributes:
        model: network whose maps were judged.
        methods: methods that were compared, in the order in which they were asked for, without those that were refused.
        metrics: metrics by which they were judged, with every option.
        options: values as they were given, by id of the method or metric.
        pictures: pictures that were judged.
        failed: pictures that could not be judged.
        target: text of what was asked for, if that was a number or a text.
        seed: integer that starts all random draws.
        planned: number of pictures that there were to judge; more than are here if the work was stopped.
    """

    model: Model
    methods: tuple[Method, ...]
    metrics: tuple[tuple[Metric, Mapping[str, Any]], ...]
    options: Mapping[str, Mapping[str, Any]]
    pictures: tuple[Compared, ...]
    failed: tuple[NotCompared, ...] = ()
    target: int | str | None = None
    layer: str | None = None
    seed: int = 0
    planned: int = 0

    @cached_property
    def evaluation(self) -> Evaluation:
        """The scores over all pictures: means with their intervals, controls beside them."""
        return joined([picture.evaluation for picture in self.pictures])

    def __getitem__(self, key: tuple[str, str]) -> Score:
        """The score of (method, metric) over all pictures.

        Raises:
            UnknownName: there is none.
        """
        return self.evaluation[key]

    def __iter__(self) -> Iterator[Score]:
        return iter(self.evaluation)

    def __len__(self) -> int:
        return len(self.evaluation)

    @property
    def refused(self) -> Mapping[str, str]:
        """Methods that would be wrong for this model, with the reason."""
        return {name: why for picture in self.pictures for name, why in picture.refused.items()}

    @property
    def seconds(self) -> float:
        """That all pictures took."""
        return sum(picture.seconds for picture in self.pictures)

    @cached_property
    def ranking(self) -> tuple[Place, ...]:
        """The methods, best first by the mean of their ranks; all metrics count alike."""
        found: dict[str, dict[str, float]] = {method.id: {} for method in self.methods}
        for metric, _ in self.metrics:
            scores = [s for s in self.evaluation.ranked(metric.id) if s.subject in found and not math.isnan(s.mean)]
            for score in scores:
                ahead = sum(other.better_than(score) for other in scores)
                behind = sum(score.better_than(other) for other in scores)
                found[score.subject][metric.id] = (len(scores) + 1 + ahead - behind) / 2
        places = [
            Place(name, sum(ranks.values()) / len(ranks) if ranks else math.inf, ranks) for name, ranks in found.items()
        ]
        return tuple(sorted(places, key=lambda place: place.rank))

    def beats_controls(self, method: str) -> bool:
        """Whether by some metric a method's mean is better than those of all maps that know nothing."""
        scores = [score for score in self.scores_of(method).values() if score.controls]
        return any(all(score.better_than(control) for control in score.controls.values()) for score in scores)

    @property
    def controlled(self) -> bool:
        """Whether there are maps that know nothing to compare with."""
        return any(score.controls for score in self.evaluation)

    def leads(self, first: str, second: str) -> bool:
        """Whether one method is better than another by some metric and worse by none, not just by chance of pictures.

        With one picture the larger number counts; with several, the interval of the differences, picture by picture.
        """
        pairs = [(score, self.scores_of(second).get(name)) for name, score in self.scores_of(first).items()]
        known = [(mine, other) for mine, other in pairs if other is not None]
        won = any(better(mine, other) for mine, other in known)
        return won and not any(better(other, mine) for mine, other in known)

    @cached_property
    def ahead(self) -> Mapping[tuple[str, str], Lead]:
        """By (method, metric), how far it is ahead of the map that knows nothing and is hardest to beat."""
        found = {(score.subject, score.metric.id): closest(score) for score in self.evaluation}
        return {pair: each for pair, each in found.items() if each is not None}

    def beats_all(self, score: Score) -> bool:
        """Whether a score is better than those of all maps that know nothing, and not just by chance of pictures."""
        found = self.ahead.get((score.subject, score.metric.id))
        return found is not None and found.verdict == "better"

    def between(self, first: str, second: str) -> dict[str, Lead]:
        """By metric, how far one method is ahead of another."""
        theirs = self.scores_of(second)
        return {name: lead(mine, theirs[name]) for name, mine in self.scores_of(first).items() if name in theirs}

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """By metric, how its scores are written."""
        return {
            metric.id: column_of(s for s in self.evaluation if s.metric.id == metric.id) for metric, _ in self.metrics
        }

    @property
    def checked(self) -> int:
        """On how many pictures it was checked whether the maps change with what the network has learned."""
        return sum(picture.sanity is not None for picture in self.pictures)

    def likeness(self, method: str) -> float:
        """How alike its maps stay when the network's weights are drawn at random, mean over the pictures; or NaN."""
        found = [x for picture in self.pictures if not math.isnan(x := (picture.sanity or {}).get(method, math.nan))]
        return sum(found) / len(found) if found else math.nan

    def is_sane(self, method: str) -> bool | None:
        """Whether its maps change with what the network has learned; None where that is not known."""
        return None if math.isnan(likeness := self.likeness(method)) else likeness <= FAILS

    def seconds_of(self, method: str) -> float:
        """What a map of the method took, mean over the pictures; NaN if there is none."""
        found = [picture.costs[method].seconds for picture in self.pictures if method in picture.costs]
        return sum(found) / len(found) if found else math.nan

    def scores_of(self, method: str) -> dict[str, Score]:
        """A method's scores by id of the metric."""
        return {score.metric.id: score for score in self.evaluation if score.subject == method}

    def save(self, folder: str | Path, *, command: str = "") -> Path:
        """Write `comparison.html`, `comparison.json` and `scores.csv` into a folder; returns it."""
        found: Path = self._do("save", Path(folder), command=command)
        return found

    def figure(
        self,
        *,
        style: Literal["overlay", "map"] = "overlay",
        width: float = 6.3,
        height: float | None = None,
        original: bool = True,
        dpi: int = 300,
    ) -> Figure:
        """A matplotlib figure of methods by pictures, each map with its scores below it; see `Explanation.figure`.

        The pictures are those whose maps were kept, the first ones.

        Raises:
            MissingExtra: matplotlib is not installed.
            BadOption: no maps were kept, or a size that leaves no room for them.
        """
        found: Figure = self._do("figure", style=style, width=width, height=height, original=original, dpi=dpi)
        return found

    def __repr__(self) -> str:
        done = f"{len(self.methods)} methods by {len(self.metrics)} metrics on {len(self.pictures)} pictures"
        first = f", first: {self.ranking[0].method}" if self.ranking else ""
        return f"<Comparison of {self.model.name}: {done}{first}>"


def controls_of(scores: Sequence[Score]) -> list[str]:
    """Names of the maps that know nothing, beside these scores."""
    return list(dict.fromkeys(name for score in scores for name in score.controls))
