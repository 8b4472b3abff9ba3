"""What stands in a figure: rows of panels, each with a map of one method and what is to be said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from pellucid.contracts import Attribution, Axis, Picture, Sample
from pellucid.errors import BadOption
from pellucid.explanation import Explanation
from pellucid.report.facts import certainty
from pellucid.report.views import PictureView, picture_views

Style = Literal["overlay", "map"]
Scales = Literal["own", "shared"]


@dataclass(frozen=True)
class FigureLook:
    """How a figure looks.

    Attributes:
        style: `overlay` draws maps over what they explain, `map` draws them alone.
        width: in inches; 6.3 is the text of an A4 page with usual margins.
        height: in inches; None is what the maps need at that width.
        columns: panels side by side at most; None: what is usual for the kind of input.
        scale: `own` gives each map the whole range of colours and writes its end below it; `shared` gives all the same
            range, which is right only where their units agree, as those of one method do.
        original: whether what is explained stands in front of its maps.
        dpi: pixels per inch of PNG files, and the most that photographs keep in the others.
    """

    style: Style = "overlay"
    width: float = 6.3
    height: float | None = None
    columns: int | None = None
    scale: Scales = "own"
    original: bool = True
    dpi: int = 300

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            BadOption: a value that no figure can have.
        """
        for name, given, known in (("style", self.style, Style), ("scale", self.scale, Scales)):
            if given not in get_args(known):
                raise BadOption(f"Expected the {name} {' or '.join(map(repr, get_args(known)))}, got {given!r}.")
        for name, inches in (("width", self.width), ("height", self.height)):
            if inches is not None and not 0.5 <= inches <= 100:
                raise BadOption(f"Expected a {name} from 0.5 to 100 inches, got {inches}. A page is 6.3 inches wide.")
        if self.columns is not None and self.columns < 1:
            raise BadOption(f"Expected at least one column, got {self.columns}.")
        if not 20 <= self.dpi <= 2400:
            raise BadOption(f"Expected from 20 to 2400 pixels per inch, got {self.dpi}. 300 is usual in print.")


@dataclass(frozen=True, eq=False)
class FigurePanel:
    """One map, or what is explained.

    Attributes:
        title: above it.
        below: lines below it; untrusted text, as the title.
        values: signed map `[*axes]`.
        axes: of the map.
        given: `[channel, *axes]`, the model's input; None where it is not known any more.
        picture: as decoded; None of other kinds of input.
        sample: of other kinds, as read; None of tensors.
        plain: whether the input is shown alone, without the map.
    """

    title: str
    below: tuple[str, ...]
    values: Tensor
    axes: tuple[Axis, ...]
    given: Tensor | None = None
    picture: Picture | None = None
    sample: Sample | None = None
    plain: bool = False


@dataclass(frozen=True, eq=False)
class FigureRow:
    """The panels of one input, with the input itself first where it can be shown.

    Attributes:
        name: of the input; untrusted text.
        original: None where nothing is known of it.
        maps: in the order of the methods.
    """

    name: str
    original: FigurePanel | None
    maps: tuple[FigurePanel, ...]


def explained(explanation: Explanation) -> Iterator[FigureRow]:
    """One row for each input; where methods ran for several targets or layers, one for each of these."""
    for subject in picture_views(explanation):
        repeats: list[list[FigurePanel]] = []
        seen: dict[str, int] = {}
        for attribution in explanation:
            number = seen[attribution.method.id] = seen.get(attribution.method.id, -1) + 1
            repeats += [[]] if number == len(repeats) else []
            repeats[number].append(_panel(subject, attribution))
        for maps in repeats:
            yield FigureRow(subject.name, _original(subject, maps[0]), tuple(maps))


def _panel(subject: PictureView, attribution: Attribution) -> FigurePanel:
    target = attribution.target[subject.index]
    said = [certainty(found) for found in subject.predictions if found.name == target and found.box is None]
    sites = {str(other.site) for other in subject.explanation if other.method.id == attribution.method.id}
    place = (f"at {attribution.site}",) if len(sites) > 1 else ()
    return FigurePanel(
        attribution.method.title,
        (", ".join([target, *said[:1]]), *place),
        attribution.values[subject.index].detach().cpu(),
        attribution.axes,
        _given(subject, attribution),
        subject.picture,
        subject.sample,
    )


def _given(subject: PictureView, attribution: Attribution) -> Tensor | None:
    """The model's input; kept with the attribution, unless it was put together by hand."""
    if subject.sample is not None:
        return subject.sample.tensor.detach().cpu()
    image = None if attribution.question is None else attribution.question.image
    return image[subject.index].detach().cpu() if isinstance(image, Tensor) else None


def _original(subject: PictureView, of: FigurePanel) -> FigurePanel | None:
    if of.picture is None and (of.given is None or not bool(torch.isfinite(of.given).all())):
        return None
    return replace(of, title="", below=(subject.name,), plain=True)
