"""Turning what a user passes as target into targets."""

from __future__ import annotations

import re

from pellucid.errors import BadOption
from pellucid.targets.base import Target, TargetLike
from pellucid.targets.classes import Logit, Top, as_target, class_index, listed
from pellucid.targets.custom import Custom
from pellucid.types import Model


def parse_targets(target: TargetLike, model: Model) -> tuple[Target, ...]:
    """Turn what a user may pass into targets; several only for `topN`.

    Raises:
        BadOption: a type or text that is no target.
        UnknownName: a class name that the model does not have.
    """
    if isinstance(target, str) and (top := re.fullmatch(r"top(\d*)", target.strip().lower())):
        count = int(top[1] or 1)
        if not 1 <= count <= 20:
            raise BadOption(f"Expected top1 to top20 as target, got {target!r}.")
        return tuple(Top(rank) for rank in range(count))
    if target is None or isinstance(target, Target):
        return (as_target(target),)
    if isinstance(target, int | str | list | tuple | range) or hasattr(target, "tolist"):
        return (Logit(tuple(class_index(c, model) for c in listed(target))),)
    if callable(target):
        return (Custom(target),)
    raise BadOption(f"Expected a class index, a class name, a list of these, a Target or a callable, got {target!r}.")
