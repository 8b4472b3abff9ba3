"""`pellucid dream` and `pellucid sheet` as they are typed, on a tiny network."""

import json

import pytest
from PIL import Image

from pellucid.cli import main

NET = """
from torch import nn
def model():
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
"""


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    return [str(tmp_path / "net.py"), "--size", "16", "--steps", "2"]


def test_class_gallery_sheet_and_objective(spec, tmp_path, capsys):
    out = tmp_path / "d.png"
    assert main(["dream", *spec, "--class", "1", "--class", "2", "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["final"]) == 2
    with Image.open(out) as picture:
        assert picture.size[0] > 16
    assert main(["sheet", *spec, "--layer", "0", "--units", "all", "--out", str(tmp_path / "s.png")]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["titles"] == [f"0 {k}" for k in range(6)]
    line = ["dream", *spec, "--objective", 'channel("0", 1) - 0.1 * tv()', "--recipe", "maco", "--snapshot", "1"]
    assert main([*line, "--out", str(tmp_path / "o.png")]) == 0
    assert (tmp_path / "o.gif").is_file()
    assert "tv()" in capsys.readouterr().out


def test_composed_recipes_with_their_options(spec, tmp_path, capsys):
    line = [
        "dream",
        *spec,
        "--recipe",
        "interpolation",
        "--layer",
        "0",
        "--units",
        "0,3",
        "--interpolation.frames",
        "3",
    ]
    assert main([*line, "--out", str(tmp_path / "i.png"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["made_by"] == {"recipe": "interpolation", "options": {"frames": 3, "alignment": 0.1}}
    assert answer["titles"][0] == "100% of 0, 0% of 3"
    line = [
        "dream",
        *spec,
        "--recipe",
        "deep-dream",
        "--layer",
        "0",
        "--start",
        "sample:cat",
        "--deep-dream.octaves",
        "1",
    ]
    assert main([*line, "--out", str(tmp_path / "d.png")]) == 0
    assert main(["dream", "--help"]) == 0
    assert "--deep-dream.octaves" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--class", "1", "--objective", "logit(1)"], "Expected one of"),
        (["--units", "1"], "Expected one of"),
        (["--objective", "nothing()"], "Objectives:"),
        (["--class", "7"], "7"),
        (["--class", "1", "--out", "x.jpg"], "ends in .png"),
        (["--layer", "0", "--units", "6"], "units run from 0 to 5"),
        (["--recipe", "interpolation", "--layer", "0"], "needs units of the layer"),
        (["--recipe", "interpolation", "--class", "1"], "makes its objective itself"),
        (["--class", "1", "--deep-dream.octaves", "2"], "Add --recipe deep-dream"),
        (["--class", "1", "--recipe", "deep"], "deep-dream"),
    ],
)
def test_misuse(spec, line, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["dream", *spec, *line]) == 2
    assert words in capsys.readouterr().err
