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
from pellucid.engine.batch import Batch, wide
from pellucid.engine.fusion import check_fuse
from pellucid.engine.layers import choose_layers
from pellucid.engine.plan import Plan
from pellucid.engine.planned import PlannedMethod, planned_methods
from pellucid.fills import with_fills
from pellucid.given import read_pictures, read_samples, together
from pellucid.models.wrap import wrap
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
) -> Call:
    """Check the arguments of a call, see `pellucid.explain`, and read its pictures.

    Raises:
        UnknownName, BadOption, BadPicture, Refused: as `explain`.
    """
    model = wrap(model)
    strict, given = methods is not None, arguments.method_options(options)
    names = list(default_methods(model)) if methods is None else arguments.method_names(methods)
    picked = Choice.of_user(tuple(names)) if strict else Choice(tuple(names), "default", "the default set")
    if names == [AUTO]:
        best = choice_of(model)
        names, picked = [best.method], Choice((best.method,), "trial", f"found best for this model: {best.why}")
        given = {best.method: best.options, **given}
    samples = read_samples(model, pictures, kind, reading or {})
    given = _with_channel(given) if _is_table(pictures) or (samples and samples[0].names == TABLE) else given
    steps = planned_methods(names, given)
    if samples and (filled := with_fills(steps, given, samples)) != given:
        steps = planned_methods(names, filled)
    seed = arguments.whole_number(seed, "seed", "an integer")
    auto = arguments.is_auto(layer)
    layers = () if auto else tuple(arguments.sites(layer))
    check_fuse(fuse, len(set(layers)))
    decoded: tuple[Picture, ...] = ()
    if samples:
        model, image = model.along(samples[0].names), together(model, samples)
    else:
        image, decoded = read_pictures(model, pictures)
    if _is_table(pictures):
        model = replace(model, axes=TABLE)
    model = model if inputs is None else bound(model, inputs, image)
    frames = tuple(p.frame for p in decoded) or (Frame.whole(tuple(image.shape[2:])),) * len(image)
    if not asks_for_all(target, model):
        parse_targets(target, model)  # misuse is said before the first pass
    return Call(model, image, decoded, samples, frames, steps, picked, strict, target, layers, auto, fuse, seed)


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
