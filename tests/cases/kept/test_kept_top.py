"""`top` that was stopped, repeated and mixed: exactly what a fresh run gives."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bright import Bright, full_disk, network, top
from PIL import Image

from pellucid.cli import main
from pellucid.errors import Cancelled


def test_s2_top_loses_no_picture_whatever_pass_is_stopped(photos, tmp_path, fuse):
    """By hand: a unit answers with the mean of its colour, the same in every cell, so the first cell wins."""
    colours = {str(path): Image.open(path).getpixel((0, 0)) for path in photos.iterdir()}
    expected = [
        sorted(((c[channel] / 255, source) for source, c in colours.items()), reverse=True)[:3] for channel in (0, 2)
    ]
    passes = 0
    for k in range(1, 100):
        fuse.light(at=k)
        out = tmp_path / f"out{k}"
        try:
            found = top(photos, out)
            assert k > passes > 0, "it was not stopped"
            break
        except Cancelled as stop:
            before = stop.finished
        passes = k
        assert len(before.seen) <= 8 * (k - 1), "a picture is seen when its pass is done"
        fuse.light()
        found = top(photos, out)
        assert len(found.seen) == 20
        for hits, wanted in zip(found.units, expected, strict=True):
            assert [hit.source for hit in hits] == [source for _, source in wanted]
            assert [hit.value for hit in hits] == pytest.approx([value for value, _ in wanted], abs=1e-6)
            assert [(hit.row, hit.column) for hit in hits] == [(0, 0)] * 3
        assert json.loads((out / "top.json").read_text())["units"][0][0][1] == expected[0][0][1]
    assert passes >= 3, "three chunks of eight"


def test_s2_top_is_stopped_at_any_picture(photos, tmp_path, fuse):
    whole = top(photos, None).units
    for k in (1, 7, 8, 9, 20):

        def stop(_, done, __, k=k):
            if done == k:
                raise KeyboardInterrupt

        out = tmp_path / f"out{k}"
        with pytest.raises(Cancelled, match=f"{k} of 20 pictures are done") as stopped:
            top(photos, out, progress=stop)
        assert len(stopped.value.finished.seen) == k
        assert top(photos, out).units == whole


def test_s3_top_with_another_preprocessing_looks_again(photos, tmp_path):
    out = tmp_path / "out"
    top(photos, out)
    other = {"size": 12, "mean": (0.5,) * 3, "std": (0.1,) * 3}
    assert top(photos, out, network(**other)).units == top(photos, None, network(**other)).units
    assert top(photos, out).units == top(photos, None).units


def test_s3_b4_top_gives_exactly_what_a_fresh_run_gives(photos, tmp_path):
    """Pictures not asked for, replaced under the same size and date, gone, damaged and mended."""
    out, other = tmp_path / "out", tmp_path / "other"
    top(photos, out)
    shutil.copytree(photos, other)
    Image.new("RGB", (8, 8), (255, 0, 255)).save(other / "3.png")
    assert top(other, out).units == top(other, None).units
    assert top(photos / "7.png", out).units == top(photos / "7.png", None).units
    best = top(photos, out).units[0][0].source
    date = Path(best).stat()
    Image.new("RGB", (8, 8), (0, 0, 1)).save(best)
    os.utime(best, ns=(date.st_atime_ns, date.st_mtime_ns))
    found = top(photos, out)
    assert found.units == top(photos, None).units
    assert best not in {hit.source for hit in found.units[0]}, "the candidate that it had pushed out comes back"
    whole = (photos / "4.png").read_bytes()
    (photos / "4.png").write_bytes(whole[:30])
    (photos / "5.png").unlink()
    found = top(photos, out)
    assert found.units == top(photos, None).units
    assert [source.rpartition("/")[2] for source in found.failed] == ["4.png"]
    (photos / "4.png").write_bytes(whole)
    assert not top(photos, out).failed, "the failure of an earlier call is not this one's"


def test_c6_states_of_any_shape(few, tmp_path):
    out = tmp_path / "out"
    whole = top(few, out).units
    for shape in ("", "[", "null", "[]", "{}", '{"seen": 5}', '{"units": "x"}', "[" * 100_000, "\0" * 99):
        for file in [out / "top.json", *(out / "kept").iterdir()]:
            file.write_text(shape)
        assert top(few, out).units == whole, shape[:20]


def test_one_picture_that_the_network_fails_on_does_not_stop_the_others(photos, tmp_path, fuse, monkeypatch):
    whole = {source.rpartition("/")[2] for source in top(photos, None).seen}
    bad = torch.from_numpy(np.array(Image.open(photos / "9.png"))).permute(2, 0, 1) / 255
    plain = Bright.forward

    def forward(self, x):
        if (x - bad).abs().flatten(1).amax(1).min() < 1e-6:
            sys.exit(0)
        return plain(self, x)

    monkeypatch.setattr(Bright, "forward", forward)
    found = top(photos, tmp_path / "out")
    ((source, why),) = found.failed.items()
    assert source.endswith("/9.png")
    assert why.startswith("9.png: its code ended the program, SystemExit: 0 (test_kept_top.py, line ")
    assert {source.rpartition("/")[2] for source in found.seen} == whole - {"9.png"}


def test_top_png_is_whole(photos, tmp_path, monkeypatch):
    """A full disk in the middle of the file: the one that was there stays, and nothing is left beside it."""
    (tmp_path / "net.py").write_text(
        "from torch import nn\nfrom pellucid import wrap\n"
        "def model():\n    return wrap(nn.Sequential(nn.Conv2d(3, 2, 4, 4)), size=8)\n"
    )
    command = ["top", str(photos), "--model", str(tmp_path / "net.py"), "--layer", "0", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    before = (tmp_path / "out" / "top.png").read_bytes()
    full_disk(monkeypatch, "replace")
    assert main([*command, "--most", "2"]) == 2
    monkeypatch.undo()
    assert (tmp_path / "out" / "top.png").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["kept", "result.npz", "top.json", "top.png"]
