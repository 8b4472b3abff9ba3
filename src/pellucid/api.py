"""`pellucid.explain`: from a model and pictures to an explanation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from pellucid import arguments
from pellucid.capture.passes import first_reading
from pellucid.capture.probe import ProgressMeter
from pellucid.capture.running import Budget, answered, bound, guarded, network_seed, outputs
from pellucid.choices import AUTO, choice_of
from pellucid.contracts import Frame, Maps, Model, Picture, Site
from pellucid.engine.engine import Engine, plan
from pellucid.engine.fusion import check_fuse
from pellucid.errors import BadOption, Cancelled, Refused
from pellucid.evaluation import judge_trust, left_out
from pellucid.explanation import Explanation
from pellucid.models import wrap
from pellucid.models.preprocessing import preprocessing_of
from pellucid.pictures import expanded, names_apart, prepare
from pellucid.registry import default_methods
from pellucid.targets import (
    ClassScores,
    TargetContext,
    TargetLike,
    all_targets,
    asks_for_all,
    assumption,
    notes_on,
    parse_targets,
)

_TOP = 5


def explain(
    model: Model | nn.Module,
    pictures: Any,
    methods: str | Sequence[str] | None = None,
    target: TargetLike = None,
    layer: str | Site | Sequence[str | Site] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    *,
    inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None = None,
    fuse: str | None = None,
    trust: bool = False,
    chunk: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    each: Callable[[Explanation], None] | None = None,
) -> Explanation:
    """Explain what a vision model sees in pictures. The model is left exactly as it was.

    Args:
        model: a `Model` or any `nn.Module`. It is run in evaluation mode, on the device and in the type that it has.
        pictures: the path of a file or a folder, a PIL image or uint8 array `[row, column, 3]`, or a list of these; or
            a float tensor `[batch, channel, row, column]` in the model's own normalised space.
        methods: ids; None runs `registry.default_methods` and leaves out those that would be wrong for this model;
            `auto` runs the one that `pellucid compare --best` found for this model.
        target: None is each picture's top class, before softmax (for networks that score every pixel, the class that
            fills most of the picture; for detectors, the most probable object). A class index or name, a list with one
            per picture, `top3` (three explanations of each picture), `all` (one for every output), any other text of
            `pellucid.targets.FORMS`, a `Target`, or a callable from the model's output to `[batch]`. See
            docs/targets.md.
        layer: where layer methods look; None is the last layer with a grid that the score depends on. Several give
            one attribution each, or one for all of them with `fuse`. `auto` tries Grad-CAM at up to 32 layers on these
            pictures, see `pellucid.layers`, and says in `Explanation.choices` why it looks where it looks. A grid
            that cannot be measured can be declared: `blocks.11#14x14+1`, see `pellucid.Site`.
        options: per method id, its keyword options.
        seed: of all random draws; any integer.
        inputs: what the network takes besides the picture: tensors with one row per picture, in a tuple or by name.
            They are held as they are, so no map shows what they contribute.
        fuse: `max`, `mean` or `product` of the maps at all layers given; see `pellucid.engine.fusion` for how each is
            scaled.
        trust: whether each map is judged too, beside maps that know nothing of the network: `Explanation.evaluation`,
            which `pellucid.evaluation.trust_of` sums up in a sentence. It takes many passes.
        chunk: samples at once; None decides by the memory that is free. Never changes a result beyond rounding.
        progress: called now and then with (method id, samples done, samples in all).
        cancel: asked now and then; True stops with `Cancelled`, which carries what is finished and, of a method that
            samples, the estimate so far (`Attribution.partial`).
        each: called after each map with everything that is finished by then.

    Returns:
        An `Explanation`, with one `Attribution` per method, target and layer.

    Raises:
        UnknownName: a method, class or layer that does not exist.
        BadOption: an option, target or shape that does not fit.
        BadPicture: a picture that cannot be read.
        BadSite: a layer without a grid, or without influence on the target.
        Refused: a method that would be wrong for this model.
        Cancelled: stopped by the caller or by Ctrl-C.
    """
    start = time.perf_counter()
    model = wrap(model)
    names = list(default_methods(model)) if methods is None else arguments.method_names(methods)
    given, picked = arguments.method_options(options), "the default set" if methods is None else "chosen by you"
    if names == [AUTO]:
        choice = choice_of(model)
        names, picked = [choice.method], f"found best for this model: {choice.why}"
        given = {choice.method: choice.options, **given}
    steps = plan(names, given)
    seed = arguments.whole_number(seed, "seed", "an integer")
    if chunk is not None:
        chunk = arguments.whole_number(chunk, "chunk", "a positive number of samples", least=1)
    arguments.function(progress, "progress")
    arguments.function(cancel, "cancel")
    arguments.function(each, "each")
    auto = arguments.is_auto(layer)
    layers = [] if auto else arguments.sites(layer)
    check_fuse(fuse, len(set(layers)))
    image, decoded = _read_pictures(model, pictures)
    model = model if inputs is None else bound(model, inputs, image)
    frames = tuple(p.frame for p in decoded) or (Frame.whole((image.shape[2], image.shape[3])),) * len(image)
    wanted = () if asks_for_all(target, model) else parse_targets(target, model)
    budget, meter = Budget(image.device, chunk), ProgressMeter(progress, cancel)
    choices = {
        "class": "chosen by you",
        "methods": picked,
        **({"fuse": fuse} if fuse else {}),
    }

    def so_far(engine: Engine) -> Explanation:
        return _pack(engine, decoded, choices, target, time.perf_counter() - start)

    engine: Engine | None = None
    try:
        with guarded(model.module), network_seed(seed):
            model = answered(model, image)
            scene = TargetContext(model, frames, lambda others: outputs(model, _read_pictures(model, others)[0]))
            targets = [each.fit(scene) for each in wanted or all_targets(first_reading(model, image), model)]
            strict = methods is not None
            engine = Engine(
                model, image, frames, targets, steps, seed=seed, budget=budget, meter=meter, strict=strict, fuse=fuse,
                each=lambda at_work: each(so_far(at_work)) if each else None,
            )  # fmt: skip
            choices["layer"] = engine.choose_sites(layers, auto=auto)
            engine.run()
    except KeyboardInterrupt as stop:
        if engine is None:
            raise Cancelled(str(stop) or "Interrupted before the first pass.") from stop
        partial = so_far(engine)
        raise Cancelled(_stopped(str(stop), partial, engine.total), partial) from stop
    found = so_far(engine)
    return with_trust(found, chunk=chunk, progress=progress, cancel=cancel) if trust else found


def with_trust(
    found: Explanation,
    *,
    seconds: float | None = None,
    chunk: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Explanation:
    """An explanation with scores of its maps, as `explain(..., trust=True)` gives it.

    Args:
        found: the explanation.
        seconds: how long the judging may take, about; its notes say what was left out. None judges everything.
        chunk: as for `explain`.
        progress: likewise.
        cancel: likewise.

    Raises:
        Cancelled: stopped; it carries the explanation with the scores that are finished.
    """
    if not len(found):
        return found
    start = time.perf_counter()
    try:
        evaluation = judge_trust(found, found.seed, seconds=seconds, chunk=chunk, progress=progress, cancel=cancel)
    except Cancelled as stop:
        partial = replace(found, evaluation=stop.finished, seconds=found.seconds + time.perf_counter() - start)
        raise Cancelled(f"{stop} All {len(found)} maps are finished.", partial) from stop
    missing = [f"{metric} of {', '.join(methods)}" for metric, methods in left_out(evaluation).items()]
    notes = (f"Left out of judging, for the time that it would take: {'; '.join(missing)}.",) if missing else ()
    seconds = found.seconds + time.perf_counter() - start
    return replace(found, evaluation=evaluation, seconds=seconds, notes=(*found.notes, *notes))


def _stopped(why: str, explanation: Explanation, total: int) -> str:
    """What to say of work that was stopped."""
    finished = sum(attribution.partial is None for attribution in explanation)
    said = [why or f"Interrupted; {finished} of {total} attributions are finished."]
    said += [
        f"{a.method.title} is an estimate from {a.partial[0]:,} of {a.partial[1]:,} samples."
        for a in explanation
        if a.partial
    ]
    return " ".join(said)


def _read_pictures(model: Model, pictures: Any) -> tuple[Maps, tuple[Picture, ...]]:
    """The batch on the model's device, and the decoded pictures unless tensors were given."""
    weight = next(chain(model.module.parameters(), model.module.buffers()), None)
    device = torch.device("cpu") if weight is None else weight.device
    if device.type == "meta":
        raise Refused(f"{model.name} has no weights: they are on the device 'meta', which holds no values.")
    if isinstance(pictures, Tensor):
        return _check_tensor(pictures).to(device), ()
    preprocess = preprocessing_of(model)
    given = expanded(pictures if isinstance(pictures, (list, tuple)) else [pictures])
    names = names_apart(given)
    decoded = tuple(
        p if isinstance(p, Picture) else prepare(p, preprocess, name) for p, name in zip(given, names, strict=True)
    )
    if not decoded:
        raise BadOption("Expected at least one picture, got an empty list.")
    shapes = list(dict.fromkeys(tuple(picture.tensor.shape[-2:]) for picture in decoded))
    if len(shapes) > 1:
        listed = " and ".join(f"{rows} x {columns}" for rows, columns in shapes[:2])
        raise BadOption(
            f"{model.name} takes pictures of any shape, but those of one call must share one; got {listed}. Explain "
            "them one by one, or give them a common size with pellucid.wrap(model, size=...) (--size)."
        )
    return torch.stack([picture.tensor for picture in decoded]).to(device), decoded


def _check_tensor(tensor: Tensor) -> Maps:
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        kind = "nested" if tensor.is_nested else "meta" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
        hint = "Take pictures with values." if tensor.is_meta else "Convert it with tensor.to_dense()."
        raise BadOption(f"Expected a dense tensor of pictures to explain, got a {kind} one. {hint}")
    if tensor.ndim != 4 or not tensor.is_floating_point() or len(tensor) == 0:
        single = tensor.ndim == 3 and tensor.is_floating_point()
        hint = (
            " Add the batch axis with tensor[None] if it is one picture [channel, row, column]; what has no rows and "
            "columns cannot be explained."
            if single
            else ""
        )
        raise BadOption(
            "Expected a float tensor [batch, channel, row, column] in the model's own space, got "
            f"{list(tensor.shape)} of {tensor.dtype}.{hint}"
        )
    if not bool(tensor.isfinite().all()):
        raise BadOption("Expected finite numbers in the tensor to explain, got NaN or infinity.")
    return tensor.detach().clone()  # results hold their input, which the caller may go on writing to


def _pack(
    engine: Engine, decoded: tuple[Picture, ...], choices: Mapping[str, str], target: Any, seconds: float
) -> Explanation:
    notes = engine.conduct.note(engine.model.name, engine.seed)
    if engine.model.inputs:
        notes += ("The other inputs were held as they are: no map shows what they contribute to the score.",)
    if isinstance(engine.reading, ClassScores):
        notes += notes_on(engine.model, engine.reading.scores)
        if taken := assumption(engine.model):
            choices = {**choices, "answers": taken}
    return Explanation(
        model=engine.model,
        pictures=decoded,
        predictions=engine.reading.predictions(engine.model, engine.frames, _TOP),
        attributions=tuple(engine.done),
        refused=dict(engine.refused),
        notes=notes,
        choices={**choices, "class": engine.reading.leading} if target is None else choices,
        target=target if isinstance(target, int | str) else None,
        seed=engine.seed,
        seconds=seconds,
    )
