"""`explain` on folders: it goes on where it was stopped, and one bad picture never stops the others."""

import json
import os
import shutil

import pytest
from bright import NET, compare, maps, top
from PIL import Image

import pellucid
from pellucid.cli import explain_job, main
from pellucid.report import saving


def test_explain_on_a_folder_goes_on_where_it_was_stopped(command, explained, tmp_path):
    command("--out", "whole")
    for stop in ("0.png", "3.png"):  # nothing is finished, all but the last
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
    (tmp_path / "photos" / "3.png").unlink()
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
    monkeypatch.setattr(explain_job, "_PAUSE", -1.0)
    monkeypatch.setattr(explain_job, "_SHARE", -1.0)
    seen = {}

    def tick(self, label, done, total):
        seen.setdefault(label, {path.name for path in (tmp_path / "out" / "0").glob("*")})

    monkeypatch.setattr(explain_job.Bar, "tick", tick)
    assert command("--out", "out", "-m", "occlusion,rise", "--rise.masks", "20", pictures="photos/0.png")[0] == 0
    assert "occlusion.png" not in seen["occlusion"]
    assert {"saliency.png", "grad-cam.png", "maps.npz", "report.html"} <= seen["occlusion"]
    assert {"saliency.png", "occlusion.png"} <= seen["rise"]


@pytest.mark.parametrize(
    ("error", "place"), [("ValueError('no')", 0), ("SystemExit(0)", 1), ("StopIteration", 3), ("KeyError(3)", 0)]
)
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
    (tmp_path / "net.py").write_text(f"from pellucid.contracts import Preprocess\n{free}")
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


def test_two_runs_on_one_folder_do_each_their_work(command, tmp_path):
    """The second explains the same pictures while the first is in the middle of them, and both say that all is done."""
    real, inner = explain_job.explain, []

    def explain(model, picture, *rest, **more):
        found = real(model, picture, *rest, **more)
        if picture.name == "1.png" and not inner:
            inner.append(None)
            inner[0] = command("--out", "out")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explain_job, "explain", explain)
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
