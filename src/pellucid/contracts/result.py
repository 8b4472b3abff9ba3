"""Results: what one method found, and how metrics judge it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from pellucid.errors import UnknownName
from pellucid.results import Result

if TYPE_CHECKING:
    pass

import math
from collections.abc import Sequence

from pellucid.contracts.axes import Axis, Map, Maps, Scores, axes_of
from pellucid.contracts.geometry import Frame
from pellucid.contracts.input_map import InputMap
from pellucid.contracts.layers import JoinedSites, Site
from pellucid.contracts.method import Method
from pellucid.contracts.metric import ROUNDING, Metric
from pellucid.contracts.model import Model


@dataclass(frozen=True)
class Cost:
    """What an attribution took. Passes shared by several methods are counted in full for each of them.

    Attributes:
        seconds: wall-clock time, the shared pass included.
        forward, backward: samples sent forward and backward through all or part of the network.
    """

    seconds: float
    forward: int
    backward: int

    def __add__(self, other: Cost) -> Cost:
        """That of both, one after the other."""
        return Cost(self.seconds + other.seconds, self.forward + other.forward, self.backward + other.backward)


@dataclass(frozen=True, eq=False)
class Provenance:
    """What was asked of the model for one attribution, so that it can be judged, and asked again of changed pictures.

    Attributes:
        image: the model's input `[batch, channel, *axes]`. All attributions of a call hold the same one, apart
            from whatever the caller gave; it is not to be written to.
        frames: how each picture lies in it.
        target: the resolved `targets.Target`.
        sites: where the method looked; none for methods that look at the input only.
        fuse: how the maps at these sites were joined, None if there was one.
        step: the method with all options filled in, also those of a method that it builds on (`PlannedMethod`).
    """

    image: Maps
    frames: tuple[Frame, ...]
    target: Any
    sites: tuple[Site, ...]
    fuse: str | None
    step: Any


@dataclass(frozen=True, eq=False)
class Attribution(Result):
    """The result of one method for one target on a batch of pictures. Its tensors are its own.

    Attributes:
        method: the method's record.
        values: float `[batch, *axes]`, of pictures `[batch, row, column]`: signed map at model-input resolution, on the
            model's device.
        raw: before resizing or reduction; see `Evidence.raw`.
        site: layer where it looked, one layer or the several whose maps were joined; None for methods that look at the
            input only.
        target: what was explained, one text per picture.
        options: every option, defaults included.
        seed, cost, model: integer, passes and network that it was made with.
        extras: further findings of the method (grids of scores, completeness gaps, ...).
        notes: what the reader of the map must know ("no positive evidence", "activations treated as plain: silu").
        partial: None when the work was done. Otherwise it was stopped, the map is the estimate so far, and these are
            the samples of each picture that it rests on and those that were asked for.
        inputs: the maps of all explained inputs by name, where inputs were given by name; `values` and `raw` are those
            of the first. Empty for a lone input.
    """

    method: Method
    values: Map
    raw: Tensor
    site: Site | JoinedSites | None
    target: tuple[str, ...]
    options: Mapping[str, Any]
    seed: int
    cost: Cost
    model: Model
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    partial: tuple[int, int] | None = None
    question: Provenance | None = None
    inputs: Mapping[str, InputMap] = field(default_factory=dict)

    def score(self, metric: str, *, seed: int = 0, **options: Any) -> Score:
        """Judge the map by one metric, beside the controls; see `pellucid.evaluate` for several at once.

        Args:
            metric: id, as in `pellucid.metrics()`.
            seed: integer that starts all random draws, those of the interval included.
            options: the metric's own.

        Raises:
            UnknownName: there is no such metric.
            BadOption: an option that does not fit, or an attribution that was put together by hand.
            Refused: the metric has no answer for this model.
        """
        found: Evaluation = self._do("evaluate", metric, options={metric: options}, seed=seed)
        return found[self.method.id, metric]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What lies along the axes of a map, such as (row 224, column 224) or (time 500,)."""
        return axes_of(self.values.shape[1:], self.model.axes)

    def __repr__(self) -> str:
        place = f" at '{self.site}'" if self.site else ""
        return f"<Attribution {self.method.id}{place}: values {list(self.values.shape)}, of {self.target[0]!r}>"


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
        axis: places of the points of the curves.
        options: every option of the metric, defaults included.
        seed: integer that starts the metric's draws, the random control and the bootstrap.
        cost: passes that these numbers rest on, shared ones counted in full; the seconds are an equal share of those
            that it took to judge all maps together.
        notes: what the reader must know.
        asked: what its curves show: "probability", or "score" where the target has none.
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
    asked: Literal["probability", "score"] = "probability"

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
        seed: integer that starts all random draws.
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
