"""`pellucid layers MODEL`: where layer methods can look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pellucid.cli import show
from pellucid.cli.flags import json_flag, load_model, model_flags
from pellucid.cli.show import plain

if TYPE_CHECKING:
    from pellucid.capture.sites import Candidate
    from pellucid.types import Model

_DEPTH = 2


@click.command(short_help="List the layers of a model where methods can look.")
@click.argument("spec", metavar="MODEL")
@click.option("--all", "whole", is_flag=True, help=f"Layers nested more than {_DEPTH} deep, too; --json has them all.")
@model_flags
@json_flag
def layers(spec: str, whole: bool, as_json: bool, **given: Any) -> int:
    """List the layers of a model that have a spatial grid, and mark the recommended one."""
    from pellucid.errors import BadSite
    from pellucid.inspection import layers as candidates
    from pellucid.models.preprocessing import nominal_size, preprocessing_of

    model = load_model(spec, given)
    found = candidates(model)
    if as_json:
        size = nominal_size(preprocessing_of(model))
        show.document({"model": model.name, "input": size, "layers": [_record(c, model) for c in found]})
    elif not found:
        raise BadSite(f"No layer of {model.name} has a spatial grid. Methods that look at the input still work.")
    else:
        _table(model, [c for c in found if whole or _shown(c, model)], len(found))
    return 0


def _shown(candidate: Candidate, model: Model) -> bool:
    return candidate.site.path.count(".") < _DEPTH or candidate.recommended or _used(candidate, model)


def _used(candidate: Candidate, model: Model) -> bool:
    """Whether layer methods look here unless told otherwise: the model's own default, else the recommended layer."""
    return candidate.site == model.site if model.site else candidate.recommended


def _record(candidate: Candidate, model: Model) -> dict[str, Any]:
    grid = candidate.grid
    return {
        "site": str(candidate.site),
        "kind": candidate.kind,
        "shape": list(candidate.shape),
        "layout": grid.layout,
        "grid": [grid.rows, grid.columns],
        "prefix_tokens": grid.prefix,
        "stride": list(candidate.stride),
        "reached": candidate.influences,
        "recommended": candidate.recommended,
        "default": _used(candidate, model),
        "aliases": list(candidate.aliases),
    }


def _table(model: Model, shown: Sequence[Candidate], count: int) -> None:
    from pellucid.models.preprocessing import nominal_size, preprocessing_of

    rows, columns = nominal_size(preprocessing_of(model))
    show.line(plain(f"{model.name}, input {rows} x {columns}: {count} layers with a grid"))
    headings = ("layer", "kind", ("shape", "right"), ("grid", "right"), ("stride", "right"), "layout", "reached", "")
    show.table(headings, [_row(candidate, model) for candidate in shown])
    if len(shown) < count:
        show.line(f"{count - len(shown)} more lie inside these: --all lists them.")
    show.line("Name one with --layer. 'reached' says whether the score depends on the grid of the layer.")


def _row(candidate: Candidate, model: Model) -> tuple[str, ...]:
    grid = candidate.grid
    prefix = f", {grid.prefix} prefix" if grid.prefix else ""
    marks = [
        text for text, yes in (("recommended", candidate.recommended), ("default", _used(candidate, model))) if yes
    ]
    return (
        plain(candidate.site),
        candidate.kind,
        " x ".join(str(n) for n in candidate.shape),
        f"{grid.rows} x {grid.columns}",
        " x ".join(f"{s:.4g}" for s in candidate.stride),
        f"{grid.layout}{prefix}",
        "yes" if candidate.influences else "no",
        " and ".join(marks),
    )
