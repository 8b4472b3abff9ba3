"""What methods ask of the way from the score back to the input, and of the rule that goes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pellucid.capture.passes import PassRequest
from pellucid.contracts import Site
from pellucid.engine.needs.base import Need, Where, words_of


def _end(where: Where) -> Site | None:
    return where.site if where.at_layer else None


def _by_name(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


NEEDS = (
    Need(
        "image_gradient",
        ask=lambda asker, _: PassRequest(rules=(asker.rule,)),
        read=lambda found, asker, where: found.image_gradient.get((where.target, asker.rule)),
    ),
    Need(
        "score",
        ask=lambda *_: PassRequest(),
        read=lambda found, asker, where: found.score.get((where.target, asker.rule)),
    ),
    Need(
        "collected",
        ask=lambda *_: PassRequest(),
        read=lambda found, asker, where: found.collected.get((where.target, asker.rule)),
        join=_by_name,
    ),
    Need(
        "uncovered",
        ask=lambda *_: PassRequest(),
        read=lambda found, asker, where: found.uncovered.get((asker.rule, _end(where)), ()),
        join=words_of,
    ),
    Need(
        "assumed",
        ask=lambda *_: PassRequest(),
        read=lambda found, asker, where: found.assumed.get((asker.rule, _end(where)), ()),
        join=words_of,
    ),
)
