"""One map: a method is called with what it asks for, and what it gives becomes an attribution."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pellucid.capture.meter import ProgressMeter
from pellucid.capture.passes import run_passes
from pellucid.capture.probe import Probe
from pellucid.capture.running import Draws
from pellucid.capture.together import Together
from pellucid.contracts import Attribution, Canvas, Cost, Evidence, Map, Maps, Site
from pellucid.engine.batch import Batch
from pellucid.engine.foreign import package_named
from pellucid.engine.layers import ChosenLayers
from pellucid.engine.notes import notes_of
from pellucid.engine.plan import Plan
from pellucid.engine.planned import PlannedMethod
from pellucid.engine.shared_pass import SharedPass
from pellucid.errors import Refused
from pellucid.held import plain
from pellucid.numerics import all_finite, max_abs, onto_picture
from pellucid.targets import Target, of_rows

RunPlan: TypeAlias = Callable[[Plan, Batch], Iterator[Attribution]]
"""What runs a whole plan, for methods that run others in full."""


@dataclass(frozen=True)
class Enlarge:
    """Resizes maps of a layer to the picture, to the places where they lie on it.

    A value, not a function: what methods do with it is known again for another target.
    """

    size: tuple[int, ...]
    canvas: Canvas

    def __call__(self, maps: Tensor) -> Tensor:
        """Maps `[batch, *axes]` on a layer's grid at the size of the model's input."""
        return onto_picture(maps, self.size, self.canvas)


@dataclass
class Attributor:
    """Makes the maps of a batch one after the other. Used inside `guarded`.

    Attributes:
        batch: the pictures.
        seed: of all random draws.
        shared: what the shared passes brought back.
        together: all targets of the plan, which passes over changed pictures are read for at once; None for one.
        run: runs a plan, for methods that are built on others.
        stop: the user's wish to stop, once the method that it came in has made do with what it had.
    """

    batch: Batch
    seed: int
    shared: SharedPass
    together: Together | None
    run: RunPlan
    stop: KeyboardInterrupt | None = None

    def obey(self) -> None:
        """Grant the wish to stop."""
        if self.stop is not None:
            raise self.stop

    def attribute(self, step: PlannedMethod, k: int, target: Target, site: Site | None) -> Attribution:
        """The map of a method for the resolved target number `k`, at a layer if it looks at one.

        Raises:
            Refused: it would be wrong for this model, or its numbers are not finite.
            BadSite: the layer does not fit.
        """
        self.obey()
        start = time.perf_counter()
        site, model, batch = site if step.at_site else None, self.batch.model, len(self.batch.image)
        meter = ProgressMeter(self.batch.meter.progress, self.batch.meter.cancel, label=step.method.id)
        given = step.read(self.shared.chunks, k, site)
        try:
            probe = self._probe(step, target, site, meter) if "probe" in step.method.needs else None
            evidence = self._call(step, given, self.batch.image, probe)
        finally:
            self.stop = meter.stop
        evidence = _narrowed(evidence, self.batch.image.dtype)
        values = self._values(evidence, step)
        if not all_finite(values):
            raise Refused(
                f"{step.method.id} gave values that are not finite for {model.name}. Its scores or activations "
                "overflow; try float32."
            )
        wish = step.wish(site)
        shared = bool(wish.sites or wish.rules or wish.attentions)
        return Attribution(
            method=step.method,
            values=_own(values),
            raw=_own(evidence.raw),
            site=site,
            target=target.labels(model, self.batch.frames),
            options=dict(step.options),
            seed=self.seed,
            cost=Cost(
                seconds=time.perf_counter() - start + shared * self.shared.seconds,
                forward=meter.forward + shared * batch,
                backward=meter.backward + wish.backward * batch,
            ),
            model=model,
            extras={name: _own(value) for name, value in evidence.extras.items()},
            notes=(*evidence.notes, *notes_of(step, meter, values)),
            partial=None if meter.cut is None else (meter.cut.done, meter.cut.total),
        )

    def _probe(self, step: PlannedMethod, target: Target, site: Site | None, meter: ProgressMeter) -> Probe:
        batch, base = self.batch, step.base.method if step.base else None
        other = self._other_method(step, meter)
        return Probe(
            batch.model, batch.image, target, site, batch.budget, meter, other, base, batch.named, self.together
        )

    def _call(self, step: PlannedMethod, found: Mapping[str, Any], image: Maps, probe: Probe | None) -> Evidence:
        available = {**found, "enlarge": self._enlarge, "image": image, "probe": probe, "rng": Draws(self.seed)}
        with package_named(step.method):
            result = step.method.function(
                **{name: available[name] for name in step.method.needs}, **plain(step.options)
            )
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
            base = base if function else base.for_pictures(samples, rows.ndim - 2)
            if base.asks and not function:
                return self._in_full(base, rows, samples, target, site, meter)
            wish = base.wish(site)
            found = run_passes(self.batch.model, rows, samples, [target], wish)
            meter.forward += len(rows)
            meter.backward += wish.backward * len(rows)
            return self._call(base, base.read([found], 0, site), rows, None).raw

        return attribute

    def _in_full(
        self, step: PlannedMethod, rows: Maps, samples: Tensor, target: Target, site: Site | None, meter: ProgressMeter
    ) -> Tensor:
        """What a method that asks further questions gives for changed pictures.

        Its raw maps; where it has a way of its own from these to the picture, what they are there.
        """
        sites = (site,) if site is not None and step.at_site else ()
        plan = Plan((step,), (of_rows(target, samples),), ChosenLayers(sites, sites), seed=self.seed)
        (found,) = self.run(plan, self.batch.changed(rows, samples))
        meter.forward += found.cost.forward
        meter.backward += found.cost.backward
        meter.said.update(dict.fromkeys(found.notes))
        if found.raw.ndim == self.batch.image.ndim or torch.equal(found.values, self._enlarge(found.raw)):
            return found.raw
        return found.values

    def _values(self, evidence: Evidence, step: PlannedMethod) -> Map:
        if evidence.values is not None:
            return evidence.values
        if evidence.raw.ndim == self.batch.image.ndim:
            return evidence.raw.sum(1) if step.reduce == "sum" else max_abs(evidence.raw)
        return self._enlarge(evidence.raw)

    @property
    def _enlarge(self) -> Enlarge:
        size = tuple(self.batch.image.shape[2:])
        return Enlarge(size, self.batch.model.canvas_of(size))


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
