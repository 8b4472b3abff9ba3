"""Which kind of output a network has, as far as that can be measured: nothing may be squeezed twice.

One pass over a picture is watched from below, and the operation that made the scores is seen: a softmax or sigmoid, or
the logarithm of one. Where it is none of these, but all scores lie between 0 and 1 (a sigmoid by hand, an average of
probabilities), noise of several strengths decides: a linear head leaves that range, and its scores do not go on to
sum to 1. Done once for each network and manner of running it.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pellucid.capture.running.batch_size import is_out_of_memory
from pellucid.capture.running.feeding import feed, forward, manner
from pellucid.capture.running.modules import walk
from pellucid.capture.running.random_state import drawn_apart
from pellucid.contracts import Model
from pellucid.errors import BadModel, BadOption
from pellucid.targets import CONSTANT, NUMBER, Candidates, scores_of

_SQUEEZES: Mapping[str, str] = {
    **dict.fromkeys(("_softmax", "_safe_softmax"), "softmax"),
    **dict.fromkeys(("sigmoid", "sigmoid_", "hardsigmoid", "hardsigmoid_"), "sigmoid"),
    "_log_softmax": "log-softmax",
    "log_sigmoid_forward": "log-sigmoid",
}
"""Operations behind which nothing must be squeezed again, and which function they are."""
_GIVES: Mapping[str, str] = {
    "softmax": "probabilities",
    "sigmoid": "probabilities",
    "log-softmax": "log-probabilities",
    "log-sigmoid": "log-probabilities",
}
_PASSES_ON = frozenset({"clone", "_to_copy", "cat", "stack", "index", "index_select", "clamp", "clamp_", "clamp_min"})
"""Operations that give what they are given, or a part of it."""
_STRENGTHS = (1.0, -1.0, 10.0, -10.0, 100.0, -100.0, 3.0, 30.0)
"""Of the noise that tells probabilities from scores that happen to lie between 0 and 1."""


@dataclass(frozen=True)
class _Found:
    """What a network's output was measured to be: a kind or "", how many classes it scores (0: it scores none)."""

    kind: str
    classes: int
    alone: bool = False  # one number for each picture
    apart: bool = False  # probabilities each by itself, as after a sigmoid


_known: weakref.WeakKeyDictionary[nn.Module, tuple[Any, _Found]] = weakref.WeakKeyDictionary()
_answered: weakref.WeakKeyDictionary[Model, tuple[dict[str, Any], Model]] = weakref.WeakKeyDictionary()


def answered(model: Model, image: Tensor) -> Model:
    """The model with what its output is, where that can be found; the same object for the same model.

    What was measured to be a probability is one whatever was said of it. Must run inside `guarded`.

    Args:
        model: any.
        image: pictures that it is to be given, `[batch, channel, row, column]`.

    Raises:
        BadOption: what was said of the output cannot be true.
        BadModel: it has names for another number of classes than the network has.
    """
    found = _measured(model, image)
    if found is None:
        return model
    kind = _checked_kind(model, found)
    apart = kind in _GIVES.values() and (model.answers == "multi-label" or (found.apart and model.answers != "classes"))
    changes = {"answers": kind, "apart": apart, **_names(model, kind, found)}
    if all(getattr(model, name) == value for name, value in changes.items()):
        return model
    known = _answered.get(model)
    if known is None or known[0] != changes:
        known = _answered[model] = (changes, replace(model, **changes))
    return known[1]


def _checked_kind(model: Model, found: _Found) -> str:
    said = model.answers
    if found.kind and said != "regression":
        return found.kind
    if said == "classes" and found.alone:
        raise BadOption(
            f"{model.name} gives one number for each picture, which are no classes to choose among. Say "
            'answers="binary" (--answers binary) if it is a score before a sigmoid, "regression" if it is a quantity.'
        )
    if said == "binary" and found.classes > 1:
        raise BadOption(
            f'{model.name} gives {found.classes} numbers for each picture; binary means one. Say answers="classes" '
            '(--answers classes) if one of them is right, "multi-label" if each is right or wrong by itself.'
        )
    return said or (NUMBER if found.alone else "")


def _names(model: Model, kind: str, found: _Found) -> dict[str, Any]:
    """What must change about the names: those of the module's config go where they are of something else."""
    if model.classes is None or found.classes in (0, len(model.classes.names)):
        return {}
    count = len(model.classes.names)
    sided = count == 2 and found.alone
    if sided and kind in ("binary", *_GIVES.values()):
        return {}
    if "classes" in model.by_config:
        return {"classes": None, "by_config": {k: v for k, v in model.by_config.items() if k != "classes"}}
    both = ' If they are the two sides of one answer, say answers="binary" (--answers binary).' if sided else ""
    raise BadModel(
        f"{count} class name{'s were' if count > 1 else ' was'} given for {model.name}, which scores {found.classes} "
        f"class{'es' if found.classes > 1 else ''}: names and scores would be matched wrongly. Give one name for each, "
        f"in the order of the output (a background class counts).{both}"
    )


def _measured(model: Model, image: Tensor) -> _Found | None:
    """What is known of a network's output; None where it cannot be run, which is for the pass that counts to say."""
    key = (*manner(model), *map(id, walk(model.module)))
    known = _known.get(model.module)
    if known is None or known[0] != key:
        with drawn_apart():
            found = _try(model, image[:1])
        if found is None:
            return None
        known = _known[model.module] = (key, found)
    return known[1]


def _try(model: Model, image: Tensor) -> _Found | None:
    made = _Made()
    try:
        scores = _scores(model, image, made)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return None
    if isinstance(scores, Candidates):
        return _Found("", scores.scores[0].shape[1] if scores.scores else 0)
    if not isinstance(scores, Tensor) or not scores.is_floating_point() or scores.ndim not in (2, 4):
        return _Found("", 0)
    alone = scores.shape[1] == 1 and (scores.ndim == 2 or scores.shape[2:] == (1, 1))
    squeeze = made.of(scores)
    if alone and "softmax" in squeeze:
        return _Found(CONSTANT, 1, alone)
    kind, apart = _kind(model, image, scores, squeeze)
    return _Found(kind, scores.shape[1], alone, apart)


def _kind(model: Model, image: Tensor, scores: Tensor, squeeze: str) -> tuple[str, bool]:
    """What the scores are, and whether each is a probability by itself."""
    gives, apart = _GIVES.get(squeeze, ""), "sigmoid" in squeeze
    if gives == "log-probabilities":
        return (gives, apart) if bool((scores <= 0).all()) else ("", False)
    if not _between(scores):
        return "", False
    if gives:
        return gives, apart
    seen = [scores]
    generator = torch.Generator("cpu").manual_seed(0)
    noise = torch.randn(image.shape, generator=generator, dtype=torch.float32).to(image)
    for strength in _STRENGTHS:
        try:
            seen.append(_scores(model, strength * noise, None))
        except Exception as error:
            if is_out_of_memory(error):
                raise
            return "", False
        if not (_between(seen[-1]) or _sums_to_one(seen[-1])):
            return "", False
    if not any(not torch.equal(other, scores) for other in seen[1:]):
        return "", False
    return "probabilities", not all(map(_sums_to_one, seen))


def _scores(model: Model, image: Tensor, made: _Made | None) -> Any:
    given, first = feed(model, image), torch.zeros(1, dtype=torch.int64, device=image.device)
    with torch.no_grad():
        if made is None:
            return scores_of(forward(model, given, first), model)
        with made:
            return scores_of(forward(model, given, first), model)


def _between(scores: Tensor) -> bool:
    return bool(((scores >= 0) & (scores <= 1)).all())


def _sums_to_one(scores: Tensor) -> bool:
    """Whether the columns of each row do: no scores of classes would, for pictures and noise alike."""
    tolerance = 1e-3 * scores.abs().amax().clamp(min=1)
    return scores.shape[1] > 1 and bool(((scores.sum(1) - 1).abs() < tolerance).all())


class _Made(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers for each piece of memory which softmax, sigmoid or logarithm of one made what lies there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kinds: dict[int, str] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return (
            False  # nothing is compiled inside of `guarded`, and torch would import its compiler, which takes seconds
        )

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, named = func.overloadpacket.__name__, kwargs or {}
        kind = _SQUEEZES.get(name, "")
        if name in _PASSES_ON:
            given = {self.of(t) for t in tree_leaves((args, named)) if isinstance(t, Tensor) and t.is_floating_point()}
            kind = given.pop() if len(given) == 1 else ""
        result = func(*args, **named)
        if func.is_view:
            return result
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.kinds[_memory(tensor)] = kind
        return result

    def of(self, tensor: Tensor) -> str:
        """What lies there; "" for anything else."""
        return self.kinds.get(_memory(tensor), "")


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0
