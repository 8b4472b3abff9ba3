"""How a network is fed and run: every pass goes through here."""

from __future__ import annotations

import inspect
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.capture.running.batching import FEW, Conduct, conduct_of
from pellucid.capture.running.checkpoints import PlainCheckpoints
from pellucid.capture.running.company import kept
from pellucid.capture.running.interrupts import obey
from pellucid.capture.running.larger_batches import LargerBatches
from pellucid.capture.running.random_state import Drawing
from pellucid.capture.running.randomness import begin_drawing
from pellucid.capture.running.rows import by_row
from pellucid.contracts import Model, NetworkNotSaved, cut
from pellucid.errors import BadOption, BadOutput
from pellucid.targets.outputs import picked, scores_of

# What Python says when a function is called with other arguments than it takes.
_MISCALLED = re.compile(r"\S\(\) (missing \d|takes |got (an unexpected|multiple values))")


def input_type(model: Model, image: Tensor) -> torch.dtype:
    """The number type that the model takes: that of its weights, or the picture's own if it has none."""
    return next((p.dtype for p in model.module.parameters() if p.is_floating_point()), image.dtype)


def feed(model: Model, image: Tensor) -> Tensor:
    """A copy of the input, as networks may write into it, in the model's own type and the faster order of memory.

    Must run inside `guarded` and outside any `Tape`: the first call for a model runs it a few times.
    """
    order = torch.channels_last if goes_last(model, image) else torch.contiguous_format
    return image.detach().to(input_type(model, image), copy=True, memory_format=order)


def goes_last(model: Model, image: Tensor) -> bool:
    """Whether channels last is the faster order of memory for such an input; used as `feed`."""
    if image.ndim != 4 or image.device.type != "cpu" or model.canvas is not None:
        return False
    return conduct(model, image).last


def conduct(model: Model, image: Tensor) -> Conduct:
    """How the network takes batches of such inputs; tried once, used as `feed`.

    Networks that lay pictures out anew are torchvision's detectors, which treat each picture by itself and take seconds
    for it: they are not tried. Nor is what stands for the network of a saved result, which cannot be run.
    """
    if model.canvas is not None or isinstance(model.module, NetworkNotSaved):
        return Conduct()

    def run(rows: Tensor) -> Any:
        output = forward(model, rows, torch.zeros(len(rows), dtype=torch.int64, device=rows.device))
        _check_dense(scores_of(output, model), model)
        return picked(output, model)

    plain, kind = image.device.type != "cpu", input_type(model, image)
    return conduct_of(model.module, image, kind, manner(model), run, name=model.name, plain=plain)


def _check_dense(scores: Any, model: Model) -> None:
    if isinstance(scores, Tensor) and (scores.layout != torch.strided or scores.is_meta):
        kind = "on the device 'meta'" if scores.is_meta else str(scores.layout).removeprefix("torch.")
        raise BadOutput(f"Expected scores with a value in every place from {model.name}, got a tensor that is {kind}.")


def forward(model: Model, given: Tensor, samples: Tensor) -> Any:
    """What the network returns for what `feed` gave.

    Args:
        model: its `inputs` go along with the pictures that they belong to.
        given: rows `[n, channel, *axes]`, or several such batches one after the other.
        samples: which picture each row is of, `[n]`.

    Raises:
        KeyboardInterrupt: the user wishes to stop, and no pass has begun.
    """
    obey()
    which = samples.repeat(len(given) // len(samples)) if len(given) != len(samples) else samples
    named = isinstance(model.inputs, Mapping)
    rows = {name: tensor[which] for name, tensor in _entries(model.inputs)}
    args, kwargs = ((), rows) if named else (tuple(rows.values()), {})
    if model.parts:
        pieces = zip(model.parts, cut(given, model.parts), strict=True)
        kwargs.update({part.name: part.given(rows) if part.is_tabular else rows for part, rows in pieces})
    given = given[:, 0] if model.is_tabular else given
    begin_drawing(model.module)  # before the state is looked at, or every pass of a network that draws would end alike
    try:
        with Drawing(model.module, given.shape), PlainCheckpoints():
            if model.parts:
                return model.module(**kwargs) if model.call is None else model.call(model.module, **kwargs)
            if model.call is None and takes_by_name(model.module):
                return model.module(*args, **{PICTURES: given}, **kwargs)
            if model.call is None:
                return model.module(given, *args, **kwargs)
            return model.call(model.module, given, *args, **kwargs)
    except TypeError as error:
        if not _MISCALLED.search(str(error)) or _came_from_within(error):
            raise
        more = f" and {len(rows)} more" if rows else ""
        raise BadOption(
            f"{model.name} cannot be called with pictures{more}: {error}. What goes along with a picture is given to "
            "explain() as inputs=..., and pellucid.wrap(module, call=...) says how a network is run."
        ) from error


def forward_together(model: Model, given: Tensor, samples: Tensor) -> Any:
    """As `forward`, for rows that must not influence each other: the first pass of each size is watched.

    Where they did, whoever runs chunks of rows takes them one by one; see `LargerBatches`.
    """
    questions = kept() if len(given) > FEW and model.canvas is None else None
    if questions is None or isinstance(model.module, NetworkNotSaved):
        return forward(model, given, samples)
    watch = LargerBatches(model.module, given, manner(model), plain=given.device.type != "cpu")
    if not watch.new:
        return forward(model, given, samples)
    rows = given.detach()[[0, -1]]  # a copy: the network may write into what it is given
    output = forward(model, given, samples)
    ends = [
        [None if part is None else part.detach().clone() for part in row] for row in _ends(output, model, len(given))
    ]
    which = samples[[0, -1]]

    def run(numbers: Sequence[int]) -> Any:
        some = rows[list(numbers)].to(input_type(model, rows))  # after a pass in float64 it is the network's own again
        return picked(forward(model, some, which[list(numbers)]), model)

    questions.append(lambda: watch.mixes(ends, run))
    return output


def is_first_of_size(model: Model, picture: Tensor, count: int) -> bool:
    """Whether so many variants of a picture `[1, channel, row, column]` are scored box by box for the first time."""
    if count <= FEW:
        return False
    watch = LargerBatches(
        model.module, picture, (*manner(model), "boxes"), plain=picture.device.type != "cpu", count=count
    )
    first = watch.new
    watch.note()
    return first


def _ends(output: Any, model: Model, count: int) -> list[list[Tensor | None]]:
    """What the first and the last row got."""
    rows = by_row(picked(output, model), count)
    return [rows[0], rows[-1]]


def outputs(model: Model, image: Tensor) -> Any:
    """What the network returns for pictures `[n, channel, row, column]` that nothing is asked about.

    Must run inside `guarded`.

    Raises:
        BadOption: it takes more than pictures, and what goes with these is not known.
    """
    if model.inputs:
        raise BadOption(f"{model.name} takes more than a picture, and what goes with another picture is not known.")
    with torch.no_grad():
        return forward(model, feed(model, image), torch.arange(len(image), device=image.device))


PICTURES = "pixel_values"
"""What Hugging Face calls the pictures in the arguments of `forward`."""


def takes_by_name(module: nn.Module) -> bool:
    """Whether a network takes its pictures by this name and something else in the first place, as CLIP does."""
    return _by_name(inspect.getattr_static(type(module), "forward"))  # scripted modules only give theirs away


@lru_cache(maxsize=256)
def _by_name(function: Callable[..., Any]) -> bool:
    try:
        names = list(inspect.signature(function).parameters)[1:]  # the first is the network itself
    except (TypeError, ValueError):  # written in C
        return False
    return PICTURES in names[1:]


def _came_from_within(error: BaseException) -> bool:
    """Whether the network had begun to work."""
    frame, depth = error.__traceback__, 0
    while frame is not None:
        depth += "/torch/nn/modules/module.py" not in frame.tb_frame.f_code.co_filename.replace("\\", "/")
        frame = frame.tb_next
    return depth > 1


def bound(model: Model, inputs: Any, image: Tensor) -> Model:
    """The model with what it takes besides the pictures of one call.

    Args:
        model: any.
        inputs: a tensor, several, or tensors by name; each with one row per picture.
        image: the pictures `[batch, channel, row, column]`.

    Raises:
        BadOption: no tensors, or of another length than the batch.
    """
    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    if not isinstance(inputs, Mapping | list | tuple):
        raise BadOption(f"Expected tensors, or tensors by name, as inputs; got {type(inputs).__name__}.")
    kind, ready = input_type(model, image), {}
    for name, tensor in _entries(inputs):
        if not isinstance(tensor, Tensor) or tensor.ndim == 0 or len(tensor) != len(image):
            got = f"shape {list(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
            count = f"one row for each of {len(image)} pictures" if len(image) > 1 else "one row"
            raise BadOption(f"Expected a tensor with {count} as input {name!r}, got {got}.")
        ready[name] = tensor.detach().to(image.device, kind if tensor.is_floating_point() else None)
    return replace(model, inputs=ready if isinstance(inputs, Mapping) else tuple(ready.values()))


def with_rows(model: Model, pictures: Tensor) -> Model:
    """The model with what goes along with each picture, for pictures put together anew."""
    if isinstance(model.inputs, Mapping):
        return replace(model, inputs={name: tensor[pictures] for name, tensor in model.inputs.items()})
    return replace(model, inputs=tuple(tensor[pictures] for tensor in model.inputs)) if model.inputs else model


def manner(model: Model) -> tuple[Any, ...]:
    """How the model is run and read; equal for models of one module that are run and read alike."""
    shapes = tuple((name, tuple(tensor.shape[1:]), tensor.dtype) for name, tensor in _entries(model.inputs))
    return (_reference(model.call), _reference(model.output), shapes, model.axes, model.parts)


def _entries(inputs: Any) -> list[tuple[Any, Any]]:
    return list(inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs))


def _reference(function: Any) -> Any:
    """A weak reference: unlike a number it never equals that of another function that took its place in memory."""
    try:
        reference = None if function is None else weakref.ref(function)
        hash(reference)
    except TypeError:  # it allows no reference, or has no hash: equal to nothing
        return object()
    return reference
