"""What the reader of a map must know of how it came about, as sentences."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.capture.meter import ProgressMeter
from pellucid.contracts import Map, SamplesDone
from pellucid.engine.planned import PlannedMethod

_SAID = 2
"""Notes on changed pictures that are repeated."""


def notes_of(step: PlannedMethod, meter: ProgressMeter, values: Map) -> tuple[str, ...]:
    """All that the engine has to say of a method's map `[batch, row, column]`, besides what the method says itself."""
    return (*_base_options(step), *_base_notes(step, meter), *_cut_short(meter.cut), *_flat_maps(values))


def _base_options(step: PlannedMethod) -> tuple[str, ...]:
    """A note when the method built upon did not run with its default options."""
    changed = {k: v for k, v in step.base.options.items() if v != step.base.method.options[k]} if step.base else {}
    if not changed or step.base is None:
        return ()
    return (f"{step.base.method.id} ran with {', '.join(f'{k} = {v!r}' for k, v in changed.items())}.",)


def _base_notes(step: PlannedMethod, meter: ProgressMeter) -> tuple[str, ...]:
    """What the method built upon said of the changed pictures, a few of many."""
    said = list(meter.said)
    more = (f"{step.options['of']} said more of other changed pictures.",) if len(said) > _SAID else ()
    return (*(f"{step.options['of']}, of a changed picture: {note}" for note in said[:_SAID]), *more)


def _cut_short(cut: SamplesDone | None) -> tuple[str, ...]:
    """A note when the work was stopped and the map is an estimate from less than was asked for."""
    return () if cut is None else (f"Stopped early: the estimate so far, from {cut.done:,} of {cut.total:,} samples.",)


def _flat_maps(values: Map) -> tuple[str, ...]:
    """A note when a map is the same everywhere, so that no one mistakes it for a failure, or for evidence."""
    # row by row, as a reduction of whole tensors is several times as fast as one along an axis
    least, most = map(torch.stack, zip(*(row.aminmax() for row in values), strict=True))
    largest = torch.maximum(least.abs(), most.abs())
    # what is interpolated or averaged from one value differs from it by rounding only
    same = most - least <= 8 * torch.finfo(values.dtype).eps * largest
    if not bool(same.any()):
        return ()
    empty = largest == 0
    notes = []
    if bool(empty.any()):
        notes.append(
            f"The map{_of_pictures(empty)} is zero everywhere: there is no evidence of this kind for the target."
        )
    if bool((same & ~empty).any()):
        value = f" ({float(values.flatten()[0]):.3g})" if len(values) == 1 else ""
        notes.append(
            f"The map{_of_pictures(same & ~empty)} has one value everywhere{value}: it says nothing of where the "
            "evidence lies."
        )
    return tuple(notes)


def _of_pictures(which: Tensor) -> str:
    """Which pictures of several are meant, `[batch]`."""
    numbers = ", ".join(str(k) for k in which.nonzero()[:, 0].tolist())
    return "" if len(which) == 1 else f" of picture {numbers}"
