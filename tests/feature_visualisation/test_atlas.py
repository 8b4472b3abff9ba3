"""Activation atlas: points land where their values say, cells hold their means, icons climb along them."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dreaming_nets import small
from PIL import Image
from safetensors.torch import load_file

from pellucid.cli import main
from pellucid.errors import BadOption, MissingExtra
from pellucid.feature_visualisation.atlas import Atlas as Map
from pellucid.feature_visualisation.atlas import _binned, _pca, atlas
from pellucid.feature_visualisation.objectives import along_each

QUICK = {"steps": 1, "transform": "none", "icon": 16}


@pytest.fixture
def folder(tmp_path):
    """Eight dark pictures and eight bright ones, and one that is broken."""
    (tmp_path / "pictures").mkdir()
    for k in range(16):
        noise = np.random.default_rng(k).integers(0, 40, (16, 16, 3))
        Image.fromarray((noise + (200 if k % 2 else 10)).astype(np.uint8)).save(tmp_path / "pictures" / f"{k}.png")
    (tmp_path / "pictures" / "x.png").write_bytes(b"no picture")
    return tmp_path / "pictures"


def test_dark_and_bright_pictures_lie_apart(folder, tmp_path):
    made = atlas(small(), [str(folder)], "conv1", tmp_path / "out", grid=4, places=4, least=2, **QUICK)
    assert len(made.points) == 64
    assert list(made.failed) == [str(folder / "x.png")]
    bright = torch.tensor([int(source.rsplit("/", 1)[1].removesuffix(".png")) % 2 for source in made.sources]).bool()
    down = made.points[:, 0]
    assert down[bright].min() > down[~bright].max() or down[bright].max() < down[~bright].min()
    assert made.shares[0] > made.shares[1] > 0
    assert sum(cell.count for cell in made.cells) + int(made.notes[0].split()[0] if made.notes else 0) == 64
    assert len(made.dream.pictures) == len(made.cells) == len(made.directions)
    page = made.draw()
    assert page.size == (64, 64)
    empty = {(r, c) for r in range(4) for c in range(4)} - {(cell.row, cell.column) for cell in made.cells}
    assert all(page.getpixel((c * 16 + 8, r * 16 + 8)) == (255, 255, 255) for r, c in empty)


def test_cells_hold_the_mean_of_their_points():
    values = torch.arange(12.0).reshape(6, 2)
    points = torch.tensor([[0.0, 0.0], [0.1, 0.1], [0.0, 1.0], [1.0, 0.0], [0.9, 0.1], [0.95, 0.0]])
    blank = Map(None, "a", "pca", 2, points, list("abcdef"), {}, [], values[:0])
    made = _binned(blank, values, 2)
    assert [(cell.row, cell.column, cell.count) for cell in made.cells] == [(0, 0, 2), (1, 0, 3)]
    torch.testing.assert_close(made.directions, torch.stack([values[:2].mean(0), values[3:].mean(0)]))
    assert made.cells[1].nearest[0] == "e"
    assert "1 of 6 points" in made.notes[0]


def test_principal_components_against_numpy():
    values = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 1, 3, 1, 1])
    points, shares = _pca(values, 0)
    matrix = np.cov(values.double().numpy().T)
    strengths, axes = np.linalg.eigh(matrix)
    torch.testing.assert_close(shares[0], float(strengths[-1] / strengths.sum()), rtol=1e-4, atol=0)
    own = (values.double() - values.double().mean(0)) @ torch.from_numpy(axes[:, -2:].copy()).flip(1)
    torch.testing.assert_close(points.abs(), own.abs().float(), rtol=1e-4, atol=1e-4)


def test_icons_climb_along_what_the_file_holds(folder, tmp_path):
    model = small()
    made = atlas(model, [str(folder)], "conv1", tmp_path, grid=2, places=4, **{**QUICK, "steps": 0})
    with torch.no_grad():
        own = model.module.conv1((made.dream.pictures - 0.5) / 0.25)
    torch.testing.assert_close(
        made.dream.final, along_each(own, made.directions, 2.0).mean((1, 2)), atol=1e-4, rtol=1e-3
    )
    (path,) = tmp_path.glob("directions-*.safetensors")
    assert torch.equal(load_file(path)["directions"], made.directions)
    assert str(path) in made.dream.objective


def test_umap_is_asked_for_and_missed(folder, tmp_path, monkeypatch):
    asked = {}

    class Umap:
        def __init__(self, **settings):
            asked.update(settings)

        def fit_transform(self, values):
            return values[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    made = atlas(small(), [str(folder)], "conv1", tmp_path, layout="umap", grid=2, seed=3, **QUICK)
    assert asked == {
        "n_components": 2, "n_neighbors": 15, "min_dist": 0.05, "metric": "cosine", "random_state": 3, "n_jobs": 1
    }  # fmt: skip
    assert made.shares == ()
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtra, match=r"pellucid\[atlas\]"):
        atlas(small(), [str(folder)], "conv1", tmp_path, layout="umap")


def test_too_few_pictures(folder, tmp_path):
    with pytest.raises(BadOption, match="three points at least, got 1"):
        atlas(small(), [str(folder / "1.png")], "conv1", tmp_path)
    with pytest.raises(BadOption, match="has 9 of the 16 points"):
        atlas(small(), [str(folder)], "conv1", tmp_path, least=9)
    with pytest.raises(BadOption, match="got tsne"):
        atlas(small(), [str(folder)], "conv1", tmp_path, layout="tsne")


def test_from_the_command_line(folder, tmp_path, capsys):
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef model():\n    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), "
        "nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))\n"
    )
    line = ["atlas", str(folder), "--model", str(tmp_path / "net.py"), "--size", "16", "--layer", "0", "--grid", "2"]
    out = tmp_path / "out"
    assert main([*line, "--steps", "1", "--icon", "16", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"]
    written = json.loads((out / "atlas.json").read_text())
    assert len(written["points"]) == 16
    assert written["objective"].startswith("stored('0', ")
    assert (out / "atlas.png").is_file()
