"""What methods ask of attention layers; `PlannedMethod.summaries` says which summary of them each name means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from pellucid.capture.passes import PassRequest
from pellucid.contracts import Attentions
from pellucid.engine.needs.base import Need


def _join(parts: Sequence[Attentions]) -> Attentions:
    """Layers row by row; what was in the way in one chunk is in the way of all."""
    first = next((part for part in parts if part.trouble), parts[0])
    if first.trouble:
        return first
    read = [part.read for part in parts if part.read is not None]
    layers = tuple(torch.cat(each) for each in zip(*(part.layers for part in parts), strict=True))
    return replace(first, layers=layers, read=torch.cat(read) if read else None)


def _need(name: str) -> Need:
    return Need(
        name,
        ask=lambda asker, _: PassRequest(attentions=(asker.summaries[name],)),
        read=lambda found, asker, where: found.attentions[where.target, asker.summaries[name]],
        join=_join,
    )


NEEDS = tuple(map(_need, ("attentions", "attention_evidence", "attention_sensitivity")))
