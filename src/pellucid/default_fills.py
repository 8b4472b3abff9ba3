"""What stands for an absent part of a sample that says so itself, where the caller says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pellucid.contracts import Sample
from pellucid.engine.planned import PlannedMethod
from pellucid.errors import BadOption
from pellucid.explanation import Explanation
from pellucid.modalities import find_modality
from pellucid.registry import find_metric

_NAMES = ("fill", "baseline")


def with_fills(
    steps: Sequence[PlannedMethod], given: Mapping[str, Mapping[str, Any]], samples: Sequence[Sample]
) -> Mapping[str, Mapping[str, Any]]:
    """The options given, and for methods that hide parts the samples' own fill where none was given.

    Args:
        steps: methods with all options filled in.
        given: options by method id, as the caller gave them.
        samples: of one call, all of one kind.

    Raises:
        BadOption: the kind needs a fill to be said, and neither the caller nor a sample says one.
    """
    if not find_modality(samples[0].kind).stated_fill:
        return given
    found = {method: dict(own) for method, own in given.items()}
    for step in (each for outer in steps for each in (outer, outer.base) if each is not None):
        for name in _NAMES:
            if name in step.options and name not in found.get(step.method.id, {}):
                found.setdefault(step.method.id, {})[name] = _fill(step.method.id, name, samples)
    return found


def _fill(method: str, name: str, samples: Sequence[Sample]) -> torch.Tensor:
    """The fills of all samples `[batch, channel, *axes]`."""
    fills = [sample.fill for sample in samples]
    lone = next((sample.name for sample, fill in zip(samples, fills, strict=True) if fill is None), None)
    if lone is not None:
        raise BadOption(
            f"{lone!r} is a lone row, and {method} compares with a row in which columns are absent: say what stands "
            f"there, --{method}.{name} 0, in Python options={{{method!r}: {{{name!r}: 0.0}}}}; or give a table with "
            "more rows, of which it takes the means."
        )
    return torch.stack([fill for fill in fills if fill is not None])


_JUDGES = ("deletion", "insertion")


def judging(explained: Explanation) -> dict[str, dict[str, Any]]:
    """Options of the metrics that hide and show parts of samples: their own fill, and no more steps than places.

    Of pictures and tensors there are none.
    """
    if not explained.samples:
        return {}
    places = explained.attributions[0].values[0].numel()
    few = {"steps": places} if places < find_metric(_JUDGES[0]).options["steps"] else {}
    fills = [sample.fill for sample in explained.samples if sample.fill is not None]
    stated = find_modality(explained.samples[0].kind).stated_fill and len(fills) == len(explained.samples)
    hidden = {"baseline": torch.stack(fills)} if stated else {}
    return {metric: {**few, **hidden} for metric in _JUDGES if few or hidden}
