"""`make docs`: writes what the program itself knows into the pages: tables of methods and metrics, the picture."""

from __future__ import annotations

import sys
from pathlib import Path

import pellucid

ROOT = Path(__file__).parent.parent
START, END = "<!-- methods: written by make docs -->", "<!-- end of methods -->"
METRICS_END = "<!-- end of metrics -->"
ASKS = {"probe": "the network", "explain": "the method again", "mask": "masks", "boxes": "boxes"}
SHOWN = ("grad-cam", "guided-backprop", "occlusion", "smoothgrad")


def methods_table() -> str:
    """One row per registered method."""
    rows = ["| id | what it shows | looks at | source |", "|---|---|---|---|"]
    for method in pellucid.methods().values():
        place = "layer" if method.at_site else "attention" if method.at_attention else "input"
        rows.append(f"| `{method.id}` | {method.summary} | {place} | {method.reference} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """One row per registered metric."""
    rows = ["| id | what it measures | better | asks | source |", "|---|---|---|---|---|"]
    for metric in pellucid.metrics().values():
        asks = [words for name, words in ASKS.items() if name in metric.needs]
        rows.append(
            f"| `{metric.id}` | {metric.summary} | {metric.better} | {', '.join(asks) or 'the map alone'} | "
            f"{metric.reference} |"
        )
    return "\n".join(rows)


def readme() -> str:
    """The README with the table as it should be."""
    return _with_table("README.md", START, methods_table(), END)


def metrics_page() -> str:
    """The page of metrics with the table as it should be."""
    return _with_table("docs/metrics.md", "<!-- metrics: written by make docs -->", metrics_table(), METRICS_END)


def _with_table(path: str, start: str, table: str, end: str) -> str:
    before, _, rest = (ROOT / path).read_text().partition(start)
    return f"{before}{start}\n{table}\n{end}{rest.partition(end)[2]}"


def picture() -> None:
    """A sheet of maps of a photograph, as in the README."""
    from pellucid.pictures import sheet

    result = pellucid.explain(pellucid.load(), "sample:cat", list(SHOWN))
    best = result.predictions[0][0]
    cells = [(result.pictures[0].image, f"{best.name}, {best.probability:.0%}")]
    cells += [(result.picture(name), result[name].method.title) for name in SHOWN]
    sheet(cells).save(ROOT / "docs" / "pictures" / "cat.png", optimize=True)


def located() -> None:
    """Boxes and masks of photographs, as on the page of localisation."""
    from pellucid.pictures import sheet

    whole, usual = pellucid.load(resize=None), pellucid.load()
    found = [
        ("CAM", pellucid.locate(whole, "sample:cat", "cam")),
        ("Grad-CAM", pellucid.locate(usual, "sample:rocket", "grad-cam")),
        ("saliency and graph cut", pellucid.locate(usual, "sample:coffee", "saliency", by="graph-cut")),
        ("saliency and graph cut", pellucid.locate(usual, "sample:rocket", "saliency", by="graph-cut")),
    ]
    page = sheet([(each[0].draw(), name) for name, each in found])
    page.save(ROOT / "docs" / "pictures" / "located.png", optimize=True)


if __name__ == "__main__":
    (ROOT / "README.md").write_text(readme())
    (ROOT / "docs" / "metrics.md").write_text(metrics_page())
    if "--table" not in sys.argv:
        picture()
        located()
