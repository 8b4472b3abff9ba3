"""`pellucid atlas DIR`: what a layer sees in a whole folder, as a map."""

from __future__ import annotations

from typing import Any

import click

from pellucid.cli import console
from pellucid.cli.dream import finish, unfinished
from pellucid.cli.flags import Invocation, json_flag, load_model, model_flags, spec_flag
from pellucid.cli.progress import Bar
from pellucid.errors import Cancelled
from pellucid.paths import usable_path


@click.command(short_help="Draw a map of what a layer sees in a folder of pictures.")
@click.argument("pictures", metavar="DIR|PICTURE...", nargs=-1, required=True)
@spec_flag
@click.option("--layer", required=True, metavar="PATH", help="A layer with a grid; `pellucid layers MODEL` lists them.")
@click.option("--layout", type=click.Choice(["pca", "umap"]), default="pca", show_default=True, help="Of the map.")
@click.option("--grid", type=click.IntRange(min=1), default=8, show_default=True, help="Cells along each side.")
@click.option("--places", type=click.IntRange(min=1), default=1, show_default=True, help="Random places per picture.")
@click.option("--least", type=click.IntRange(min=1), default=3, show_default=True, help="Points a cell needs.")
@click.option("--icon", type=click.IntRange(min=8), default=96, show_default=True, help="Side of an icon, in pixels.")
@click.option("--steps", type=click.IntRange(min=0), default=100, show_default=True, help="For each icon.")
@click.option("--chunk", type=click.IntRange(min=1), default=16, show_default=True, help="Icons at once.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of places, layout and icons.")
@click.option("--out", default="pellucid-atlas", show_default=True, metavar="DIR", help="Folder for the results.")
@model_flags
@json_flag
@click.pass_context
def atlas(ctx: click.Context, /, pictures: tuple[str, ...], spec: str | None, as_json: bool, **given: Any) -> int:
    """Draw a map of what a layer sees in a folder of pictures.

    What the layer gives at random places of the pictures is laid out on a plane; each cell of it shows an icon of its
    mean. Thousands of pictures make a good map; of a few hundred, --places 8 and --grid 6 show something.
    """
    from pellucid.feature_visualisation.atlas import atlas as make
    from pellucid.feature_visualisation.checkpoint import CheckpointFolder
    from pellucid.feature_visualisation.saving import save_atlas

    call: Invocation = ctx.obj
    out = usable_path(given["out"], "--out")
    model = load_model(spec, given)
    own = {name: given[name] for name in ("layout", "grid", "places", "least", "icon", "seed", "chunk", "steps")}
    kept = CheckpointFolder(unfinished(out / "atlas"))
    with Bar(1) as bar:
        made = make(model, pictures, given["layer"], out, progress=bar.tick, keep=kept, **own)
    files = save_atlas(made, out, command=call.command)
    stopped = made.dream is not None and made.dream.stopped
    finish(kept, stopped=stopped)
    for source, reason in made.failed.items():
        console.warning(console.plain(f"{source}: {reason}"))
    notes = [*made.notes, *(made.dream.notes if made.dream else [])]
    if as_json:
        from pellucid.storage.provenance import named_inputs

        inputs = named_inputs(dict.fromkeys(made.sources))
        cells = [vars(cell) for cell in made.cells]
        document = {"files": [str(file) for file in files], "cells": cells, "failed": made.failed, "notes": notes}
        console.document(document, model=model, inputs=inputs)
    else:
        for note in notes:
            console.note(note)
        if made.shares:
            console.line(f"The two axes hold {sum(made.shares):.0%} of the variance.")
        console.line("\n".join(map(console.plain, files)))
    return Cancelled.exit_code if stopped else 0
