"""`pellucid compare`: the ranked table, files, what goes wrong."""

import json

import pytest

from pellucid.cli.progress import Bar
from pellucid.comparison import Comparison

QUICK = ("--model", "nets.py", "-m", "saliency,grad-cam", "--deletion.steps", "4", "--insertion.steps", "4")


def test_the_table_and_the_files(run, draw, folder):
    draw("photos/a.png")
    draw("photos/b.png", seed=1)
    answer = run("compare", "photos", *QUICK)
    assert answer.code == 0, answer.err
    text = " ".join(answer.out.split())
    for said in ("tiny, 2 of 2 pictures", "deletion", "lower is better", "(random)", " to ", "on 2 pictures", "rank"):
        assert said in text, said
    out = folder / "pellucid-out"
    assert {p.name for p in out.iterdir()} == {
        "comparison.html",
        "comparison.json",
        "result.npz",
        "scores.csv",
        "scores",
    }
    assert json.loads((out / "comparison.json").read_text())["metrics"][0]["options"]["steps"] == 4


def test_without_the_sanity_check(run, draw, folder):
    answer = run("compare", draw(), *QUICK, "--no-sanity")
    assert answer.code == 0, answer.err
    assert answer.out.count("not checked") == 2 + 1, "of each method, and why"
    assert "passes" not in answer.out
    record = json.loads((folder / "pellucid-out" / "comparison.json").read_text())
    assert record["pictures_checked_for_sanity"] == 0
    assert [place["sane"] for place in record["ranking"]] == [None, None]
    answer = run("compare", draw(), *QUICK)
    assert "not checked" not in answer.out
    assert "Sanity was checked on 1 picture" in " ".join(answer.out.split())


def test_json_is_alone_on_standard_output_and_bad_pictures_are_said(run, draw):
    answer = run("compare", draw(), "missing.png", *QUICK, "--json")
    found = json.loads(answer.out)
    assert answer.code == found["exit_code"] == 3
    assert found["failed"][0]["error"] == "BadPicture"
    assert len(found["scores"]) == 4
    assert "missing.png" in answer.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--metric", "deletoin"), "Did you mean 'deletion'"),
        (("--rise.masks", "9"), "not among those compared"),
        (("--target", "top2"), "one target per picture"),
        (("--out", "photo.png"), "is a file"),
    ],
)
def test_misuse(run, draw, flags, said):
    answer = run("compare", draw(), *QUICK, *flags)
    assert answer.code == 2
    assert said in answer.err


def test_an_interrupt_keeps_what_is_finished(run, draw, folder, monkeypatch):
    seen = []

    def tick(self, label, done, total):
        seen.append(label)
        if seen.count("insertion") and self.done == 1 and label == "deletion":
            raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "tick", tick)
    answer = run("compare", draw("a.png"), draw("b.png", seed=1), *QUICK)
    assert answer.code == 130
    assert "1 of 2 pictures are finished" in answer.err
    assert "goes on from there" in answer.err
    assert "tiny, 1 of 2 pictures" in answer.out
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert "tiny, 2 of 2" in run("compare", "a.png", "b.png", *QUICK).out


def test_nothing_finished_writes_nothing(run, draw, folder, monkeypatch):
    def tick(self, label, done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "tick", tick)
    answer = run("compare", draw(), *QUICK)
    assert answer.code == 130
    assert not (folder / "pellucid-out").exists()


def test_a_refusal_to_name_the_best_leaves_the_document(run, draw, monkeypatch, folder):
    """Newcomer, compare --json --best: the document is written, and the refusal stands in it."""
    monkeypatch.setenv("PELLUCID_DATA", str(folder / "data"))
    monkeypatch.setattr(Comparison, "beats_controls", lambda *_: False)
    answer = run("compare", draw(), "--model", "nets.py", "-m", METHOD, "--metric", "average-drop", "--best", "--json")
    found = json.loads(answer.out)
    assert answer.code == found["exit_code"] == 2
    assert found["best"] is None
    assert len(found["scores"]) == 1
    assert found["not_remembered"]["error"] == "Refused"
    assert "There is no best of these methods" in found["not_remembered"]["message"]
    assert "There is no best of these methods" in answer.err
    assert not (folder / "data").exists()


METHOD = "integrated-gradients"  # it beats the controls here, without which nothing is called best


def test_best_is_used_by_auto(run, draw, folder, monkeypatch):
    monkeypatch.setenv("PELLUCID_DATA", str(folder / "data"))
    path = draw()
    missing = run("explain", path, "--model", "nets.py", "--method", "auto")
    assert missing.code == 2
    assert "compare PICTURES --best" in " ".join(missing.err.split())
    answer = run("compare", path, "--model", "nets.py", "-m", METHOD, "--metric", "average-drop", "--best")
    assert answer.code == 0, answer.err
    text = " ".join(answer.out.split())
    assert f"Best: {METHOD}. Best mean rank (1) as the only method by average-drop on 1 picture" in text
    answer = run("explain", path, "--model", "nets.py", "--method", "auto")
    assert answer.code == 0, answer.err
    assert f"Methods: {METHOD} (found best for this model" in " ".join(answer.out.split())
    wrong = run("explain", path, "--model", "nets.py", "--method", "auto", "--rise.masks", 4)
    assert (wrong.code, "rise is not among the methods" in " ".join(wrong.err.split())) == (2, True)
