"""`pellucid layers MODEL`: where layer methods can look, and where to look on a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pellucid.cli import console
from pellucid.cli.console import plain
from pellucid.cli.flags import json_flag, load_model, model_flags

if TYPE_CHECKING:
    from pellucid.contracts import Grid
    from pellucid.inspection import Layer, Layers

_DEPTH = 2


@click.command(short_help="List the layers of a model where methods can look, and say where.")
@click.argument("spec", metavar="MODEL")
@click.option("--picture", metavar="PICTURE", help="Try Grad-CAM at the layers on this picture: a file or a sample.")
@click.option("--all", "whole", is_flag=True, help=f"Layers nested more than {_DEPTH} deep, too; --json has them all.")
@model_flags
@json_flag
def layers(spec: str, picture: str | None, whole: bool, as_json: bool, **given: Any) -> int:
    """List the layers of a model that have a spatial grid, and recommend one.

    With a picture, Grad-CAM is tried at up to 32 of them: 'apart' is one minus the correlation of the top class's map
    with those of the next two; 'faithful' is what blurring the cells that the map ranks highest costs of the class's
    score beyond blurring as many of the lowest, 1 at best.
    """
    from pellucid.cli.progress import Bar
    from pellucid.errors import BadSite
    from pellucid.inspection import layers as look_for

    model = load_model(spec, given)
    with Bar(1) as bar:
        found = look_for(model, picture, progress=bar.tick)
    if as_json:
        console.document(_document(found), model=found.model, inputs=_inputs(found, picture), schema_version=2)
    elif not found.layers:
        raise BadSite(found.reason)
    else:
        _table(found, [layer for layer in found if whole or _shown(layer, found)])
    return 0


def _shown(layer: Layer, found: Layers) -> bool:
    return layer.site.path.count(".") < _DEPTH or layer.trial is not None or _used(layer, found) or layer.recommended


def _used(layer: Layer, found: Layers) -> bool:
    """Whether layer methods look here unless told otherwise: the model's own default, else the recommended layer."""
    default = found.model.site
    return layer.site == default if default else found.picture is None and layer.recommended


def _inputs(found: Layers, source: str | None) -> list[dict[str, Any]]:
    from pellucid.storage.provenance import input_record

    return [input_record(found.picture, source=source)] if found.picture else []


def _document(found: Layers) -> dict[str, Any]:
    """What `--json` says besides the head; version 1 had the network's name alone as `model`."""
    return {
        "input": list(found.pixels),
        "picture": found.picture.name if found.picture else None,
        "recommended": None if found.recommended is None else str(found.recommended),
        "reason": found.reason or None,
        "layers": [_record(layer, found) for layer in found],
    }


def _record(layer: Layer, found: Layers) -> dict[str, Any]:
    grid, field, trial = layer.grid, layer.field, layer.trial
    return {
        "site": str(layer.site),
        "kind": layer.kind,
        "shape": list(layer.shape),
        "layout": grid.layout,
        "grid": [grid.rows, grid.columns],
        "prefix_tokens": grid.prefix,
        "order": list(grid.order) or None,
        "stride": list(layer.stride),
        "receptive_field": field
        and {
            "size": list(field.size),
            "step": list(field.step),
            "start": list(field.start),
            "status": field.status,
            "why": field.why,
        },
        "reached": layer.influences,
        "discrimination": trial and trial.discrimination,
        "faithfulness": trial and trial.faithfulness,
        "recommended": layer.recommended,
        "default": _used(layer, found),
        "aliases": list(layer.aliases),
    }


def _table(found: Layers, shown: Sequence[Layer]) -> None:
    from rich.text import Text

    rows, columns = found.pixels
    on = f" on {found.picture.name}" if found.picture else ""
    console.line(plain(f"{found.model.name}, input {rows} x {columns}{on}: {len(found)} layers with a grid"))
    layouts, tried = any(_layout(x.grid) for x in shown), any(x.trial for x in shown)
    headings = (
        "layer",
        "kind",
        ("shape", "right"),
        ("grid", "right"),
        ("stride", "right"),
        ("field", "right"),
        *(("layout",) if layouts else ()),
        *((("apart", "right"), ("faithful", "right")) if tried else ()),
        "",
    )
    console.table(headings, [_row(layer, found, layouts=layouts, tried=tried) for layer in shown])
    if len(shown) < len(found):
        console.line(f"{len(found) - len(shown)} more lie inside these: --all lists them.")
    console.line("field: pixels along each axis that one position can depend on.")
    if not all(layer.influences for layer in shown):
        console.line("not reached: the score does not depend on the layer's grid.")
    if tried:
        console.line(
            "apart: how differently the maps of the top classes look; faithful: whether they name what counts."
        )
    if found.recommended is None:
        console.line("The score depends on none of them, so layer methods have nowhere to look.")
        return
    console.terminal().print(
        Text.assemble((f"Look at {plain(found.recommended)}", "bold"), plain(f": {found.reason}."))
    )
    console.line(
        f"--layer {plain(found.recommended)} of `pellucid explain` looks there; --layer auto tries on its pictures."
    )


def _row(layer: Layer, found: Layers, *, layouts: bool, tried: bool) -> tuple[str, ...]:
    from pellucid.inspection.fields import described

    grid, trial = layer.grid, layer.trial
    marks = {"recommended": layer.recommended, "default": _used(layer, found), "not reached": not layer.influences}
    judged = (_number(trial.discrimination), _number(trial.faithfulness)) if trial else ("", "")
    return (
        plain(layer.site),
        layer.kind,
        " x ".join(str(n) for n in layer.shape),
        f"{grid.rows} x {grid.columns}",
        " x ".join(f"{s:.4g}" for s in layer.stride),
        described(layer.field),
        *((_layout(grid),) if layouts else ()),
        *(judged if tried else ()),
        ", ".join(mark for mark, applies in marks.items() if applies),
    )


def _layout(grid: Grid) -> str:
    if grid.layout in ("channels-first", "channels-last"):
        words = "" if grid.layout == "channels-first" else "channels last"
    else:
        words = f"{grid.prefix} + tokens" if not grid.order else "tokens"
        words += " last" if grid.layout == "tokens-last" else ""
    return f"{words}{', ' if words and grid.order else ''}{'in another order' if grid.order else ''}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
