"""Images under lucent's names: each gives the numbers behind pictures and a function that draws them.

The first pictures depend on torch's seed (`torch.manual_seed`), which is only read: the same seed gives the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.errors import Refused
from pellucid.feature_visualisation.colours import correlate
from pellucid.feature_visualisation.images import Coloured, Fourier, Image, Pattern, Pixels
from pellucid.numerics import resize

Drawn = tuple[list[Tensor], Callable[[], Tensor]]
_SPREAD = 0.01


def image(
    w: int, h: int | None = None, sd: float | None = None, batch: int | None = None, decorrelate: bool = True,
    fft: bool = True, channels: int | None = None,
) -> Drawn:  # fmt: skip
    """Pictures `[batch, channel, h, w]` from 0 to 1, of a spectrum or of pixels.

    Args:
        w: columns.
        h: rows; as many as columns unless told otherwise.
        sd: standard deviation of the first numbers.
        batch: number of pictures.
        decorrelate: True if the numbers are independent colours; never where `channels` is given.
        fft: a spectrum, or else pixels.
        channels: 3 unless told otherwise.
    """
    shape = (batch or 1, channels or 3, h or w, w)
    params, colours = (fft_image if fft else pixel_image)(shape, sd)
    return params, to_valid_rgb(colours, decorrelate=decorrelate and not channels)


def fft_image(shape: Sequence[int], sd: float | None = None, decay_power: float = 1) -> Drawn:
    """Values `[batch, channel, row, column]` of any size, of a spectrum scaled by 1 / frequency^decay_power."""
    return _coloured(Fourier, shape, sd, decay=decay_power)


def pixel_image(shape: Sequence[int], sd: float | None = None) -> Drawn:
    """Values `[batch, channel, row, column]` of any size, one number each."""
    return _coloured(Pixels, shape, sd)


def lowres_tensor(
    shape: Sequence[int], underlying_shape: Sequence[int], offset: Any = None, sd: float = _SPREAD
) -> Drawn:
    """Values of one shape, from fewer rows, columns, channels or pictures: one picture for all is shared."""
    if offset is not None and offset is not False:
        raise Refused("Pellucid has no offsets for tensors of low resolution; leave offset out.")
    batch, channels = underlying_shape[:2]
    parameters, few = pixel_image(underlying_shape, sd)

    def drawn() -> Tensor:
        grown = resize(few(), (shape[2], shape[3]))
        return grown.repeat(shape[0] // batch, shape[1] // channels, 1, 1)

    if shape[0] % batch or shape[1] % channels:
        raise Refused(f"Pellucid spreads pictures and channels evenly, which {list(shape)} of {list(underlying_shape)} "
                      "are not.")  # fmt: skip
    return parameters, drawn


def cppn(
    size: int, num_output_channels: int = 3, num_hidden_channels: int = 24, num_layers: int = 8,
    activation_fn: Any = None, normalize: bool = False,
) -> Drawn:  # fmt: skip
    """A small network from place to colour.

    Raises:
        Refused: other layers than Pellucid's, which are lucid's.
    """
    if (num_hidden_channels, num_layers) != (Pattern.HIDDEN, Pattern.LAYERS) or activation_fn or normalize:
        raise Refused(
            f"Pellucid's pattern network has {Pattern.LAYERS} layers of {Pattern.HIDDEN} numbers with lucid's "
            "activation and no norm; leave these arguments out."
        )
    return _drawn(Pattern((size, size), num_output_channels, seed=_seed()))


def to_valid_rgb(image_f: Callable[[], Tensor], decorrelate: bool = False) -> Callable[[], Tensor]:
    """Values of any size as pictures from 0 to 1, from independent colours where `decorrelate` says so."""
    return lambda: torch.sigmoid(correlate(image_f()) if decorrelate else image_f())


def _coloured(kind: Callable[..., Coloured], shape: Sequence[int], sd: float | None, **more: float) -> Drawn:
    batch, channels, rows, columns = shape
    options: dict[str, Any] = {"spread": sd or _SPREAD, "seed": _seed(), "numbers": range(batch), **more}
    made = kind((rows, columns), channels, **options)
    return made.parameters, made.colours


def _drawn(made: Image) -> Drawn:
    return made.parameters, made.pictures


def _seed() -> int:
    return torch.initial_seed() % 2**31
