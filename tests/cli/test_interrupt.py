"""Ctrl-C saves what is finished and ends with status 130."""

import json

import pytest

from pellucid.cli import request
from pellucid.cli.progress import Bar


@pytest.fixture
def press(monkeypatch):
    """Presses Ctrl-C the `nth` time that a method reports progress on a picture."""

    def at(label, nth=1, picture=1):
        pictures, seen = [], []

        def tick(self, name, done, total):
            if name == "shared pass":
                pictures.append(name)
                seen.clear()
            seen.append(name)
            if (name, seen.count(name), max(len(pictures), 1)) == (label, nth, picture):
                raise KeyboardInterrupt

        monkeypatch.setattr(Bar, "tick", tick)

    return at


def test_what_is_finished_is_saved(explain, draw, folder, press):
    press("occlusion")
    answer = explain(draw(), "--occlusion.window", 8, "--occlusion.stride", 4)
    assert answer.code == 130
    files = {p.name for p in (folder / "pellucid-out" / "photo").iterdir()}
    assert {"grad-cam.png", "guided-backprop.png", "saliency.png", "report.html"} <= files
    assert "occlusion.png" not in files
    assert "3 of 4" in answer.err
    assert "What was finished is saved: pellucid-out/photo." in answer.err
    assert "tiny" in answer.out


def test_a_sampling_method_gives_its_estimate_so_far(explain, draw, folder, press):
    press("shapley-sampling", nth=9)  # the picture alone and all hidden, then 24 of its 30 samples
    options = ["--shapley-sampling.regions", "2x2", "--shapley-sampling.permutations", 10, "--chunk", 3]
    answer = explain(draw(), "-m", "saliency,shapley-sampling,occlusion", *options)
    assert answer.code == 130
    files = {p.name for p in (folder / "pellucid-out" / "photo").iterdir()}
    assert {"saliency.png", "shapley-sampling.png", "report.html"} <= files
    assert "occlusion.png" not in files
    assert "1 of 3 attributions are finished. Shapley sampling is an estimate from 24 of 30 samples." in answer.err
    assert "Stopped early: the estimate so far, from 24 of 30" in " ".join(answer.out.replace("│", " ").split())
    manifest = json.loads((folder / "pellucid-out" / "photo" / "manifest.json").read_text())
    assert [m["partial"] for m in manifest["methods"]] == [None, {"samples": 24, "of": 30}]
    assert "Stopped early" in (folder / "pellucid-out" / "photo" / "report.html").read_text()


def test_interrupted_before_anything_is_finished(explain, draw, folder, press):
    press("shared pass")
    answer = explain(draw())
    assert answer.code == 130
    assert "nothing was written" in answer.err
    assert not (folder / "pellucid-out").exists()


def test_pictures_before_the_interrupt_are_kept(explain, draw, press):
    press("occlusion", picture=2)
    answer = explain(draw("a.png"), draw("b.png"), draw("c.png"), "-m", "saliency,occlusion", "--chunk", 99, "--json")
    found = json.loads(answer.out)
    assert answer.code == found["exit_code"] == 130
    assert "1 of 2" in found["interrupted"]
    methods = [[a["method"] for a in picture["attributions"]] for picture in found["pictures"]]
    assert methods == [["saliency", "occlusion"], ["saliency"]]


def test_interrupted_while_reading_a_picture(explain, draw, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(request, "prepare", stop)
    answer = explain(draw())
    assert answer.code == 130
    assert "Interrupted. Nothing was finished" in answer.err


def test_interrupted_while_loading(run, draw, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pellucid.cli.explain.load_model", stop)
    answer = run("explain", draw())
    assert answer.code == 130
    assert "Interrupted." in answer.err
