"""Which layers can carry a map, what each position of them sees, and which one to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pellucid.capture.layers import Candidate, survey, why_recommended
from pellucid.capture.meter import ProgressMeter
from pellucid.capture.receptive import ReceptiveField, receptive_fields
from pellucid.capture.running import Budget, bound, guarded, nothing_to_look_at
from pellucid.contracts import Model, Picture, Site
from pellucid.engine.trial import Advice, Trial, advise
from pellucid.errors import BadSite
from pellucid.inspection.inputs import read_input
from pellucid.models.wrap import wrap


@dataclass(frozen=True)
class Layer(Candidate):
    """A layer whose output has a spatial grid, with what was found of it; `recommended` says where to look.

    Attributes:
        field: what a position can depend on; None if nothing of the picture reaches the layer, or if the network goes
            another way on noise.
        trial: how Grad-CAM did there on the picture; None without a picture and for layers that were not tried.
    """

    field: ReceptiveField | None = None
    trial: Trial | None = None


@dataclass(frozen=True, eq=False)
class Layers:
    """What `pellucid.layers` found; a sequence of the layers, in the order in which the network computes them.

    Attributes:
        model: the network.
        layers: those with a grid.
        pixels: rows and columns of the input.
        picture: what was looked at; None for noise or a tensor.
        recommended: where to look; None if no layer has a grid.
        reason: why there, as a part of a sentence; where no layer has a grid, sentences that say why not.
    """

    model: Model
    layers: tuple[Layer, ...]
    pixels: tuple[int, int]
    picture: Picture | None
    recommended: Site | None
    reason: str

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, number: int) -> Layer:
        return self.layers[number]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __repr__(self) -> str:
        return f"<Layers of {self.model.name}: {len(self)}, look at '{self.recommended}'>"


def layers(
    model: Model | nn.Module,
    picture: Any = None,
    size: int | tuple[int, int] | None = None,
    *,
    inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None = None,
    chunk: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Layers:
    """The layers whose output has a spatial grid, what a position of each can depend on, and which one to look at.

    Without a picture that is the last one that the score depends on. On a picture Grad-CAM is tried at up to 32 layers,
    the outermost ones: how well it tells the top classes apart and whether it names what counts; see
    `pellucid.engine.trial`.

    Args:
        model: a `Model` or any `nn.Module`; left exactly as it was.
        picture: a path, PIL image or array, or a float tensor `[batch, channel, row, column]`; None is seeded noise.
        size: rows and columns of the noise in pixels, or one number for both; None is the model's own input size.
        inputs: what the network takes besides the picture, one row for each (one for noise); see `pellucid.explain`.
        chunk: samples at once while layers are tried; None decides by the memory that is free.
        progress: function that is called now and then with ("layers", samples done, samples in all).

    Raises:
        BadOption: neither the model nor the caller says how large the input is, or on a picture the model's output is
            not understood.
    """
    model = wrap(model)
    image, read = read_input(model, picture, size)
    model = model if inputs is None else bound(model, inputs, image)
    with guarded(model.module):
        candidates = survey(model, image).candidates
        fields = _fields(model, image, candidates)
        advice = None
        if picture is not None and candidates:
            advice = advise(model, image, Budget(image.device, chunk), ProgressMeter(progress))
    advice = advice or _last(candidates)
    found = tuple(_layer(candidate, fields.get(candidate.site), advice) for candidate in candidates)
    why_none = "" if found else nothing_to_look_at(model)
    site, reason = (None, why_none) if advice is None else (advice.site, advice.reason)
    return Layers(model, found, (image.shape[2], image.shape[3]), read, site, reason)


def _fields(model: Model, image: Tensor, candidates: tuple[Candidate, ...]) -> dict[Site, ReceptiveField | None]:
    try:
        return receptive_fields(model, image[:1], {c.site: c.grid for c in candidates})
    except BadSite:  # the network goes another way on noise
        return {}


def _last(candidates: tuple[Candidate, ...]) -> Advice | None:
    return next((Advice(c.site, why_recommended(c), {}) for c in candidates if c.recommended), None)


def _layer(candidate: Candidate, field: ReceptiveField | None, advice: Advice | None) -> Layer:
    known = {**vars(candidate), "recommended": advice is not None and advice.site == candidate.site}
    return Layer(**known, field=field, trial=None if advice is None else advice.trials.get(candidate.site))
