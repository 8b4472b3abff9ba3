"""`pellucid look PICTURE --layer PATH --unit 12 --at 5,7`: one value, explained."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from pellucid.cli import console
from pellucid.cli.console import plain
from pellucid.cli.flags import json_flag, load_model, model_flags, spec_flag
from pellucid.errors import BadOption, BadSite

if TYPE_CHECKING:
    from pellucid.inspection import Look


@click.command(short_help="Explain one value inside a model, number by number.")
@click.argument("picture", metavar="PICTURE")
@spec_flag
@click.option("--layer", required=True, metavar="SITE", help="The layer; `pellucid inspect MODEL --all` lists them.")
@click.option("--unit", type=click.IntRange(min=0), required=True, help="Channel or feature, from 0.")
@click.option("--at", metavar="ROW,COLUMN", default="", help="Position on the layer's grid, from 0.")
@click.option("--out", metavar="FILE", help="Draw it: a PNG file.")
@model_flags
@json_flag
def look(
    picture: str, spec: str | None, layer: str, unit: int, at: str, out: str | None, as_json: bool, **given: Any
) -> int:
    """Explain one value inside a model.

    Prints the part of the picture that it depends on, the cells, weights and products that it is the sum of, and what
    normalisation and activation make of it. Pooling shows which cell won, and where a gradient would go.
    """
    from pellucid.inspection import look as look_at

    place = _place(at)
    model = load_model(spec, given)
    found = look_at(model, picture, layer, unit, place)
    drawn, reason = None, ""
    if out:
        try:
            drawn = found.save(out)
        except BadSite as error:
            reason = str(error)
    if as_json:
        from pellucid.storage.provenance import named_inputs

        console.document(
            {**_record(found), "out": None if drawn is None else str(drawn)},
            model=found.model,
            inputs=named_inputs([picture]),
        )
        return 0
    _print(found)
    if drawn is not None:
        console.line(plain(f"Wrote {drawn}"))
    elif reason:
        console.note(reason)
    return 0


def _place(text: str) -> tuple[int, ...]:
    parts = [part for part in re.split(r"[x,]", text.strip().lower()) if part]
    if not all(part.isdigit() for part in parts):
        raise BadOption(f"Expected row and column such as 5,7 for --at, got {text!r}.")
    return tuple(map(int, parts))


def _record(found: Look) -> dict[str, Any]:
    pieces = found.pieces
    return {
        "layer": str(found.site),
        "unit": found.unit,
        "at": list(found.at),
        "value": found.value,
        "field": found.field.status if found.field else None,
        "box": found.box,
        "stages": [vars(stage) for stage in found.stages],
        "kind": pieces.kind if pieces else None,
        "cells": pieces.cells.tolist() if pieces else None,
        "weights": pieces.weights.tolist() if pieces else None,
        "bias": pieces.bias if pieces else None,
        "backward": pieces.backward.tolist() if pieces else None,
        "winner": list(pieces.winner) if pieces and pieces.winner else None,
    }


def _print(found: Look) -> None:
    place = f" at {', '.join(map(str, found.at))}" if found.at else ""
    console.line(plain(f"{found.site}, unit {found.unit}{place} of {found.model.name}"), style="bold")
    if found.box and found.field:
        spans = " and ".join(f"{a} to {b}" for a, b in found.box)
        doubt = "" if found.field.status in ("exact", "whole picture") else f" at most ({found.field.why})"
        console.line(plain(f"It depends on rows and columns {spans} of the model's input{doubt}."))
    pieces = found.pieces
    if pieces is not None and pieces.cells.ndim > 1:
        order = pieces.products.flatten(1).abs().sum(1).argsort(descending=True, stable=True)[:6].tolist()
        rows = [(str(c), *_cells(pieces.cells[c]), f"{float(pieces.products[c].sum()):+.6g}") for c in order]
        console.table((("channel", "right"), "least", "largest", ("sum of products", "right")), rows)
        if len(pieces.cells) > len(order):
            console.line(f"The strongest {len(order)} of {len(pieces.cells)} channels; --json has all.")
    rows = [(s.name, plain(s.path), plain(s.formula), f"{s.value:.7g}") for s in found.stages]
    console.table(("step", "layer", "worked out", ("the network has", "right")), rows)
    if pieces is not None and pieces.kind != "sum":
        where = "to the winner alone" if pieces.kind == "maximum" else f"1/{pieces.cells.numel()} to each cell"
        console.line(f"A gradient at this value goes back {where}.")


def _cells(cells: Any) -> tuple[str, str]:
    return f"{float(cells.min()):.4g}", f"{float(cells.max()):.4g}"
