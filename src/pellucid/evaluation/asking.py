"""What metrics ask: scores of changed pictures for all maps of them at once, and the maps made anew.

In one file, since what asks for scores and what makes maps anew run the same passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.meter import ProgressMeter
from pellucid.capture.passes import first_reading
from pellucid.capture.probe import Probe
from pellucid.capture.running import (
    Budget,
    Draws,
    checked_weights,
    drawn_weights,
    substituted,
    weighted_layers,
    with_rows,
)
from pellucid.contracts import (
    DEFAULT,
    NO_PROBABILITY,
    Attribution,
    Map,
    Maps,
    Model,
    Noise,
    PartLike,
    Perturbation,
    Provenance,
    Regions,
    VariantScores,
)
from pellucid.engine.batch import Batch, wide
from pellucid.engine.layers import ChosenLayers
from pellucid.engine.plan import Plan
from pellucid.engine.run import run
from pellucid.errors import BadModel, BadOption, Refused
from pellucid.masking import regions_of
from pellucid.models.weights import read_weights
from pellucid.pictures import NamedPictures
from pellucid.targets import ClassScores, Interpretation, Logit, Probability, Sigmoid, Target, of_rows

_ROUNDING = 1e-6
"""Answers that differ by less than this share of themselves do so by rounding: float32 carries 1e-7."""


@dataclass
class BatchedQueries:
    """Answers a metric's questions about several maps of each picture together; see `contracts.ScoreQueries`.

    Row `m * batch + k` is map m of picture k.

    Attributes:
        plain: asks for the target's own score.
        sure: asks for its probability.
        maps: how many maps of each picture are judged.
        certain: True if `sure` gives a probability, as it does for the scores of classes only.
        unsure: True if a probability was asked for where there is none.
        shared: passes that all maps rest on.
        own: passes that each map rests on alone.
        notes: what the reader of the numbers must know.
        ranges: of all answers so far, of scores and of probabilities: the least and the largest for each picture.
        common: True if the maps are the same for all targets that the probes share passes with; otherwise only
            questions that do not depend on the map are.
    """

    plain: Probe
    sure: Probe
    maps: int
    certain: bool = True
    notes: tuple[str, ...] = ()
    unsure: bool = False
    shared: int = 0
    own: int = 0
    ranges: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    common: bool = True

    @property
    def is_tabular(self) -> bool:
        """Whether the model takes rows of features."""
        return self.plain.is_tabular

    @property
    def parts(self) -> Sequence[PartLike]:
        """Of several inputs that are explained together; empty, as metrics judge a lone one."""
        return self.plain.parts

    def score(self, count: int, change: Perturbation, *, shared: bool = False) -> VariantScores:
        """The target's score of variants."""
        return self._ask("plain", count, change, shared=shared)

    def probability(self, count: int, change: Perturbation, *, shared: bool = False) -> VariantScores:
        """The probability of variants."""
        if not self.certain:
            self.unsure, self.notes = True, (NO_PROBABILITY,)
        return self._ask("sure", count, change, shared=shared)

    def picture(self, name: str) -> Maps:
        """Another picture as the model's input."""
        return self.plain.picture(name)

    def regions(self, metric: str, kind: int | str | Tensor | None, default: int = DEFAULT) -> Regions:
        """The parts of each row's picture; every picture is cut once."""
        image = self.plain.image
        if isinstance(kind, Tensor) and kind.ndim == image.ndim - 1 and len(kind) == self.maps * len(image):
            kind = kind[: len(image)]  # one for each row, the same for all maps of a picture
        found = regions_of(metric, kind, image, self.plain, default)
        return replace(found, labels=found.labels.repeat(self.maps, *(1,) * (found.labels.ndim - 1)))

    def _ask(self, what: str, count: int, change: Perturbation, *, shared: bool) -> VariantScores:
        probe: Probe = getattr(self, what)
        if not (shared or self.common):
            probe = replace(probe, together=None)
        batch, before = len(probe.image), probe.meter.forward
        if shared:
            asked = self._watched(what, probe.score(count, change))
            self.shared += probe.meter.forward - before
            top = None if asked.top is None else asked.top.repeat(self.maps, 1)
            return VariantScores(asked.score.repeat(self.maps, 1), top)

        def each(rows: Tensor, samples: Tensor, numbers: Tensor) -> Tensor:
            return change(rows, numbers // count * batch + samples, numbers % count)

        asked = self._watched(what, probe.score(self.maps * count, each))
        self.own += (probe.meter.forward - before) // self.maps
        return VariantScores(self._by_row(asked.score), None if asked.top is None else self._by_row(asked.top))

    def _watched(self, what: str, asked: VariantScores) -> VariantScores:
        """Answers `[batch, number]`, taken into `ranges`."""
        least, most = asked.score.aminmax(dim=1)
        self.ranges[what] = _range([(least, most), *([self.ranges[what]] if what in self.ranges else [])])
        return asked

    def _by_row(self, answers: Tensor) -> Tensor:
        """`[batch, map and variant]` as `[map and picture, variant]`."""
        return answers.reshape(len(answers), self.maps, -1).transpose(0, 1).flatten(0, 1)


def always_alike(askers: Sequence[BatchedQueries]) -> Tensor:
    """For which pictures all answers were the same but for rounding, so that they say nothing of any map, `[batch]`."""
    found = torch.zeros(len(askers[0].plain.image), dtype=torch.bool)
    for number, what in enumerate(dict.fromkeys(what for asker in askers for what in asker.ranges)):
        least, most = _range([asker.ranges[what] for asker in askers if what in asker.ranges])
        same = most - least <= _ROUNDING * torch.maximum(least.abs(), most.abs())
        found = same.cpu() if number == 0 else found & same.cpu()
    return found


def _range(ranges: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The least and the largest of several, each for each picture."""
    least, most = zip(*ranges, strict=True)
    return torch.stack(least).amin(0), torch.stack(most).amax(0)


@dataclass
class Reattributor:
    """Makes the judged maps anew; see `contracts.Reattribution`.

    Attributes:
        model: with what it takes besides the pictures.
        image: the pictures `[batch, channel, *axes]`.
        pictures: which pictures of the attributions these are, `[batch]`.
        makers: for each map what makes it: an attribution's own question, or a control.
        seed: of the controls.
        costs: of each map so far: forward and backward passes.
    """

    model: Model
    image: Maps
    pictures: Tensor
    makers: Sequence[Attribution | Callable[[Maps, Noise], Map]]
    seed: int
    budget: Budget
    meter: ProgressMeter
    costs: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._other, self._substitution = substituted(self.model)
        self._drawn: dict[str, Tensor] = {}

    def changed(self, count: int, change: Perturbation) -> Iterator[tuple[Tensor, Tensor, Map]]:
        """The maps of variants of each picture."""
        batch = len(self.image)

        def run(start: int, stop: int) -> tuple[Tensor, Tensor, list[Map]]:
            flat = torch.arange(start, stop, device=self.image.device)
            samples, numbers = flat % batch, flat // batch
            found = self.make(change(self.image[samples], samples, numbers), samples)
            self.meter.tick(stop, batch * count)
            return samples, numbers, found

        for samples, numbers, found in self.budget.chunks(batch * count, self._row_bytes, run):
            for number, maps in enumerate(found):
                yield samples + number * batch, numbers, maps

    def layers(self) -> tuple[str, ...]:
        """Parts with weights, from the logits down."""
        return tuple(self._layers)[::-1]

    def with_drawn(self, layers: Sequence[str]) -> Map:
        """The maps by the network with weights drawn at random."""
        missing = {path: self._layers[path] for path in layers if not set(self._layers[path]) <= self._drawn.keys()}
        self._drawn.update(drawn_weights(self.model, missing, Draws(self.seed)))
        names = [name for path in layers for name in self._layers[path]]
        return self._with_weights({name: self._drawn[name] for name in names})

    def with_file(self, metric: str, path: str) -> Map:
        """The maps by the network with weights of a file."""
        try:
            tensors = read_weights(Path(path))
        except BadModel as error:
            raise BadOption(f"weights of {metric}: {error}") from error
        return self._with_weights(checked_weights(self.model, tensors, Path(path).name))

    def of_another_class(self, rng: Noise) -> Map:
        """The maps for another class."""
        target, reading = self.question.target, self._reading()
        if type(target) not in (Logit, Probability, Sigmoid) or not isinstance(reading, ClassScores):
            raise Refused("The target is no class's score, so there is no other class to compare with.")
        count = reading.scores.shape[1]
        if count < 2:
            raise Refused(f"{self.model.name} has a single class, so there is no other to compare with.")
        far = 1 + int(rng.uniform(torch.zeros(1, dtype=torch.long), torch.empty(1, 1))[0, 0] * (count - 1))
        others = type(target)(tuple((c + far) % count for c in target.classes))
        return self._all_pictures(self.model, others)

    @property
    def question(self) -> Provenance:
        """That of the attributions, which all have the same target."""
        return next(m.question for m in self.makers if isinstance(m, Attribution) and m.question)

    def _reading(self) -> Interpretation:
        return first_reading(self.model, self.image)

    @cached_property
    def _layers(self) -> Mapping[str, tuple[str, ...]]:
        return weighted_layers(with_rows(self.model, self.pictures[:1] * 0), self.image)

    def _with_weights(self, tensors: Mapping[str, Tensor]) -> Map:
        self._substitution.tensors = dict(tensors)
        return self._all_pictures(self._other, None)

    def _all_pictures(self, model: Model, target: Target | None) -> Map:
        """The maps `[map and picture, *axes]` of the pictures as they are."""
        batch = len(self.image)

        def run(start: int, stop: int) -> list[Map]:
            samples = torch.arange(start, stop, device=self.image.device)
            found = self.make(self.image[samples], samples, model, target)
            self.meter.tick(stop, batch)
            return found

        blocks = list(self.budget.chunks(batch, self._row_bytes, run))
        return torch.cat([torch.cat(each) for each in zip(*blocks, strict=True)])

    @property
    def _row_bytes(self) -> int:
        """The passes themselves have a budget of their own."""
        return self.image[0].nbytes * (8 + len(self.makers))

    def make(self, rows: Maps, samples: Tensor, model: Model | None = None, target: Target | None = None) -> list[Map]:
        """Each maker's map of `rows`, where row i is a variant of `image[samples[i]]`.

        Args:
            rows: changed pictures.
            samples: which picture each is of.
            model: instead of the attributions' own.
            target: of all attributions' pictures, instead of their own.
        """
        found: dict[int, Map] = {}
        asked = [(k, m, m.question) for k, m in enumerate(self.makers) if isinstance(m, Attribution) and m.question]
        for group in _groups(asked):
            by_method = {a.method.id: a for a in self._run(rows, samples, group, model or self.model, target)}
            for number, old, _ in group:
                new = by_method[old.method.id]
                found[number] = new.values
                before = self.costs.get(number, (0, 0))
                self.costs[number] = (before[0] + new.cost.forward, before[1] + new.cost.backward)
        for number, maker in enumerate(self.makers):
            if not isinstance(maker, Attribution):
                found[number] = maker(rows, Draws(self.seed))
        return [found[number] for number in range(len(self.makers))]

    def _run(
        self, rows: Maps, samples: Tensor, group: Sequence[_Asked], model: Model, target: Target | None
    ) -> Iterator[Attribution]:
        """The attributions of a group anew, by one plan."""
        _, first, question = group[0]
        pictures = self.pictures[samples]
        frames = tuple(question.frames[k] for k in pictures.tolist())
        own = with_rows(model, samples)
        batch = Batch(
            own, wide(own, rows), frames, self.budget, ProgressMeter(None, self.meter.cancel),
            NamedPictures(own, frames),
        )  # fmt: skip
        plan = Plan(
            methods=tuple(q.step.for_pictures(pictures, rows.ndim - 2) for _, _, q in group),
            targets=(of_rows(target or question.target, pictures),),
            layers=ChosenLayers(question.sites, question.sites),
            fuse=question.fuse,
            seed=first.seed,
        )
        return run(plan, batch)


_Asked = tuple[int, Attribution, Provenance]


def _groups(asked: Sequence[_Asked]) -> list[list[_Asked]]:
    """Those that one plan answers together: the same target, layers and seed, and each method once."""
    groups: list[tuple[Any, list[_Asked]]] = []
    for each in sorted(asked, key=lambda a: not a[2].sites):  # those without a layer join whoever has one
        _, attribution, question = each
        key = (id(question.target), attribution.seed)
        for (known, sites, fuse), group in groups:
            fits = not question.sites or (sites, fuse) == (question.sites, question.fuse)
            if known == key and fits and all(a.method.id != attribution.method.id for _, a, _ in group):
                group.append(each)
                break
        else:
            groups.append(((key, question.sites, question.fuse), [each]))
    return [group for _, group in groups]
