"""The record of a metric, what it may ask for, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from torch import Tensor

from pellucid.contracts.axes import Map, Maps, Scores
from pellucid.contracts.method import Passes, RegistryEntry
from pellucid.contracts.probe import Noise, PartLike, Perturbation, VariantScores
from pellucid.contracts.regions import DEFAULT, Regions

TRUTH = frozenset({"boxes", "mask"})
"""Names that only the caller can fill in: where the thing really is."""


@dataclass(frozen=True)
class Metric(RegistryEntry):
    """One way to judge maps. Its function returns one number per map, `[batch]`, or a `MetricResult`.

    Attributes:
        better: `higher` or `lower`: the number that speaks for the map.
        passes: number of passes over changed pictures for each map, as far as its options say so; None for metrics that
            make none, and for those that find out on the way.
        remade: option whose whole number says how often each map is made anew; "" where it is not, or no option says.
    """

    better: Literal["higher", "lower"] = "higher"
    passes: Passes | None = None
    remade: str = ""
    kind: ClassVar[str] = "metric"
    reserved: ClassVar[frozenset[str]] = frozenset({"explain", "frames", "image", "probe", "rng", "values", *TRUTH})

    @property
    def needs_truth(self) -> bool:
        """Whether it compares with what is known about the pictures."""
        return bool(TRUTH & self.needs)


@dataclass(frozen=True, eq=False)
class MetricResult:
    """What a metric may return instead of a bare tensor.

    Attributes:
        values: one number per map, `[batch]`; NaN where the metric has no answer, which is left out of the mean.
        extras: further findings by name, each with the batch axis first; curves are called `curve`, `[batch, point]`.
        axis: places of the points of the curves, for instance shares of the pixels.
        notes: what the reader of the numbers must know.
    """

    values: Scores
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    axis: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


class ScoreQueries(Protocol):
    """What a metric sees of the model. Rows are maps: a picture comes up once for each map of it that is judged."""

    @property
    def is_tabular(self) -> bool:
        """Whether the model takes rows of features, which the pictures are then: `[batch, 1, feature]`."""

    @property
    def parts(self) -> Sequence[PartLike]:
        """What is known of each of several inputs that are explained together; empty for a lone one."""

    def score(self, count: int, change: Perturbation, *, shared: bool = False) -> VariantScores:
        """The target's score of `count` variants of each row's picture, `[batch, count]`.

        Args:
            count: variants per row.
            change: makes them; `samples` are numbers of rows.
            shared: the variants do not depend on the map, so each picture's are asked once for all maps of it;
                `samples` then are numbers of rows with that picture.
        """

    def probability(self, count: int, change: Perturbation, *, shared: bool = False) -> VariantScores:
        """As `score`, but the probability of the target's class, 0 to 1; the score itself for other targets."""

    def picture(self, name: str) -> Maps:
        """Another picture, a file or a sample, as the model's input `[1, channel, row, column]`."""

    def regions(self, metric: str, kind: int | str | Tensor | None, default: int = DEFAULT) -> Regions:
        """The parts that the option `regions` names, for each row; see `pellucid.masking.regions.regions_of`."""


class Reattribution(Protocol):
    """Makes the judged maps anew, by the same method with the same options, target and seed."""

    def changed(self, count: int, change: Perturbation) -> Iterator[tuple[Tensor, Tensor, Map]]:
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

        A part's weights are the same in every call; see `capture/running/weights.py` for how they are drawn.
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
