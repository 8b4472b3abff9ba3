"""The engine: plans the fewest passes that answer every method, runs them, and packs the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.attention import summaries
from pellucid.capture.backward_rules import BackwardRule, rule_of
from pellucid.capture.layers import footprint, recommended, stages, why_recommended
from pellucid.capture.passes import PassRequest, PassResult, run_passes
from pellucid.capture.probe import Probe, ProgressMeter
from pellucid.capture.running import Budget, Conduct, Draws, conduct, input_type, with_rows
from pellucid.capture.together import Together
from pellucid.contracts import (
    Attentions,
    Attribution,
    Cost,
    Evidence,
    Frame,
    Map,
    Maps,
    Method,
    Model,
    Provenance,
    SamplesDone,
    Site,
)
from pellucid.engine.fusion import fused
from pellucid.errors import BadOption, BadSite, Refused
from pellucid.held import of_pictures, plain
from pellucid.models.preprocessing import preprocessing_of
from pellucid.numerics import max_abs, onto_picture
from pellucid.pictures import prepare, read_labels
from pellucid.registry import fill_options, find_method
from pellucid.targets import Interpretation, NotUnderstood, Target, of_rows

_SAID = 2
"""Notes on changed pictures that are repeated."""
_WHOLE_BATCH = 8
"""Batches up to this size are run at once without asking how much memory a sample takes."""


@dataclass(frozen=True)
class PlannedMethod:
    """A method with all its options filled in; `base` is the method that it runs on changed pictures, if any."""

    method: Method
    options: Mapping[str, Any]
    base: PlannedMethod | None = None

    @property
    def at_site(self) -> bool:
        """Whether the choice of layer changes the map."""
        return self.method.at_site or (self.base is not None and self.base.at_site)

    @property
    def asks(self) -> bool:
        """Whether it asks the model further questions, or draws numbers, so that one pass does not give its map."""
        return bool({"probe", "rng"} & self.method.needs)

    @property
    def reduce(self) -> str:
        """How the raw map loses its channels."""
        return self.base.reduce if self.method.reduce == "of" and self.base else self.method.reduce

    @cached_property
    def rule(self) -> BackwardRule:
        """The backward rule, with the options that it takes."""
        return rule_of(self.method.rule, self.options)

    def wish(self, site: Site | None) -> PassRequest:
        """What the method wants of the shared passes."""
        needs = self.method.needs
        return PassRequest(
            sites=(site,) if site and self.method.at_site else (),
            gradients=bool({"curvature", "gradient", "head"} & needs),
            curvature="curvature" in needs,
            heads="head" in needs,
            rules=(self.rule,) if "image_gradient" in needs else (),
            site_rules=(self.rule,) if "relevance" in needs else (),
            attentions=tuple(self.summaries.values()),
        )

    @cached_property
    def summaries(self) -> Mapping[str, str]:
        """How the attention layers are summed up for each of the method's parameters that asks for them."""
        return summaries(self.method.needs, self.options)

    def for_pictures(self, pictures: Tensor) -> PlannedMethod:
        """For a batch of which row i is picture `pictures[i]`: options that are tensors of one row each go along."""
        base = self.base and self.base.for_pictures(pictures)
        return replace(self, options=of_pictures(self.options, pictures), base=base)

    def check(self) -> PlannedMethod:
        """Refuse options that the backward rule or the summary of attention cannot use, before any pass is run."""
        try:
            self.rule.make()
            self.summaries  # noqa: B018 - computed to be checked
        except BadOption as error:
            raise BadOption(f"{self.method.id}: {error}") from None
        return self


def plan(names: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> tuple[PlannedMethod, ...]:
    """Look the methods up and fill their options in.

    Raises:
        UnknownName: a method that does not exist.
        BadOption: an option that does not fit, or a method built on itself.
    """
    for name in options:
        find_method(name)
    return tuple(_step(name, options) for name in dict.fromkeys(names))


def _step(name: str, options: Mapping[str, Mapping[str, Any]], around: tuple[str, ...] = ()) -> PlannedMethod:
    """The step of a method that stands inside of others, `around` it."""
    method = find_method(name)
    filled = fill_options(method, options.get(name, {}))
    if "of" not in method.options:
        return PlannedMethod(method, filled).check()
    base = find_method(filled["of"])
    if base.id in (*around, name):
        raise BadOption(f"{name} cannot be built on {base.id}, which is built on it. Name another method as its `of`.")
    return PlannedMethod(method, filled, _step(base.id, options, (*around, name))).check()


class Engine:
    """One call's work: everything that was asked about one batch. Must run inside `guarded`.

    Args:
        model: the network.
        image: the model's input `[batch, channel, row, column]`, on the model's device.
        frames: how each picture lies in that input.
        targets: what to explain, fit to the pictures; each gives one set of attributions.
        steps: the methods.
        seed: of all random draws.
        budget: how many samples at once.
        meter: counts, reports, stops.
        strict: raise when a method refuses; otherwise leave it out and keep the reason in `refused`.
        fuse: `max`, `mean` or `product` joins the maps of several layers into one; None keeps them apart.
        each: called with this engine when there is one more in `done`.
    """

    def __init__(
        self,
        model: Model,
        image: Maps,
        frames: Sequence[Frame],
        targets: Sequence[Target],
        steps: Sequence[PlannedMethod],
        *,
        seed: int,
        budget: Budget,
        meter: ProgressMeter,
        strict: bool,
        fuse: str | None = None,
        each: Callable[[Engine], None] | None = None,
    ) -> None:
        kind = torch.promote_types(input_type(model, image), torch.float32)
        self.model, self.image, self.frames, self.targets, self.steps = model, image.to(kind), frames, targets, steps
        self.seed, self.budget, self.meter, self.strict, self.fuse = seed, budget, meter, strict, fuse
        self.sites: tuple[Site, ...] = ()
        self.stages: tuple[Site, ...] = ()
        self.reading: Interpretation = NotUnderstood()
        self.done: list[Attribution] = []
        self.refused: dict[str, str] = {}
        self.stop: KeyboardInterrupt | None = None
        self.each = each or (lambda _: None)
        self.conduct = Conduct()
        self.together: Together | None = None

    def choose_sites(self, layers: Sequence[Site], *, auto: bool = False) -> str:
        """Settle where layer methods look; returns the reason for people.

        Args:
            layers: chosen by the user; none leaves the choice to the engine.
            auto: whether it tries Grad-CAM on the pictures to choose, instead of looking at the network only.

        Raises:
            BadOption: one layer for a method that joins the maps of several, or no class scores to choose by.
            BadSite: no layer has a grid, and the methods were chosen by the user.
        """
        if not any(step.at_site for step in self.steps):
            return "not needed"
        if layers:
            self.sites = self.stages = tuple(layers)
            self._check_stages()
            return "chosen by you"
        self._choose_stages()
        if all(step.method.fuse for step in self.steps if step.at_site):
            return "the last layers of the coarsest sizes of grid"
        if self.model.site and not auto:
            self.sites = (self.model.site,)
            return "the model's own default"
        try:
            if auto:
                return self._take_advice()
            best = recommended(self.model, self.image)
            self.sites = (best.site,)
            return why_recommended(best)
        except BadSite as error:
            self._refuse([step for step in self.steps if step.at_site], error)
        return "no layer has a grid"

    def _take_advice(self) -> str:
        from pellucid.engine.trial import advise

        advice = advise(self.model, self.image, self.budget, self.meter)
        self.sites = (advice.site,)
        return advice.reason

    def _check_stages(self) -> None:
        for step in self.steps:
            if step.method.fuse and len(set(self.stages)) < 2:
                raise BadOption(
                    f"{step.method.id} joins the maps of several layers, got one: '{self.stages[0]}'. Name at least "
                    "two, or none."
                )

    def _choose_stages(self) -> None:
        """Where methods look that join the maps of several layers."""
        joining = [step for step in self.steps if step.method.fuse]
        try:
            self.stages = stages(self.model, self.image) if joining else ()
        except BadSite as error:
            self._refuse(joining, error)

    def _sites(self, step: PlannedMethod) -> tuple[Site | None, ...]:
        if not step.at_site:
            return (None,)
        return self.stages if step.method.fuse else self.sites

    @property
    def total(self) -> int:
        """How many attributions a complete run gives."""
        return len(self.targets) * len(self._jobs())

    def run(self) -> None:
        """Fill `reading`, `done` and `refused`."""
        start = time.perf_counter()
        found = self._shared_pass()
        shared = time.perf_counter() - start
        targets = [target.resolve(self.reading, self.model) for target in self.targets]
        self.together = Together(targets) if len(targets) > 1 and not self.conduct.alone else None
        for k, resolved in enumerate(targets):
            for step, sites, fuse in self._jobs():
                if step.method.id in self.refused:
                    continue
                try:
                    parts = [self._attribute(step, found, k, resolved, site, shared) for site in sites]
                    whole = fused(parts, fuse) if fuse and step.at_site else parts[0]
                    self.done.append(replace(whole, question=self._question(step, resolved, sites, fuse)))
                except (Refused, BadSite) as error:
                    self._refuse([step], error)
                    continue
                self.each(self)
        self._obey()

    def _question(
        self, step: PlannedMethod, target: Target, sites: Sequence[Site | None], fuse: str | None
    ) -> Provenance:
        places = tuple(site for site in sites if site) if step.at_site else ()
        return Provenance(self.image, tuple(self.frames), target, places, fuse if places else None, step)

    def _obey(self) -> None:
        """Grant the user's wish to stop, once the method that it came in has made do with what it had."""
        if self.stop is not None:
            raise self.stop

    def _jobs(self) -> list[tuple[PlannedMethod, tuple[Site | None, ...], str | None]]:
        """Each attribution to come: a method, where it looks, and how its maps at several places are fused."""
        rounds: list[list[tuple[PlannedMethod, tuple[Site | None, ...], str | None]]] = [
            [] for _ in self.sites or (None,)
        ]
        for step in self.steps:
            fuse, sites = step.method.fuse or self.fuse, self._sites(step)
            if fuse:
                rounds[0].append((step, sites, fuse))
            else:
                for number, site in enumerate(sites):
                    rounds[number].append((step, (site,), None))
        return [job for jobs in rounds for job in jobs]

    def _refuse(self, steps: Sequence[PlannedMethod], error: Refused | BadSite) -> None:
        self._obey()
        if self.strict:
            raise error
        self.refused |= {step.method.id: str(error) for step in steps}
        self.steps = [step for step in self.steps if step.method.id not in self.refused]

    def _shared_pass(self) -> PassResult:
        wishes = [step.wish(site) for step in self.steps for site in self._sites(step)]
        wish = PassRequest(
            sites=tuple(dict.fromkeys(site for w in wishes for site in w.sites)),
            gradients=any(w.gradients for w in wishes),
            curvature=any(w.curvature for w in wishes),
            heads=any(w.heads for w in wishes),
            rules=tuple(dict.fromkeys(rule for w in wishes for rule in w.rules)),
            site_rules=tuple(dict.fromkeys(rule for w in wishes for rule in w.site_rules)),
            reading=True,
            attentions=tuple(dict.fromkeys(name for w in wishes for name in w.attentions)),
        )
        batch = len(self.image)
        self.meter.label = "shared pass"
        self.conduct = conduct(self.model, self.image)
        if self.conduct.alone:
            self.budget.chunk = 1

        def run(start: int, stop: int) -> PassResult:
            samples = torch.arange(start, stop, device=self.image.device)
            found = run_passes(self.model, self.image[start:stop], samples, self.targets, wish)
            self.meter.tick(stop, batch)
            return found

        if batch <= _WHOLE_BATCH and self.budget.chunk is None:
            chunks = list(self.budget.chunks(batch, 0, run))
        else:
            size = footprint(self.model, self.image)
            row = size.there_and_back if wish.rules or wish.attentions else 4 * size.largest
            chunks = list(self.budget.chunks(batch, row + 4 * self.image[0].nbytes, run))
        found = chunks[0] if len(chunks) == 1 else _join(chunks)
        self.reading = found.reading
        if not self.reading.finite():
            raise Refused(
                f"The scores of {self.model.name} are not finite, so there is nothing to explain. Are its weights or "
                "the preprocessing broken, or does it overflow in its type?"
            )
        return found

    def _attribute(
        self, step: PlannedMethod, found: PassResult, k: int, target: Target, site: Site | None, shared: float
    ) -> Attribution:
        self._obey()
        start = time.perf_counter()
        site = site if step.at_site else None
        meter = ProgressMeter(self.meter.progress, self.meter.cancel, label=step.method.id)
        base = step.base.method if step.base else None
        other = self._other_method(step, meter)
        readers = (self._read_picture, self._read_labels)
        probe = Probe(self.model, self.image, target, site, self.budget, meter, other, base, *readers, self.together)
        try:
            evidence = self._call(step, _arguments(found, k, site, step), self.image, probe)
        finally:
            self.stop = meter.stop
        evidence = _narrowed(evidence, self.image.dtype)
        values = self._values(evidence, step)
        if not bool(values.isfinite().all()):
            raise Refused(
                f"{step.method.id} gave values that are not finite for {self.model.name}. Its scores or activations "
                "overflow; try float32."
            )
        wish, batch = step.wish(site), len(self.image)
        in_shared_pass = bool(wish.sites or wish.rules or wish.attentions)
        return Attribution(
            method=step.method,
            values=_own(values),
            raw=_own(evidence.raw),
            site=site,
            target=target.labels(self.model, self.frames),
            options=dict(step.options),
            seed=self.seed,
            cost=Cost(
                seconds=time.perf_counter() - start + in_shared_pass * shared,
                forward=meter.forward + in_shared_pass * batch,
                backward=meter.backward + wish.backward * batch,
            ),
            model=self.model,
            extras={name: _own(value) for name, value in evidence.extras.items()},
            notes=(
                *evidence.notes,
                *_base_options(step),
                *_base_notes(step, meter),
                *_cut_short(meter.cut),
                *_flat_maps(values),
            ),
            partial=None if meter.cut is None else (meter.cut.done, meter.cut.total),
        )

    def _call(self, step: PlannedMethod, found: Mapping[str, Any], image: Maps, probe: Probe | None) -> Evidence:
        available = {**found, "enlarge": self._enlarge, "image": image, "probe": probe, "rng": Draws(self.seed)}
        result = step.method.function(**{name: available[name] for name in step.method.needs}, **plain(step.options))
        return result if isinstance(result, Evidence) else Evidence(result)

    def _other_method(self, step: PlannedMethod, meter: ProgressMeter) -> Any:
        """What `Probe.each` calls: a function, or the base method, by one pass over changed pictures."""

        def attribute(
            function: Callable[..., Any] | None,
            rows: Maps,
            samples: Tensor,
            target: Target,
            site: Site | None,
            options: Mapping[str, Any],
        ) -> Tensor:
            base = PlannedMethod(replace(step.method, function=function), options) if function else step.base
            if base is None:
                raise RuntimeError(f"{step.method.id} runs another method, but has no option `of` to name it")
            base = base if function else base.for_pictures(samples)
            if base.asks and not function:
                return self._in_full(base, rows, samples, target, site, meter)
            wish = base.wish(site)
            found = run_passes(self.model, rows, samples, [target], wish)
            meter.forward += len(rows)
            meter.backward += wish.backward * len(rows)
            return self._call(base, _arguments(found, 0, site, base), rows, None).raw

        return attribute

    def _in_full(
        self, step: PlannedMethod, rows: Maps, samples: Tensor, target: Target, site: Site | None, meter: ProgressMeter
    ) -> Tensor:
        """What a method that asks further questions gives for changed pictures.

        Its raw maps; where it has a way of its own from these to the picture, what they are there.
        """
        frames = tuple(self.frames[k] for k in samples.tolist())
        own = ProgressMeter(None, meter.cancel)
        engine = Engine(
            with_rows(self.model, samples), rows, frames, [of_rows(target, samples)], [step],
            seed=self.seed, budget=self.budget, meter=own, strict=True,
        )  # fmt: skip
        engine.sites = engine.stages = (site,) if site is not None and step.at_site else ()
        engine.run()
        found = engine.done[0]
        meter.forward += found.cost.forward
        meter.backward += found.cost.backward
        meter.said.update(dict.fromkeys(found.notes))
        if found.raw.ndim == 4 or torch.equal(found.values, self._enlarge(found.raw)):
            return found.raw
        return found.values

    def _read_picture(self, name: str) -> Maps:
        return prepare(name, preprocessing_of(self.model)).tensor[None]

    def _read_labels(self, name: str) -> Tensor:
        return torch.from_numpy(read_labels(name, self.frames))

    def _values(self, evidence: Evidence, step: PlannedMethod) -> Map:
        if evidence.values is not None:
            return evidence.values
        if evidence.raw.ndim == 4:
            return evidence.raw.sum(1) if step.reduce == "sum" else max_abs(evidence.raw)
        return self._enlarge(evidence.raw)

    def _enlarge(self, maps: Tensor) -> Tensor:
        size = (self.image.shape[2], self.image.shape[3])
        return onto_picture(maps, size, self.model.canvas_of(size))


def _narrowed(evidence: Evidence, kind: torch.dtype) -> Evidence:
    """The same in the number type of all maps of the network, where a pass was repeated with more digits."""

    def narrow(tensor: Tensor) -> Tensor:
        return tensor.to(kind) if tensor.dtype == torch.float64 else tensor

    return replace(
        evidence,
        raw=narrow(evidence.raw),
        values=None if evidence.values is None else narrow(evidence.values),
        extras={name: narrow(value) for name, value in evidence.extras.items()},
    )


def _own(tensor: Tensor) -> Tensor:
    """A copy that shares nothing, in the usual order of memory."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _arguments(found: PassResult, k: int, site: Site | None, step: PlannedMethod) -> dict[str, Any]:
    """Reserved parameters by name, as far as the pass brought them back."""
    rule, end = step.rule, site if "relevance" in step.method.needs else None
    return {
        **{name: found.attentions[k, summary] for name, summary in step.summaries.items()},
        "activation": found.activation.get(site) if site else None,
        "gradient": found.gradient.get((k, site)) if site else None,
        "curvature": found.curvature.get((k, site)) if site else None,
        "image_gradient": found.image_gradient.get((k, rule)),
        "head": found.head.get((k, site)) if site else None,
        "relevance": found.relevance.get((k, rule, site)) if site else None,
        "score": found.score.get((k, rule)),
        "collected": found.collected.get((k, rule)),
        "uncovered": found.uncovered.get((rule, end), ()),
        "assumed": found.assumed.get((rule, end), ()),
    }


def _join(chunks: Sequence[PassResult]) -> PassResult:
    """Findings of consecutive chunks as those of the whole batch."""
    first = chunks[0]

    def joined(name: str) -> Any:
        found = [getattr(chunk, name) for chunk in chunks]
        return {key: torch.cat([f[key] for f in found]) for key in found[0]}

    def words(name: str) -> Any:
        found = [getattr(chunk, name) for chunk in chunks]
        return {key: tuple(sorted({word for f in found for word in f[key]})) for key in found[0]}

    return PassResult(
        reading=first.reading.join([c.reading for c in chunks[1:]]),
        **{
            name: joined(name)
            for name in ("activation", "gradient", "curvature", "image_gradient", "relevance", "score")
        },
        collected={
            key: {name: torch.cat([c.collected[key][name] for c in chunks]) for name in names}
            for key, names in first.collected.items()
        },
        head=first.head,
        uncovered=words("uncovered"),
        assumed=words("assumed"),
        attentions={key: _join_attentions([c.attentions[key] for c in chunks]) for key in first.attentions},
    )


def _join_attentions(chunks: Sequence[Attentions]) -> Attentions:
    first = next((c for c in chunks if c.trouble), chunks[0])
    if first.trouble:
        return first
    read = [c.read for c in chunks if c.read is not None]
    layers = tuple(torch.cat(parts) for parts in zip(*(c.layers for c in chunks), strict=True))
    return replace(first, layers=layers, read=torch.cat(read) if read else None)


def _base_options(step: PlannedMethod) -> tuple[str, ...]:
    """A note when the method built upon did not run with its default options."""
    changed = {k: v for k, v in step.base.options.items() if v != step.base.method.options[k]} if step.base else {}
    if not changed or step.base is None:
        return ()
    return (f"{step.base.method.id} ran with {', '.join(f'{k} = {v!r}' for k, v in changed.items())}.",)


def _base_notes(step: PlannedMethod, meter: ProgressMeter) -> tuple[str, ...]:
    """What the method built upon said of the changed pictures, a few of many."""
    said = list(meter.said)
    more = (f"{step.options['of']} said more of other changed pictures.",) if len(said) > _SAID else ()
    return (*(f"{step.options['of']}, of a changed picture: {note}" for note in said[:_SAID]), *more)


def _cut_short(cut: SamplesDone | None) -> tuple[str, ...]:
    """A note when the work was stopped and the map is an estimate from less than was asked for."""
    return () if cut is None else (f"Stopped early: the estimate so far, from {cut.done:,} of {cut.total:,} samples.",)


def _flat_maps(values: Map) -> tuple[str, ...]:
    """A note when a map is the same everywhere, so that no one mistakes it for a failure, or for evidence."""
    flat = values.flatten(1)
    least, most = flat.aminmax(dim=1)
    # what is interpolated or averaged from one value differs from it by rounding only
    same = most - least <= 8 * torch.finfo(values.dtype).eps * flat.abs().amax(1)
    empty = (flat == 0).all(1)
    notes = []
    if bool(empty.any()):
        notes.append(
            f"The map{_of_pictures(empty)} is zero everywhere: there is no evidence of this kind for the target."
        )
    if bool((same & ~empty).any()):
        value = f" ({float(flat[0, 0]):.3g})" if len(values) == 1 else ""
        notes.append(
            f"The map{_of_pictures(same & ~empty)} has one value everywhere{value}: it says nothing of where the "
            "evidence lies."
        )
    return tuple(notes)


def _of_pictures(which: Tensor) -> str:
    """Which pictures of several are meant, `[batch]`."""
    numbers = ", ".join(str(k) for k in which.nonzero()[:, 0].tolist())
    return "" if len(which) == 1 else f" of picture {numbers}"
