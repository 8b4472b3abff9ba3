"""Numbers and pictures as text that is safe inside of HTML."""

from __future__ import annotations

import json
from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.pictures.packing import halves

LONGEST = 1200
"""The photograph is shrunk to this many pixels on its longer side; maps keep every value."""
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def script_json(value: Any) -> str:
    """JSON that cannot end the script element that it stands in, whatever texts it holds."""
    return json.dumps(value, allow_nan=False).translate(_ESCAPES)


def half(values: NDArray[np.float64]) -> dict[str, Any]:
    """A map as float16 in units of a power of two, so that its size never leaves the range of float16.

    Returns:
        `data` (base64, little endian, row by row), `unit` (times which the data are the values), `rows`, `columns`.
    """
    data, unit = halves(values)
    rows, columns = values.shape
    return {"data": data, "unit": unit, "rows": rows, "columns": columns}


def photograph(image: Image.Image) -> tuple[str, tuple[int, int]]:
    """The picture as a JPEG data URI, and its width and height there."""
    factor = min(1.0, LONGEST / max(image.size))
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}", size
