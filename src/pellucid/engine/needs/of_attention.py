"""What methods ask of attention layers; `PlannedMethod.summaries` says which summary of them each name means."""

from __future__ import annotations

from pellucid.capture.passes import PassRequest
from pellucid.engine.needs.base import Need


def _need(name: str) -> Need:
    return Need(
        name,
        ask=lambda asker, _: PassRequest(attentions=(asker.summaries[name],)),
        read=lambda found, asker, where: found.attentions[where.target, asker.summaries[name]],
    )


NEEDS = tuple(map(_need, ("attentions", "attention_evidence", "attention_sensitivity")))
