"""Volumes from files: `.npy` and `.npz` arrays, NIfTI, DICOM series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.contracts import Sample
from pellucid.errors import BadOption, BadSample
from pellucid.modalities.arrays import read_array
from pellucid.modalities.modality import SampleRef
from pellucid.modalities.volumes.dicom import is_dicom, read_dicom
from pellucid.modalities.volumes.nifti import Read, nibabel, read_nifti, turned
from pellucid.modalities.volumes.space import NAMES

_ARRAYS, _NIFTI, _DICOM = (".npy", ".npz"), (".nii", ".nii.gz"), (".dcm",)
SUFFIXES = _ARRAYS + _NIFTI + _DICOM
"""Endings of its files."""


def parts(source: str | Path, options: Mapping[str, Any]) -> Sequence[SampleRef]:
    """A file is one volume. In a folder all DICOM files together are one, every other file is one of its own."""
    path = Path(source)
    if not path.is_dir():
        return [SampleRef(path.name, str(path), "volume", options)]
    inside = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
    others = [each for each in inside if str(each).lower().endswith(_ARRAYS + _NIFTI)]
    series = [path] if _slices(path) or not others else []
    return [SampleRef(each.name, str(each), "volume", options) for each in (*series, *others)]


def _slices(folder: Path) -> list[Path]:
    """DICOM files of a folder, whatever they are called, without the directory of a disc."""
    inside = sorted(each for each in folder.iterdir() if each.is_file() and each.name.upper() != "DICOMDIR")
    return [each for each in inside if each.suffix.lower() in _DICOM or is_dicom(each)]


def read(part: SampleRef) -> Sample:
    """A file, a folder of DICOM files or a tensor as a volume; axes are those of the file's array.

    Raises:
        BadSample: it is none.
        BadOption: an orientation or a time point that cannot be.
        MissingExtra: the library that reads such files is not installed.
    """
    said = {name: value for name, value in part.options.items() if value is not None}
    if isinstance(part.source, Tensor):
        return _sample(part, part.source, (), said, ())
    path = Path(part.source)
    numbers, channels, known, notes = _read(path, said.get("timepoint"))
    known = {"file": path.name, **known, **said}
    if wanted := said.get("orientation"):
        nibabel()
        numbers, known = turned(_volumes(part.name, numbers), known, wanted)
    kept = np.float64 if numbers.dtype == np.float64 and path.suffix in _ARRAYS else np.float32
    return _sample(part, torch.from_numpy(np.ascontiguousarray(numbers, kept)), channels, known, notes)


def _read(path: Path, timepoint: int | None) -> Read:
    name = path.name.lower()
    if path.is_dir() or name.endswith(_DICOM) or (not name.endswith(SUFFIXES) and is_dicom(path)):
        files = _slices(path) if path.is_dir() else [path]
        if not files:
            raise BadSample(f"The folder {str(path)!r} holds no file that ends in {', '.join(SUFFIXES)}.")
        found = read_dicom(files, path.name)
    elif name.endswith(_NIFTI):
        return read_nifti(path, timepoint)
    elif name.endswith(_ARRAYS):
        found = read_array(path), (), {}, ()
    else:
        raise BadSample(f"{path.name!r} is no file of volumes: expected {', '.join(SUFFIXES)} or a folder of DICOM.")
    if timepoint is not None:
        raise BadOption(f"{path.name!r} has no time points: only NIfTI files with a fourth axis have.")
    return found


def _volumes(name: str, numbers: Any) -> Any:
    """With an axis of channels in front."""
    if numbers.ndim not in (3, 4):
        raise BadSample(
            f"Expected [depth, row, column] or [channel, depth, row, column] in {name!r}, got {list(numbers.shape)}."
        )
    return numbers if numbers.ndim == 4 else numbers[None]


def _sample(
    part: SampleRef, numbers: Tensor, channels: tuple[str, ...], known: Mapping[str, Any], notes: tuple[str, ...]
) -> Sample:
    return Sample(part.name, part.kind, _volumes(part.name, numbers), NAMES, channels, known, None, notes)
