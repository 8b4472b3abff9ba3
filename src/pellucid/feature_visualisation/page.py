"""The page of a dream: the pictures, how they came about, and whether they can be trusted."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from io import BytesIO
from typing import Any

from markupsafe import Markup
from PIL import Image

from pellucid.feature_visualisation.drawing import as_images, as_sheet
from pellucid.feature_visualisation.trust_panel import Natural, VisualisationTrust
from pellucid.feature_visualisation.visualisation import Visualisation
from pellucid.pictures import decode, sheet
from pellucid.report.charts import curves
from pellucid.report.document import document
from pellucid.storage import provenance
from pellucid.wording import counted

_CURVES = 6
_SHOWN = 5
_SAID = ("achieved", "most", "pictures", "slope", "natural_slope", "verdict")


def dream_page(made: Visualisation, command: str = "") -> str:
    """One HTML file without any request."""
    titles = [title or f"picture {k}" for k, title in enumerate(made.titles or [""] * len(made.pictures))]
    terms = [name for name in made.terms if name != made.objective]
    slopes, drawn = made.slope, as_sheet(made)
    return document(
        "dream.html",
        created=provenance.now(),
        name="Dream",
        headline=_headline(made),
        sentence=f"{counted(len(made.pictures), 'picture')} that {made.model.name} asks for; "
        f"{made.recipe.steps} steps in {made.seconds:.0f} s.",
        notes=made.notes,
        sheet=_uri(drawn),
        width=min(900, 2 * drawn.width),  # enlarged, but not so far that single pixels show
        terms=[_short(name) for name in terms],
        rows=[
            (titles[k], float(made.final[k]), *(float(made.terms[name][k]) for name in terms), slopes[k])
            for k in range(len(made.pictures))
        ],
        chart=_climb(made, titles),
        panels=[_panel(made, k, titles[k], panel) for k, panel in enumerate(made.trust)],
        settings={
            "Objective": _short(made.objective, 400),
            **{key.capitalize(): value for key, value in asdict(made.recipe).items() if value != ""},
            **{key.capitalize(): value for key, value in made.options.items()},
            "Seed": made.seed,
            "Size": " x ".join(map(str, made.size)),
            "Model": f"{made.model.name}, {made.model.fingerprint}",
        },
        versions=provenance.versions(),
        command=command,
    )


def _headline(made: Visualisation) -> str:
    """What was drawn, in as few words as say it."""
    named = made.made_by or "; ".join(filter(None, made.titles or ())) or made.objective
    return next((said for said in (named, made.objective) if len(said) < 80), "Dream")


def _climb(made: Visualisation, titles: list[str]) -> Markup | None:
    """The objective of the first few pictures at each step."""
    if len(made.objectives) < 2:
        return None
    lines = made.objectives.T[:_CURVES].tolist()
    series = {_short(title, 14): list(enumerate(line, 1)) for title, line in zip(titles, lines, strict=False)}
    return curves(series, across="step", up="objective")


def _panel(made: Visualisation, k: int, title: str, panel: VisualisationTrust) -> dict[str, Any]:
    cells = [(as_images(made)[k], f"drawn: {panel.achieved:.3g}")]
    cells += [(_part(each), f"{each.value:.3g}") for each in panel.top[:_SHOWN]]
    chart = None
    if len(panel.paths) > 1:
        chart = curves(
            {
                "drawn": [(n, path.synthetic) for n, path in enumerate(panel.paths, 1)],
                "its photographs": [(n, path.natural) for n, path in enumerate(panel.paths, 1)],
                "any others": [(n, path.others) for n, path in enumerate(panel.paths, 1)],
            },
            across=f"layers, {panel.paths[0].layer} to {panel.paths[-1].layer}",
            up="rank correlation",
            quiet=("any others",),
        )
    return {
        **{name: getattr(panel, name) for name in _SAID},
        "unit": _short(panel.unit),
        "title": title,
        "sheet": _uri(sheet(cells, columns=len(cells), cell=160, gap=8)),
        "chart": chart,
    }


def _part(found: Natural) -> Image.Image:
    left, top, right, bottom = found.box
    size = (max(1, round(right - left)), max(1, round(bottom - top)))
    return decode(found.source)[0].resize(size, Image.Resampling.BICUBIC, found.box)


def _short(text: str, most: int = 48) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _uri(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
