"""`--target` and `--part`: every kind of target from the command line."""

import json
import textwrap

import numpy as np
import pytest
from PIL import Image

KINDS = """
    import torch
    from torch import nn
    from pellucid import Candidates, Preprocess, wrap

    NAMES = ["background", "road", "person"]
    WHOLE = Preprocess(None, None, "bilinear", (0.0,) * 3, (1.0,) * 3)

    class Pixels(nn.Module):
        def forward(self, x):
            return {"out": torch.stack([x[:, 0] * 0 + 0.3, x[:, 0], x[:, 1]], 1)}

    class Boxes(nn.Module):
        def forward(self, x):
            halves = torch.stack([x[..., :12].mean((1, 2, 3)), x[..., 12:].mean((1, 2, 3))], 1)
            scores = halves[:, :, None] * torch.tensor([0.0, 1.0, -2.0])
            box = torch.tensor([[0.0, 0, 12, 20], [12, 0, 24, 20]])
            return Candidates(list(scores), list(scores.sigmoid()), [box] * len(x), background=0)

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.age, self.place = nn.Linear(3, 3), nn.Linear(3, 5)

        def forward(self, x):
            return {"heads": {"age": self.age(x.mean((2, 3))), "place": self.place(x.mean((2, 3)))}}

    def pixels():
        return wrap(Pixels(), preprocess=WHOLE, classes=NAMES)

    def boxes():
        return wrap(Boxes(), preprocess=WHOLE, classes=NAMES)

    def heads():
        return wrap(Heads(), preprocess=WHOLE)

    def vectors():
        return wrap(nn.Flatten(), preprocess=WHOLE)
"""


@pytest.fixture
def ask(run, draw, folder):
    """Explain a picture of 24 x 20 pixels by saliency; gives the answer, what was explained, and the map."""
    (folder / "kinds.py").write_text(textwrap.dedent(KINDS))

    def call(model, *arguments, picture="photo.png"):
        draw(picture)
        answer = run("explain", picture, "--model", model, "-m", "saliency", "--json", *arguments)
        if answer.code:
            return answer, None, None
        found = json.loads(answer.out)["pictures"][0]
        with np.load(folder / "pellucid-out" / "photo" / "maps.npz") as maps:
            raw = maps[next(name for name in maps if name.endswith("/raw"))]
        return answer, found["attributions"][0]["target"], raw

    return call


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("red fox", "red fox"),
        ("probability:red fox", "probability of red fox"),
        ("red fox vs grey fox", "red fox rather than grey fox"),
        ("2 vs 3", "red fox rather than grey fox"),
    ],
)
def test_classes(ask, text, label):
    assert ask("nets.py", "--target", text)[1] == label


def test_ranks(ask):
    tops = [ask("nets.py", "--target", f"rank{k}")[1] for k in (1, 2)]
    assert ask("nets.py", "--target", "rank1 vs rank2")[1] == f"{tops[0]} rather than {tops[1]}"
    assert tops[0] != tops[1]


def test_a_part_of_the_picture(ask):
    _, label, raw = ask("kinds.py:pixels", "--target", "person@5,2,11,9")
    assert label == "person in 5,2,11,9"
    expected = np.zeros((3, 20, 24))
    expected[1, 2:9, 5:11] = 1 / 42
    np.testing.assert_allclose(raw, expected, atol=1e-7)
    _, label, raw = ask("kinds.py:pixels", "--target", "road@5,2")
    assert (label, raw[0, 2, 5], raw.sum()) == ("road at 5,2", 1, 1)
    assert ask("kinds.py:pixels", "--target", "road")[1] == "road where the model sees it"
    assert ask("kinds.py:pixels", "--target", "top@5,2")[1] in {f"{c} at 5,2" for c in ("background", "road", "person")}


def test_an_object(ask):
    _, label, raw = ask("kinds.py:boxes", "--target", "person@12,0,24,20")
    assert label == "person in 12,0,24,20"
    expected = np.zeros((3, 20, 24))
    expected[:, :, 12:] = -2 / 720
    np.testing.assert_allclose(raw, expected, atol=1e-7)
    answer, label, raw = ask("kinds.py:boxes")
    assert label.startswith("road in ")
    first = json.loads(answer.out)["pictures"][0]["predictions"][0]
    assert (first["name"], len(first["box"])) == ("road", 4)


def test_what_is_detected_is_printed_with_boxes(run, draw, folder):
    (folder / "kinds.py").write_text(textwrap.dedent(KINDS))
    answer = run("explain", draw(), "--model", "kinds.py:boxes", "-m", "saliency")
    assert answer.code == 0, answer.err
    assert "box" in answer.out
    assert "0, 0, 12, 20" in answer.out
    assert "It detects “road”" in (folder / "pellucid-out" / "photo" / "report.html").read_text()
    answer = run("explain", draw(), "--model", "kinds.py:pixels", "-m", "saliency", "--target", "road")
    assert "of the picture" in answer.out


def test_a_part_of_the_output(ask):
    assert "Name the part to read" in ask("kinds.py:heads")[0].err
    _, label, raw = ask("kinds.py:heads", "--part", "heads.place", "--target", "4")
    assert (label, raw.shape) == ("class 4", (3, 20, 24))
    answer = ask("kinds.py:heads", "--part", "heads.plaice")[0]
    assert (answer.code, "Did you mean 'place'" in answer.err) == (2, True)


def test_another_picture(ask, draw):
    draw("other.png", seed=5)
    _, label, raw = ask("kinds.py:vectors", "--target", "like:other.png")
    assert label == "similarity to other.png"
    x, r = (np.asarray(Image.open(name), float).transpose(2, 0, 1) / 255 for name in ("photo.png", "other.png"))
    lengths = np.linalg.norm(x), np.linalg.norm(r)
    cosine = (x * r).sum() / lengths[0] / lengths[1]
    np.testing.assert_allclose(raw, r / lengths[0] / lengths[1] - cosine * x / lengths[0] ** 2, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(
    ("model", "text", "code", "message"),
    [
        ("nets.py", "red fox@1,2,3,4", 2, "scores the picture as a whole, so its target has no place in it"),
        ("nets.py", "red fox@1,2,3", 2, "Expected a box (left,top,right,bottom) or a point (x,y)"),
        ("nets.py", "red wolf vs grey fox", 2, "There is no class 'red wolf'"),
        ("kinds.py:boxes", "person@3,4", 2, "a place for it is a box"),
        ("kinds.py:boxes", "person@30,0,40,20", 2, "lies outside of what the model sees"),
        ("kinds.py:pixels", "person@30,0,40,20", 2, "lies outside of what the model sees"),
        ("kinds.py:vectors", "like:nowhere.png", 3, "nowhere.png"),
    ],
)
def test_misuse(ask, model, text, code, message):
    answer = ask(model, "--target", text)[0]
    assert message in " ".join(answer.err.split()).replace("| ", "")
    assert answer.code == code


def test_help_lists_every_form(run):
    from pellucid.targets import FORMS

    text = run("explain", "--help").out
    assert "Targets:" in text
    assert all(form in text for form in FORMS)


def test_the_report_tells_how_to_ask_again(run, draw, folder):
    assert run("explain", draw(), "--model", "nets.py", "-m", "saliency", "--target", "2 vs 3").code == 0
    assert "target=&#39;2 vs 3&#39;" in (folder / "pellucid-out" / "photo" / "report.html").read_text()
