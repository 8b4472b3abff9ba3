"""The vocabulary of metrics: what one is, what it may ask for, and what comes out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from pellucid.errors import UnknownName
from pellucid.regions import DEFAULT, Regions
from pellucid.types import Answers, Attribution, Change, Cost, Entry, Map, Maps, Noise, Scores

TRUTH = frozenset({"boxes", "mask"})
"""Names that only the caller can fill in: where the thing really is."""


@dataclass(frozen=True)
class Metric(Entry):
    """One way to judge maps. Its function returns one number per map, `[batch]`, or a `Judgement`.

    Attributes:
        better: whether a larger (`higher`) or a smaller (`lower`) number speaks for the map.
    """

    better: Literal["higher", "lower"] = "higher"
    kind: ClassVar[str] = "metric"
    reserved: ClassVar[frozenset[str]] = frozenset({"explain", "frames", "image", "probe", "rng", "values", *TRUTH})

    @property
    def needs_truth(self) -> bool:
        """Whether it compares with what is known about the pictures."""
        return bool(TRUTH & self.needs)


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a metric may return instead of a bare tensor.

    Attributes:
        values: one number per map, `[batch]`; NaN where the metric has no answer, which is left out of the mean.
        extras: further findings by name, each with the batch axis first; curves are called `curve`, `[batch, point]`.
        axis: where the points of the curves lie, for instance shares of the pixels.
        notes: what the reader of the numbers must know.
    """

    values: Scores
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    axis: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


class Asking(Protocol):
    """What a metric sees of the model. Rows are maps: a picture comes up once for each map of it that is judged."""

    def score(self, count: int, change: Change, *, shared: bool = False) -> Answers:
        """The target's score of `count` variants of each row's picture, `[batch, count]`.

        Args:
            count: variants per row.
            change: makes them; `samples` are numbers of rows.
            shared: the variants do not depend on the map, so each picture's are asked once for all maps of it;
                `samples` then are numbers of rows with that picture.
        """

    def probability(self, count: int, change: Change, *, shared: bool = False) -> Answers:
        """As `score`, but the probability of the target's class, 0 to 1; the score itself for other targets."""

    def picture(self, name: str) -> Maps:
        """Another picture, a file or a sample, as the model's input `[1, channel, row, column]`."""

    def regions(self, metric: str, kind: int | str | Tensor | None, default: int = DEFAULT) -> Regions:
        """The parts that the option `regions` names, for each row; see `pellucid.regions.regions_of`."""


class Explaining(Protocol):
    """Makes the judged maps anew, by the same method with the same options, target and seed."""

    def changed(self, count: int, change: Change) -> Iterator[tuple[Tensor, Tensor, Map]]:
        """Of `count` variants of each picture, the same for all maps of it.

        Yields:
            (row of each map `[n]`, which variant it is of `[n]`, the map `[n, row, column]`), in chunks of any length
            and in any order.
        """

    def layers(self) -> tuple[str, ...]:
        """The parts of the network that have weights, from the logits down.

        Raises:
            Refused: weights that cannot be exchanged.
        """

    def with_drawn(self, layers: Sequence[str]) -> Map:
        """The maps `[batch, row, column]` by the network with these parts' weights drawn at random.

        A part's weights are the same in every call; see `capture/weights.py` for how they are drawn.
        """

    def with_file(self, metric: str, path: str) -> Map:
        """The maps `[batch, row, column]` by the network with the weights of a file; errors name the metric.

        Raises:
            BadOption: the file cannot be read.
            Refused: its weights are not those of this network.
        """

    def of_another_class(self, rng: Noise) -> Map:
        """The maps `[batch, row, column]` for another class, so many further on for every picture.

        Raises:
            Refused: the target is no class's score, or there is no other class.
        """


NO_PROBABILITY = (
    "The target is no class's score, or one without a probability, so the score itself stands for a probability."
)
"""The note of scores of such targets."""


STILL = "What is measured was always the same{}, whatever was hidden, so it says nothing of any map."
"""The note of scores that could not change, with the pictures of which that is so."""


ROUNDING = 1e-4
"""Share of a score up to which a difference counts as rounding: passes of float32 in other batches differ by less."""


@dataclass(frozen=True, eq=False)
class Score:
    """How one metric judges the maps of one method, or of a control.

    Attributes:
        metric: the metric's record.
        subject: id of the method, name of a map that was given, or of a control.
        attribution: what was judged; None for controls and maps that were given.
        target: what was explained, one text per picture.
        values: one number per picture, on the CPU; NaN where the metric has no answer.
        mean: over the pictures with an answer; NaN if there is none.
        interval: 95 % bootstrap interval of the mean over these pictures; None with fewer than two, which say nothing
            of the spread.
        extras: further findings, the batch axis first; curves as `curve`.
        axis: where the points of the curves lie.
        options: every option of the metric, defaults included.
        seed: of the metric's draws, the random control and the bootstrap.
        cost: passes that these numbers rest on, shared ones counted in full; the seconds are an equal share of those
            that it took to judge all maps together.
        notes: what the reader must know.
        controls: the scores of a random map, a hill in the centre and an edge detector, by name, and for maps that an
            optimisation found that of the same method's map for another class, `wrong target`; empty for controls.
    """

    metric: Metric
    subject: str
    attribution: Attribution | None
    target: tuple[str, ...]
    values: Scores
    mean: float
    interval: tuple[float, float] | None
    extras: Mapping[str, Tensor]
    axis: tuple[float, ...]
    options: Mapping[str, Any]
    seed: int
    cost: Cost
    notes: tuple[str, ...] = ()
    controls: Mapping[str, Score] = field(default_factory=dict)

    @property
    def asked(self) -> str:
        """What its curves show: "probability", or "score" where the target has none."""
        return "score" if NO_PROBABILITY in self.notes else "probability"

    @property
    def judged(self) -> int:
        """How many pictures the metric has an answer for."""
        return int(self.values.isfinite().sum())

    def gains(self, other: Score) -> Scores:
        """By how much this is the better score, picture by picture; NaN where one of them has no answer.

        A difference of at most `ROUNDING` of the larger of both is 0.
        """
        gain = self.values - other.values if self.metric.better == "higher" else other.values - self.values
        size = torch.maximum(self.values.abs(), other.values.abs())
        return torch.where(gain.abs() <= ROUNDING * size, 0.0, gain)

    def better_than(self, other: Score) -> bool:
        """Whether this mean is the better one, over the pictures that both have an answer for; false without any."""
        gains = self.gains(other)
        return float(gains.nansum()) > 0

    @property
    def areas(self) -> dict[str, Scores]:
        """The area under each of its curves, one number per picture, by the name of the curve in `extras`.

        Trapezoids over `axis`; with points at equal distances, programs that count a step between two points as 1
        give this number divided by that distance. A metric that is such an area itself (deletion, insertion) has the
        same number in `values`.
        """
        if len(self.axis) < 2:
            return {}
        curves = {name: x for name, x in self.extras.items() if x.ndim == 2 and x.shape[1] == len(self.axis)}
        return {
            name: torch.trapezoid(x.double(), x.new_tensor(self.axis).double(), dim=1) for name, x in curves.items()
        }

    @property
    def text(self) -> str:
        """Mean and interval to three digits, and of how many pictures if not of all."""
        if math.isnan(self.mean):
            return "none"
        spread = "" if self.interval is None else f" ({self.interval[0]:.3g} to {self.interval[1]:.3g})"
        part = f", {self.judged} of {len(self.values)}" if self.judged < len(self.values) else ""
        return f"{self.mean:.3g}{spread}{part}"

    @property
    def known(self) -> dict[str, Any]:
        """Everything a manifest records, as plain values."""
        return {
            "metric": self.metric.id,
            "subject": self.subject,
            "better": self.metric.better,
            "protocol": str(self.metric.reference),
            "options": dict(self.options),
            "seed": self.seed,
            "mean": self.mean,
            "interval": None if self.interval is None else list(self.interval),
            "values": self.values.tolist(),
            "judged": self.judged,
            **({"axis": list(self.axis), "curve": self.extras["curve"].tolist()} if "curve" in self.extras else {}),
            **({"areas": {name: x.tolist() for name, x in self.areas.items()}} if self.areas else {}),
            "cost": vars(self.cost),
            "notes": list(self.notes),
            "controls": {name: {"mean": s.mean, "interval": s.interval} for name, s in self.controls.items()},
        }

    def __repr__(self) -> str:
        spread = "" if self.interval is None else f" ({self.interval[0]:.3g} to {self.interval[1]:.3g})"
        return f"<Score {self.metric.id} of {self.subject}: {self.mean:.3g}{spread}, {self.metric.better} is better>"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `pellucid.evaluate` found: a score for each judged attribution and metric.

    Attributes:
        scores: metric by metric, within each in the order of the attributions, then of the maps that were given.
        refused: why there is no score, by (subject, metric).
        seed: of all random draws.
        seconds: wall-clock time of the call.
    """

    scores: tuple[Score, ...]
    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)
    seed: int = 0
    seconds: float = 0.0

    def __getitem__(self, key: tuple[str, str]) -> Score:
        """The first score of (subject, metric).

        Raises:
            UnknownName: there is none.
        """
        for score in self.scores:
            if (score.subject, score.metric.id) == key:
                return score
        why = f" It was refused: {self.refused[key]}" if key in self.refused else ""
        raise UnknownName(f"There is no score of {key[0]!r} by {key[1]!r}.{why}")

    def __iter__(self) -> Iterator[Score]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def ranked(self, metric: str) -> Sequence[Score]:
        """The scores by one metric, best first; those without a mean come last.

        Two are compared over the pictures that both have an answer for: leaving out a hard one gains nothing.
        """
        found = [score for score in self.scores if score.metric.id == metric]
        return sorted(found, key=lambda score: _place(score, found))

    def __repr__(self) -> str:
        subjects, metrics = ({getattr(s, name) for s in self.scores} for name in ("subject", "metric"))
        return f"<Evaluation of {len(subjects)} maps by {len(metrics)} metrics>"


def _place(score: Score, others: Sequence[Score]) -> tuple[bool, int]:
    """How many others are better, less those that are worse."""
    ahead = sum(other.better_than(score) for other in others) - sum(score.better_than(other) for other in others)
    return math.isnan(score.mean), ahead
