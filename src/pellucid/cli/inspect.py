"""`pellucid inspect MODEL`: what a network is made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from pellucid.cli import console
from pellucid.cli.console import plain
from pellucid.cli.flags import Invocation, json_flag, load_model, model_flags
from pellucid.errors import BadOption
from pellucid.paths import usable_path

if TYPE_CHECKING:
    from pellucid.inspection import Inspection, Row
    from pellucid.inspection.activations import Common

_DEPTH = 2


@click.command(short_help="Look into a model: structure, sizes, costs and a drawing.")
@click.argument("spec", metavar="MODEL")
@click.option("--picture", metavar="PICTURE", help="Run on this picture. [default: seeded noise]")
@click.option("--input", "shape", metavar="CxRxC", help="Shape of one sample, such as 1x16000 or 3x8x64x64.")
@click.option("--all", "whole", is_flag=True, help=f"Modules nested more than {_DEPTH} deep, too; --json has them all.")
@click.option("--layer", "layers", metavar="SITE", multiple=True, help="Whose activations; may be given again.")
@click.option(
    "--scale",
    type=click.Choice(["unit", "layer", "global"]),
    default="unit",
    show_default=True,
    help="Of the colours on the sheets of activations.",
)
@click.option("--out", metavar="DIR", help="Write a page, tables, the drawing and all sheets to this folder.")
@model_flags
@json_flag
@click.pass_context
def inspect(
    ctx: click.Context,
    /,
    spec: str,
    picture: str | None,
    shape: str | None,
    whole: bool,
    layers: tuple[str, ...],
    scale: Common,
    out: str | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Look into a model: what it is made of, and what each part costs.

    Prints one row per module. With --out, writes inspection.html with the table, a drawing that unfolds, the kernels
    with their frequency responses and, for a --picture, every layer's activations; and the same as separate files.
    """
    from pellucid.inspection import inspect as look_into
    from pellucid.inspection.page import record_of

    call: Invocation = ctx.obj
    wanted = _shape(shape)
    model = load_model(spec, given, sized=wanted is None)
    found = look_into(model, picture, shape=wanted, layers=layers or None)
    folder = found.save(usable_path(out, "--out"), scale=scale, command=call.command) if out else None
    if as_json:
        console.document({**record_of(found, command=call.command), "out": None if folder is None else str(folder)})
        return 0
    _table(found, whole)
    if folder is not None:
        written = ", ".join(sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")))
        console.line(plain(f"{folder} holds {written}"))
        console.line(plain(f"Open {folder / 'inspection.html'}"), style="bold")
    return 0


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = re.split(r"[x,]", text.strip().lower())
    if not all(part.isdigit() and int(part) for part in parts):
        raise BadOption(f"Expected the shape of one sample such as 1x16000 or 3x224x224 for --input, got {text!r}.")
    return tuple(map(int, parts))


def _table(found: Inspection, whole: bool) -> None:
    structure = found.structure
    shown = [row for row in structure.rows[1:] if whole or row.depth <= _DEPTH]
    settings = any(row.settings for row in shown)
    size = "x".join(map(str, structure.input[1:]))
    console.line(plain(f"{found.model.name}, input {size}, output {_output(structure.total)}"), style="bold")
    headings = (
        "layer",
        "kind",
        *((("k", "right"), ("s", "right"), ("p", "right"), ("d", "right"), ("g", "right")) if settings else ()),
        ("output", "right"),
        ("field", "right"),
        ("step", "right"),
        ("weights", "right"),
        ("share", "right"),
        ("mult-adds", "right"),
        ("share", "right"),
    )
    console.table(headings, [_row(row, settings) for row in shown])
    if len(shown) < len(structure.rows) - 1:
        console.line(f"{len(structure.rows) - 1 - len(shown)} more lie inside these: --all lists them.")
    if settings:
        console.line(
            "k kernel, s stride, p padding, d dilation, g groups; weights: parameters; mult-adds: of one sample."
        )
    console.line(
        "field: pixels along each axis that one position can depend on; step: from one position's to the next."
    )
    total = structure.total
    fixed = f", {total.parameters - total.trainable:,} of them fixed" if total.trainable < total.parameters else ""
    cost = f"{structure.least}{total.multiply_adds:,} multiply-adds for one sample"
    console.line(f"{total.parameters:,} parameters{fixed}; {cost}.")
    if structure.functions:
        calls = ", ".join(f"{name} {count}" for name, count in structure.functions.items())
        console.line(plain(f"Functions called in the modules' own code: {calls}."))
    for note in structure.notes:
        console.line(plain(note))


def _row(row: Row, settings: bool) -> tuple[str, ...]:
    from pellucid.inspection.fields import described, steps
    from pellucid.inspection.structure import SETTINGS

    cells = [row.settings.get(name, "").replace(" ", "") for name in SETTINGS]
    return (
        plain(row.path),
        row.kind,
        *(cells if settings else ()),
        plain(_output(row)),
        described(row.field).replace(" x ", "x"),
        steps(row.field).replace(" x ", "x"),
        _short(row.parameters) if row.parameters else "",
        _share(row.parameter_share),
        _short(row.multiply_adds) if row.multiply_adds else "",
        _share(row.multiply_add_share),
    )


def _output(row: Row) -> str:
    """Without the batch axis, where it is one tensor."""
    if not row.calls:
        return "not called"
    return "x".join(map(str, row.shape[1:])) if row.shape and len(row.shape) > 1 else row.output


def _short(number: int) -> str:
    """`10.8 M`: three digits are enough to compare by."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def _share(share: float) -> str:
    if not share:
        return ""
    return f"{share:.1%}" if share >= 0.0005 else "< 0.1%"
