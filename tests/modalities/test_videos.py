"""Videos: frames with their times, from films and from folders of pictures, explained, drawn and moving."""

from io import BytesIO

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
from pellucid.errors import BadOption, BadSample, MissingExtra
from pellucid.modalities import SampleRef, parts_of, read_part
from pellucid.modalities.videos.draw import importance, placed, shown

TIMES = (0.0, 0.1, 0.2, 0.5, 0.6, 0.7)


def film(path):
    """Six grey frames of 16 x 24, each lighter than the one before; the fourth comes late."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 24, 16, "yuv420p"
        for k, time in enumerate(TIMES):
            frame = av.VideoFrame.from_ndarray(np.full((16, 24, 3), 40 * k, np.uint8), format="rgb24")
            frame.pts = round(time * 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def net():
    torch.manual_seed(0)
    layers = nn.Conv3d(3, 2, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(2, 2)
    return nn.Sequential(*layers).eval()


def read(path, **options):
    return read_part(SampleRef(path.name, str(path), "video", options))


def test_frames_keep_their_times(tmp_path):
    found = read(film(tmp_path / "clip.mp4"))
    assert found.tensor.shape == (3, 6, 16, 24) and found.names == ("frame", "row", "column")
    np.testing.assert_allclose(found.geometry["times"], TIMES, atol=1e-6)
    assert "units" not in found.geometry  # not equally far apart
    np.testing.assert_allclose(found.tensor.mean((0, 2, 3)), np.arange(6) * 40 / 255, atol=8 / 255)
    some = read(tmp_path / "clip.mp4", frames=2, frame_size="8x12", normalise="kinetics")
    assert some.tensor.shape == (3, 2, 8, 12) and some.geometry["times"] == (0.0, found.geometry["times"][-1])
    np.testing.assert_allclose(shown(some)[1].mean(), 200 / 255, atol=8 / 255)
    assert some.notes == ("2 of 6 frames, evenly spaced",)


def test_a_folder_of_pictures_is_a_video_in_the_order_that_people_count(tmp_path):
    for k in range(3):
        Image.new("RGB", (6, 4), (60 * k,) * 3).save(tmp_path / f"f{k + 8}.png")
    part = parts_of("video", [tmp_path], {"fps": 4.0})
    found = read_part(part[0])
    assert (found.tensor[0, :, 0, 0] * 255).round().tolist() == [0, 60, 120]
    assert found.geometry["units"] == {"frame": (0.25, "s")}
    Image.new("RGB", (8, 4)).save(tmp_path / "f11.png")
    with pytest.raises(BadSample, match=r"'f11.png' in .* has 4 x 8 pixels"):
        read_part(part[0])


def test_what_is_wrong_is_said(tmp_path, monkeypatch):
    path = film(tmp_path / "clip.mp4")
    for options, said in (({"frames": 7}, "has 6 frames"), ({"frame_size": "8"}, "ROWSxCOLUMNS"),
                          ({"normalise": "x"}, "kinetics or imagenet")):  # fmt: skip
        with pytest.raises(BadOption, match=said):
            read(path, **options)
    (tmp_path / "cut.mp4").write_bytes(b"no film")
    for name, said in (("cut.mp4", "cannot be read as a video"), ("gone.mp4", "There is no file")):
        with pytest.raises(BadSample, match=said):
            read(tmp_path / name)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pellucid\[video\]'"):
        read(path)


def test_a_film_is_explained_as_its_tensor_is_and_moves(tmp_path):
    found = pellucid.explain(net(), film(tmp_path / "clip.mp4"), ["input-x-gradient"], frame_size="8x12")
    values = found["input-x-gradient"].values
    plain = pellucid.explain(net(), found.samples[0].tensor[None], ["input-x-gradient"])["input-x-gradient"].values
    assert torch.equal(values, plain)
    folder = found.save(tmp_path / "out")
    with Image.open(BytesIO(next(folder.rglob("*.apng")).read_bytes())) as moving:
        assert moving.n_frames == 6
        durations = [moving.seek(k) or moving.info["duration"] for k in range(6)]
    assert durations == [100, 100, 300, 100, 100, 100]
    np.testing.assert_allclose(importance(values[0].double().numpy()), values[0].sum((1, 2)), rtol=1e-5)
    x, y = placed([0.0, 1.0, 4.0], np.array([1.0, -1.0, 0.5]))
    assert x.tolist() == [0, 0.25, 1] and y.tolist() == [0, 1, 0.25]
