"""Finding the scores in whatever a model returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from pellucid.contracts import Model
from pellucid.errors import BadOutput, unknown
from pellucid.numerics import full_precision
from pellucid.targets.answers import both_sides

_USUAL = ("logits", "out")
"""Names under which model outputs carry their scores, at Hugging Face and in torchvision's segmentation networks."""


class Part:
    """Picks a part of an output by its path: keys, attributes and positions, as in `logits`, `1` or `heads.age`."""

    def __init__(self, path: str | int) -> None:
        self.path = str(path)

    def __call__(self, output: Any) -> Any:
        """The part.

        Raises:
            UnknownName: there is none; the message lists what is there.
        """
        for name in self.path.split("."):
            inside = parts(output)
            if name not in inside:
                raise unknown("part", name, inside, f"The output has {', '.join(inside) or 'no parts'}.")
            output = inside[name]
        return output

    def __repr__(self) -> str:
        return f"Part({self.path!r})"


def parts(value: Any) -> dict[str, Any]:
    """What a dict, tuple, list, dataclass or similar object holds, by key, attribute or position."""
    if isinstance(value, Mapping):
        return {str(key): inner for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if isinstance(value, list | tuple):
        return {str(k): inner for k, inner in enumerate(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dict(vars(value)) if isinstance(value, SimpleNamespace) else {}


def leaves(value: Any) -> Iterator[Tensor]:
    """All tensors of floating type in an output, in its own order."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
        return
    for inner in parts(value).values():
        yield from leaves(inner)


def picked(output: Any, model: Model) -> Any:
    """The part of an output that the model was told to be read from; all of it otherwise."""
    return model.output(output) if model.output else output


def scores_of(output: Any, model: Model) -> Any:
    """The part that carries the scores: what was picked, its `logits` or `out`, or the only tensor that it holds."""
    found = picked(output, model)
    if isinstance(found, Tensor):
        return found
    for name in _USUAL:
        inner = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
        if isinstance(inner, Tensor):
            return inner
    tensors = list(leaves(found))
    return tensors[0] if len(tensors) == 1 else found


def logits(output: Any, model: Model) -> Tensor:
    """The class scores `[n, class]` in a model's output; of one number with a name for each side, those of both.

    Raises:
        BadOutput: there are none, or several tensors could be meant.
    """
    scores = scores_of(output, model)
    if isinstance(scores, Tensor) and scores.ndim == 4 and scores.shape[2:] == (1, 1):
        scores = scores.flatten(1)  # a convolutional head that was not flattened
    if not isinstance(scores, Tensor) or scores.ndim != 2 or not scores.is_floating_point():
        raise BadOutput(
            f"Expected class scores [batch, class] from {model.name}, got {described(scores)}. "
            "Name the part to read with pellucid.wrap(module, output=...) (--part PATH), or pass a callable as target."
        )
    return both_sides(scores, model)


def class_scores(output: Any, model: Model) -> Tensor | str:
    """Detached class scores `[n, class]` in float32 or better, or why there are none."""
    try:
        return full_precision(logits(output, model).detach())
    except BadOutput as error:
        return str(error)


def described(value: Any) -> str:
    """An output in a few words: its shape, or the parts it has."""
    if isinstance(value, Tensor):
        return f"shape {list(value.shape)}, {value.dtype}"
    inside = {
        name: list(inner.shape) if isinstance(inner, Tensor) else type(inner).__name__
        for name, inner in list(parts(value).items())[:6]
    }
    listed = ", ".join(f"{name}: {what}" for name, what in inside.items())
    return f"{type(value).__name__}{f' with {listed}' if listed else ''}"
