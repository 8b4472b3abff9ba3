"""Volumes from NIfTI files, and maps as NIfTI on the grid of the file that they explain."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.contracts import Sample
from pellucid.errors import BadOption, BadSample
from pellucid.extras import library
from pellucid.modalities.volumes.space import checked_affine, geometry, letters_of, plain

Read = tuple[NDArray[Any], tuple[str, ...], dict[str, Any], tuple[str, ...]]
"""Numbers `[channel, depth, row, column]`, names of the channels, geometry, notes."""


def nibabel() -> Any:
    """The library.

    Raises:
        MissingExtra: it is not installed.
    """
    return library("nibabel", "NIfTI files are read with nibabel", "volumes")


def read_nifti(path: Path, timepoint: int | None) -> Read:
    """A file's array, its axes as they are there; a fourth axis becomes the channels.

    Args:
        path: `.nii` or `.nii.gz`.
        timepoint: which volume of a file with a fourth axis is taken, from 0; None: all, as channels.

    Raises:
        MissingExtra: nibabel is not installed.
        BadSample: its numbers are not real, it has other axes, or its affine map is sheared.
        BadOption: there is no such volume.
    """
    image = nibabel().load(path)
    if not hasattr(image, "affine") or image.affine is None:
        raise BadSample(f"{path.name!r} holds no volume of voxels, but {type(image).__name__}.")
    if image.get_data_dtype().kind not in "fiu":
        raise BadSample(f"Expected real numbers in {path.name!r}, got {image.get_data_dtype()}.")
    numbers = np.asanyarray(image.dataobj)
    while numbers.ndim > 3 and numbers.shape[3] == 1:
        numbers = numbers[:, :, :, 0]
    if numbers.ndim not in (3, 4):
        raise BadSample(f"Expected three axes in {path.name!r}, or a fourth of channels, got {list(numbers.shape)}.")
    channels = numbers[None] if numbers.ndim == 3 else np.moveaxis(numbers, 3, 0)
    if timepoint is not None and not 0 <= timepoint < len(channels):
        raise BadOption(f"{path.name!r} has the volumes 0 to {len(channels) - 1}, got timepoint {timepoint}.")
    notes = () if len(channels) == 1 or timepoint is not None else (
        f"the file's fourth axis, of {len(channels)}, are its channels; timepoint=0 takes the first alone",
    )  # fmt: skip
    chosen = channels if timepoint is None else channels[timepoint : timepoint + 1]
    return chosen, (), *_space(path, image, notes)


def _space(path: Path, image: Any, notes: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Where it lies; a file that does not say so has voxels of a size and no sides of a body."""
    affine = checked_affine(path.name, image.affine)
    known = geometry(affine)
    codes = [int(image.header[name]) for name in ("sform_code", "qform_code")]
    if not any(codes):
        known["letters"] = ""
        notes = (*notes, "the file says not how it lies in the body: its axes have no sides")
    return {**known, "original": plain(affine), "space": codes[0] or codes[1]}, notes


def turned(numbers: NDArray[Any], known: dict[str, Any], wanted: str) -> tuple[NDArray[Any], dict[str, Any]]:
    """A volume with its axes turned and swapped so that they run to other sides of the body.

    Args:
        numbers: `[channel, depth, row, column]`.
        known: its geometry.
        wanted: a letter for each axis, such as `RAS`.

    Raises:
        BadOption: these are no sides, or the volume does not know its own.
    """
    orientations = _orientations()
    wanted = wanted.upper()
    if len(wanted) != 3 or sorted({"L": "R", "P": "A", "I": "S"}.get(x, x) for x in wanted) != ["A", "R", "S"]:
        raise BadOption(f"Expected one letter each of L R, P A and I S as orientation, such as RAS, got {wanted!r}.")
    if not known.get("letters"):
        raise BadOption("The volume does not say how it lies in the body, so that it cannot be turned to it.")
    affine = np.array(known["affine"])
    change = orientations.ornt_transform(_axes(known["letters"]), _axes(wanted))
    found = np.stack([orientations.apply_orientation(each, change) for each in numbers])
    moved = affine @ orientations.inv_ornt_aff(change, numbers.shape[1:])
    return found, {**known, **geometry(moved)}


def _axes(letters: str) -> NDArray[Any]:
    return np.asarray(_orientations().axcodes2ornt(tuple(letters)))


def _orientations() -> Any:
    return nibabel().orientations


def as_nifti(sample: Sample, values: NDArray[np.float64]) -> bytes:
    """A map on the grid of the file that it explains, as `.nii.gz`: it overlays the scan in the scan's own space.

    Args:
        sample: with an affine map.
        values: `[depth, row, column]`.
    """
    library, orientations = nibabel(), _orientations()
    known = sample.geometry
    original = np.array(known.get("original", known["affine"]))
    if not np.array_equal(original, np.array(known["affine"])):
        change = orientations.ornt_transform(_axes(known["letters"]), _axes(letters_of(original)))
        values = orientations.apply_orientation(values, change)
    image = library.Nifti1Image(values.astype(np.float32), original)
    code = int(known.get("space", 1))
    image.set_sform(original, code)
    image.set_qform(original, code)
    image.header.set_xyzt_units("mm")
    content: bytes = gzip.compress(image.to_bytes(), mtime=0)
    return content
