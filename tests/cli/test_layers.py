"""`pellucid layers` and its Python face."""

import json

import pytest
import torch
from torch import nn

from pellucid.errors import BadOption
from pellucid.inspection import layers
from pellucid.models import wrap


def test_the_table_marks_the_recommended_layer(run):
    answer = run("layers", "nets.py")
    assert answer.code == 0, answer.err
    assert "tiny, input 16 x 16: 4 layers" in answer.out
    (line,) = [line for line in answer.out.splitlines() if "recommended" in line]
    assert line.split()[0] == "late"
    assert "8 x 8 x 8" in line
    assert "2 x 2" in line


def test_json(run):
    found = json.loads(run("layers", "nets.py", "--json").out)
    assert found["input"] == [16, 16]
    assert (found["picture"], found["recommended"]) == (None, "late")
    assert found["reason"] == "the last layer with a grid that the score depends on"
    last = found["layers"][-1]
    assert last["site"] == "late"
    assert last["grid"] == [8, 8]
    assert last["stride"] == [2, 2]
    assert last["prefix_tokens"] == 0
    assert last["reached"] is last["recommended"] is last["default"] is True
    assert last["discrimination"] is last["faithfulness"] is None
    sees = {"size": [8, 8], "step": [2, 2], "start": [-3, -3], "status": "exact", "why": ""}
    assert last["receptive_field"] == sees


def test_on_a_picture(run, draw):
    path = draw()
    answer = run("layers", "nets.py", "--picture", path)
    assert answer.code == 0, answer.err
    assert "input 16 x 16 on photo.png: 4 layers" in answer.out
    found = json.loads(run("layers", "nets.py", "--picture", path, "--json").out)
    assert found["picture"] == "photo.png"
    assert f"Look at {found['recommended']}: " in answer.out
    (best,) = [layer for layer in found["layers"] if layer["recommended"]]
    assert best["site"] == found["recommended"]
    assert "layers tried" in found["reason"]
    assert all(isinstance(layer["faithfulness"], float) for layer in found["layers"])
    assert f"{best['faithfulness']:.2f}" in answer.out


def test_layer_auto(explain, run, draw, folder):
    path = draw()
    answer = explain(path, "--layer", "auto", "--method", "grad-cam")
    assert answer.code == 0, answer.err
    best = json.loads(run("layers", "nets.py", "--picture", path, "--json").out)
    manifest = json.loads((folder / "pellucid-out" / "photo" / "manifest.json").read_text())
    assert manifest["choices"]["layer"] == best["reason"]
    assert manifest["methods"][0]["site"] == best["recommended"]
    assert f"Layer: {best['recommended']} (" in answer.out
    assert explain(path, "--layer", "auto", "--layer", "late").code == 2


def test_layers_deep_inside_wait_for_all(run):
    short, whole = run("layers", "efficientnet-lite0").out, run("layers", "efficientnet-lite0", "--all").out
    assert "blocks.3.project.conv" not in short
    assert "blocks.3 " in short
    assert "--all lists them" in short
    assert "blocks.3.project.conv" in whole


def test_the_size_may_come_from_a_flag(run):
    found = json.loads(run("layers", "nets.py:grey", "--size", "12x8", "--mean", "0", "--std", "1", "--json").out)
    assert found["layers"][0]["shape"] == [6, 12, 8]


def test_a_model_without_grids(run, folder):
    (folder / "flat.py").write_text(
        "from torch import nn\ndef model():\n    return nn.Sequential(nn.Flatten(), nn.Linear(48, 2))\n"
    )
    answer = run("layers", "flat.py", "--size", "4")
    assert answer.code == 2
    assert "No layer" in answer.err
    assert json.loads(run("layers", "flat.py", "--size", "4", "--json").out)["layers"] == []


NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)).train()
NET(torch.zeros(2, 3, 10, 10))


@pytest.mark.parametrize("given", [{"size": 10}, {"size": (10, 10)}, {"picture": torch.ones(1, 3, 10, 10)}])
def test_from_python(given):
    found = layers(NET, **given)
    assert [str(c.site) for c in found] == ["0", "1"]
    assert found[-1].recommended
    assert NET.training


def test_from_python_with_a_picture(draw):
    assert len(layers(wrap(NET, size=10), draw())) == 2


@pytest.mark.parametrize("given", [{}, {"picture": "photo.png"}])
def test_from_python_without_a_size(given):
    with pytest.raises(BadOption, match="how large the input"):
        layers(NET, **given)
