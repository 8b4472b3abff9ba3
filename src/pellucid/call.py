"""What one call asks: its arguments checked, its methods looked up, its pictures read, and the plan that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pellucid import arguments
from pellucid.capture.meter import ProgressMeter
from pellucid.capture.passes import first_reading
from pellucid.capture.running import (
    Budget,
    answered,
    bound,
    check_axes,
    outputs,
)
from pellucid.choices import AUTO, choice_of
from pellucid.contracts import TABLE, Choice, Frame, Maps, Model, Picture, Sample, Site
from pellucid.default_fills import with_fills
from pellucid.engine.batch import Batch, wide
from pellucid.engine.fusion import check_fuse
from pellucid.engine.layers import choose_layers
from pellucid.engine.plan import Plan
from pellucid.engine.planned import PlannedMethod, planned_methods
from pellucid.engine.several import InputRun, SeveralInputs
from pellucid.errors import BadOption
from pellucid.given import read_pictures, read_samples, together
from pellucid.models.wrap import wrap
from pellucid.named_inputs import ExplainedInputs, first_argument, named_inputs
from pellucid.named_options import of_all, of_one
from pellucid.pictures import NamedPictures
from pellucid.registry import default_methods
from pellucid.targets import (
    CONSTANT,
    NUMBER,
    ClassScores,
    TargetContext,
    TargetLike,
    Usual,
    all_targets,
    asks_for_all,
    parse_targets,
    usual_targets,
)

_TOP = "what the model is most sure of, picture by picture"


@dataclass(frozen=True, eq=False)
class Call:
    """A call of `explain` or `plan`, ready to be planned.

    Attributes:
        model: with what it takes besides the pictures.
        image: the model's input, on the model's device.
        pictures: pictures as decoded; empty when tensors or other kinds of input were given.
        samples: signals, rows of tables, ... as read; empty when pictures or tensors were given.
        frames: how each picture lies in that input.
        methods: with all options filled in.
        picked: who chose the methods.
        strict: True if they were named, so that none may be left out.
        target: what to explain, as it was given.
        layers: that were named.
        auto: True if layers are to be tried.
        fuse: how the maps of several layers become one.
        seed: integer that starts all random draws.
        several: where several inputs are explained, the calls that this one stands for: of all inputs together, for
            methods whose values share a budget, and of each alone, for all others.
        held: names of the inputs that are held as they are, where inputs were given by name.
    """

    model: Model
    image: Maps
    pictures: tuple[Picture, ...]
    samples: tuple[Sample, ...]
    frames: tuple[Frame, ...]
    methods: tuple[PlannedMethod, ...]
    picked: Choice
    strict: bool
    target: TargetLike
    layers: tuple[Site, ...]
    auto: bool
    fuse: str | None
    seed: int
    several: tuple[Call, ...] = ()
    held: tuple[str, ...] = ()

    def batch(self, chunk: int | None, meter: ProgressMeter) -> Batch:
        """The pictures as a batch. Must run inside `guarded`.

        Raises:
            BadOption: the network takes inputs with other axes.
        """
        check_axes(self.model, self.image)
        model = answered(self.model, self.image)
        named = NamedPictures(model, self.frames)
        return Batch(model, wide(model, self.image), self.frames, Budget(self.image.device, chunk), meter, named)

    def plan(self, batch: Batch) -> Plan:
        """What will be done, layers chosen. Must run inside `guarded`.

        Raises:
            BadOption: no class scores to choose layers by, or a target that does not fit.
            BadSite: no layer has a grid, and the methods were named.
        """
        usual = self._usual(batch) if self.target is None else None
        return Plan(
            methods=self.methods,
            targets=self._targets(batch, usual),
            layers=choose_layers(batch, self.methods, self.layers, auto=self.auto, strict=self.strict),
            fuse=self.fuse,
            seed=self.seed,
            strict=self.strict,
            picked={
                "class": Choice.of_user(self.target) if usual is None else Choice(None, "default", usual.why or _TOP),
                "methods": self.picked,
            },
        )

    def work(self, chunk: int | None, meter: ProgressMeter) -> SeveralInputs:
        """What is done with several explained inputs, layers chosen. Must run inside `guarded`.

        Raises:
            BadOption: as `plan`.
        """
        runs = []
        for call in self.several:
            batch = call.batch(chunk, meter)
            runs.append(InputRun(call.plan(batch), batch, call.model.parts))
        alone = next((one for one in runs if len(one.parts) == 1), runs[0])
        whole = replace(alone.plan, methods=self.methods, strict=self.strict)
        whole = replace(whole, layers=replace(whole.layers, refused={}))
        return SeveralInputs(whole, tuple(runs), self.model, self.strict)

    def _usual(self, batch: Batch) -> Usual:
        """What is explained where no target was named; the network is asked only where that depends on its output."""
        if batch.model.answers in ("", "classes", NUMBER, CONSTANT):
            return Usual()
        read = [first_reading(batch.model, self.image, k) for k in range(len(self.image))]
        if not all(isinstance(each, ClassScores) and each.finite() for each in read):
            return Usual()
        return usual_targets(torch.cat([each.scores for each in read if isinstance(each, ClassScores)]), batch.model)

    def _targets(self, batch: Batch, usual: Usual | None) -> tuple[Any, ...]:
        """What is explained, fit to the pictures."""
        model = batch.model
        scene = TargetContext(model, self.frames, lambda others: outputs(model, read_pictures(model, others)[0]))
        everything = asks_for_all(self.target, self.model)
        if usual is not None:
            wanted: Sequence[Any] = usual.targets
        elif everything:
            wanted = all_targets(first_reading(model, self.image), model)
        else:
            wanted = parse_targets(self.target, self.model)
        return tuple(each.fit(scene) for each in wanted)


def call_of(
    model: Model | nn.Module,
    pictures: Any,
    methods: str | Sequence[str] | None,
    target: TargetLike,
    layer: str | Site | Sequence[str | Site] | None,
    options: Mapping[str, Mapping[str, Any]] | None,
    seed: int,
    inputs: Any,
    fuse: str | None,
    kind: str | None = None,
    reading: Mapping[str, Any] | None = None,
    explain: str | Sequence[str] | None = None,
) -> Call:
    """Check the arguments of a call, see `pellucid.explain`, and read its pictures.

    Raises:
        UnknownName, BadOption, BadPicture, Refused: as `explain`.
    """
    model = taken = wrap(model)
    strict, given = methods is not None, arguments.method_options(options)
    names = list(default_methods(model)) if methods is None else arguments.method_names(methods)
    picked = Choice.of_user(tuple(names)) if strict else Choice(tuple(names), "default", "the default set")
    if names == [AUTO]:
        best = choice_of(model)
        names, picked = [best.method], Choice((best.method,), "trial", f"found best for this model: {best.why}")
        given = {best.method: best.options, **given}
    seed = arguments.whole_number(seed, "seed", "an integer")
    auto = arguments.is_auto(layer)
    layers = () if auto else tuple(arguments.sites(layer))
    check_fuse(fuse, len(set(layers)))
    if not asks_for_all(target, model):
        parse_targets(target, model)  # misuse is said before the first pass
    rest: dict[str, Any] = {
        "picked": picked, "strict": strict, "target": target, "layers": layers, "auto": auto, "fuse": fuse,
        "seed": seed,
    }  # fmt: skip
    if isinstance(pictures, Mapping) or explain is not None:
        if kind is not None or any(value is not None for value in (reading or {}).values()):
            raise BadOption("Inputs given by name are tensors or pictures: leave kind, and what is said of files, out.")
        pictures = _by_name(model, pictures, inputs)
        known = named_inputs(model, pictures, explain, lambda value: read_pictures(taken, value))
        return _of_named(known, names, given, rest)
    samples = read_samples(model, pictures, kind, reading or {})
    given = _with_channel(given) if _is_table(pictures) or (samples and samples[0].names == TABLE) else given
    steps = planned_methods(names, given)
    if samples and (filled := with_fills(steps, given, samples)) != given:
        steps = planned_methods(names, filled)
    decoded: tuple[Picture, ...] = ()
    if samples:
        model, image = model.along(samples[0].names), together(model, samples)
    else:
        image, decoded = read_pictures(model, pictures)
    if _is_table(pictures):
        model = replace(model, axes=TABLE)
    model = model if inputs is None else bound(model, inputs, image)
    frames = tuple(p.frame for p in decoded) or (Frame.whole(tuple(image.shape[2:])),) * len(image)
    return Call(model, image, decoded, samples, frames, steps, **rest)


def _by_name(model: Model, pictures: Any, inputs: Any) -> Mapping[str, Any]:
    """Everything by name, also where the first input was given by position.

    Raises:
        BadOption: the others have no names.
    """
    if isinstance(pictures, Mapping):
        if inputs is not None:
            raise BadOption("Got inputs by name and inputs=... beside them: give all of them by name, in one mapping.")
        return pictures
    if not isinstance(inputs, Mapping | None):
        raise BadOption('Expected inputs by name beside explain, as in inputs={"age": ages}, explain=["image", "age"].')
    others = inputs or {}
    return {first_argument(model, others): pictures, **others}


def _of_named(
    known: ExplainedInputs, names: Sequence[str], options: Mapping[str, Mapping[str, Any]], rest: Mapping[str, Any]
) -> Call:
    """The call about inputs given by name."""
    first = known.explained[0]
    steps = [planned_methods(names, of_one(options, each)) for each in known.explained]
    calls = [
        Call(each.model, each.image, each.pictures, (), each.frames, methods, **rest)
        for each, methods in zip(known.explained, steps, strict=True)
    ]
    call = replace(calls[0], held=known.held)
    if len(calls) == 1:
        return call
    joint = [step.method.id for step in call.methods if step.joint]
    several = []
    if joint:
        model, image = known.together
        whole = replace(call, model=model, image=image, layers=(), auto=False, fuse=None)
        several.append(replace(whole, methods=planned_methods(joint, of_all(options, joint, known.explained))))
    alone = tuple(step for step in call.methods if step.method.id not in joint)
    if alone or not joint:
        several += [replace(c, methods=tuple(s for s in c.methods if s.method.id not in joint)) for c in calls]
    return replace(call, several=tuple(replace(each, strict=False, pictures=first.pictures) for each in several))


def _is_table(given: Any) -> bool:
    """Rows of features, which have no channels."""
    return isinstance(given, Tensor) and given.ndim == 2


def _with_channel(options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Options for a table as the engine holds it: `[feature]` and `[batch, feature]` get the one channel."""
    return {
        method: {
            name: value[..., None, :]
            if isinstance(value, Tensor) and value.is_floating_point() and value.ndim
            else value
            for name, value in own.items()
        }
        for method, own in options.items()
    }
