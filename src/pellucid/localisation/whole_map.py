"""A map over its whole picture, as protocols of localisation look at it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid.contracts import Box
from pellucid.localisation.located import Located
from pellucid.numerics import boxes_of_parts, resize


class WholeMap:
    """A map over its whole picture, at the scale at which the model sees it; what it does not see is 0."""

    def __init__(self, located: Located) -> None:
        self.size = located.size
        left, top, right, bottom = located.seen
        rows, columns = located.values.shape
        across, down = columns / (right - left), rows / (bottom - top)
        shape = max(rows, round(located.size[0] * down)), max(columns, round(located.size[1] * across))
        self.scale = np.array([shape[1] / located.size[1], shape[0] / located.size[0]] * 2)
        y, x = min(round(top * down), shape[0] - rows), min(round(left * across), shape[1] - columns)
        self.place = (slice(y, y + rows), slice(x, x + columns))
        finite = np.isfinite(located.values).all()
        self.values, self.shape = (located.values if finite else np.zeros((rows, columns))), shape

    def _on(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = np.zeros(self.shape)
        whole[self.place] = values
        return whole

    @property
    def stretched(self) -> NDArray[np.float64]:
        """From 0 to 1, the smallest and largest value; 0 for a map that is the same everywhere."""
        low, high = self.values.min(), self.values.max()
        return self._on((self.values - low) / (high - low) if high > low else self.values * 0)

    @property
    def share_of_maximum(self) -> NDArray[np.float64]:
        """Positive values as shares of the largest; 0 for maps that point at nothing."""
        low, high = self.values.min(), self.values.max()
        return self._on(np.clip(self.values / high, 0, None) if high > 0 and high > low else self.values * 0)

    def box(self, threshold: float) -> Box | None:
        """Around the largest part above a share of the maximum, in pixels of the picture."""
        drawn = boxes_of_parts(self.share_of_maximum > threshold, 1)
        if not drawn:
            return None
        left, top, right, bottom = (np.array(drawn[0]) / self.scale).tolist()
        return left, top, right, bottom

    def at_full_size(self) -> torch.Tensor:
        """The stretched map in pixels of the picture."""
        return resize(torch.from_numpy(self.stretched)[None], self.size)[0]
