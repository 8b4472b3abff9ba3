"""Several targets of the same pictures: what a metric asks alike for all of them goes through the network once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from pellucid.capture.together import Together
from pellucid.contracts import Model
from pellucid.targets import Target, as_probability, of_rows


@dataclass
class Company:
    """Targets that maps of the same pictures are judged for by one metric.

    Attributes:
        targets: of all pictures.
        known: by block of pictures, what was asked so far, of scores and of probabilities.
    """

    targets: Sequence[Target]
    known: dict[tuple[int, ...], tuple[Together, Together]] = field(default_factory=dict)

    def of(self, pictures: Tensor, model: Model) -> tuple[Together, Together]:
        """What the targets share about some pictures: of their scores, and of their probabilities."""
        key = tuple(pictures.tolist())
        if key not in self.known:
            likely = [as_probability(target, model) for target in self.targets]
            plain, sure = ([of_rows(each, pictures) for each in some] for some in (self.targets, likely))
            self.known[key] = Together(plain), Together(sure)
        return self.known[key]
