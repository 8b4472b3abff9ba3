"""What is kept of a run: a JSON file and a table for each device, part by part, so that it can be continued."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

import pellucid
from benchmarks.measure import Row

FOLDER = Path(__file__).parent / "results"
HEAD = """# Side by side

Written by `make bench`. Times are medians of runs of both, in turn, in one process that keeps freed memory (whole
commands and memory: processes of their own). Ratios are medians of pairwise ratios: ours / theirs where the bar says
`<=`, theirs / ours elsewhere. Pellucid feeds pictures channels last on the CPU, hence figures below 1. Each part says
when it was measured: `python -m benchmarks --only PART` measures one part anew and leaves the others as they are.
"""
COLUMNS = """| what | network | batch | against | ours | theirs | ratio | bar | met |
|---|---|---|---|---|---|---|---|---|
"""


def keep(part: str, rows: list[Row], device: str, order: list[str]) -> None:
    """Put the rows of a part, measured just now, in the place of those known before.

    Args:
        part: its name.
        rows: what was measured.
        device: as torch names it.
        order: names of all parts, as they shall stand in the table; what is known of any other is dropped.
    """
    stem = "cpu" if device == "cpu" else torch.cuda.get_device_name().lower().replace(" ", "-")
    file = FOLDER / f"{stem}.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    known[part] = {"about": _about(device), "rows": [row.json() for row in rows]}
    known = {name: known[name] for name in order if name in known}
    FOLDER.mkdir(exist_ok=True)
    file.write_text(json.dumps(known, indent=1) + "\n")
    (FOLDER / f"{stem}.md").write_text(HEAD + "".join(_section(name, each) for name, each in known.items()))


def _section(name: str, part: dict[str, dict[str, str] | list[dict[str, object]]]) -> str:
    about = ", ".join(f"{key} {value}" for key, value in part["about"].items())
    lines = "\n".join(Row(**row).line() for row in part["rows"])
    return f"\n## {name}\n\n{about}\n\n{COLUMNS}{lines}\n"


def _about(device: str) -> dict[str, str]:
    return {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "processor": platform.processor() or platform.machine(),
        "threads": str(torch.get_num_threads()),
        "device": device if device == "cpu" else torch.cuda.get_device_name(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "pellucid": pellucid.__version__,
    }
