"""Animations of snapshots: every frame is a snapshot, as exactly as its format can hold it."""

import numpy as np
import pytest
import torch
from dreaming_nets import small
from PIL import Image, ImageSequence

import pellucid
from pellucid.cli import main
from pellucid.errors import UnknownName
from pellucid.feature_visualisation.saving import save_dream

QUICK = {"size": 96, "steps": 6, "snapshot": 2, "rate": 0.3}


def frames(path):
    """Every frame as `[row, column, channel]`, 0 to 255."""
    with Image.open(path) as image:
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        return [np.asarray(each.convert(mode)) for each in ImageSequence.Iterator(image)]


def as_bytes(pictures):
    return (pictures[0] * 255).round().permute(1, 2, 0).numpy()


def test_apng_holds_the_snapshots_exactly(tmp_path):
    for alpha in (False, True):
        made = pellucid.dream(small(), "logit(1)", alpha=alpha, **QUICK)
        files = save_dream(made, tmp_path / "bee.png", animation="apng")
        assert files[-1] == tmp_path / "bee.apng"
        found = frames(files[-1])
        assert [frame.shape for frame in found] == [(96, 96, 3 + alpha)] * 3
        for frame, (_, pictures) in zip(found, made.snapshots, strict=True):
            np.testing.assert_array_equal(frame, as_bytes(pictures))
        with Image.open(files[-1]) as image:
            assert image.n_frames == 3 and image.info["loop"] == 0 and image.info["duration"] == 80
        with Image.open(tmp_path / "bee.png") as image:
            assert not getattr(image, "is_animated", False), "the picture itself stands still"


def test_a_gif_lies_over_grey(tmp_path):
    made = pellucid.dream(small(), "logit(1)", alpha=True, **QUICK)
    files = save_dream(made, tmp_path / "bee.png")
    last = frames(tmp_path / "bee.gif")[-1]
    assert files[-1] == tmp_path / "bee.gif"
    assert np.abs(last.astype(float) - as_bytes(made.judged)).mean() < 8, "256 colours"


def test_all_pictures_move_also_in_chunks(tmp_path):
    whole, parts = (
        pellucid.dream(small(), "logit((0, 1, 2))", count=3, chunk=chunk, steps=4, snapshot=2) for chunk in (3, 1)
    )
    assert [step for step, _ in parts.snapshots] == [2, 4]
    for (_, a), (_, b) in zip(whole.snapshots, parts.snapshots, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=0)
    save_dream(parts, tmp_path / "three.png", animation="apng")
    with Image.open(tmp_path / "three.png") as image:
        still = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(frames(tmp_path / "three.apng")[-1], still)


def test_other_kinds_are_refused(tmp_path):
    with pytest.raises(UnknownName, match="apng"):
        save_dream(pellucid.dream(small(), "logit(1)", steps=1), tmp_path / "bee.png", animation="mp4")


def test_the_flag(tmp_path, capsys):
    line = ["dream", "efficientnet-lite0", "--class", "goose", "--side", "32", "--steps", "4", "--snapshot", "2"]
    assert main([*line, "--animation", "apng", "--out", str(tmp_path / "goose.png")]) == 0
    assert "goose.apng" in capsys.readouterr().out
    assert len(frames(tmp_path / "goose.apng")) == 2
    assert main([*line[:-2], "--animation", "apng"]) == 2
    assert "add --snapshot" in capsys.readouterr().err
