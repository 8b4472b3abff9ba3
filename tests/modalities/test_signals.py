"""Signals: read from files with their places in errors, explained as tensors are, saved and read back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from torch import nn

import pellucid
from held_to_schemas import wrong_with
from pellucid.cli import main
from pellucid.errors import BadOption, BadSample
from pellucid.modalities import SampleRef, read_part


def net(channels=1):
    torch.manual_seed(0)
    layers = nn.Conv1d(channels, 2, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(2, 2)
    return nn.Sequential(*layers).eval()


def read(path, **options):
    return read_part(SampleRef(path.name, str(path), "signal", options))


def test_columns_arrays_and_sound_are_the_same_signal(tmp_path):
    wanted = np.array([[0, 1, -1, 0.5], [0.25, -0.5, 0, 0.75]])
    np.save(tmp_path / "a.npy", wanted)
    (tmp_path / "b.csv").write_text("I;II\n" + "\n".join(f"{a};{b}" for a, b in wanted.T))
    wavfile.write(tmp_path / "c.wav", 8, (wanted.T * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16))
    array, columns, sound = (read(tmp_path / name) for name in ("a.npy", "b.csv", "c.wav"))
    assert array.tensor.tolist() == columns.tensor.tolist() == wanted.tolist()
    assert columns.channels == ("I", "II") and array.channels == ()
    np.testing.assert_allclose(sound.tensor, wanted, atol=2**-15)
    assert sound.geometry == {"file": "c.wav", "rate": 8.0, "units": {"time": (0.125, "s")}}
    assert sound.notes == ("16-bit integers, divided by 32768",)


@pytest.mark.parametrize(("name", "content", "said"), [
    ("a.csv", "x,y\n1,2\n3,oops\n", r"row 1 \(line 3\), column 'y': expected a number, got 'oops'"),
    ("a.csv", "1,2\n3,\n", r"row 1 \(line 2\), column 1 has no value"),
    ("a.csv", "1,2\n3\n", r"row 1 \(line 2\) has 1 cells, the first line 2"),
    ("a.csv", "x,y\n1,nan\n2,inf\n", r"holds 2 values that are not finite, the first at channel y, time 0"),
    ("a.csv", "", "is empty"),
    ("a.csv", "x,y\n", "no rows below"),
    ("a.wav", b"RIFF", "cannot be read as a signal"),
    ("a.npy", b"", "cannot be read as a signal"),
])  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadSample, match=said):
        read(tmp_path / name)


def test_sound_without_frames_or_rate_is_refused(tmp_path):
    wavfile.write(tmp_path / "none.wav", 8000, np.zeros(0, np.int16))
    wavfile.write(tmp_path / "still.wav", 0, np.zeros(4, np.int16))
    for name, said in (
        ("none.wav", "0 frames"),
        ("still.wav", "0 samples per second"),
        ("gone.wav", "There is no file"),
    ):
        with pytest.raises(BadSample, match=said):
            read(tmp_path / name)
    wavfile.write(tmp_path / "own.wav", 8, np.ones(4, np.float32))
    for given, said in ((9.0, "says itself that it has 8"), (0.0, "sample rate above 0")):
        with pytest.raises(BadOption, match=said):
            read(tmp_path / "own.wav", rate=given)


def test_a_file_is_explained_as_its_tensor_is_and_read_back(tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 20)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    model = net(2)
    found = pellucid.explain(model, tmp_path / "x.npy", ["saliency", "grad-cam"], rate=4)
    plain = pellucid.explain(model, torch.from_numpy(x)[None], ["saliency", "grad-cam"])
    for mine, other in zip(found, plain, strict=True):
        assert torch.equal(mine.values, other.values)
    assert found.samples[0].geometry == {"file": "x.npy", "rate": 4.0, "units": {"time": (0.25, "s")}}
    assert found.model.computation == plain.model.computation
    back = pellucid.read(found.save(tmp_path / "out"))
    assert torch.equal(back["saliency"].values, found["saliency"].values)
    assert back.samples[0].geometry == found.samples[0].geometry
    folder = tmp_path / "out" / "x"
    assert {path.name for path in folder.iterdir()} >= {"saliency.png", "grad-cam.png", "maps.npz", "report.html"}


def test_what_nobody_said_of_pictures_is_refused():
    with pytest.raises(BadOption, match="Say of which kind"):
        pellucid.explain(net(), torch.zeros(1, 1, 8), "saliency", rate=4)
    with pytest.raises(TypeError, match="unexpected keyword argument 'metods'"):
        pellucid.explain(net(), torch.zeros(1, 1, 8), metods="saliency")


def test_the_command_line_takes_signals_and_a_bad_one_stops_no_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("from torch import nn\n\n\ndef model():\n    return nn.Sequential(nn.Conv1d(1, 2, 3), "
                              "nn.AdaptiveAvgPool1d(1), nn.Flatten())\n")  # fmt: skip
    Path("good.csv").write_text("1\n2\n3\n5\n4\n")
    Path("bad.csv").write_text("1\n2\nthree\n")
    line = "explain bad.csv good.csv --rate 4 --model net.py:model -m saliency --json"
    code = main(line.split())
    said = json.loads(capsys.readouterr().out)
    assert code == said["exit_code"] == 3
    assert wrong_with(said, "explain") == []
    assert [each["error"] for each in said["failed"]] == ["BadSample"]
    assert said["pictures"][0]["kind"] == "signal"
    assert said["pictures"][0]["axes"] == [{"name": "time", "size": 5, "step": 0.25, "unit": "s"}]
    assert Path("pellucid-out/good/saliency.png").is_file() and Path("pellucid-out/good/report.html").is_file()
