"""Options that say something of each input by its name, as in `baseline={"image": 0.0, "age": ages}`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Maps, joined
from pellucid.errors import BadOption
from pellucid.held import as_pictures, is_tensor
from pellucid.named_inputs import ExplainedInput
from pellucid.registry import find_method


def of_one(options: Mapping[str, Mapping[str, Any]], explained: ExplainedInput) -> dict[str, dict[str, Any]]:
    """Options for one input: its own where there is one for each, and with a channel if it is a table."""
    return {method: _own(method, own, explained) for method, own in options.items()}


def _own(method: str, options: Mapping[str, Any], explained: ExplainedInput) -> dict[str, Any]:
    name, found = explained.part.name, dict[str, Any]()
    for option, value in options.items():
        if not _is_by_name(method, option, value):
            found[option] = _with_channel(value, explained)
        elif name in value:
            found[option] = _with_channel(value[name], explained)
    return found


def of_all(
    options: Mapping[str, Mapping[str, Any]], joint: Sequence[str], explained: Sequence[ExplainedInput]
) -> dict[str, dict[str, Any]]:
    """Options for all inputs as one: what is said of each becomes one tensor.

    Raises:
        BadOption: a tensor that is of no named input, a name that is missing, or a value that is no number and no
            tensor.
    """
    return {
        method: {option: _of_all(method, option, value, explained) for option, value in own.items()}
        for method, own in options.items()
        if method in joint
    }


def _of_all(method: str, option: str, value: Any, explained: Sequence[ExplainedInput]) -> Any:
    names = [each.part.name for each in explained]
    form = f"options={{{method!r}: {{{option!r}: {{{', '.join(f'{name!r}: ...' for name in names)}}}}}}}"
    if not _is_by_name(method, option, value):
        if is_tensor(value) and len(value.shape) and _is_real(value):
            raise BadOption(f"A tensor as {option} of {method} is of one input, and there are several: give {form}.")
        return value
    if set(value) != set(names):
        raise BadOption(f"Expected {option} of {method} for each explained input, got {list(value)}: give {form}.")
    pieces = [_piece(method, option, value[each.part.name], each) for each in explained]
    alike = all(bool((piece == piece[:1]).all()) for piece in pieces)
    return joined([piece[:1] for piece in pieces] if alike else pieces)


def _piece(method: str, option: str, value: Any, explained: ExplainedInput) -> Maps:
    """What is said of one input, as large as it is."""
    name, image = explained.part.name, explained.image
    if isinstance(value, int | float) and not isinstance(value, bool):
        return torch.full_like(image, value)
    if not is_tensor(value):
        raise BadOption(f"Expected a number or a tensor for {name!r} as {option} of {method}, got {value!r:.80}.")
    return as_pictures(method, f"{option} of {name}", torch.as_tensor(_with_channel(value, explained)), image)


def _with_channel(value: Any, explained: ExplainedInput) -> Any:
    """Tensors of a table's columns, `[feature]` and `[batch, feature]`, get its one channel."""
    if explained.part.is_tabular and isinstance(value, Tensor) and value.is_floating_point() and value.ndim:
        return value[..., None, :]
    return value


def _is_real(value: Any) -> bool:
    return bool(torch.as_tensor(value).is_floating_point())


def _is_by_name(method: str, option: str, value: Any) -> bool:
    """Whether a value says something of each input; some options are mappings by themselves."""
    if not isinstance(value, Mapping):
        return False
    taken = inspect.signature(find_method(method).function).parameters.get(option)
    return taken is None or "Mapping" not in str(taken.annotation)
