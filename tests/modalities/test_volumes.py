"""Volumes: read untransposed with their place in space, refused with their files' names, drawn and written back."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from torch import nn

import pellucid
from pellucid.errors import BadOption, BadSample, MissingExtra
from pellucid.modalities import SampleRef, kinds_of, parts_of, read_part
from pellucid.modalities.volumes.planes import planes

NIFTI = Path(nibabel.__file__).parent / "tests" / "data"
DICOM = Path(pydicom.__file__).parent / "data" / "test_files"
AFFINE = np.array([[0, 0, -2.0, 9], [3, 0, 0, -5], [0, 1, 0, 4], [0, 0, 0, 1]])  # depth to A, rows to S, columns to L


def net(channels=1):
    torch.manual_seed(0)
    layers = nn.Conv3d(channels, 2, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(2, 2)
    return nn.Sequential(*layers).eval()


def read(path, **options):
    return read_part(SampleRef(path.name, str(path), "volume", options))


def nifti(path, shape=(4, 5, 6), affine=AFFINE):
    numbers = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(numbers, affine), path)
    return numbers


def series(folder, places=(0, 1, 2, 3), **changed):
    """Slices of the CT that pydicom carries, 128 x 128, the first row of each telling which it is; stored shuffled."""
    folder.mkdir()
    for place in places:
        data = pydicom.dcmread(DICOM / "CT_small.dcm")
        pixels = data.pixel_array[:8, :10].copy()
        pixels[0] = place * 10
        data.Rows, data.Columns, data.PixelData = 8, 10, pixels.tobytes()
        data.ImagePositionPatient = [-158.0, -179.0, -75.0 + 5 * place]
        data.RescaleSlope, data.RescaleIntercept = 2, place - 1024
        data.SOPInstanceUID = f"1.2.{int(place * 4)}"
        for key, value in changed.items():
            setattr(data, key, value)
        data.save_as(folder / f"{(place * 7) % 4}-{place}.dcm")
    return folder


def test_axes_are_those_of_the_file_and_letters_say_how_it_lies(tmp_path):
    numbers = nifti(tmp_path / "scan.nii.gz")
    found = read(tmp_path / "scan.nii.gz")
    assert np.array_equal(found.tensor[0], numbers) and found.names == ("depth", "row", "column")
    assert found.geometry["letters"] == "ASL" and found.geometry["units"]["depth"] == (3.0, "mm")
    assert [plane.title for plane in planes(found)] == ["coronal", "axial", "sagittal"]
    coronal = planes(found)[0]
    assert coronal.ends == ("S", "I", "R", "L")
    assert np.array_equal(coronal.cut(numbers, 1), numbers[1, ::-1, :])  # rows run up, columns to the left of the body


def test_a_map_lies_on_its_scan_also_after_turning(tmp_path):
    numbers = nifti(tmp_path / "scan.nii")
    turned = pellucid.explain(net(), tmp_path / "scan.nii", ["input-x-gradient"], kind="volume", orientation="RAS")
    assert turned.samples[0].geometry["letters"] == "RAS" and turned.samples[0].tensor.shape == (1, 6, 4, 5)
    folder = turned.save(tmp_path / "out")
    back = nibabel.load(next(folder.rglob("*.nii.gz")))
    assert np.array_equal(back.affine, AFFINE) and back.shape == numbers.shape
    wanted = turned["input-x-gradient"].values[0].permute(1, 2, 0).flip(2)
    np.testing.assert_allclose(back.get_fdata(), wanted, rtol=1e-6)
    assert pellucid.read(folder).samples[0].geometry["affine"] == turned.samples[0].geometry["affine"]


def test_a_scan_is_explained_as_its_tensor_is(tmp_path):
    numbers = nifti(tmp_path / "scan.nii.gz")
    np.save(tmp_path / "scan.npy", numbers)
    maps = [
        pellucid.explain(net(), source, ["grad-cam"], **kind)["grad-cam"].values
        for source, kind in (
            (tmp_path / "scan.nii.gz", {}), (tmp_path / "scan.npy", {}), (torch.from_numpy(numbers)[None, None], {}),
            (torch.from_numpy(numbers)[None, None], {"kind": "volume"}),
        )
    ]  # fmt: skip
    assert all(torch.equal(each, maps[0]) for each in maps)


def test_several_volumes_in_one_file_are_channels_or_one_is_taken():
    every = read(NIFTI / "functional.nii")
    assert every.tensor.shape == (20, 17, 21, 3) and "20" in every.notes[0]
    assert torch.equal(read(NIFTI / "functional.nii", timepoint=3).tensor[0], every.tensor[3])
    with pytest.raises(BadOption, match="volumes 0 to 19"):
        read(NIFTI / "functional.nii", timepoint=20)


def test_slices_are_sorted_along_their_normal_and_rescaled(tmp_path):
    part = parts_of("volume", [series(tmp_path / "ct")], {})
    assert [each.name for each in part] == ["ct"]
    for path in (tmp_path / "ct").iterdir():  # as discs name them
        path.rename(path.with_suffix(".1.2"))
    assert kinds_of([tmp_path / "ct"]) == ("volume",)
    found = read_part(part[0])
    assert found.tensor.shape == (1, 4, 8, 10)
    assert found.tensor[0, :, 0, 0].tolist() == [place * 20 + place - 1024 for place in range(4)]
    assert found.geometry["letters"] == "SPL" and found.geometry["units"]["depth"] == (5.0, "mm")
    corner = np.array(found.geometry["affine"]) @ [3, 0, 0, 1]
    np.testing.assert_allclose(corner[:3], [158, 179, -60])


@pytest.mark.parametrize(("places", "changed", "said"), [
    ((0, 1, 3, 4), {}, "slice is missing in 'ct': between '3-1.dcm' and '1-3.dcm' are 10.00 mm, 5.00 mm elsewhere"),
    ((0, 1, 2.25, 3), {}, "not equally far apart"),
    ((0, 1), {"ImagePositionPatient": [0, 0, 0]}, "'0-0.dcm' and '3-1.dcm' in 'ct' lie at the same place"),
    ((0, 1), {"NumberOfFrames": 2}, "holds 2 frames in one file"),
])  # fmt: skip
def test_series_that_are_no_volume_name_their_files(tmp_path, places, changed, said):
    with pytest.raises(BadSample, match=said):
        read(series(tmp_path / "ct", places, **changed))


def test_mixed_and_compressed_slices_are_named(tmp_path, monkeypatch):
    folder = series(tmp_path / "ct", (0, 1))
    data = pydicom.dcmread(folder / "3-1.dcm")
    data.SeriesInstanceUID = "1.2.3"
    data.save_as(folder / "3-1.dcm")
    with pytest.raises(BadSample, match=r"mixes 2 series: '0-0.dcm' and '3-1.dcm'"):
        read(folder)
    monkeypatch.setattr(pydicom.Dataset, "pixel_array", property(lambda self: 1 / 0))
    with pytest.raises(BadSample, match="is compressed as JPEG 2000"):
        read(DICOM / "MR_small_jp2klossless.dcm")


def test_what_is_wrong_with_a_file_is_said(tmp_path, monkeypatch):
    sheared = AFFINE.copy()
    sheared[0, 0] = 0.5
    nifti(tmp_path / "sheared.nii", affine=sheared)
    nifti(tmp_path / "empty.nii", shape=(4, 0, 6))
    holed = np.zeros((3, 3, 3))
    holed[1, 2, 0] = np.nan
    np.save(tmp_path / "holed.npy", holed)
    (tmp_path / "cut.nii").write_bytes(b"no")
    for name, said in (
        ("sheared.nii", r"sheared: its depth and column axes stand at 80\.5 degrees"), ("empty.nii", "row 0"),
        ("holed.npy", "depth 1, row 2, column 0"), ("cut.nii", "cannot be read as a volume"),
    ):  # fmt: skip
        with pytest.raises(BadSample, match=said):
            read(tmp_path / name)
    with pytest.raises(BadOption, match="one letter each"):
        read(NIFTI / "anatomical.nii", orientation="RRS")
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pellucid\[volumes\]'"):
        read(NIFTI / "anatomical.nii")
