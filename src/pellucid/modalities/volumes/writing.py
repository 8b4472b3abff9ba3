"""Maps of volumes as files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from torch import Tensor

from pellucid.contracts import Sample
from pellucid.modalities.volumes.nifti import as_nifti
from pellucid.pictures.colour import as_array


def written(sample: Sample, values: Tensor) -> Mapping[str, bytes]:
    """A map as `.nii.gz` on the grid of its scan.

    Nothing is written for arrays, which do not say where they lie, nor for DICOM series where nibabel is not installed.

    Args:
        sample: the volume.
        values: `[depth, row, column]`.
    """
    if "affine" not in sample.geometry or find_spec("nibabel") is None:
        return {}
    return {".nii.gz": as_nifti(sample, as_array(values))}
