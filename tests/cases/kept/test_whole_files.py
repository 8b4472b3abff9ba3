"""Files are whole or the old ones, and what ended programs left is swept."""

import os
import subprocess
import sys

import pytest
from bright import full_disk

from pellucid.errors import BadOption
from pellucid.storage import stray
from pellucid.storage.atomic import complete, write_text


def test_stray_staging_folders_are_swept_and_living_ones_are_not(tmp_path, monkeypatch):
    """A process number that no process has: that of one which has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine, home = stray.part_name(), stray.part_name().split("-")[1]
    dead = f".pellucid-{home}-{ended.pid}-0123456789ab"
    abroad, old = ".pellucid-00000000-1-0123456789ab", ".pellucid-0123456789ab"
    out = tmp_path / "out"
    for folder in (out, tmp_path):
        for name in (mine, dead, abroad, old, ".pellucid-notes", "photos"):
            (folder / name).mkdir(parents=True)
            (folder / name / "file").write_text("")
        (folder / f"{dead[:-1]}c").write_text("a file")
    long_ago = 1_000_000_000
    os.utime(tmp_path / abroad, (long_ago, long_ago))
    monkeypatch.setattr(stray, "_swept", set())
    with complete(out) as staging:
        (staging / "map.png").write_text("")
    left = sorted(path.name for path in out.iterdir())
    assert left == sorted([mine, abroad, old, ".pellucid-notes", "photos", "map.png"])
    beside = sorted(path.name for path in tmp_path.iterdir())
    assert beside == sorted([mine, old, ".pellucid-notes", "photos", "out"])


def test_a_file_is_whole_or_the_old_one(tmp_path, monkeypatch):
    write_text(tmp_path / "a.json", "old")
    for call in ("write_bytes", "replace"):
        full_disk(monkeypatch, call)
        with pytest.raises(BadOption, match="No space left on device"):
            write_text(tmp_path / "a.json", "new")
        monkeypatch.undo()
        assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "old")]
