"""`pellucid train` as it is typed."""

import json

import numpy as np
import pytest
from PIL import Image

from pellucid.cli import main


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for name, level in (("dark", 30), ("light", 200)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(8):
            pixels = (level + rng.integers(-20, 20, (16, 16, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{k}.png")
    return tmp_path


def test_a_folder_of_class_folders_and_then_explain(pictures, capsys):
    out = pictures / "out"
    line = ["train", "folder", str(pictures / "set"), "--arch", "small-resnet", "--head", "gap", "--size", "16"]
    assert main([*line, "--passes", "2", "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["classes"] == ["dark", "light"]
    assert answer["pictures"] == {"learned": 10, "validation": 2, "held_out": 4}
    assert sorted(p.name for p in out.iterdir()) == ["report.html", "small-resnet.safetensors"]
    picture = str(pictures / "set" / "dark" / "0.png")
    line = ["explain", picture, "--model", answer["weights"], "--method", "cam", "--out", str(pictures / "e")]
    assert main(line) == 0
    assert (pictures / "e" / "0" / "cam.png").is_file()


def test_what_is_said_of_misuse(tmp_path, capsys):
    for line, words in (
        (["train", "lenet9", "--data", "digits"], "network of the zoo"),
        (["train", "folder"], "Expected a folder of class folders"),
        (["train", "lenet5", "somewhere"], "--data PATH"),
        (["train", "lenet5", "--data", "nowhere"], "There are no data"),
        (["train", "lenet5", "--data", "waves"], "waves are a curve"),
        (["train", "lenet5", "--rate", "-1"], "rate above 0"),
        (["train", "multilayer-perceptron", "--data", "waves", "--self-explaining"], "take no --self-explaining"),
        (["train", "multilayer-perceptron", "--data", "waves", "--resume"], "take no --resume"),
    ):
        assert main([*line, "--out", str(tmp_path / "o")]) == 2, line
        assert words in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_results_that_cannot_be_written_are_said_before_the_work(pictures, capsys):
    (pictures / "file").write_text("")
    data, under = str(pictures / "set"), pictures / "file" / "under"
    assert main(["train", "folder", data, "--out", str(under)]) == 2
    assert "Cannot write to" in capsys.readouterr().err
    assert main(["camify", "zoo:lenet5", "--data", data, "--out", str(under / "a.safetensors")]) == 2
    assert "Cannot write to" in capsys.readouterr().err


def test_classes_with_two_pictures_are_named(pictures, capsys):
    for number in range(2, 8):
        (pictures / "set" / "dark" / f"{number}.png").write_bytes(b"")
    assert main(["train", "folder", str(pictures / "set"), "--out", str(pictures / "o")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "'dark' (2). Training needs three of each" in said
    assert "6 pictures could not be read" in said


def test_interrupted_and_resumed(pictures, capsys, monkeypatch):
    out = pictures / "out"
    line = ["train", "folder", str(pictures / "set"), "--size", "16", "--passes", "3", "--batch", "5", "--threads", "1"]
    from pellucid.cli.progress import Bar

    def stop(_self, label, done, _total):
        if label == "pass 2" and done == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "tick", stop)
        assert main([*line, "--out", str(out)]) == 130
    assert "The same command goes on" in capsys.readouterr().err
    assert (out / ".training").is_dir()
    assert main([*line, "--out", str(out), "--resume"]) == 0
    assert main([*line, "--out", str(pictures / "whole")]) == 0
    assert not (out / ".training").exists()
    a, b = (path / "small-resnet.safetensors" for path in (out, pictures / "whole"))
    assert a.read_bytes() == b.read_bytes()


def test_interrupted_in_the_first_pass(pictures, capsys, monkeypatch):
    from pellucid.cli.progress import Bar

    def stop(_self, label, _done, _total):
        if label == "pass 1":
            raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "tick", stop)
    line = ["train", "folder", str(pictures / "set"), "--size", "16", "--out", str(pictures / "o")]
    assert main(line) == 130
    said = " ".join(capsys.readouterr().err.split())
    assert "are random" in said
    assert "best weights" not in said


def test_self_explaining_and_camify(pictures, capsys):
    line = ["train", "folder", str(pictures / "set"), "--arch", "lenet5", "--passes", "2", "--out", str(pictures / "o")]
    assert main([*line, "--self-explaining", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["masks"]) == {"own mask", "Grad-CAM", "random", "centre", "edges"}
    assert "What it says it needs to see" in (pictures / "o" / "report.html").read_text()
    new = pictures / "new.safetensors"
    line = ["camify", answer["weights"], "--data", str(pictures / "set"), "--layer", "main.s4", "--out", str(new)]
    assert main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["after"] >= 0.5
    line = ["explain", str(pictures / "set" / "dark" / "0.png"), "--model", str(new), "--method", "cam"]
    assert main([*line, "--out", str(pictures / "e")]) == 0
    assert main(["camify", answer["weights"], "--data", str(pictures / "set"), "--out", "weights.pth"]) == 2
    assert "ends in .safetensors" in capsys.readouterr().err
