"""Maps of videos as moving pictures."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from itertools import pairwise

from torch import Tensor

from pellucid.contracts import Sample
from pellucid.modalities.painting import evenly
from pellucid.modalities.videos.draw import frames_of, times
from pellucid.pictures.colour import as_array

_MOST, _LONGEST, _SLOWEST = 64, 320, 1000


def written(sample: Sample, values: Tensor) -> Mapping[str, bytes]:
    """An animated PNG of the frames with the map over them, as fast as the video; up to 64 frames.

    PNG and not GIF, whose 256 colours would change those of the map.

    Args:
        sample: the video.
        values: `[frame, row, column]`.
    """
    chosen = evenly(sample.tensor.shape[1], _MOST)
    frames = frames_of(sample, as_array(values), chosen, _LONGEST)
    at = [times(sample)[k] for k in chosen]
    steps = [round(1000 * (b - a)) for a, b in pairwise(at)]
    durations = [min(max(step, 10), _SLOWEST) for step in (*steps, steps[-1] if steps else _SLOWEST)]
    buffer = BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return {".apng": buffer.getvalue()}
