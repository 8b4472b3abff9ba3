"""Where layer methods look: as the caller says, as the network alone suggests, or as a trial on the pictures does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pellucid.capture.layers import recommended, stages, why_recommended
from pellucid.contracts import Choice, Site
from pellucid.engine.batch import Batch
from pellucid.engine.cost import PlannedCost
from pellucid.engine.planned import PlannedMethod
from pellucid.engine.trial import advise
from pellucid.errors import BadOption, BadSite


@dataclass(frozen=True)
class ChosenLayers:
    """Where the methods of a plan look.

    Attributes:
        layers: for methods that look at one layer; each gives a map of its own, or they are fused.
        joined: for methods that join the maps of several layers themselves.
        choice: who chose them and why; its value are the layers.
        refused: methods that find no layer to look at, with the reason.
        cost: passes for each picture in which layers were tried.
    """

    layers: tuple[Site, ...] = ()
    joined: tuple[Site, ...] = ()
    choice: Choice = field(default=Choice(None, "default", "not needed"))
    refused: Mapping[str, str] = field(default_factory=dict)
    cost: PlannedCost = field(default=PlannedCost())


def choose_layers(
    batch: Batch, methods: Sequence[PlannedMethod], named: Sequence[Site], *, auto: bool, strict: bool
) -> ChosenLayers:
    """Settle where layer methods look. Must run inside `guarded`.

    Args:
        batch: the pictures.
        methods: that will run.
        named: chosen by the user; none leaves the choice to the engine.
        auto: whether it tries Grad-CAM on the pictures to choose, instead of looking at the network only.
        strict: raise where no layer has a grid; otherwise the methods that need one are among the refused.

    Raises:
        BadOption: one layer for a method that joins the maps of several, or no class scores to choose by.
        BadSite: no layer has a grid, and `strict`.
    """
    looking = [each for each in methods if each.at_site]
    if not looking:
        return ChosenLayers()
    if named:
        return _as_named(looking, tuple(named))
    refused: dict[str, str] = {}
    joining, single = ([m for m in looking if bool(m.method.fuse) is way] for way in (True, False))
    joined: tuple[Site, ...] = ()
    choice = Choice((), "default", "the last layers of the coarsest sizes of grid")
    with _refusing(joining, refused, strict=strict):
        joined = stages(batch.model, batch.image) if joining else ()
        choice = Choice(joined, "default", choice.why)
    if not single:
        return ChosenLayers((), joined, choice, refused)
    choice, meter = Choice((), "default", "no layer has a grid"), batch.meter
    before = meter.forward, meter.backward
    with _refusing(single, refused, strict=strict):
        choice = _chosen(batch, auto=auto)
    forward, backward = meter.forward - before[0], meter.backward - before[1]
    cost = PlannedCost(forward // len(batch.image), backward // len(batch.image))
    return ChosenLayers(choice.value, joined, choice, refused, cost)


@contextmanager
def _refusing(methods: Iterable[PlannedMethod], refused: dict[str, str], *, strict: bool) -> Iterator[None]:
    """Leave methods out that find no layer, unless `strict`."""
    try:
        yield
    except BadSite as error:
        if strict:
            raise
        refused.update({each.method.id: str(error) for each in methods})


def _as_named(looking: Sequence[PlannedMethod], named: tuple[Site, ...]) -> ChosenLayers:
    for each in looking:
        if each.method.fuse and len(set(named)) < 2:
            raise BadOption(
                f"{each.method.id} joins the maps of several layers, got one: '{named[0]}'. Name at least two, or none."
            )
    return ChosenLayers(named, named, Choice.of_user(named))


def _chosen(batch: Batch, *, auto: bool) -> Choice:
    """The layer for methods that look at one, as a tuple of one."""
    if auto:
        advice = advise(batch.model, batch.image, batch.budget, batch.meter)
        return Choice((advice.site,), "trial", advice.reason)
    if batch.model.site:
        return Choice((batch.model.site,), "default", "the model's own default")
    best = recommended(batch.model, batch.image)
    return Choice((best.site,), "default", why_recommended(best))
