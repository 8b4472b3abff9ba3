"""The receptive field of every module's output."""

from __future__ import annotations

from torch import Tensor

from pellucid.capture.layers import layouts
from pellucid.capture.receptive import ReceptiveField, receptive_fields
from pellucid.capture.tracing import Trace
from pellucid.contracts import Grid, Model, Site
from pellucid.errors import BadSite


def fields_of(model: Model, image: Tensor, found: Trace) -> dict[str, ReceptiveField]:
    """By path, the receptive field of each module's first output. Must run inside `guarded`.

    Empty for inputs that have no axis of positions, and where the network goes another way on noise. Modules whose
    output is not one tensor, or does not depend on the input, have none.
    """
    if not image.is_floating_point() or not 3 <= image.ndim <= 5:
        return {}
    often = {call.path for call in found.calls if call.times}
    first = [call for call in found.calls if call.times == 0 and call.shape is not None and call.sources]
    known = layouts(model, image) if image.ndim == 4 else {}
    grids = {path: found.grid for (path, call), found in known.items() if call == 0 and isinstance(found.grid, Grid)}
    sites = {Site(c.path, 0 if c.path in often else None): grids.get(c.path) for c in first}
    try:
        fields = receptive_fields(model, image[:1], sites)
    except BadSite:
        return {}
    return {site.path: field for site, field in fields.items() if field is not None}


def described(field: ReceptiveField | None) -> str:
    """The size and how exact it is, for people: `15`, `3 x 7`, `at most 15`, `whole`, `by data, at most 15`."""
    if field is None:
        return ""
    size = " x ".join(map(str, dict.fromkeys(field.size) if len(set(field.size)) == 1 else field.size))
    if field.status == "data dependent":
        return f"by data, at most {size}"
    return {"exact": size, "bound": f"at most {size}", "whole picture": "whole"}[field.status]


def steps(field: ReceptiveField | None) -> str:
    """Pixels from one position's field to the next one's; "" where there is no rule."""
    if field is None or field.status == "whole picture" or None in field.step:
        return ""
    return " x ".join(f"{step:g}" for step in (dict.fromkeys(field.step) if len(set(field.step)) == 1 else field.step))


def starts(field: ReceptiveField | None) -> str:
    """First pixel of the first position's field."""
    if field is None or field.status == "whole picture":
        return ""
    return " x ".join(map(str, dict.fromkeys(field.start) if len(set(field.start)) == 1 else field.start))
