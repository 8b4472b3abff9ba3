"""`make docs`: writes what the program itself knows into the README: the table of methods and the picture."""

from __future__ import annotations

import sys
from pathlib import Path

import pellucid

ROOT = Path(__file__).parent.parent
START, END = "<!-- methods: written by make docs -->", "<!-- end of methods -->"
SHOWN = ("grad-cam", "guided-backprop", "occlusion", "smoothgrad")


def methods_table() -> str:
    """One row per registered method."""
    rows = ["| id | what it shows | looks at | source |", "|---|---|---|---|"]
    for method in pellucid.methods().values():
        place = "layer" if method.at_site else "attention" if method.at_attention else "input"
        rows.append(f"| `{method.id}` | {method.summary} | {place} | {method.reference} |")
    return "\n".join(rows)


def readme() -> str:
    """The README with the table as it should be."""
    text = (ROOT / "README.md").read_text()
    before, _, rest = text.partition(START)
    return f"{before}{START}\n{methods_table()}\n{END}{rest.partition(END)[2]}"


def picture() -> None:
    """A sheet of maps of a photograph, as in the README."""
    from pellucid.pictures import sheet

    result = pellucid.explain(pellucid.load(), "sample:cat", list(SHOWN))
    best = result.predictions[0][0]
    cells = [(result.pictures[0].image, f"{best.name}, {best.probability:.0%}")]
    cells += [(result.picture(name), result[name].method.title) for name in SHOWN]
    sheet(cells).save(ROOT / "docs" / "pictures" / "cat.png", optimize=True)


if __name__ == "__main__":
    (ROOT / "README.md").write_text(readme())
    if "--table" not in sys.argv:
        picture()
