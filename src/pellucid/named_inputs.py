"""Inputs by name: which a network takes, which of them are explained, and which are held as they are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from pellucid.capture.running import bound
from pellucid.contracts import TABLE, Frame, InputPart, Maps, Model, Picture, joined
from pellucid.errors import BadOption

Read = Callable[[Any], tuple[Maps, tuple[Picture, ...]]]
"""What makes an input of what stands for it: itself, with a channel if it is a table, and pictures if it was made of
these."""


@dataclass(frozen=True, eq=False)
class ExplainedInput:
    """An input that is explained, alone: the others are held.

    Attributes:
        part: its name and shape.
        model: that takes it by name.
        image: itself, `[batch, channel, *axes]`.
        pictures: that it was made of; empty for tensors.
    """

    part: InputPart
    model: Model
    image: Maps
    pictures: tuple[Picture, ...]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """How each picture lies in it."""
        whole = Frame.whole(tuple(self.image.shape[2:]))
        return tuple(p.frame for p in self.pictures) or (whole,) * len(self.image)


@dataclass(frozen=True, eq=False)
class ExplainedInputs:
    """The inputs of a call.

    Attributes:
        explained: in the order in which they were asked for.
        held: names of the others.
    """

    explained: tuple[ExplainedInput, ...]
    held: tuple[str, ...]

    @property
    def together(self) -> tuple[Model, Maps]:
        """The model that takes all explained inputs as one, and that one; see `contracts.joined`."""
        first = self.explained[0]
        if len(self.explained) == 1:
            return first.model, first.image
        inputs = {name: first.model.inputs[name] for name in self.held}  # type: ignore[call-overload]
        parts = tuple(each.part for each in self.explained)
        model = replace(first.model, parts=parts, inputs=inputs, axes=TABLE, preprocess=None)
        return model, joined([each.image for each in self.explained])


def named_inputs(
    model: Model, given: Mapping[str, Any], explain: str | Sequence[str] | None, read: Read
) -> ExplainedInputs:
    """Check what was given by name, and settle what is explained.

    Args:
        model: any.
        given: tensors, or what pictures are read from, by the names of the network's arguments.
        explain: names of what is explained; None are all that hold real numbers.
        read: makes an input of what stands for it.

    Raises:
        BadOption: a name that the network does not know, one that is missing, whole numbers that are to be explained,
            or inputs of different batch sizes.
        BadPicture: a picture that cannot be read.
    """
    _check_names(model, given)
    whole = {name for name, value in given.items() if isinstance(value, Tensor) and not value.is_floating_point()}
    names = _explained(given, whole, explain)
    images, pictures, tensors = dict[str, Maps](), dict[str, tuple[Picture, ...]](), dict[str, Tensor]()
    for name, value in given.items():
        if name in names or not isinstance(value, Tensor):
            images[name], pictures[name] = _read(name, value, read)
        tensors[name] = value if isinstance(value, Tensor) else images[name]
    _check_rows(tensors)
    sizes = {name: tuple(tensors[name].shape[1:]) for name in names}
    of_pictures = _fed(model, names, images)
    found = []
    for name in names:
        part = InputPart(name, sizes[name], model.preprocess if name == of_pictures else None)
        others = {other: tensor for other, tensor in tensors.items() if other != name}
        alone = replace(bound(model, others, images[name]), parts=(part,), axes=part.axes, preprocess=part.preprocess)
        found.append(ExplainedInput(part, alone, images[name], pictures[name]))
    return ExplainedInputs(tuple(found), tuple(name for name in tensors if name not in names))


def _read(name: str, value: Any, read: Read) -> tuple[Maps, tuple[Picture, ...]]:
    row = isinstance(value, Tensor) and value.ndim == 1  # one plain number for each row
    try:
        return read(value[:, None] if row else value)
    except BadOption as error:
        raise BadOption(f"Of the input {name!r}: {error}") from error


def _fed(model: Model, names: Sequence[str], images: Mapping[str, Maps]) -> str | None:
    """Which explained input the model's preprocessing makes of pictures: the first that has its channels."""
    channels = model.preprocess.channels if model.preprocess else 0
    fitting = (name for name in names if images[name].ndim == len("bcyx") and images[name].shape[1] == channels)
    return next(fitting, None)


def _explained(given: Mapping[str, Any], whole: set[str], explain: str | Sequence[str] | None) -> list[str]:
    """Names of what is explained, in order, each once."""
    if explain is None:
        names = [name for name in given if name not in whole]
        if not names:
            raise BadOption(
                f"Expected an input of real numbers to explain, got whole numbers alone ({', '.join(given)}). Give one "
                "as a float tensor, such as tensor.float()."
            )
        return names
    names = list(dict.fromkeys([explain] if isinstance(explain, str) else explain))
    if not names:
        raise BadOption(f"Expected a name in explain, such as explain=[{next(iter(given))!r}], got none.")
    for name in names:
        if name not in given:
            raise BadOption(f"There is no input {name!r} to explain; given were {_listed(given)}.")
        if name in whole:
            rest = [other for other in given if other not in whole]
            hint = f"leave it out of explain, as in explain={rest!r}" if rest else "explain an input of real numbers"
            raise BadOption(
                f"The input {name!r} holds whole numbers, which have no gradient and nothing between them; {hint}: it "
                "is then held as it is."
            )
    return names


def _check_rows(tensors: Mapping[str, Tensor]) -> None:
    counts = {name: len(tensor) if tensor.ndim else 0 for name, tensor in tensors.items()}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        said = ", ".join(f"{name} has {list(tensors[name].shape)}" for name in tensors)
        raise BadOption(
            f"Expected as many rows in every input, one for each sample, got other numbers of them: {said}. Repeat a "
            "row with tensor.expand(n, ...), or add the batch axis with tensor[None]."
        )


def _check_names(model: Model, given: Mapping[str, Any]) -> None:
    """Compare names with what the network's `forward`, or the model's own `call`, takes."""
    if not given or not all(isinstance(name, str) for name in given):
        raise BadOption(f"Expected inputs by the names of the network's arguments, got {_listed(given) or 'none'}.")
    taken = arguments_of(model)
    if taken is None:
        return
    names = [each.name for each in taken if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    anything = any(each.kind is each.VAR_KEYWORD for each in taken)
    wrong = [] if anything else [name for name in given if name not in names]
    missing = [each.name for each in taken if each.name in names and each.default is each.empty
               and each.name not in given]  # fmt: skip
    if not wrong and not missing:
        return
    said = [f"does not take {_listed(wrong)}"] if wrong else []
    said += [f"also needs {_listed(missing)}"] if missing else []
    form = ", ".join(f'"{name}": ...' for name in names)
    raise BadOption(f"{model.name} {' and '.join(said)}: it takes {_listed(names)}. Give them as {{{form}}}.")


def arguments_of(model: Model) -> list[inspect.Parameter] | None:
    """What the network takes; None where it does not say so."""
    function: Any = inspect.getattr_static(type(model.module), "forward", None) if model.call is None else model.call
    try:
        return list(inspect.signature(function).parameters.values())[1:]  # the first is the network itself
    except (TypeError, ValueError):  # written in C
        return None


def first_argument(model: Model, others: Iterable[str]) -> str:
    """The name of the first argument that the network takes besides `others`.

    Raises:
        BadOption: it does not say what it takes.
    """
    taken, known = arguments_of(model) or [], set(others)
    for each in taken:
        if each.name not in known and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            return each.name
    raise BadOption(
        f"Nothing says what {model.name} calls the input that goes along with {_listed(known)}. Give all inputs by "
        'name, as in {"image": ..., "age": ...}.'
    )


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(repr(name) for name in names)
