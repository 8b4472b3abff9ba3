"""Files of numpy's: one array, as the network is to be given it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import BadSample


def read_array(path: Path) -> NDArray[Any]:
    """An array of real numbers in the machine's own order of bytes; of an archive the only one in it.

    Raises:
        BadSample: several arrays, or numbers that are not real.
        OSError, ValueError: it cannot be read.
    """
    found = np.load(path, allow_pickle=False)
    if not isinstance(found, np.ndarray):
        with found:
            if len(found.files) != 1:
                raise BadSample(f"Expected one array in {path.name!r}, got {len(found.files)}. Save it alone as .npy.")
            found = found[found.files[0]]
    if found.dtype.kind not in "fiu" or found.dtype.itemsize > 8:
        raise BadSample(f"Expected real numbers in {path.name!r}, got {found.dtype}.")
    native: NDArray[Any] = found.astype(found.dtype.newbyteorder("="))
    return native
