"""What the manifest and the page both say: sentences, costs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from pellucid.contracts import Prediction, Preprocess, Reference, kind_of
from pellucid.explanation import Explanation
from pellucid.modalities import find_modality
from pellucid.report.views import PictureView
from pellucid.targets import independent
from pellucid.wording import counted

_SURE = 0.5
_NAMED = 3

count = counted
"""A number with its noun, for the templates."""


def device(explanation: Explanation) -> str:
    """Where the model ran."""
    for attribution in explanation:
        return str(attribution.values.device)
    return str(explanation.model.device)


def percent(fraction: float) -> str:
    """A probability for people; never 100 % or 0 % unless it is."""
    if 0 < fraction < 0.001:
        return "< 0.1 %"
    if 0.999 < fraction < 1:
        return "> 99.9 %"
    return f"{100 * fraction:.0f} %" if fraction >= 0.0995 else f"{100 * fraction:.1f} %"


def seconds(number: float) -> str:
    """A time for people, in seconds; "" if it is not known."""
    return "" if math.isnan(number) else f"{number:.2f}" if number < 10 else f"{number:.0f}"


def seen(subject: PictureView) -> str:
    """A sentence on what the model saw."""
    picture = subject.picture
    if subject.sample is not None:
        axes = ", ".join(map(str, subject.sample.axes))
        channels = len(subject.sample.tensor)
        among = f"{count(channels, 'channel')}, " if channels > 1 else ""
        return f"The model was given {find_modality(subject.sample.kind).title}: {among}{axes}."
    if picture is None:
        first = next(iter(subject.findings), None)
        size = "" if first is None else f" of {first.values.shape[1]} × {first.values.shape[0]} positions"
        return f"The model was given a tensor{size}, already normalised; there is no photograph to draw on."
    width, height = picture.image.size
    rows, columns = picture.tensor.shape[-2:]
    left, top, right, bottom = picture.box
    resized = "at its own size" if (columns, rows) == (width, height) else f"resized to {columns} × {rows}"
    if max(left, top, width - right, height - bottom) < 0.5:
        return f"The model saw the whole picture of {width} × {height} pixels, {resized}."
    wide, high = round(right - left), round(bottom - top)
    return f"The model saw the framed part only: {wide} × {high} of {width} × {height} pixels, {resized}."


def named(prediction: Prediction) -> str:
    """A prediction's class, and where it is if that is known."""
    if prediction.box is None:
        return prediction.name
    return f"{prediction.name} in {', '.join(f'{edge:.0f}' for edge in prediction.box)}"


def fed(preprocess: Preprocess) -> str:
    """How large a picture becomes for the model, and which part of it."""
    if preprocess.transform is not None:
        size = f"{preprocess.size[1]} × {preprocess.size[0]}, " if preprocess.size else ""
        return f"{size}by a function of your own ({kind_of(preprocess.transform)})"
    if preprocess.size is None:
        return f"shorter side to {preprocess.resize}" if preprocess.resize else "at its own size"
    how = f"shorter side to {preprocess.resize} and central crop" if preprocess.resize else "squeezed"
    return f"{preprocess.size[1]} × {preprocess.size[0]}, {how}"


def verdict(subject: PictureView) -> str:
    """A sentence on what the model says and how sure it is; "" without class scores."""
    found = subject.predictions
    if found and found[0].share is not None:
        parts = [f"“{p.name}” in {percent(p.share)}" for p in found if p.share is not None]
        return f"It sees {', '.join(parts)} of the picture."
    if found and found[0].box is not None:
        chances: dict[str, list[str]] = {}
        for p in found:
            chances.setdefault(p.name, []).append(certainty(p))
        things = (f"“{name}” ({', '.join(its)})" for name, its in chances.items())
        return f"It detects {', '.join(things)}."
    if not found:
        return ""
    first = found[0]
    model = subject.explanation.model
    if first.probability is None:
        return f"It gives {', '.join(f'“{p.name}” {certainty(p)}' for p in found)}."
    if independent(model) or (model.answers not in ("", "classes") and _apart(found)):
        return f"It gives {', '.join(f'“{p.name}” {certainty(p)}' for p in found[:_NAMED])}, each by itself."
    if len(found) < 2:
        return f"It gives “{first.name}” {certainty(first)}."
    if first.probability > _SURE:
        return f"It says “{first.name}” with {certainty(first)}."
    return f"It is not sure: “{first.name}” has {certainty(first)}, “{found[1].name}” {certainty(found[1])}."


def _apart(found: Sequence[Prediction]) -> bool:
    """Whether probabilities cannot be of classes of which one is right: several that sum to more than 1."""
    return len(found) > 1 and sum(p.probability or 0.0 for p in found) > 1 + 1e-3


def certainty(prediction: Prediction) -> str:
    """A prediction's probability for people; its score where there is none, with its unit."""
    if prediction.probability is not None:
        return percent(prediction.probability)
    return f"{prediction.score:.4g} {prediction.unit}" if prediction.unit else f"{prediction.score:.4g}"


def picked(subject: PictureView) -> list[tuple[str, str, str]]:
    """What was explained: a heading, the choice, and why it was picked."""
    found = subject.findings
    chosen = {
        "class": ", ".join(dict.fromkeys(finding.target for finding in found)),
        "layer": ", ".join(dict.fromkeys(str(f.attribution.site) for f in found if f.attribution.site)),
        "methods": ", ".join(dict.fromkeys(finding.attribution.method.title for finding in found)),
    }
    headings = {"class": "Explained"}
    rows = [(name, chosen.get(name, ""), why) for name, why in subject.explanation.choices.items()]
    return [(headings.get(name, name.capitalize()), choice, why) for name, choice, why in rows]


def link(paper: Reference) -> str:
    """Address of a paper on arXiv, or ""."""
    found = re.fullmatch(r"arXiv:(\d{4}\.\d{4,5}(?:v\d+)?)", paper.where)
    return f"https://arxiv.org/abs/{found[1]}" if found else ""
