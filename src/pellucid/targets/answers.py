"""What one number of a network's output is, and which probability belongs to it.

Nothing is squeezed that already was: a softmax belongs to the scores of classes that exclude each other, a sigmoid to
one score that stands for itself, and to a quantity belongs neither.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.contracts import Model
from pellucid.errors import BadOption, Refused

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "classes": "scores of classes of which one is right, as before a softmax",
        "multi-label": "a score for each of several labels, right or wrong by itself, as before a sigmoid",
        "binary": "one score, as before a sigmoid",
        "regression": "quantities",
        "probabilities": "probabilities",
        "log-probabilities": "logarithms of probabilities",
    }
)
"""What can be said of a model's output, in words. Nothing said, of two columns and more, counts as `classes`."""

NUMBER = "number"
"""What is found, not said: one number for each picture, of which nothing says what it is."""

CONSTANT = "constant"
"""What is found, not said: a softmax over one number, which gives 1 whatever the network sees."""

MOST_LABELS = 10
"""Labels of a multi-label network that are explained by default, and shown."""
_SQUEEZED = ("probabilities", "log-probabilities")
_EACH = "numbers that {} gives already are probabilities, each by itself (they do not sum to 1)"
_FADES = "{0}, so gradients are those of the {1}: they fade where the model is sure. Remove the {1} for better maps."
_UNKNOWN = (
    "{name} gives one number for each picture, and nothing says what it is: a softmax over one number is 1 for every "
    "picture. If it is a score before a sigmoid, ask for pellucid.Sigmoid(0) (--target sigmoid:0), or say so once with "
    'pellucid.wrap(model, answers="binary") (--answers binary).'
)
_QUANTITY = "The output of {name} was said to be a quantity (regression), which has no probability. Explain its score."
_ALWAYS = "{name} gives a probability of 1 whatever it sees, as a softmax over one number is. Remove it."


def has_probabilities(model: Model) -> bool:
    """Whether a column of the output has a probability."""
    return model.answers not in (NUMBER, CONSTANT, "regression")


def independent(model: Model) -> bool:
    """Whether the columns are labels, each right or wrong by itself; said, or measured at the network's end."""
    return model.answers == "multi-label" or (model.answers in _SQUEEZED and model.apart)


def two_sided(model: Model) -> bool:
    """Whether its one number has a name for each side: `classes=["no", "yes"]` of a binary network."""
    return model.answers in ("binary", *_SQUEEZED) and model.classes is not None and len(model.classes.names) == 2


def both_sides(scores: Tensor, model: Model) -> Tensor:
    """The number `[n, 1]` of a network with a name for each side as a column for each, `[n, 2]`: against it, for it.

    A score s stands for -s and s, a probability p for 1 - p and p; all other scores are left as they are.
    """
    if scores.shape[1] != 1 or not two_sided(model):
        return scores
    other = -scores if model.answers == "binary" else 1 - scores
    if model.answers == "log-probabilities":
        other = torch.log(-torch.expm1(scores))
    return torch.cat([other, scores], 1)


def probabilities(scores: Tensor, model: Model) -> Tensor:
    """Probability of each column, 0 to 1, of scores `[n, class, ...]`.

    Raises:
        Refused: there is none; the message says what to ask for instead.
    """
    if model.answers in ("multi-label", "binary"):
        return scores.sigmoid()
    if model.answers == "probabilities":
        return scores
    if model.answers == "log-probabilities":
        return scores.exp()
    _check(scores, model)
    return scores.softmax(1)


def log_probabilities(scores: Tensor, model: Model) -> Tensor:
    """Logarithm of the probability of each column, shaped as the scores `[n, class, ...]`.

    Raises:
        Refused: there is none; the message says what to ask for instead.
    """
    if model.answers in ("multi-label", "binary"):
        return F.logsigmoid(scores)
    if model.answers == "probabilities":
        return scores.log()
    if model.answers == "log-probabilities":
        return scores
    _check(scores, model)
    return scores.log_softmax(1)


def label_log_odds(scores: Tensor, model: Model) -> Tensor:
    """Log-odds log p / (1 - p) of each label of an independent output, shaped as the scores `[n, label]`.

    Where the network itself rounds p to 0 or 1 there is no slope left.
    """
    if model.answers == "multi-label":
        return scores
    logs, tiny = log_probabilities(scores, model), torch.finfo(scores.dtype).tiny
    return logs.clamp_min(math.log(tiny)) - (-torch.expm1(logs)).clamp_min(tiny).log()


def check_sigmoid(model: Model) -> None:
    """Check that a sigmoid may be taken of what a model gives.

    Raises:
        Refused: it was said to be a quantity, or is the same whatever the network sees.
    """
    if model.answers == CONSTANT:
        raise Refused(_ALWAYS.format(name=model.name))
    if model.answers == "regression":
        raise Refused(_QUANTITY.format(name=model.name))


def _check(scores: Tensor, model: Model) -> None:
    check_sigmoid(model)
    if scores.shape[1] == 1:
        raise Refused(_UNKNOWN.format(name=model.name))


def are_probabilities(scores: Tensor) -> bool:
    """Whether every row `[n, class]` is non-negative and sums to one, as after a softmax layer."""
    return bool((scores >= 0).all() and ((scores.sum(1) - 1).abs() < 1e-3).all())


def checked_answers(answers: str | None) -> str:
    """What was said of an output, "" for nothing.

    Raises:
        BadOption: it is none of `KINDS`.
    """
    if answers is None:
        return ""
    if answers not in KINDS:
        listed = "; ".join(f"{name} ({what})" for name, what in KINDS.items())
        raise BadOption(f"Expected what one number of the output is, got {answers!r}. It may be {listed}.")
    return answers


def notes_on(model: Model, scores: Tensor) -> tuple[str, ...]:
    """What the reader of an explanation must know about scores `[n, class]`."""
    if model.answers == CONSTANT:
        return (_ALWAYS.format(name=model.name),)
    if model.answers == "probabilities" and scores.shape[1] > 1 and not model.apart:
        return (_FADES.format(f"The output of {model.name} already is a probability", "softmax"),)
    if model.answers == "probabilities":
        each = "number that {} gives already is a probability" if scores.shape[1] == 1 else _EACH
        return (_FADES.format(f"The {each.format(model.name)}", "sigmoid"),)
    if model.answers == "log-probabilities":
        return (_FADES.format(f"The output of {model.name} already is the logarithm of a probability", "log-softmax"),)
    if model.answers == NUMBER:
        return (
            f"{model.name} gives one number for each picture, and nothing says what it is, so it is explained as it "
            'is and no probability is given. Say pellucid.wrap(model, answers="binary") (--answers binary) if it is a '
            "score before a sigmoid, regression if it is a quantity. What speaks against it: pellucid.Against(0) "
            "(--target against:0).",
        )
    return ()


def assumption(model: Model) -> str:
    """What is taken for granted about the columns of an output, or what the module's config says; "" if nothing."""
    if told := model.by_config.get("answers"):
        return told
    if model.answers or model.classes is not None:
        return ""
    return (
        'taken for classes of which one is right (a softmax); else say answers="multi-label" or "regression" '
        "(--answers multi-label, --answers regression)"
    )


def checked_unit(unit: str | None, answers: str | None) -> str | None:
    """The unit of a quantity, without spaces around it.

    Raises:
        BadOption: it is no text, or was given for something else than a quantity.
    """
    if unit is None:
        return None
    if not isinstance(unit, str) or not unit.strip() or not unit.isprintable():
        raise BadOption(f"Expected a word such as 'years' as unit, got {unit!r:.80}.")
    if answers not in (None, "regression"):
        raise BadOption(f"A unit belongs to a quantity (answers='regression', --answers regression), got {answers!r}.")
    return unit.strip()


def checked_above(above: Any) -> float | tuple[float, ...] | None:
    """Above which probability a label is explained: one number for all labels, or one for each.

    Raises:
        BadOption: no probability.
    """
    if above is None:
        return None
    given = (above,) if isinstance(above, int | float) else tuple(above) if isinstance(above, list | tuple) else ()
    if not given or not all(isinstance(p, int | float) and not isinstance(p, bool) and 0 <= p < 1 for p in given):
        raise BadOption(
            f"Expected a probability from 0 to below 1, or one for each label, as above (--above), got {above!r:.80}."
        )
    return float(given[0]) if len(given) == 1 else tuple(map(float, given))
