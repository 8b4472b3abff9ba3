"""`pellucid samples DIR`: the files that the documentation speaks of."""

from __future__ import annotations

import click

from pellucid.cli import console
from pellucid.cli.flags import json_flag


@click.command(short_help="Write the pictures and other files that the documentation speaks of.")
@click.argument("folder", metavar="DIR")
@json_flag
def samples(folder: str, as_json: bool) -> int:
    """Write the pictures and other files that the documentation speaks of into DIR.

    In that folder every command of the README runs as it is printed. Files that are there already stay as they are.

    pellucid samples playground
    """
    from pathlib import Path

    from pellucid.data.sample_files import samples as write

    files = write(folder)
    if as_json:
        console.document({"folder": folder, "files": [str(path) for path in files]})
        return 0
    place = Path(folder).expanduser()
    parts = sorted({path.relative_to(place).parts[0] + "/" * (path.parent != place) for path in files})
    console.line(console.plain(f"{len(files)} files are in {folder}: {', '.join(parts)}"))
    console.line("SOURCES.txt there says whose pictures these are. Go there, and the commands of the README run.")
    return 0
