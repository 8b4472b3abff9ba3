"""Volumes from DICOM series: the slices of one folder, in the order in which they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import BadSample
from pellucid.extras import library
from pellucid.modalities.volumes.nifti import Read
from pellucid.modalities.volumes.space import checked_affine, geometry, plain, uneven

_Slice = tuple[Path, Any]
"""A file and its data set."""
_SAME = {
    "SeriesInstanceUID": "series", "Rows": "numbers of rows", "Columns": "numbers of columns",
    "PixelSpacing": "pixel sizes", "ImageOrientationPatient": "directions",
}  # fmt: skip
"""What all slices of a volume share, and how it is called."""


def pydicom() -> Any:
    """The library.

    Raises:
        MissingExtra: it is not installed.
    """
    return library("pydicom", "DICOM files are read with pydicom", "volumes")


def is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_dicom(files: Sequence[Path], name: str) -> Read:
    """Slices as one volume, sorted along their normal, with their rescale slope and intercept applied.

    Args:
        files: of one series; a directory file among them is left out.
        name: of the folder or the file.

    Raises:
        MissingExtra: pydicom is not installed.
        BadSample: they are no volume: mixed series, a missing slice, unequal distances, a compression that cannot be
            undone. The message names the files.
    """
    slices = [each for path in files if hasattr((each := (path, _opened(path)))[1], "Rows")]
    if not slices:
        raise BadSample(f"{name!r} holds no DICOM picture.")
    _check_alike(name, slices)
    placed, positions = _sorted(name, slices)
    numbers = np.stack([_pixels(each) for each in placed])
    notes = _notes(placed)
    if positions is None:
        return numbers[None], (), {}, (*notes, "the file says not where it lies")
    affine = checked_affine(name, _affine(placed))
    return numbers[None], (), {**geometry(affine), "original": plain(affine)}, notes


def _opened(path: Path) -> Any:
    library = pydicom()
    try:
        return library.dcmread(path)
    except (library.errors.InvalidDicomError, EOFError, OSError, ValueError) as error:
        raise BadSample(f"{path.name!r} cannot be read as DICOM: {error}") from error


def _check_alike(name: str, slices: Sequence[_Slice]) -> None:
    for path, data in slices:
        if int(data.get("NumberOfFrames", 1) or 1) > 1:
            raise BadSample(
                f"{path.name!r} holds {data.NumberOfFrames} frames in one file; only series of single slices are read. "
                "Convert it to NIfTI."
            )
        if int(data.get("SamplesPerPixel", 1)) != 1:
            raise BadSample(f"{path.name!r} is a colour picture, no slice of a scan.")
    for key, called in _SAME.items():
        groups: dict[str, list[str]] = {}
        for path, data in slices:
            groups.setdefault(_said(data.get(key)), []).append(path.name)
        if len(groups) > 1:
            some = " and ".join(_few(found) for found in list(groups.values())[:2])
            raise BadSample(
                f"{name!r} mixes {len(groups)} {called}: {some} do not belong together. Put each series into a folder "
                "of its own."
            )


def _said(value: Any) -> str:
    """A value as text, numbers to 5 places."""
    if isinstance(value, list | tuple) or (hasattr(value, "__iter__") and not isinstance(value, str)):
        return ", ".join(f"{float(x):.4f}" for x in value)
    return str(value)


def _few(names: Sequence[str]) -> str:
    return ", ".join(repr(each) for each in names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _normal(data: Any) -> NDArray[np.float64]:
    turn = np.array(data.ImageOrientationPatient, np.float64)
    return np.cross(turn[:3], turn[3:])


def _sorted(name: str, slices: Sequence[_Slice]) -> tuple[list[_Slice], NDArray[np.float64] | None]:
    """Slices along their normal, and where they lie on it, in millimetres."""
    without = [path.name for path, data in slices if not _has_place(data)]
    if without and len(slices) > 1:
        raise BadSample(f"{_few(without)} in {name!r} do not say where they lie (ImagePositionPatient).")
    if without:
        return list(slices), None
    along = [float(_normal(data) @ np.array(data.ImagePositionPatient, np.float64)) for _, data in slices]
    order = np.argsort(along, kind="stable")
    placed, positions = [slices[k] for k in order], np.array(along)[order]
    if (wrong := uneven(positions)) is not None:
        raise BadSample(_uneven(name, placed, positions, *wrong))
    return placed, positions


def _has_place(data: Any) -> bool:
    return all(data.get(key) is not None for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))


def _uneven(name: str, placed: Sequence[_Slice], positions: NDArray[np.float64], number: int, what: str) -> str:
    before, after = (repr(placed[k][0].name) for k in (number, number + 1))
    gap, usual = positions[number + 1] - positions[number], float(np.median(np.diff(positions)))
    if what == "twice":
        return (
            f"{before} and {after} in {name!r} lie at the same place ({positions[number]:.2f} mm): the folder holds "
            "several scans of it. Put each into a folder of its own."
        )
    if what == "missing":
        return (
            f"A slice is missing in {name!r}: between {before} and {after} are {gap:.2f} mm, {usual:.2f} mm elsewhere. "
            "Copy the whole series."
        )
    return (
        f"The slices of {name!r} are not equally far apart: {gap:.2f} mm between {before} and {after}, {usual:.2f} mm "
        "elsewhere. Resample the series, for example as NIfTI."
    )


def _pixels(each: _Slice) -> NDArray[Any]:
    """Numbers of one slice, in the unit of the scan."""
    path, data = each
    from pydicom.pixels.processing import apply_modality_lut

    try:
        return np.asarray(apply_modality_lut(data.pixel_array, data), np.float32)
    except Exception as error:  # what decoders say of a stream that they do not know is of many kinds
        syntax = data.file_meta.get("TransferSyntaxUID") if hasattr(data, "file_meta") else None
        if syntax is not None and syntax.is_compressed:
            raise BadSample(
                f"{path.name!r} is compressed as {syntax.name}, which cannot be undone here. Install its decoders, "
                "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg, or save the series uncompressed."
            ) from error
        raise BadSample(f"The pixels of {path.name!r} cannot be read: {error}") from error


def _affine(placed: Sequence[_Slice]) -> NDArray[np.float64]:
    """From (slice, row, column) to millimetres towards right, front and top; DICOM counts to the left and back."""
    first, data = np.array(placed[0][1].ImagePositionPatient, np.float64), placed[0][1]
    turn, (rows, columns) = np.array(data.ImageOrientationPatient, np.float64), data.PixelSpacing
    found = np.eye(4)
    if len(placed) > 1:
        last = np.array(placed[-1][1].ImagePositionPatient, np.float64)
        found[:3, 0] = (last - first) / (len(placed) - 1)
    else:
        found[:3, 0] = _normal(data) * float(data.get("SliceThickness") or 1.0)
    found[:3, 1], found[:3, 2], found[:3, 3] = turn[3:] * float(rows), turn[:3] * float(columns), first
    found[:2] *= -1
    return found


def _notes(placed: Sequence[_Slice]) -> tuple[str, ...]:
    """Whether numbers were rescaled."""
    scaled = {(float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))) for _, data in placed}
    if scaled == {(1.0, 0.0)}:
        return ()
    slope, intercept = sorted(scaled)[0]
    each = f"times {slope:g} plus {intercept:g}" if len(scaled) == 1 else "by its own slope and intercept"
    return (f"each slice's numbers were rescaled, {each}",)
