"""Classes as users name them: by number, by name, one or several."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from pellucid.contracts import Model
from pellucid.errors import BadOption
from pellucid.targets.base import TargetContext


def listed(classes: Any) -> tuple[Any, ...]:
    """One class or several, as a tuple."""
    if not isinstance(classes, (str, Sequence)) and hasattr(classes, "tolist"):  # tensors, arrays, NumPy's integers
        classes = classes.tolist()
    if isinstance(classes, (int, str)):
        classes = [classes]
    if not isinstance(classes, Sequence) or isinstance(classes, bytes):
        raise BadOption(f"Expected a class index, a class name or a list of these as classes, got {classes!r}.")
    return tuple(_checked(c) for c in classes)


def fit_classes(classes: tuple[Any, ...], scene: TargetContext) -> tuple[int, ...]:
    """Indices of one class, or of one per picture.

    Raises:
        BadOption: another number of them.
        UnknownName: a name that the model does not know.
    """
    if len(classes) not in (1, len(scene.frames)):
        raise BadOption(f"Expected one class or {len(scene.frames)} (one per picture) as target, got {len(classes)}.")
    return tuple(class_index(c, scene.model) for c in classes)


def _checked(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (Integral, str)):
        raise BadOption(f"Expected a class index or name, got {value!r}.")
    return value if isinstance(value, str) else int(value)


_DIGITS = 9
"""More than any class number has; Python itself refuses to read thousands of them."""


def class_index(value: int | str, model: Model) -> int:
    """Index of a class given by number or name.

    Raises:
        UnknownName: the model has no class of that name.
        BadOption: it names no classes.
    """
    if isinstance(value, int):
        return value
    digits = value.strip()
    if digits.isdecimal():
        if len(digits) > _DIGITS:
            raise BadOption(f"Class {digits[:_DIGITS]}... is out of range: no network has so many. Give a class index.")
        return int(digits)
    if model.classes is None:
        raise BadOption(f"{model.name} has no class names, so {value!r} cannot be found. Give a class index.")
    return model.classes.find(value)
