"""CAM for networks that lack it: a new head behind one of their layers, and what it costs in accuracy."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.contracts import Model
from pellucid.errors import BadOption
from pellucid.inspection import layers
from pellucid.models.camified import Camified, pooled_at
from pellucid.models.load import FAMILIES
from pellucid.models.preprocessing import preprocessing_of
from pellucid.models.trained import CAMIFIED, TRAINED, ModelCard, read_card
from pellucid.training.data import Examples, Progress
from pellucid.training.loop import predict
from pellucid.training.right import Right, right
from pellucid.training.study import TEST_SHARE

_BATCH = 16


@dataclass
class CamifiedResult:
    """A network with its new head.

    Attributes:
        module: in evaluation mode; `cam` works on it.
        card: what has to be known to use it.
        site: the layer behind which the new head begins.
        before: share of the held-out pictures that the network itself got right, 0 to 1; None where it does not know
            these classes.
        after: with the new head.
        right: the same, counted, beside guessing.
        counts: pictures learned from, and held out.
        seconds: in all.
        notes: what the reader must know.
    """

    module: nn.Module
    card: ModelCard
    site: str
    before: float | None
    after: float
    right: Right
    counts: tuple[int, int]
    seconds: float
    notes: tuple[str, ...]


def camify(
    model: Model, examples: Examples, *, site: str | None = None, seed: int = 0, progress: Progress | None = None
) -> CamifiedResult:
    """Put global average pooling and a linear layer behind a layer of a network, and train that linear layer only.

    The pictures pass through the network once; their pooled maps are kept, and a multinomial logistic regression
    (scikit-learn) is fitted on four fifths of them.

    Args:
        model: any network with maps; stays as it is.
        examples: labelled pictures.
        site: the layer; None takes the one that is recommended for heat maps.
        seed: of the split.
        progress: function that is called with what is going on, pictures done and pictures in all.

    Raises:
        BadSite: the network has no such layer, or no maps there.
        BadOption: too few pictures.
    """
    start = time.perf_counter()
    preprocess = preprocessing_of(model)
    path = site or _recommended(model)
    examples, inputs = examples.tensors(preprocess, progress)
    learn, held = examples.split(TEST_SHARE, seed)
    pooled = _pooled(model.module, path, inputs, progress)
    weight, bias, notes = _fit(pooled[learn], examples.labels[learn])
    module = Camified(model.module, path, pooled.shape[1], len(examples.classes)).eval()
    with torch.no_grad():
        module.linear.weight.copy_(weight)
        module.linear.bias.copy_(bias)
        answers = (pooled[held] @ weight.T + bias).argmax(1)
    truth = examples.labels[held]
    options = {"base": _base(model), "path": path, "maps": pooled.shape[1], "classes": len(examples.classes)}
    found = right(answers, truth, examples.labels[learn], examples.classes)
    notes = (*examples.notes, *notes, *([found.note] if found.note else []))
    facts = {"data": examples.name, "seed": seed, "accuracy": found.share}
    stated = preprocess if preprocess.transform is None else None  # a function stays with the network that it came with
    card = ModelCard(CAMIFIED, options, examples.classes, stated, facts)
    before = _before(model, inputs[held], truth, examples.classes)
    counts = (len(learn), len(held))
    seconds = time.perf_counter() - start
    return CamifiedResult(module, card, path, before, found.share, found, counts, seconds, notes)


def _base(model: Model) -> dict[str, Any]:
    """How to make the network again: a name of the zoo with its options, or the name that it was loaded by."""
    if model.source.endswith(TRAINED) and model.source.partition(":")[0] not in FAMILIES:
        card = read_card(Path(model.source).expanduser())
        return {"architecture": card.architecture, "options": dict(card.options)}
    if not model.source:
        raise BadOption(f"{model.name} was not loaded by a name, so it could not be made again. Use pellucid.load.")
    return {"source": model.source}


def _recommended(model: Model) -> str:
    if model.site is not None:
        return model.site.path
    best = [each for each in layers(model) if each.recommended and each.grid.layout == "channels-first"]
    if not best:
        raise BadOption(f"{model.name} has no recommended layer with maps. Name one with --layer.")
    return best[0].site.path


def _pooled(module: nn.Module, path: str, inputs: Tensor, progress: Progress | None) -> Tensor:
    rows = []
    for start in range(0, len(inputs), _BATCH):
        rows.append(pooled_at(module, path, inputs[start : start + _BATCH], _BATCH))
        if progress:
            progress("pooled maps", min(start + _BATCH, len(inputs)), len(inputs))
    return torch.cat(rows)


def _fit(pooled: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Weights and bias of a logistic regression on pooled maps, in their own units."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, std = pooled.mean(0), pooled.std(0).clamp(min=1e-6)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", ConvergenceWarning)
        fitted = LogisticRegression(max_iter=1000).fit(((pooled - mean) / std).numpy(), labels.numpy())
    slopes, bias = fitted.coef_, fitted.intercept_
    if len(slopes) == 1:  # two classes: one line between them, half of it for each
        slopes, bias = np.concatenate([-slopes, slopes]) / 2, np.concatenate([-bias, bias]) / 2
    weight = torch.from_numpy(slopes).float() / std
    notes = ("The new head had not settled after 1,000 rounds.",) if raised else ()
    return weight, torch.from_numpy(bias).float() - weight @ mean, notes


def _before(model: Model, inputs: Tensor, truth: Tensor, classes: Sequence[str]) -> float | None:
    """Accuracy of the network itself, over all classes that it knows; None if these pictures' are not among them."""
    known = _same_classes(model, classes)
    if known is None:
        return None
    output: Any = predict(model.module, inputs)
    return float((output.argmax(1) == torch.tensor(known)[truth]).float().mean())


def _same_classes(model: Model, classes: Sequence[str]) -> list[int] | None:
    """Number of each class in the network's output, by name or synset."""
    if model.classes is None:
        return None
    names = {_plain(name): k for k, name in enumerate(model.classes.names)}
    names |= {synset: k for k, synset in enumerate(model.classes.synsets)}
    found = [names.get(_plain(name)) for name in classes]
    return None if None in found else [k for k in found if k is not None]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
