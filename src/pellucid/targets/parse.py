"""Turning what a user passes as target into targets, and text into what it stands for."""

from __future__ import annotations

import re
from typing import Any

from pellucid.contracts import Model
from pellucid.errors import BadOption
from pellucid.targets.base import Interpretation, Target, TargetLike
from pellucid.targets.class_names import class_index, listed
from pellucid.targets.classes import Against, ClassScores, Logit, Margin, Probability, Sigmoid, Top, as_target
from pellucid.targets.custom import Custom
from pellucid.targets.detections import Detection
from pellucid.targets.regions import Region
from pellucid.targets.similarity import Similarity
from pellucid.targets.somewhere import ClassAt
from pellucid.wording import counted

FORMS = {
    "281, tabby, n02123045": "the score of a class, by number, name or synset",
    "top, top3, all": "the top class (the default); the three top classes, or every output, one after the other",
    "rank2": "the class in the second place",
    "tabby vs tiger cat": "why this and not that: the difference of two targets, as in rank1 vs rank2",
    "probability:tabby": "a probability instead of a score; probability:top is that of the top class",
    "sigmoid:tabby": "the sigmoid of a score, for networks whose numbers are each right or wrong by itself",
    "against:tabby": "what speaks against another target: minus its score, or one minus its probability",
    "person@120,40,300,280": "a class in a box: left, top, right and bottom in pixels of the picture",
    "road@150,90": "a class at a point, for networks that score every pixel; top@150,90 is the class seen there",
    "like:other.jpg": "likeness to another picture, for networks that give an embedding",
}
"""Every form of a target in words, by example."""
ALL = "all"
_NUMBER = r"\s*-?\d+(?:\.\d+)?\s*"
_MOST = 20
_MOST_OF_ALL = 100
_SQUEEZED = {"probability": Probability, "sigmoid": Sigmoid}


def asks_for_all(target: TargetLike, model: Model) -> bool:
    """Whether every output is meant; a class of that name is that class."""
    if not isinstance(target, str) or target.strip().lower() != ALL:
        return False
    return not model.classes or ALL not in map(str.lower, model.classes.names)


def all_targets(reading: Interpretation, model: Model) -> tuple[Target, ...]:
    """The score of every class, for a network that gives scores of classes.

    Raises:
        BadOption: it gives something else, or more of them than anybody looks at.
    """
    if not isinstance(reading, ClassScores):
        raise BadOption(
            f"'{ALL}' stands for the scores of all classes, and {model.name} gives something else. Name a class, or "
            f"ask for top1 to top{_MOST}."
        )
    count = reading.scores.shape[1]
    if count > _MOST_OF_ALL:
        raise BadOption(
            f"'{ALL}' would explain {count:,} outputs of {model.name}; {_MOST_OF_ALL} are the most. Name a class, or "
            f"ask for top1 to top{_MOST}."
        )
    return tuple(Logit((index,)) for index in range(count))


def parse_targets(target: TargetLike, model: Model) -> tuple[Target, ...]:
    """Turn what a user may pass into targets; several only for `topN`.

    Raises:
        BadOption: a type or text that is no target.
        UnknownName: a class name that the model does not have.
    """
    if asks_for_all(target, model):
        raise BadOption(f"'{ALL}' stands for every output, one after the other, which only explain gives.")
    if isinstance(target, str) and (top := re.fullmatch(r"top(\d{0,9})", target.strip().lower())):
        count = int(top[1] or 1)
        if not 1 <= count <= _MOST:
            raise BadOption(f"Expected top1 to top{_MOST} as target, got {target!r}.")
        return tuple(Top(rank) for rank in range(count))
    if isinstance(target, str):
        return (_of_text(target, model),)
    if target is None or (not isinstance(target, int) and isinstance(target, Target)):  # the last takes long to say
        return (as_target(target),)
    if isinstance(target, int | list | tuple | range) or hasattr(target, "tolist"):
        return (Logit(tuple(class_index(c, model) for c in listed(target))),)
    if callable(target):
        return (Custom(target),)
    raise BadOption(f"Expected a class index, a class name, a list of these, a Target or a callable, got {target!r}.")


def _of_text(text: str, model: Model) -> Target:
    """One target; see `FORMS`. What is word for word the name of a class is that class."""
    if model.classes and text.strip().lower() in map(str.lower, model.classes.names):
        return Logit(class_index(text, model))
    kind, _, rest = text.strip().partition(":")
    if kind == "like":
        return Similarity(rest.strip())
    first, versus, second = text.partition(" vs ")
    if versus:
        return Margin(_of_text(first, model), _of_text(second, model))
    if kind == "against":
        return Against(_of_text(rest, model) if rest.strip() else None)
    if kind in _SQUEEZED:
        return _SQUEEZED[kind](None if rest.strip().lower() in ("", "top") else class_index(rest.strip(), model))
    name, at, place = text.rpartition("@")
    if at and re.fullmatch(rf"{_NUMBER}(,{_NUMBER})*", place):
        return _placed(name.strip(), [float(part) for part in place.split(",")], text, model)
    if rank := re.fullmatch(r"(?:rank(\d{1,9})|top)", text.strip().lower()):
        if not 1 <= int(rank[1] or 1) <= _MOST:
            raise BadOption(f"Expected rank1 to rank{_MOST} as target, got {text.strip()!r}.")
        return Top(int(rank[1] or 1) - 1)
    return Logit(class_index(text, model))


def _placed(name: str, numbers: list[float], text: str, model: Model) -> Target:
    classes: Any = None if name.lower() in ("", "top") else class_index(name, model)
    if len(numbers) == 4:
        return ClassAt(Region(classes, box=tuple(numbers)), Detection(classes, tuple(numbers)))
    if len(numbers) == 2:
        return ClassAt(Region(classes, point=tuple(numbers)), None)
    raise BadOption(
        f"Expected a box (left,top,right,bottom) or a point (x,y) behind the @ of {text.strip()!r}, "
        f"got {counted(len(numbers), 'number')}."
    )
