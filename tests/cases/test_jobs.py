"""Kept work, one bad input among others, and files that are whole: cases of people who stopped, repeated and mixed."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

import pellucid
from pellucid.cli import main, progress, work
from pellucid.errors import Cancelled
from pellucid.evaluation import trust
from pellucid.report import saving
from pellucid.storage import stray
from pellucid.storage.atomic import complete, write_text


class Bright(nn.Module):
    """Two units, the brightest red and the brightest blue of cells."""

    def __init__(self):
        super().__init__()
        self.cells = nn.Conv2d(3, 2, 4, 4, bias=False)
        with torch.no_grad():
            self.cells.weight.zero_()
            self.cells.weight[0, 0], self.cells.weight[1, 2] = 1 / 16, 1 / 16

    def forward(self, x):
        return self.cells(x).mean((2, 3))


class Fuse:
    """Counts passes through `Bright` and stops one; outside of the network, whose attributes are part of its key."""

    def __init__(self):
        self.light()

    def light(self, at=None, error=KeyboardInterrupt):
        self.passes, self.at, self.error = 0, at, error

    def __call__(self, module, _):
        if isinstance(module, Bright):
            self.passes += 1
            if self.passes == self.at:
                raise self.error


@pytest.fixture(autouse=True)
def fuse():
    made = Fuse()
    handle = register_module_forward_pre_hook(made)
    yield made
    handle.remove()


def network(**changes):
    given = {"size": 8, "resize": None, "interpolation": "nearest", "classes": ["dog", "cat"], **changes}
    return pellucid.wrap(Bright(), **given)


@pytest.fixture
def photos(tmp_path):
    """Twenty pictures of 8 x 8 pixels, each of one colour."""
    folder = tmp_path / "photos"
    folder.mkdir()
    colours = np.random.default_rng(0).integers(0, 256, (20, 3))
    for k, colour in enumerate(colours):
        Image.new("RGB", (8, 8), tuple(map(int, colour))).save(folder / f"{k}.png")
    return folder


def top(photos, out, model=None, **options):
    return pellucid.top_pictures(model or network(), photos, "cells", most=3, folder=out, **options)


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


@pytest.mark.parametrize(
    "shape", ["", "[", "null", "[]", "{}", '{"seen": 5}', '{"units": "x"}', "[" * 100_000, "\0" * 99], ids=range(9)
)
def test_c6_states_of_any_shape(photos, tmp_path, shape):
    out = tmp_path / "out"
    whole = top(photos, out).units
    for file in [out / "top.json", *(out / "kept").iterdir()]:
        file.write_text(shape)
    assert top(photos, out).units == whole


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
    assert why.startswith("9.png: its code ended the program, SystemExit: 0 (test_jobs.py, line ")
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
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["kept", "top.json", "top.png"]


def full_disk(monkeypatch, call):
    """From now on a call of `pathlib.Path` finds no room."""

    def no_room(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path." + call, no_room)


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
    from pellucid.errors import BadOption

    write_text(tmp_path / "a.json", "old")
    for call in ("write_bytes", "replace"):
        full_disk(monkeypatch, call)
        with pytest.raises(BadOption, match="No space left on device"):
            write_text(tmp_path / "a.json", "new")
        monkeypatch.undo()
        assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "old")]


def compare(fuse, photos, out, model=None, target="dog", **options):
    """Scores by name of the picture, and how many passes they took."""
    fuse.light()
    found = pellucid.compare(
        model or network(), photos, "saliency", "deletion", target, folder=out, sanity=False,
        options={"deletion": {"steps": 2}, **options.pop("options", {})}, **options,
    )  # fmt: skip
    return {p.name: next(iter(p.evaluation)).values.tolist() for p in found.pictures}, fuse.passes


@pytest.fixture
def few(photos):
    """Four of the pictures."""
    for path in photos.iterdir():
        if int(path.stem) > 3:
            path.unlink()
    return photos


class Parts(Bright):
    """Two outputs of opposite order."""

    def forward(self, x):
        scores = super().forward(x)
        return {"a": scores, "b": scores.flip(1)}


def parts(output):
    return pellucid.wrap(Parts(), size=8, resize=None, classes=["dog", "cat"], output=output)


def test_s3_compare_with_other_classes_parts_files_and_code(few, tmp_path, monkeypatch, fuse):
    """Each other question costs passes and gives what it gives alone; the same one again costs none."""
    fill = tmp_path / "fill.png"
    Image.new("RGB", (8, 8), (200, 10, 30)).save(fill)
    questions = {
        "as it is": {},
        "other classes": {"model": network(classes=["cat", "dog"])},
        "part a": {"model": parts("a")},
        "part b": {"model": parts("b")},
        "other mean": {"model": network(mean=(0.1,) * 3, std=(1.0,) * 3)},
        "a file": {"options": {"deletion": {"steps": 2, "baseline": str(fill)}}},
    }
    out = tmp_path / "out"
    for name, asked in questions.items():
        found, passes = compare(fuse, few, out, **asked)
        assert passes > 0, name
        assert found == compare(fuse, few, None, **asked)[0], name
    assert (
        compare(fuse, few, out, **questions["as it is"])[0] != compare(fuse, few, out, **questions["other classes"])[0]
    )
    for name, asked in questions.items():
        found, passes = compare(fuse, few, out, **asked)
        assert passes == 0, name
    Image.new("RGB", (8, 8), (0, 250, 0)).save(fill)
    assert compare(fuse, few, out, **questions["a file"])[1] > 0, "the file has another content"
    monkeypatch.setattr(Bright, "forward", lambda self, x: -self.cells(x).mean((2, 3)))
    found, _ = compare(fuse, few, out, **questions["as it is"])
    assert found == compare(fuse, few, None, **questions["as it is"])[0], "same weights, other code"


def test_compare_stopped_in_any_pass_gives_the_same(few, tmp_path, fuse):
    whole, _ = compare(fuse, few, None)
    for k in range(1, 1000, 3):
        out = tmp_path / f"out{k}"
        fuse.light(at=k)
        try:
            pellucid.compare(
                network(), few, "saliency", "deletion", options={"deletion": {"steps": 2}}, folder=out, sanity=False
            )
            assert k > 9, "it was not stopped"
            break
        except Cancelled:
            fuse.light()
            assert compare(fuse, few, out)[0] == whole


@pytest.mark.parametrize(
    "shape", ["", "[", "null", "[]", "{}", '{"scores": 5}', "[" * 100_000, "PK\3\4", "\0" * 99], ids=range(9)
)
def test_c5_kept_scores_of_any_shape_are_none(few, tmp_path, fuse, shape):
    out = tmp_path / "out"
    whole, _ = compare(fuse, few, out)
    for file in (out / "scores").iterdir():
        file.write_text(shape)
    found, passes = compare(fuse, few, out)
    assert found == whole
    assert passes > 0


def test_compare_goes_on_when_a_picture_fails_whatever_it_raises(few, fuse, tmp_path):
    """An error in any pass is that picture's, or is mended where only a shortcut failed: the others are judged."""
    whole, passes = compare(fuse, few, None)
    failures = []
    errors = [ValueError("no"), SystemExit(0), StopIteration(), pellucid.errors.BadOption("no"), OSError(5, "x")]
    for k in range(1, passes + 1, 2):
        fuse.light(at=k, error=errors[k % len(errors)])
        found = pellucid.compare(
            network(), few, "saliency", "deletion", options={"deletion": {"steps": 2}}, sanity=False
        )
        failures += (failed := [failure.name for failure in found.failed])
        assert len(failed) <= 1
        assert {p.name for p in found.pictures} == set(whole) - set(failed)
        assert found.planned == 4
    assert set(failures) == set(whole)


def test_what_compare_found_is_said_when_the_disk_is_full(few, tmp_path, monkeypatch, capsys):
    (tmp_path / "net.py").write_text(
        "from torch import nn\nfrom pellucid import wrap\ndef model():\n"
        "    return wrap(nn.Sequential(nn.Conv2d(3, 2, 4, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten()), size=8)\n"
    )
    full_disk(monkeypatch, "mkdir")
    command = ["compare", str(few), "--model", str(tmp_path / "net.py"), "--method", "saliency", "--metric", "deletion"]
    code = main([*command, "--deletion.steps", "2", "--no-sanity", "--out", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert code == 2
    assert "4 of 4 pictures" in said.out
    assert said.err.count("cannot be kept for a later call") == 1
    assert said.err.count("No space left on device") == 2
    assert "Wrote" not in said.out


NET = """
import sys
from torch import nn
from pellucid import wrap

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)
        for p in self.parameters():
            nn.init.constant_(p, 0.1)

    def forward(self, x):
        if (x.flatten(1).amax(1) < 0.01).any():
            raise ERROR
        return self.head(self.conv(x).relu().mean((2, 3)))

def model():
    return wrap(Net(), size=8, resize=None, classes=["dog", "cat", "owl"])
"""


@pytest.fixture
def command(few, tmp_path, monkeypatch, capsys):
    """`pellucid explain` on four pictures; gives the exit status and what was written to both streams."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET.replace("raise ERROR", "pass"))

    def call(*more, pictures="photos"):
        code = main(["explain", pictures, "--model", "net.py", "-m", "saliency,grad-cam", *more])
        return code, *capsys.readouterr()

    return call


def maps(out):
    """All maps under a folder, by file and key."""
    found = {}
    for file in sorted(out.rglob("maps.npz")):
        with np.load(file) as arrays:
            found |= {f"{file.parent.name}/{key}": arrays[key].tolist() for key in arrays.files}
    return found


@pytest.fixture
def explained(monkeypatch):
    """Names of the pictures that go through `explain`; Ctrl-C before one of them, if it is named."""
    names, real = [], work.explain

    def explain(model, picture, *rest, **more):
        if picture.name == names.stop:
            raise KeyboardInterrupt
        names.append(picture.name)
        return real(model, picture, *rest, **more)

    class Names(list):
        stop = None

    names = Names()
    monkeypatch.setattr(work, "explain", explain)
    return names


def test_explain_on_a_folder_goes_on_where_it_was_stopped(command, explained, tmp_path):
    command("--out", "whole")
    for stop in ("0.png", "2.png", "3.png"):
        explained.clear()
        explained.stop = stop
        code, _, err = command("--out", "out")
        assert code == 130
        assert "Interrupted." in err
        explained.clear()
        explained.stop = None
        code, out, _ = command("--out", "out", "--json")
        assert code == 0
        assert explained == [f"{k}.png" for k in range(int(stop[0]), 4)]
        said = json.loads(out)["pictures"]
        assert [picture["name"] for picture in said] == [f"{k}.png" for k in range(4)]
        assert all(len(picture["attributions"]) == 2 for picture in said)
        assert maps(tmp_path / "out") == maps(tmp_path / "whole")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0", "1", "2", "3"], "nothing is left"


@pytest.mark.parametrize("change", ["seed", "option", "size", "picture", "its file", "code"])
def test_explain_goes_on_for_exactly_the_same_question(command, explained, tmp_path, change):
    explained.stop = "2.png"
    command("--out", "out")
    explained.clear()
    explained.stop = None
    more = {"seed": ["--seed", "1"], "option": ["--grad-cam.rectify", "no"], "size": ["--size", "6"]}.get(change, [])
    if change == "picture":
        Image.new("RGB", (8, 8), (9, 200, 9)).save(tmp_path / "photos" / "0.png")
    if change == "its file":
        (tmp_path / "out" / "0" / "manifest.json").write_text("{}")
    if change == "code":
        (tmp_path / "net.py").write_text(NET.replace("raise ERROR", "pass").replace("relu()", "sigmoid()"))
    command("--out", "out", *more)
    assert "0.png" in explained
    assert ("1.png" in explained) == (change not in ("picture", "its file"))
    command("--out", "whole", *more)
    assert maps(tmp_path / "out") == maps(tmp_path / "whole")


def test_maps_are_on_disk_one_by_one(command, tmp_path, monkeypatch):
    """What is there when the last method begins; the pause between two times of saving is taken away."""
    monkeypatch.setattr(work, "_PAUSE", -1.0)
    monkeypatch.setattr(work, "_SHARE", -1.0)
    seen = {}

    def tick(self, label, done, total):
        seen.setdefault(label, {path.name for path in (tmp_path / "out" / "0").glob("*")})

    monkeypatch.setattr(work.Bar, "tick", tick)
    assert command("--out", "out", "-m", "occlusion,rise", "--rise.masks", "20", pictures="photos/0.png")[0] == 0
    assert "occlusion.png" not in seen["occlusion"]
    assert {"saliency.png", "grad-cam.png", "maps.npz", "report.html"} <= seen["occlusion"]
    assert {"saliency.png", "occlusion.png"} <= seen["rise"]


@pytest.mark.parametrize("error", ["ValueError('no')", "SystemExit(0)", "StopIteration", "KeyError(3)"])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_one_bad_picture_does_not_stop_explain(command, tmp_path, error, place):
    (tmp_path / "net.py").write_text(NET.replace("ERROR", error))
    Image.new("RGB", (8, 8), (0, 0, 0)).save(tmp_path / "photos" / f"{place}.png")
    code, out, err = command("--json")
    assert code == 1
    found = json.loads(out)
    assert [picture["name"] for picture in found["pictures"]] == [f"{k}.png" for k in range(4) if k != place]
    assert [failed["name"] for failed in found["failed"]] == [f"{place}.png"]
    assert f"{place}.png: " in err
    assert error.partition("(")[0] in err
    assert "1 of 4 pictures could not be explained" in err


def test_misuse_that_depends_on_the_picture_is_the_picture_s(command, tmp_path):
    """A kernel of 5 x 5 cells does not fit into what a network of free size makes of the small picture."""
    free = (
        NET.replace("raise ERROR", "pass")
        .replace("3, padding=1", "5")
        .replace("size=8, resize=None", "preprocess=Preprocess(None, None)")
    )
    (tmp_path / "net.py").write_text(f"from pellucid.types import Preprocess\n{free}")
    Image.new("RGB", (3, 3), (200, 0, 0)).save(tmp_path / "photos" / "1.png")
    code, out, err = command("--json")
    found = json.loads(out)
    assert [failed["name"] for failed in found["failed"]] == ["1.png"], err
    assert len(found["pictures"]) == 3
    assert code == found["exit_code"] > 0


@pytest.mark.parametrize("body", ["sys.exit(0)", "sys.exit(5)", "raise Mute", "raise Odd"])
def test_c14_c15_a_factory_that_ends_the_program_is_an_error(command, tmp_path, body):
    mute = "class Mute(Exception):\n    def __str__(self): raise ValueError\nclass Odd(BaseException): pass\n"
    (tmp_path / "net.py").write_text(f"import sys\n{mute}def model():\n    {body}\n")
    code, _, err = command()
    assert code == 3
    assert "net.py:model failed: " in err
    assert "(net.py, line 6)" in err
    (tmp_path / "net.py").write_text(f"import sys\n{mute}{body}\n")
    assert command()[0] == 3


def test_c14_a_network_that_ends_the_program_is_an_error_in_every_command(few, command, tmp_path, capsys):
    (tmp_path / "net.py").write_text(NET.replace("if (x.flatten(1).amax(1) < 0.01).any():", "if True:"))
    (tmp_path / "net.py").write_text((tmp_path / "net.py").read_text().replace("raise ERROR", "sys.exit(0)"))
    model, picture = ["--model", "net.py"], "photos/0.png"
    for given in (["inspect", "net.py"], ["layers", "net.py"], ["fool", picture, *model], ["explain", picture, *model]):
        assert main(given) == 1, given
        assert "SystemExit" in capsys.readouterr().err


def test_newcomer_10_12_folders_of_classes_and_folders_in_python(command, tmp_path):
    for name in ("cat", "dog", ".hidden", "pellucid-out", "results"):
        (tmp_path / "val" / name).mkdir(parents=True)
        for k in range(2):
            shutil.copy(tmp_path / "photos" / f"{k}.png", tmp_path / "val" / name / f"{k}.png")
    (tmp_path / "val" / "results" / "manifest.json").write_text("{}")
    code, out, _ = command("--json", pictures="val")
    names = ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    assert code == 0
    assert [picture["name"] for picture in json.loads(out)["pictures"]] == names
    model = pellucid.load("net.py")
    found = pellucid.explain(model, "val", "saliency")
    assert [picture.name for picture in found.pictures] == names
    both = pellucid.explain(model, [tmp_path / "photos", "photos/0.png"], "saliency")
    assert [picture.name for picture in both.pictures][:4] == ["0.png", "1.png", "2.png", "3.png"]
    assert len(both.pictures) == 5
    (tmp_path / "empty").mkdir()
    code, _, err = command(pictures="empty")
    assert code == 3
    assert "folder without pictures" in err


@pytest.mark.parametrize(("words", "least"), [(["--trust"], 2), (["--trust", "full"], 4), ([], 0)])
def test_newcomer_28_trust_has_a_limit_and_says_what_it_left_out(command, monkeypatch, words, least):
    """Maps that take 1,000 seconds each: to make them anew takes thousands, hiding and showing pixels does not."""
    monkeypatch.setattr(trust._Limit, "affordable", lambda self, _, real=trust._Limit.affordable: real(self, 1000.0))
    code, out, _ = command(*words, "--json", pictures="photos/0.png")
    assert code == 0
    (picture,) = json.loads(out)["pictures"]
    for attribution in picture["attributions"]:
        judged = [] if attribution["trust"] is None else [score["metric"] for score in attribution["trust"]["scores"]]
        assert len(judged) == least
    said = [note for note in picture["notes"] if note.startswith("Left out of judging")]
    assert said == (
        ["Left out of judging, for the time that it would take: randomisation of saliency, grad-cam; "
         "max-sensitivity of saliency, grad-cam."] if words == ["--trust"] else []
    )  # fmt: skip


def test_newcomer_28_when_the_time_is_over_what_was_judged_stays(command, monkeypatch):
    """A clock that goes on by ten minutes each time someone looks at it."""
    hours = iter(range(0, 10**9, 600))
    monkeypatch.setattr(trust.time, "monotonic", lambda: next(hours))
    code, out, _ = command("--trust", "--json", pictures="photos/0.png")
    assert code == 0
    (picture,) = json.loads(out)["pictures"]
    assert all(attribution["trust"]["level"] == "unknown" for attribution in picture["attributions"])
    assert any("deletion of saliency, grad-cam; insertion of saliency, grad-cam" in note for note in picture["notes"])


def test_newcomer_28_long_work_is_foretold(command, monkeypatch, capsys):
    """A clock by which each look takes three seconds: RISE with 4,000 masks is long, its first chunk tells."""
    real, seconds = work.explain, iter(range(0, 10**9, 3))
    with monkeypatch.context() as patch:
        patch.setattr(progress.time, "monotonic", lambda: next(seconds))
        bar = progress.Bar(1)
        for done in range(100, 4001, 100):
            bar.tick("rise", done, 4000)
    assert capsys.readouterr().err.count("rise takes about") == 1
    assert progress.minutes(61) == "1 minute"
    assert progress.minutes(3600 * 5) == "5 hours"

    def slow(*given, **more):
        return replace(real(*given, **more), seconds=100.0)

    monkeypatch.setattr(work, "explain", slow)
    assert "The other 3 pictures take about 5 minutes." in command()[2]


def test_two_runs_on_one_folder_do_each_their_work(command, tmp_path):
    """The second explains the same pictures while the first is in the middle of them, and both say that all is done."""
    real, inner = work.explain, []

    def explain(model, picture, *rest, **more):
        found = real(model, picture, *rest, **more)
        if picture.name == "1.png" and not inner:
            inner.append(None)
            inner[0] = command("--out", "out")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "explain", explain)
        code, _, err = command("--out", "out")
    assert (code, err) == (0, "")
    assert inner[0][0] == 0
    command("--out", "whole")
    assert maps(tmp_path / "out") == maps(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0", "1", "2", "3"]


def test_names_that_are_no_utf_8(few, command, tmp_path, fuse):
    shutil.move(few / "1.png", os.fsdecode(bytes(few / "d") + b"\xff.png"))
    code, out, _ = command("--json", "--out", "out")
    assert code == 0
    assert len(json.loads(out)["pictures"]) == 4
    assert len(top(few, tmp_path / "top").seen) == 4
    assert len(compare(fuse, few, tmp_path / "compare")[0]) == 4


def test_a_full_disk_stops_no_other_picture(command, tmp_path, monkeypatch):
    """No room for the second picture: the others are explained, and it is said of the second."""
    command("--out", "out", "--seed", "3")
    names = iter("0123")
    monkeypatch.setattr(saving, "_write", lambda *given, real=saving._write: real_or_full(real, next(names), *given))
    code, out, err = command("--out", "out", "--json")
    assert code == 2
    assert [picture["name"] for picture in json.loads(out)["pictures"]] == ["0.png", "2.png", "3.png"]
    assert "No space left on device" in err
    assert json.loads((tmp_path / "out" / "1" / "manifest.json").read_text())["seed"] == 3, "the old one is whole"


def real_or_full(real, name, *given):
    if name == "1":
        raise OSError(28, "No space left on device")
    return real(*given)
