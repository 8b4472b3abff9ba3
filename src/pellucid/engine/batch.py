"""The pictures that a plan is run on, and the means to do so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pellucid.capture.meter import ProgressMeter
from pellucid.capture.running import Budget, input_type, with_rows
from pellucid.contracts import Frame, Maps, Model, NamedInputs


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures of one shape, ready to be explained together.

    Attributes:
        model: the network.
        image: the model's input `[batch, channel, *axes]`, on the model's device, in float32 or better.
        frames: how each picture lies in that input.
        budget: how many samples at once.
        meter: counts, reports, stops.
        named: reads other inputs that options name; None where none can be read.
    """

    model: Model
    image: Maps
    frames: Sequence[Frame]
    budget: Budget
    meter: ProgressMeter = field(default_factory=ProgressMeter)
    named: NamedInputs | None = None

    def changed(self, rows: Maps, samples: Tensor, model: Model | None = None) -> Batch:
        """Of which row i is a variant of this one's `samples[i]`; with another model, if one is given.

        It reports no progress, and stops as this one does.
        """
        frames = tuple(self.frames[k] for k in samples.tolist())
        named = self.named and self.named.of_frames(frames)
        meter = ProgressMeter(None, self.meter.cancel)
        whole = replace(self, model=with_rows(model or self.model, samples), frames=frames, meter=meter, named=named)
        return replace(whole, image=wide(whole.model, rows))


def wide(model: Model, image: Maps) -> Maps:
    """The model's input in float32, or better where the model takes that."""
    return image.to(torch.promote_types(input_type(model, image), torch.float32))
