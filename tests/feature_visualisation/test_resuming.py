"""Interrupted dreams go on to the same pictures as if they had not been interrupted."""

import numpy as np
import pytest
import torch
from dreaming_nets import small
from PIL import Image

import pellucid
from pellucid.cli import main
from pellucid.feature_visualisation.checkpoint import Checkpoint

NET = """
import torch
from torch import nn
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
"""


def interrupted_at(*steps):
    """Progress that interrupts when it has been called so many times."""
    calls = []

    def progress(_label, _done, _all):
        calls.append(1)
        if len(calls) in steps:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize(
    "choices",
    [
        {"optimiser": "adam"},
        {"recipe": "maco"},
        {"optimiser": "sgd", "image": "pixels"},
        {"image": "laplacian", "snapshot": 2},
        {"count": 3, "chunk": 1, "objective": 'channel("conv2", (0, 3, 5))'},
    ],
)
def test_the_same_pictures_as_without_an_interrupt(choices, tmp_path):
    call = {"objective": "logit(1)", "steps": 8, "seed": 3, **choices}
    whole = pellucid.dream(small(), **call)
    first = pellucid.dream(small(), keep=tmp_path, progress=interrupted_at(3), **call)
    second = pellucid.dream(small(), keep=tmp_path, progress=interrupted_at(2), **call)
    assert first.stopped and second.stopped
    made = pellucid.dream(small(), keep=tmp_path, **call)
    assert not made.stopped
    assert torch.equal(made.pictures, whole.pictures)
    assert torch.equal(made.objectives, whole.objectives)
    assert torch.equal(made.attention, whole.attention)
    assert made.rescued == whole.rescued
    assert [step for step, _ in made.snapshots] == [step for step, _ in whole.snapshots]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(made.snapshots, whole.snapshots, strict=True))
    assert "Taken up" in made.notes[0]


def test_octaves_that_are_done_are_not_done_again(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    call = {"recipe": "deep-dream", "layer": "conv2", "start": str(tmp_path / "p.png"), "octaves": 2, "steps": 4}
    whole = pellucid.dream(small(), **call)
    assert pellucid.dream(small(), keep=tmp_path / "k", progress=interrupted_at(6), **call).stopped
    steps = []
    made = pellucid.dream(small(), keep=tmp_path / "k", progress=lambda *_: steps.append(1), **call)
    assert len(steps) == 2
    assert torch.equal(made.pictures, whole.pictures)


def test_another_dream_does_not_go_on_from_it(tmp_path):
    pellucid.dream(small(), "logit(1)", steps=4, keep=tmp_path, progress=interrupted_at(2))
    for changes in ({"seed": 1}, {"rate": 0.1}, {"objective": "logit(2)"}, {"model": small(seed=5)}, {"size": 20}):
        call = {"model": small(), "objective": "logit(1)", "steps": 4, "keep": tmp_path, **changes}
        assert not any("Taken up" in note for note in pellucid.dream(**call).notes)


def test_a_damaged_state_is_begun_anew(tmp_path):
    pellucid.dream(small(), "logit(1)", steps=4, keep=tmp_path, progress=interrupted_at(2))
    (path,) = tmp_path.glob("*.kept")
    path.write_bytes(path.read_bytes()[:100])
    made = pellucid.dream(small(), "logit(1)", steps=4, keep=tmp_path)
    assert torch.equal(made.pictures, pellucid.dream(small(), "logit(1)", steps=4).pictures)


def test_the_state_is_written_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr("pellucid.feature_visualisation.checkpoint._SECONDS", 0.0)
    written = []
    monkeypatch.setattr(Checkpoint, "write", lambda self: written.append(len(self.latest[0]["history"])))
    pellucid.dream(small(), "logit(1)", steps=3, keep=tmp_path)
    assert written == [1, 2, 3, 3]


def test_ctrl_c_on_the_command_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "net.py").write_text(NET)
    line = ["sheet", str(tmp_path / "net.py"), "--size", "16", "--layer", "0", "--units", "all", "--steps", "5"]
    assert main([*line, "--out", str(tmp_path / "whole.png")]) == 0
    out, kept = tmp_path / "a.png", tmp_path / "a.unfinished"
    with monkeypatch.context() as patch:
        stop = interrupted_at(3)
        patch.setattr("pellucid.cli.progress.Bar.tick", lambda self, *given: stop(*given))
        assert main([*line, "--out", str(out)]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert kept.is_dir()
    assert main([*line, "--out", str(out)]) == 0
    assert "Taken up" in capsys.readouterr().err
    assert out.read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert not kept.exists()
    kept.mkdir()
    (kept / "mine.txt").touch()
    assert main([*line, "--out", str(out)]) == 0
    assert [path.name for path in kept.iterdir()] == ["mine.txt"], "what is not ours stays"


def test_a_folder_is_no_picture(tmp_path, capsys):
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "a.png").mkdir()
    line = ["dream", str(tmp_path / "net.py"), "--size", "16", "--class", "1", "--steps", "1"]
    assert main([*line, "--out", str(tmp_path / "a.png")]) == 2
    assert "is a folder. Name a file that ends in .png with --out." in capsys.readouterr().err.replace("\n", " ")
    assert [path.name for path in tmp_path.iterdir() if path.stem == "a"] == ["a.png"]
