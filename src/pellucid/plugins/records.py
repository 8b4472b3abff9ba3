"""What is asked of a method or metric of another package, where Pellucid's own tests cannot ask it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from typing import Literal as LiteralType

from torch import Tensor

from pellucid.contracts import Evidence, MetricResult, Reference, RegistryEntry
from pellucid.errors import Unexpected
from pellucid.plugins.entry_points import Unusable

Record = TypeVar("Record", bound=RegistryEntry)
_ID = re.compile(r"[a-z][a-z0-9+-]*")


def check_record(record: Any, kind: type[RegistryEntry]) -> None:
    """Whether it is a record of this kind whose fields and parameters can be used.

    Raises:
        Unusable: it is not; the message says what was expected.
    """
    if not isinstance(record, kind):
        raise Unusable(f"expected a pellucid.{kind.__name__}, got {type(record).__name__}.")
    if not isinstance(record.id, str) or not _ID.fullmatch(record.id):
        raise Unusable(f"expected an id of small letters, digits, + and -, got {record.id!r:.80}.")
    if not isinstance(record.reference, Reference):
        raise Unusable(f"expected a pellucid.contracts.Reference as reference, got {record.reference!r:.80}.")
    if not inspect.isfunction(record.function):
        raise Unusable(f"expected a function, got {type(record.function).__name__}.")
    _check_fields(record, kind)
    _check_parameters(record)


def _check_fields(record: RegistryEntry, kind: type[RegistryEntry]) -> None:
    """Texts are texts, switches switches, and words of a fixed list from that list."""
    types = get_type_hints(kind)
    for name in (field.name for field in fields(kind)):
        value, expected = getattr(record, name), types[name]
        if get_origin(expected) is LiteralType and value not in get_args(expected):
            words = ", ".join(map(repr, get_args(expected)))
            raise Unusable(f"expected one of {words} as {name}, got {value!r:.80}.")
        if expected in (str, bool) and not isinstance(value, expected):
            raise Unusable(f"expected {expected.__name__} as {name}, got {value!r:.80}.")


def _check_parameters(record: RegistryEntry) -> None:
    """Reserved names are asked for; all others are options: by keyword only, with a default."""
    if not record.needs:
        raise Unusable(f"its function asks for nothing; expected some of {', '.join(sorted(record.reserved))}.")
    for name, parameter in inspect.signature(record.function).parameters.items():
        if name in record.reserved:
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise Unusable(f"its parameter {name!r} cannot be given by name.")
        elif parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
            raise Unusable(
                f"its parameter {name!r} is no name that is filled in, so it is an option: expected it behind a * and "
                "with a default."
            )


def with_checked_result(record: Record) -> Record:
    """The same record; what its function returns is looked at before it is drawn or averaged."""
    function, expected = record.function, _maps if record.kind == "method" else _numbers

    @functools.wraps(function)
    def checked(**given: Any) -> Any:
        result = function(**given)
        trouble = expected(result, _batch_of(given), _axes_of(given))
        if trouble:
            raise Unexpected(f"The {record.kind} {record.id!r} returned {trouble}. Its author must mend it.")
        return result

    return replace(record, function=checked)


def _batch_of(given: Mapping[str, Any]) -> int | None:
    """Rows of the tensors that a function received."""
    return next((len(given[name]) for name in _ROWS if isinstance(given.get(name), Tensor)), None)


def _axes_of(given: Mapping[str, Any]) -> int:
    """How many axes the inputs have, batch and channel included, as far as a function was told; those of pictures."""
    return next((given[name].ndim for name in _MAPS if isinstance(given.get(name), Tensor)), 4)


_MAPS = ("image", "activation", "image_gradient", "relevance", "gradient", "curvature")
_ROWS = ("values", "image", "activation", "image_gradient", "relevance", "gradient", "curvature", "score")


def _maps(result: Any, batch: int | None, axes: int) -> str:
    """What is wrong with what a method returned; "" if nothing is."""
    found = result if isinstance(result, Evidence) else Evidence(result)
    places = "row, column" if axes == 4 else "*axes"
    return _wrong(found.raw, (axes - 1, axes), batch, f"a map [batch, {places}] or [batch, channel, {places}]") or (
        "" if found.values is None else _wrong(found.values, (axes - 1,), batch, f"values [batch, {places}]")
    )


def _numbers(result: Any, batch: int | None, axes: int) -> str:  # noqa: ARG001
    """What is wrong with what a metric returned; "" if nothing is."""
    values = result.values if isinstance(result, MetricResult) else result
    return _wrong(values, (1,), batch, "one number for each map, [batch]")


def _wrong(value: Any, axes: tuple[int, ...], batch: int | None, expected: str) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}, expected a float tensor: {expected}"
    if value.ndim in axes and batch in (None, len(value)) and value.is_floating_point():
        return ""
    rows = "" if batch is None else f" with {batch} rows"
    return f"{list(value.shape)} of {value.dtype}, expected a float tensor{rows}: {expected}"
