"""What methods ask of a layer."""

from __future__ import annotations

from pellucid.capture.passes import PassRequest
from pellucid.engine.needs.base import Need, at_layer

NEEDS = (
    Need(
        "activation",
        ask=lambda _, site: at_layer(site),
        read=lambda found, _, where: found.activation.get(where.site) if where.site else None,
    ),
    Need(
        "gradient",
        ask=lambda _, site: at_layer(site, gradients=True),
        read=lambda found, _, where: found.gradient.get((where.target, where.site)) if where.site else None,
    ),
    Need(
        "curvature",
        ask=lambda _, site: at_layer(site, gradients=True, curvature=True),
        read=lambda found, _, where: found.curvature.get((where.target, where.site)) if where.site else None,
    ),
    Need(
        "head",
        ask=lambda _, site: at_layer(site, gradients=True, heads=True),
        read=lambda found, _, where: found.head.get((where.target, where.site)) if where.site else None,
        join=lambda parts: parts[0],  # the same operations for every picture
    ),
    Need(
        "relevance",
        ask=lambda asker, site: PassRequest(sites=(site,) if site else (), site_rules=(asker.rule,)),
        read=lambda found, asker, where: (
            found.relevance.get((where.target, asker.rule, where.site)) if where.site else None
        ),
    ),
)
