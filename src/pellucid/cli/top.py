"""`pellucid top FOLDER --layer PATH`: the pictures that excite each unit most."""

from __future__ import annotations

import re
from typing import Any

import click

from pellucid.cli import console
from pellucid.cli.console import plain
from pellucid.cli.flags import json_flag, load_model, model_flags, spec_flag
from pellucid.errors import BadOption, BadPicture, Cancelled
from pellucid.paths import usable_path


@click.command(short_help="Find the pictures that excite each unit of a layer most.")
@click.argument("pictures", metavar="PICTURE...", nargs=-1, required=True)
@spec_flag
@click.option("--layer", required=True, metavar="SITE", help="A layer with a grid; `pellucid layers MODEL` lists them.")
@click.option("--units", metavar="N,N", help="Units on the sheet. [default: the 16 with the strongest answers]")
@click.option("--most", type=click.IntRange(min=1), default=9, show_default=True, help="Pictures per unit.")
@click.option("--out", default="pellucid-top", show_default=True, metavar="DIR", help="Folder for the results.")
@model_flags
@json_flag
def top(
    pictures: tuple[str, ...],
    spec: str | None,
    layer: str,
    units: str | None,
    most: int,
    out: str,
    as_json: bool,
    **given: Any,
) -> int:
    """Find the pictures that excite each unit of a layer most.

    PICTURE is a file, a folder (or a folder of class folders), or a sample. Writes top.png, a contact sheet with the
    part of each picture that the unit could see, and top.json with all units. What each picture gave is kept in kept/:
    after Ctrl-C the same call goes on where it was, and pictures that stayed the same are not looked at again.
    """
    from pellucid.cli.progress import Bar
    from pellucid.inspection import top_pictures
    from pellucid.storage.atomic import as_png, write_bytes
    from pellucid.storage.provenance import named_inputs

    wanted = _numbers(units)
    folder = usable_path(out, "--out")
    model = load_model(spec, given)
    try:
        with Bar(1) as bar:
            found = top_pictures(model, list(pictures), layer, most=most, folder=folder, progress=bar.tick)
    except Cancelled as stop:
        console.note(f"{stop} {folder} keeps what is done; the same command goes on from there.")
        return Cancelled.exit_code
    for source, reason in found.failed.items():
        console.warning(f"{source}: {reason}")
    if not found.units:
        raise BadPicture("None of the pictures could be read, so there is nothing to show.")
    code = BadPicture.exit_code if found.failed else 0
    chosen = found.strongest() if wanted is None else wanted
    sheet = found.draw(chosen)
    write_bytes(folder / "top.png", as_png(sheet))
    if as_json:
        hits = {str(unit): [vars(hit) for hit in found.units[unit]] for unit in chosen}
        said = {"layer": str(found.site), "pictures": len(found.seen), "failed": found.failed, "units": hits}
        console.document({**said, "out": str(folder), "exit_code": code}, model=model, inputs=named_inputs(found.seen))
        return code
    best = [(str(unit), f"{found.units[unit][0].value:.4g}", plain(found.units[unit][0].source)) for unit in chosen]
    console.line(plain(f"{found.site} of {model.name}, {len(found.seen)} pictures"), style="bold")
    console.table((("unit", "right"), ("strongest", "right"), "in"), best)
    console.line(plain(f"Wrote top.png and top.json to {folder}"))
    return code


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part for part in re.split(r"[,\s]+", text.strip()) if part]
    if not parts or not all(part.isdigit() for part in parts):
        raise BadOption(f"Expected units such as 3,12 for --units, got {text!r}.")
    return [int(part) for part in parts]
