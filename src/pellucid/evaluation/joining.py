"""Scores of pictures that were judged one after the other, as if they had been judged together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pellucid.contracts import Cost, Evaluation, Score
from pellucid.evaluation.bootstrap import mean_and_interval


def joined(parts: Sequence[Evaluation]) -> Evaluation:
    """One evaluation of all pictures: means and intervals are over all of them.

    Args:
        parts: of other pictures each, asked for with the same options and seed. Where one lacks a score that another
            has, its pictures have no answer, NaN.
    """
    sizes = [max((len(score.values) for score in part), default=0) for part in parts]
    names = dict.fromkeys((score.metric.id, score.subject) for part in parts for score in part)
    metrics = list(dict.fromkeys(metric for metric, _ in names))
    scores = []
    for metric, subject in sorted(names, key=lambda name: metrics.index(name[0])):
        scores.append(_joined([_found(part, subject, metric) for part in parts], sizes))
    refused = {pair: why for part in parts for pair, why in part.refused.items() if pair[::-1] not in names}
    seed = parts[0].seed if parts else 0
    return Evaluation(tuple(scores), refused, seed, sum(part.seconds for part in parts))


def _found(part: Evaluation, subject: str, metric: str) -> Score | None:
    return next((s for s in part if (s.subject, s.metric.id) == (subject, metric)), None)


def _joined(found: Sequence[Score | None], sizes: Sequence[int]) -> Score:
    known = [score for score in found if score is not None]
    first = known[0]
    values = _rows([None if score is None else score.values for score in found], sizes)
    mean, interval = mean_and_interval(values, first.seed)
    controls = {
        name: _joined([None if score is None else score.controls.get(name) for score in found], sizes)
        for name in first.controls
    }
    extras = {
        name: _rows([None if score is None else score.extras.get(name) for score in found], sizes)
        for name, tensor in first.extras.items()
        if tensor.is_floating_point() and all(s.extras[name].shape[1:] == tensor.shape[1:] for s in known)
    }
    gaps = [("",) * size if score is None else score.target for score, size in zip(found, sizes, strict=True)]
    return replace(
        first,
        attribution=None,
        target=tuple(text for each in gaps for text in each),
        values=values,
        mean=mean,
        interval=interval,
        extras=extras,
        cost=sum((score.cost for score in known), Cost(0.0, 0, 0)),
        notes=tuple(dict.fromkeys(note for score in known for note in score.notes)),
        controls=controls,
        asked="score" if any(score.asked == "score" for score in known) else "probability",
    )


def _rows(tensors: Sequence[Tensor | None], sizes: Sequence[int]) -> Tensor:
    like = next(tensor for tensor in tensors if tensor is not None)
    rows = [
        like.new_full((size, *like.shape[1:]), torch.nan) if tensor is None else tensor
        for tensor, size in zip(tensors, sizes, strict=True)
    ]
    return torch.cat(rows)
