"""The passes over the pictures as they are, which all methods, layers and targets of a plan share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from pellucid.capture.layers import footprint
from pellucid.capture.passes import PassRequest, PassResult, run_passes
from pellucid.engine.batch import Batch
from pellucid.engine.plan import Plan
from pellucid.errors import Refused
from pellucid.targets import Interpretation

_WHOLE_BATCH = 8
"""Batches up to this size are run at once without asking how much memory a sample takes."""


@dataclass(frozen=True, eq=False)
class SharedPass:
    """What the shared passes brought back.

    Attributes:
        chunks: of consecutive pictures; each need joins its own values (`engine/needs`).
        reading: what the model says about all of them.
        seconds: that the passes took.
    """

    chunks: Sequence[PassResult]
    reading: Interpretation
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
    first, *others = (chunk.reading for chunk in chunks)
    reading = first.join(others) if others else first
    if not reading.finite():
        raise Refused(
            f"The scores of {model.name} are not finite, so there is nothing to explain. Are its weights or "
            "the preprocessing broken, or does it overflow in its type?"
        )
    return SharedPass(chunks, reading, time.perf_counter() - start)


def _request(plan: Plan) -> PassRequest:
    """What all methods want together."""
    steps = [step for step in plan.methods if step.method.id not in plan.refused]
    wishes = [step.wish(site) for step in steps for site in plan.sites_of(step)]
    return replace(PassRequest.together(wishes), reading=True)
