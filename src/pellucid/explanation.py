"""What one call of `pellucid.explain` found out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pellucid.contracts import Attribution, Axis, Choice, Model, Picture, Prediction, Sample
from pellucid.errors import Refused, UnknownName
from pellucid.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from pellucid.contracts import Evaluation


@dataclass(frozen=True, eq=False)
class Explanation(Result):
    """The attributions of one call, together with what the model predicted.

    Attributes:
        model: what was explained.
        pictures: pictures as decoded; empty when tensors or other kinds of input were given.
        predictions: top five classes of each picture, best first; empty when the output has no class scores.
        attributions: attributions in the order in which the methods were asked for; for several targets or layers, all
            methods of the first, then all of the next.
        refused: methods of the default set that would be wrong for this model, with the reason.
        notes: what the reader must know about all of it ("the output already is a probability").
        chosen: what was chosen, by whom and why, by name (`class`, `layer`, `methods`).
        target: text of what was asked for, if that was a number or a text.
        seed: integer that starts all random draws.
        seconds: wall-clock time of the call.
        evaluation: scores that say how far its maps can be trusted, if that was asked for (`explain(..., trust=True)`).
        samples: signals, rows of tables, ... as read; empty when pictures or tensors were given.
    """

    model: Model
    pictures: tuple[Picture, ...]
    predictions: tuple[tuple[Prediction, ...], ...]
    attributions: tuple[Attribution, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    chosen: Mapping[str, Choice] = field(default_factory=dict)
    target: int | str | None = None
    seed: int = 0
    seconds: float = 0.0
    evaluation: Evaluation | None = None
    samples: tuple[Sample, ...] = ()

    @property
    def choices(self) -> Mapping[str, str]:
        """Why what was chosen was chosen, in words, by name."""
        return {name: choice.words for name, choice in self.chosen.items()}

    def __getitem__(self, method: str) -> Attribution:
        """The first attribution of a method.

        Raises:
            UnknownName: the method was not run.
        """
        for attribution in self.attributions:
            if attribution.method.id == method:
                return attribution
        reason = f" It was refused: {self.refused[method]}" if method in self.refused else ""
        ran = ", ".join(dict.fromkeys(a.method.id for a in self.attributions)) or "none"
        raise UnknownName(f"The method {method!r} was not run; these were: {ran}.{reason}")

    def __contains__(self, method: object) -> bool:
        return any(a.method.id == method or a is method for a in self.attributions)

    def __repr__(self) -> str:
        ran = ", ".join(dict.fromkeys(a.method.id for a in self.attributions)) or "nothing"
        return f"<Explanation of {self.model.name}: {ran}>"

    def __iter__(self) -> Iterator[Attribution]:
        return iter(self.attributions)

    def __len__(self) -> int:
        return len(self.attributions)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What lies along the axes of every map, such as (row 224, column 224) or (time 500,); none without maps."""
        return self.attributions[0].axes if self.attributions else ()

    @property
    def undrawable(self) -> str:
        """Why its maps cannot be drawn, a sentence; "" where they are pictures."""
        if self.samples or len(self.axes) in (0, 2):
            return ""
        return (
            f"Only maps over rows and columns are drawn, and these lie along {', '.join(map(str, self.axes))}. Take "
            "their numbers: explanation[method].values, or save(folder), which writes maps.npz."
        )

    def picture(self, method: str, index: int = 0) -> Image:
        """A method's map over the original picture, at the picture's own size, as a PIL image.

        Of signals and other kinds of input it is what their kind draws, such as the line with its ground coloured. Of
        tensors, which have no picture, it is the map alone, at the size of the model's input.

        Args:
            method: id of a method that was run.
            index: number of the picture in the call, from 0.

        Raises:
            UnknownName: the method was not run, or there are not so many pictures.
            Refused: the maps lie along other axes than rows and columns.
        """
        from pellucid.modalities import find_modality
        from pellucid.pictures import heat, overlay

        maps = self[method].values
        if self.undrawable:
            raise Refused(self.undrawable)
        if not -len(maps) <= index < len(maps):
            raise UnknownName(f"There is no picture {index}: {len(maps)} pictures were explained.")
        if self.samples:
            return find_modality(self.samples[index].kind).draw(self.samples[index], maps[index])
        return overlay(self.pictures[index], maps[index]) if self.pictures else heat(maps[index])

    def save(self, folder: str | Path) -> Path:
        """Write the pictures, maps, manifest and report of every picture under `folder`; returns it.

        Each picture gets a folder in it, named after it, also a single one: the layout of `pellucid explain --out`.
        Of maps along other axes than rows and columns the numbers and the manifest are written, and nothing is drawn.
        A folder that could not be written completely is removed again.

        Raises:
            BadOption: the folder cannot be written to.
        """
        found: Path = self._do("save", Path(folder), apart=True)
        return found

    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML file that opens from disk without a network; returns its path.

        Raises:
            Refused: the maps lie along other axes than rows and columns.
        """
        if self.undrawable:
            raise Refused(self.undrawable)
        found: Path = self._do("write_report", Path(path))
        return found

    def figure(
        self,
        *,
        style: Literal["overlay", "map"] = "overlay",
        width: float = 6.3,
        height: float | None = None,
        columns: int | None = None,
        scale: Literal["own", "shared"] = "own",
        original: bool = True,
        dpi: int = 300,
    ) -> Figure:
        """Its maps as a matplotlib figure for a paper, with one bar of colours; `figure.savefig("out.pdf")` writes it.

        Text stays text in PDF and SVG, and nothing of matplotlib's settings changes. See docs/figures.md.

        Args:
            style: maps over what they explain, or alone.
            width: inches; 6.3 is the text of an A4 page.
            height: inches; None is what the maps need at that width.
            columns: panels side by side at most; None is what is usual for the kind of input.
            scale: `own` gives each map all colours, with their end below it; `shared` gives all maps one scale.
            original: True if pictures stand in front of their maps.
            dpi: pixels per inch of PNG files, and the most that photographs keep in the others.

        Raises:
            MissingExtra: matplotlib is not installed.
            BadOption: there are no maps, or a size that leaves no room for them.
            Refused: there is no figure of maps along such axes.
        """
        found: Figure = self._do(
            "figure", style=style, width=width, height=height, columns=columns, scale=scale, original=original, dpi=dpi
        )
        return found

    def _repr_html_(self) -> str | None:
        if self.undrawable:
            return None  # notebooks then show the text
        found: str = self._do("notebook_frame")
        return found
