"""What is explained when nobody names a target: it depends on what the numbers of the output are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.contracts import Model
from pellucid.errors import BadOption
from pellucid.targets.answers import MOST_LABELS, independent, probabilities, two_sided
from pellucid.targets.base import Target
from pellucid.targets.classes import Against, Logit, Top
from pellucid.wording import counted

MOST_QUANTITIES = 5
"""Of a regression that are explained by default, each up and down."""
_SIDED = ("binary", "probabilities", "log-probabilities")


@dataclass(frozen=True, eq=False)
class Usual:
    """What is explained by default.

    Attributes:
        targets: one after the other.
        why: for people, as a part of a sentence; "" where it is the top class.
    """

    targets: tuple[Target, ...] = (Top(),)
    why: str = ""


def usual_targets(scores: Tensor, model: Model) -> Usual:
    """Targets of pictures, where none was named.

    Of labels each that is above its threshold in one of the pictures, the strongest of all first, and of a picture in
    which none is its strongest; `MOST_LABELS` at most. Of a quantity what pushes it up and what pushes it down. Of a
    binary network both sides. Of anything else the top class.

    Args:
        scores: `[picture, column]`.
        model: with what its output is.

    Raises:
        BadOption: thresholds for another number of labels.
    """
    columns = scores.shape[1]
    if model.answers == "regression":
        return _quantities(columns)
    if two_sided(model):
        return Usual((Top(0), Top(1)), "both sides: what speaks for the answer, and what speaks for the other one")
    if columns == 1 and model.answers in _SIDED:
        return Usual(_up_and_down(0), "both sides: what speaks for it, and what speaks against it")
    return _labels(scores, model) if independent(model) and columns > 1 else Usual()


def _quantities(columns: int) -> Usual:
    some = min(columns, MOST_QUANTITIES)
    targets = tuple(target for k in range(some) for target in _up_and_down(k))
    left = f"; the first {some} of {columns} quantities" if some < columns else ""
    return Usual(targets, f"what pushes the number up, and what pushes it down{left}")


def _up_and_down(column: int) -> tuple[Target, Target]:
    return Logit((column,)), Against(Logit((column,)))


def _labels(scores: Tensor, model: Model) -> Usual:
    chance = probabilities(scores.detach().double(), model).cpu()
    limit = torch.tensor(model.above, dtype=chance.dtype)
    if limit.ndim and len(limit) != chance.shape[1]:
        raise BadOption(
            f"{counted(len(limit), 'threshold')} were given for {chance.shape[1]} labels of {model.name}: give one for "
            "each, or one for all, as above (--above)."
        )
    over = chance > limit
    none = ~over.any(1)
    wanted = over.any(0)
    wanted[chance.argmax(1)[none]] = True
    order = [k for k in chance.amax(0).argsort(descending=True, stable=True).tolist() if wanted[k]]
    return Usual(
        tuple(Logit((k,)) for k in order[:MOST_LABELS]), _said(model, len(order), int(none.sum()), len(chance))
    )


def _said(model: Model, count: int, without: int, pictures: int) -> str:
    own = "its threshold" if isinstance(model.above, tuple) else f"{model.above:g}"
    if without == pictures == 1:
        return f"the strongest label: no label has a probability above {own}"
    said = f"each label with a probability above {own}"
    if without:
        said += f", and the strongest of {counted(without, 'picture')} in which none is"
    return said if count <= MOST_LABELS else f"{said}; the {MOST_LABELS} strongest of {count}"
