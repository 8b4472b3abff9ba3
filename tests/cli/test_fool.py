"""`pellucid fool` as it is typed."""

import json

import pytest
from PIL import Image

from pellucid.cli import main

NET = """
import torch
from torch import nn
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
"""


@pytest.fixture
def line(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    return ["fool", "sample:cat", "--model", str(tmp_path / "net.py"), "--size", "24"]


def test_smallest_distance_and_sheet(line, tmp_path, capsys):
    out = tmp_path / "f.png"
    assert main([*line, "--smallest", "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["changed"] == (answer["before"]["class"] != answer["after"]["class"])
    assert answer["distance"] <= answer["eps"] * 1.001
    with Image.open(out) as page:
        assert page.width > 900
    assert main([*line, "--eps", "8/255", "--attack", "pgd", "--norm", "l2", "--target", "1", "--out", str(out)]) == 0
    assert "l2 distance" in capsys.readouterr().out


def test_noise_that_is_taken_for_a_class(line, tmp_path, capsys):
    flat = NET.replace("nn.AdaptiveAvgPool2d(1), ", "").replace("nn.Linear(6, 3)", "nn.Linear(6 * 22 * 22, 3)")
    (tmp_path / "net.py").write_text(flat)
    out = tmp_path / "n.png"
    noise = ["fool", *line[2:], "--from-noise", "--class", "1", "--out", str(out)]
    assert main([*noise, "--sure", "0.7", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["attack"] == "from noise"
    assert answer["changed"]
    assert answer["after"]["probability"] >= 0.7
    with Image.open(out) as page:
        assert page.width > 900
    assert main([*noise, "--sure", "1", "--steps", "1"]) == 0
    assert "not as sure as wanted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--from-noise"], "say --class NAME"),
        (["--from-noise", "--class", "1", "--eps", "1"], "leave --eps out"),
        (["sample:cat", "--from-noise", "--class", "1"], "leave PICTURE out"),
        (["sample:cat", "--sure", "0.5"], "--sure is of --from-noise"),
        ([], "Expected a PICTURE"),
    ],
)
def test_noise_and_pictures_are_told_apart(line, typed, words, tmp_path, capsys):
    assert main(["fool", *typed, *line[2:], "--out", str(tmp_path / "n.png")]) == 2
    assert words in capsys.readouterr().err


def test_heat_maps_are_of_the_changed_numbers_themselves(line, tmp_path, monkeypatch):
    """Changes far below one step of 8 bits must reach the explanation."""
    from pellucid import api

    seen = []
    plain = api.explain
    monkeypatch.setattr(api, "explain", lambda model, given, method: seen.append(given) or plain(model, given, method))
    assert main([*line, "--eps", "0.0001", "--out", str(tmp_path / "f.png")]) == 0
    before, after = seen
    assert 0 < (after - before).abs().max() <= 0.0001 / 0.2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--eps", "much"], "8/255"),
        (["--eps", "1", "--smallest"], "leave --eps out"),
        (["--attack", "cw"], "Attacks:"),
        (["--target", "9"], "9"),
        (["--out", "f.jpg"], ".png"),
    ],
)
def test_misuse(line, more, words, tmp_path, capsys):
    assert main([*line, "--out", str(tmp_path / "f.png"), *more]) == 2
    assert words in capsys.readouterr().err
