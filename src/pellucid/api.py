"""`pellucid.explain`: from a model and pictures to an explanation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from pellucid import arguments
from pellucid.call import Call, call_of
from pellucid.capture.meter import ProgressMeter
from pellucid.capture.running import guarded, network_seed
from pellucid.contracts import Choice, Model, Site
from pellucid.default_fills import judging
from pellucid.engine.plan import Plan
from pellucid.engine.run import RunResult, run
from pellucid.engine.several import of_all, run_several
from pellucid.errors import BadOption, Cancelled
from pellucid.evaluation import judge_trust, left_out
from pellucid.explanation import Explanation
from pellucid.targets import ClassScores, TargetLike, Top, assumption, notes_on

_TOP = 5


def explain(  # noqa: PLR0913 - the one door, and each argument has a default
    model: Model | nn.Module,
    pictures: Any,
    methods: str | Sequence[str] | None = None,
    target: TargetLike = None,
    layer: str | Site | Sequence[str | Site] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    *,
    inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None = None,
    explain: str | Sequence[str] | None = None,
    fuse: str | None = None,
    kind: str | None = None,
    trust: bool = False,
    chunk: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    each: Callable[[Explanation], None] | None = None,
    **reading: Any,
) -> Explanation:
    """Explain what a vision model sees in pictures, or another network in signals, tables, ...

    The model is left exactly as it was.

    Args:
        model: a `Model` or any `nn.Module`. It is run in evaluation mode, on the device and in the type that it has.
        pictures: the path of a file or a folder, a PIL image or uint8 array `[row, column, 3]`, or a list of these; or
            a float tensor `[batch, channel, row, column]` in the model's own normalised space. Signals, rows of tables
            and other kinds of input likewise: files, folders or tensors, see docs/inputs.md. Several
            inputs are given by the names of the network's arguments, `{"image": x, "age": a}`; see docs/targets.md.
        methods: ids; None runs `registry.default_methods` and leaves out those that would be wrong for this model;
            `auto` runs the one that `pellucid compare --best` found for this model.
        target: None is each picture's top class, before softmax (for networks that score every pixel, the class that
            fills most of the picture; for detectors, the most probable object); of labels each that is above its
            threshold, of a quantity what pushes it up and what pushes it down, of a binary network both sides. A class
            index or name, a list with one per picture, `top3` (three explanations of each picture), `all` (one for
            every output), any other text of `pellucid.targets.FORMS`, a `Target`, or a callable from the model's output
            to `[batch]`. See docs/targets.md.
        layer: layer that layer methods look at; None is the last layer with a grid that the score depends on. Several
            give one attribution each, or one for all of them with `fuse`. `auto` tries Grad-CAM at up to 32 layers on
            these pictures, see `pellucid.layers`, and says in `Explanation.choices` why it looks where it looks. A grid
            that cannot be measured can be declared: `blocks.11#14x14+1`, see `pellucid.Site`.
        options: keyword options by method id.
        seed: integer of any size that starts all random draws.
        inputs: what the network takes besides the picture: tensors with one row per picture, in a tuple or by name.
            They are held as they are, so no map shows what they contribute, unless `explain` names them.
        explain: names of the inputs that are explained; of inputs given by name None is all of real numbers.
            `Attribution.inputs` has the maps of all of them, and the share that each has.
        fuse: `max`, `mean` or `product` of the maps at all layers given; see `pellucid.engine.fusion` for how each is
            scaled.
        kind: what the files or tensors are: `picture`, `signal`, `table`, ..., see docs/inputs.md. None is what the
            names of the files and the network's first operation tell; of a tensor, nothing but its axes.
        trust: True if each map is judged too, beside maps that know nothing of the network: `Explanation.evaluation`,
            which `pellucid.evaluation.trust_of` sums up in a sentence. It takes many passes.
        chunk: samples at once; None decides by the memory that is free. Never changes a result beyond rounding.
        progress: function that is called now and then with (method id, samples done, samples in all).
        cancel: asked now and then; True stops with `Cancelled`, which carries what is finished and, of a method that
            samples, the estimate so far (`Attribution.partial`).
        each: function that is called after each map with everything that is finished by then.
        reading: what files do not say themselves, by kind: `rate=500` of a signal, `row=17` of a table.

    Returns:
        An `Explanation`, with one `Attribution` per method, target and layer.

    Raises:
        UnknownName: a method, class or layer that does not exist.
        BadOption: an option, target or shape that does not fit.
        BadPicture, BadSample: a picture, or another file, that cannot be read.
        BadSite: a layer without a grid, or without influence on the target.
        Refused: a method that would be wrong for this model.
        Cancelled: stopped by the caller or by Ctrl-C.
    """
    start = time.perf_counter()
    if chunk is not None:
        chunk = arguments.whole_number(chunk, "chunk", "a positive number of samples", least=1)
    arguments.function(progress, "progress")
    arguments.function(cancel, "cancel")
    arguments.function(each, "each")
    call = call_of(model, pictures, methods, target, layer, options, seed, inputs, fuse, kind, reading, explain)
    if trust and call.several:
        raise BadOption(
            f"Metrics judge the maps of one input: add explain={call.model.parts[0].name!r}, or leave trust=True out."
        )
    made: Plan | None = None
    result = RunResult()
    try:
        with guarded(call.model.module), network_seed(call.seed):
            batch = call.batch(chunk, ProgressMeter(progress, cancel))
            several = call.work(chunk, batch.meter) if call.several else None
            made = several.whole if several else call.plan(batch)
            for _ in run_several(several, result) if several else run(made, batch, result):
                if each:
                    each(_pack(call, batch.model, made, result, time.perf_counter() - start))
    except KeyboardInterrupt as stop:
        if made is None:
            raise Cancelled(str(stop) or "Interrupted before the first pass.") from stop
        partial = _pack(call, batch.model, made, result, time.perf_counter() - start)
        raise Cancelled(_stopped(str(stop), partial, result.total(made)), partial) from stop
    found = _pack(call, batch.model, made, result, time.perf_counter() - start)
    return with_trust(found, chunk=chunk, progress=progress, cancel=cancel) if trust else found


def plan(
    model: Model | nn.Module,
    pictures: Any,
    methods: str | Sequence[str] | None = None,
    target: TargetLike = None,
    layer: str | Site | Sequence[str | Site] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    *,
    inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None = None,
    explain: str | Sequence[str] | None = None,
    fuse: str | None = None,
    kind: str | None = None,
    chunk: int | None = None,
    **reading: Any,
) -> Plan:
    """What `explain` would do with the same arguments, which mean the same, and what it would cost; no map is made.

    The network is looked at as far as choosing layers takes: `layer="auto"` tries them on the pictures. It is left
    exactly as it was.

    Returns:
        A `Plan`: printed, it says which methods run, where they look and why, and how many passes that takes.

    Raises:
        UnknownName, BadOption, BadPicture, BadSite, Refused: as `explain`, before the first map.
    """
    call = call_of(model, pictures, methods, target, layer, options, seed, inputs, fuse, kind, reading, explain)
    with guarded(call.model.module), network_seed(call.seed):
        return (
            call.work(chunk, ProgressMeter()).whole if call.several else call.plan(call.batch(chunk, ProgressMeter()))
        )


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
        evaluation = judge_trust(
            found, found.seed, options=judging(found), seconds=seconds, chunk=chunk, progress=progress, cancel=cancel
        )
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


def _pack(call: Call, model: Model, plan: Plan, found: RunResult, seconds: float) -> Explanation:
    notes = found.conduct.note(model.name, plan.seed)
    chosen = dict(plan.chosen)
    if call.held or (model.inputs and not call.several):
        which = f"The inputs {', '.join(call.held)}" if call.held else "The other inputs"
        notes += (f"{which} were held as they are: no map shows what they contribute to the score.",)
    if isinstance(found.reading, ClassScores):
        notes += notes_on(model, found.reading.scores)
        if taken := assumption(model):
            chosen["answers"] = Choice(None, "default", taken)
    if call.target is None and isinstance(plan.targets[0], Top) and len(plan.targets) == 1:
        chosen["class"] = Choice(None, "default", found.reading.leading)
    return Explanation(
        model=model,
        pictures=call.pictures,
        samples=call.samples,
        predictions=found.reading.predictions(model, call.frames, _TOP),
        attributions=tuple(of_all(a, model.parts) if model.parts and not a.inputs else a for a in found.done),
        refused={**plan.refused, **found.refused},
        notes=notes,
        chosen=chosen,
        target=call.target if isinstance(call.target, int | str) else None,
        seed=plan.seed,
        seconds=seconds,
    )
