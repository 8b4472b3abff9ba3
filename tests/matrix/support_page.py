"""`docs/support.md`, written from what the matrix found: one file per network in `outcomes/`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "support.md"
OK = "ok"
FACTS = ("library", "kind", "pixels", "note")
"""What the page says of a network, by the attributes of `architectures.Network`."""

_HEAD = """\
# Which method works on which network

Written by `make matrix`, which tries every method on every network below and checks the contract: finite values of the
right shape, not empty without saying so; the same map alone on two pictures and, for one of them, together with all
other methods and in chunks, with the same seed; finite in float32 too; and nothing of the network changed afterwards.

**ok** means that all this holds. **no** means that the method is refused, for a reason that the cell shortens and the
footnote gives in full, as the user reads it. There is no third kind.

Networks are torchvision's and timm's own with random weights, some with narrower layers, at about the smallest input
that leaves a grid of 2 x 2 cells in the last layers; whether a map is *good* is a question for trained weights. That
guided backprop, DeconvNet, LRP, DeepLIFT, excitation backprop and FullGrad treat each operation of these networks by
their rules, and none as a plain gradient, is checked in `tests/matrix` against reference implementations that read the
network in another way, as the list of operations that torch dispatches.
"""


def facts(network: Any) -> dict[str, Any]:
    """What the page says of one of the `architectures`."""
    return {name: getattr(network, name) for name in FACTS}


def read() -> dict[str, dict[str, Any]]:
    """All outcomes by network."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "outcomes").glob("*.json"))}


def write(name: str, known: Mapping[str, Any], outcomes: Mapping[str, str]) -> None:
    """Note the facts of one network and what was found for it."""
    text = json.dumps({**known, "outcomes": dict(sorted(outcomes.items()))}, indent=2)
    (HERE / "outcomes").mkdir(exist_ok=True)
    (HERE / "outcomes" / f"{name}.json").write_text(text + "\n")


def page(columns: Mapping[str, Mapping[str, Any]], names: Sequence[str], methods: Sequence[str]) -> str:
    """The page, with the networks in the order of `names`."""
    notes: dict[str, int] = {}
    found = [columns[name]["outcomes"][method] for name in names for method in methods]
    count = f"{len(methods)} methods on {len(names)} networks: {found.count(OK):,} times ok, "
    parts = [_HEAD, f"{count}{len(found) - found.count(OK):,} times no.\n"]
    for kind in dict.fromkeys(columns[name]["kind"] for name in names):
        group = [name for name in names if columns[name]["kind"] == kind]
        parts.append(f"## {kind}\n\n{_grid({name: columns[name] for name in group}, methods, notes)}\n")
    parts.append("\n".join(f"[^{number}]: {sentence}" for sentence, number in notes.items()) + "\n")
    return "\n".join(parts)


def _grid(columns: Mapping[str, Mapping[str, Any]], methods: Sequence[str], notes: dict[str, int]) -> str:
    head = [f"{name}<br>{_facts(column)}" for name, column in columns.items()]
    rows = [f"| | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for method in methods:
        cells = [_cell(column["outcomes"][method], notes) for column in columns.values()]
        rows.append(f"| `{method}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _facts(column: Mapping[str, Any]) -> str:
    return ", ".join(filter(None, (column["library"], f"{column['pixels']} px", column["note"])))


def _cell(outcome: str, notes: dict[str, int]) -> str:
    if outcome == OK:
        return OK
    return f"no: {shortened(outcome)}[^{notes.setdefault(outcome, len(notes) + 1)}]"


def shortened(sentence: str) -> str:
    """What of a refusal fits into a cell: the operations that it names, or its first clause."""
    for pattern, words in _REASONS.items():
        found = re.search(pattern, sentence)
        if found:
            return found.expand(words)
    return sentence.partition(". ")[0].partition(", ")[0].removesuffix(".")


_REASONS = {
    r"has no rule for (.*), which this network uses": r"\1",
    r"and this network uses (.*?)\. ": r"\1",
    r"but the score also goes through (.*?)\. ": r"\1",
    r"it has no attention layer": "no attention",
    r"it draws no mask of its own": "no mask",
    r"its attention looks within windows": "windows",
    r"do not have grids of several sizes": "one size of grid",
}
