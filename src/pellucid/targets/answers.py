"""What one number of a network's output is, and which probability belongs to it.

Nothing is squeezed that already was: a softmax belongs to the scores of classes that exclude each other, a sigmoid to
one score that stands for itself, and to a quantity belongs neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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

_SQUEEZED = ("probabilities", "log-probabilities")
_EACH = "numbers that {} gives already are probabilities, each by itself (they do not sum to 1)"
_FADES = "{0}, so gradients are those of the {1}: they fade where the model is sure. Remove the {1} for better maps."
_UNKNOWN = (
    "{name} gives one number for each picture, and nothing says what it is: a softmax over one number is 1 for every "
    "picture. If it is a score before a sigmoid, ask for pellucid.Sigmoid(0) (--target sigmoid:0), or say so once with "
    'pellucid.wrap(model, answers="binary") (--answers binary).'
)
_QUANTITY = "The output of {name} was said to be a quantity (regression), which has no probability. Explain its score."


def has_probabilities(model: Model) -> bool:
    """Whether a column of the output has a probability."""
    return model.answers not in (NUMBER, "regression")


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


def _check(scores: Tensor, model: Model) -> None:
    if model.answers == "regression":
        raise Refused(_QUANTITY.format(name=model.name))
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
    if scores.shape[1] == 1 and model.answers in _SQUEEZED and bool((probabilities(scores, model) == 1).all()):
        return (f"{model.name} gives a probability of 1 whatever it sees, as a softmax over one number is. Remove it.",)
    if model.answers == "probabilities" and scores.shape[1] > 1 and are_probabilities(scores):
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
    """What is taken for granted about the columns of an output that nobody has explained; "" if nothing is."""
    if model.answers or model.classes is not None:
        return ""
    return (
        'taken for classes of which one is right (a softmax); else say answers="multi-label" or "regression" '
        "(--answers multi-label, --answers regression)"
    )
