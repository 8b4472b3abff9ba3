"""What work will cost, before it begins: the passes that its methods plan, and the time of one that is measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from pellucid.capture.running import answered, conduct, guarded, network_seed, outputs
from pellucid.choices import AUTO
from pellucid.cli.progress import LONG, minutes
from pellucid.cli.request import Work, chosen_methods
from pellucid.contracts import Picture, Sample
from pellucid.engine.cost import PlannedCost, cost_of
from pellucid.evaluation import cost_of_trust
from pellucid.registry import default_methods
from pellucid.targets import asks_for_all, parse_targets

_MANY = 500
"""Passes for one picture below which none is measured: the work is over soon, and measuring would show."""
_ROWS = 4
"""Copies of the picture in the pass that is measured, since methods ask for batches."""


@dataclass(frozen=True)
class Forecast:
    """What each picture will take.

    Attributes:
        passes: through the network, forwards; one backwards counts as two.
        seconds: that they take, from the time of one; None where they are too few to be worth measuring.
        open: methods whose options do not say how many they take, and which are counted with one.
    """

    passes: int
    seconds: float | None = None
    open: tuple[str, ...] = ()

    def said(self, name: str, pictures: int, *, judged: bool) -> str:
        """A sentence for people; "" where the work is short.

        Args:
            name: of the network.
            pictures: how many there are.
            judged: True if each is judged afterwards in the time that judging may take.
        """
        if self.seconds is None or self.seconds * pictures <= LONG:
            return ""
        each = "" if pictures == 1 else f" for each of {pictures} pictures"
        beside = ", and at most a minute a picture of judging" if judged else ""
        whole = minutes(self.seconds * pictures)
        most = f"{'At least' if self.open else 'About'} {self.passes:,} passes of {name}{each}"
        rest = f" Not counted: what {', '.join(self.open)} finds out on the way." if self.open else ""
        return f"{most}: about {whole}{'' if pictures == 1 else ' in all'}{beside}.{rest}"

    @property
    def known(self) -> dict[str, Any]:
        """As `--json` writes it."""
        open_ = list(self.open)
        return {"passes_per_picture": self.passes, "seconds_per_picture": self.seconds, "not_counted": open_}


def forecast(work: Work, picture: Picture | Sample) -> Forecast:
    """What `work` takes for a picture like this. A few passes are run to know the time, where it will be many."""
    names = None if work.methods == [AUTO] else work.methods or default_methods(work.model)
    steps, layers = (chosen_methods(names, work.options) if names else ()), max(1, len(work.layers))
    counted = [(step, layers if step.at_site else 1) for step in steps]
    cost = cost_of(counted, _targets(work))
    if work.trust == "full":  # judging makes the maps of each target alone
        cost += cost_of_trust(cost_of(counted, 1), sum(places for _, places in counted), _targets(work))
    return priced(cost, work, picture)


def priced(cost: PlannedCost, work: Work, picture: Picture | Sample, *, measured: bool = False) -> Forecast:
    """The forecast of so many passes; `measured` times one even where they are few."""
    long = measured or cost.passes >= _MANY
    return Forecast(cost.passes, cost.passes * _seconds(work, picture) if long else None, cost.open)


def _targets(work: Work) -> int:
    """How many targets each picture is explained for; of all outputs as many as are known by name, or one."""
    if asks_for_all(work.target, work.model):
        return len(work.model.classes.names) if work.model.classes else 1
    if work.target is None and work.model.answers in ("binary", "regression"):
        return 2  # both sides; up and down
    return len(parse_targets(work.target, work.model))


def _seconds(work: Work, picture: Picture | Sample) -> float:
    """Of one pass, in a batch like those of methods; the first ones, in which a network warms up, do not count."""
    weight = next(work.model.module.parameters(), picture.tensor)
    image = picture.tensor[None].to(weight.device)
    with guarded(work.model.module), network_seed(work.seed):
        along = work.model.along(picture.names) if isinstance(picture, Sample) else work.model
        model = answered(along, image)
        rows = image if conduct(model, image).alone else image.expand(_ROWS, *image.shape[1:]).contiguous()
        outputs(model, rows)
        start = time.perf_counter()
        output = outputs(model, rows)
        if isinstance(output, torch.Tensor) and output.device.type == "cuda":
            torch.cuda.synchronize(output.device)
        return (time.perf_counter() - start) / len(rows)
