"""The passes over the pictures as they are, which all methods, layers and targets of a plan share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from pellucid.capture.layers import footprint
from pellucid.capture.passes import PassRequest, PassResult, run_passes
from pellucid.contracts import Attentions
from pellucid.engine.batch import Batch
from pellucid.engine.plan import Plan
from pellucid.errors import Refused

_WHOLE_BATCH = 8
"""Batches up to this size are run at once without asking how much memory a sample takes."""


@dataclass(frozen=True, eq=False)
class SharedPass:
    """What the shared passes brought back, and the seconds that they took."""

    found: PassResult
    seconds: float


def run_shared_pass(plan: Plan, batch: Batch) -> SharedPass:
    """Ask everything that the plan's methods want of the pictures as they are. Must run inside `guarded`.

    Raises:
        Refused: the network's scores are not finite.
    """
    start = time.perf_counter()
    wish, model, image = _request(plan), batch.model, batch.image
    batch.meter.label = "shared pass"

    def run(first: int, stop: int) -> PassResult:
        samples = torch.arange(first, stop, device=image.device)
        found = run_passes(model, image[first:stop], samples, plan.targets, wish)
        batch.meter.tick(stop, len(image))
        return found

    if len(image) <= _WHOLE_BATCH and batch.budget.chunk is None:
        chunks = list(batch.budget.chunks(len(image), 0, run))
    else:
        size = footprint(model, image)
        row = size.there_and_back if wish.rules or wish.attentions else 4 * size.largest
        chunks = list(batch.budget.chunks(len(image), row + 4 * image[0].nbytes, run))
    found = chunks[0] if len(chunks) == 1 else _join(chunks)
    if not found.reading.finite():
        raise Refused(
            f"The scores of {model.name} are not finite, so there is nothing to explain. Are its weights or "
            "the preprocessing broken, or does it overflow in its type?"
        )
    return SharedPass(found, time.perf_counter() - start)


def _request(plan: Plan) -> PassRequest:
    """What all methods want together."""
    steps = [step for step in plan.methods if step.method.id not in plan.refused]
    wishes = [step.wish(site) for step in steps for site in plan.sites_of(step)]
    return replace(PassRequest.together(wishes), reading=True)


def _join(chunks: Sequence[PassResult]) -> PassResult:
    """Findings of consecutive chunks as those of the whole batch."""
    first = chunks[0]

    def joined(name: str) -> Any:
        found = [getattr(chunk, name) for chunk in chunks]
        return {key: torch.cat([f[key] for f in found]) for key in found[0]}

    def words(name: str) -> Any:
        found = [getattr(chunk, name) for chunk in chunks]
        return {key: tuple(sorted({word for f in found for word in f[key]})) for key in found[0]}

    return PassResult(
        reading=first.reading.join([c.reading for c in chunks[1:]]),
        **{
            name: joined(name)
            for name in ("activation", "gradient", "curvature", "image_gradient", "relevance", "score")
        },
        collected={
            key: {name: torch.cat([c.collected[key][name] for c in chunks]) for name in names}
            for key, names in first.collected.items()
        },
        head=first.head,
        uncovered=words("uncovered"),
        assumed=words("assumed"),
        attentions={key: _join_attentions([c.attentions[key] for c in chunks]) for key in first.attentions},
    )


def _join_attentions(chunks: Sequence[Attentions]) -> Attentions:
    first = next((c for c in chunks if c.trouble), chunks[0])
    if first.trouble:
        return first
    read = [c.read for c in chunks if c.read is not None]
    layers = tuple(torch.cat(parts) for parts in zip(*(c.layers for c in chunks), strict=True))
    return replace(first, layers=layers, read=torch.cat(read) if read else None)
