"""`pellucid explain --dry-run`: the plan of the first picture and what it costs, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.api import plan
from pellucid.cli import console
from pellucid.cli.forecast import Forecast, priced
from pellucid.cli.progress import minutes
from pellucid.cli.request import Work
from pellucid.cli.results import Ref
from pellucid.engine.plan import Plan
from pellucid.storage.provenance import input_record


def dry_run(work: Work, pictures: Sequence[Ref], *, as_json: bool) -> None:
    """Say what `explain` would do with these pictures; the first stands for all.

    Raises:
        UnknownName, BadOption, BadPicture, BadSite, Refused: what the first would fail with before its first map.
    """
    found = pictures[0]
    picture = work.read(found)
    made = plan(
        work.model, picture, work.methods, work.target, list(work.layers) or None, work.options, work.seed,
        fuse=work.fuse, chunk=work.chunk,
    )  # fmt: skip
    cost = priced(made.cost, work, picture, measured=True)
    if as_json:
        inputs = [input_record(picture, source=found.source)]
        console.document(_document(work, made, cost, found, len(pictures)), model=work.model, inputs=inputs)
        return
    several = f", the first of {len(pictures)} pictures" if len(pictures) > 1 else ""
    console.line(console.plain(f"Plan for {found.name}{several}"), style="bold")
    for text in made.lines:
        console.line(console.plain(text))
    seconds = (cost.seconds or 0.0) * len(pictures)
    time = minutes(seconds) if seconds > 60 else f"{seconds:.2g} seconds"
    judged = "; judging them comes on top" if work.trust else ""
    console.line(console.plain(f"Time: about {time}{' in all' if several else ''}{judged}"))


def _document(work: Work, made: Plan, cost: Forecast, found: Ref, pictures: int) -> dict[str, Any]:
    return {
        "seed": work.seed,
        "picture": found.name,
        "pictures": pictures,
        "plan": {**made.known, "seconds_per_picture": cost.seconds},
    }
