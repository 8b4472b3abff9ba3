"""The trust panel: photographs say the same as themselves, noise does not, and the page shows it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from dreaming_nets import small
from PIL import Image
from scipy.stats import spearmanr

import pellucid
from pellucid.cli import main
from pellucid.contracts import Site
from pellucid.errors import BadOption
from pellucid.feature_visualisation.saving import save_dream
from pellucid.feature_visualisation.spectrum import spectrum_slope
from pellucid.feature_visualisation.trust import chosen, rank_correlation, trust
from pellucid.feature_visualisation.trust_panel import Path, VisualisationTrust


@pytest.fixture
def folder(tmp_path):
    """Pictures of two kinds: red stripes, and blue noise."""
    (tmp_path / "pictures").mkdir()
    for k in range(12):
        rng = np.random.default_rng(k)
        pixels = rng.integers(0, 60, (16, 16, 3))
        if k % 2:
            pixels[:, (k // 2) % 4 :: 4, 0] += 180
        else:
            pixels[..., 2] += rng.integers(0, 190, (16, 16))
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / f"{k}.png")
    return tmp_path / "pictures"


def test_rank_correlation_against_scipy():
    rows = np.random.default_rng(0).integers(0, 5, (4, 9)).astype(float)  # with ties
    np.testing.assert_allclose(rank_correlation(rows), spearmanr(rows, axis=1).statistic, atol=1e-12)
    assert rank_correlation(np.ones((2, 3))).tolist() == [[0, 0], [0, 0]]


def test_values_are_those_of_the_network(folder):
    model = small()
    made = pellucid.dream(model, 'channel("conv2", (1, 4)) - 0.001 * tv()', count=2, steps=5)
    panels = trust(made, [str(folder)], top=3)
    assert [panel.unit for panel in panels] == ["channel('conv2', (1,))", "channel('conv2', (4,))"]
    natural = torch.stack([
        torch.from_numpy(np.asarray(Image.open(folder / f"{k}.png")).copy()).permute(2, 0, 1) / 255 for k in range(12)
    ])  # fmt: skip
    net = model.module
    with torch.no_grad():
        values, own = (net.conv2(net.conv1((x - 0.5) / 0.25).relu()).mean((2, 3)) for x in (natural, made.pictures))
    for k, unit in enumerate((1, 4)):
        assert panels[k].achieved == pytest.approx(float(own[k, unit]), abs=1e-5)
        best = values[:, unit].sort(descending=True)
        assert [each.value for each in panels[k].top] == pytest.approx(best.values[:3].tolist(), abs=1e-5)
        assert [each.source for each in panels[k].top] == [str(folder / f"{j}.png") for j in best.indices[:3].tolist()]
        assert panels[k].above == pytest.approx(float((values[:, unit] < own[k, unit]).double().mean()))
        maps = net.conv2(net.conv1((natural - 0.5) / 0.25).relu()).detach()[best.indices[0], unit]
        row, column = divmod(int(maps.argmax()), 8)
        reach = [(max(0, 2 * at - 2), min(16, 2 * at + 3)) for at in (row, column)]  # two kernels of 3, the second by 2
        assert panels[k].top[0].box == (reach[1][0], reach[0][0], reach[1][1], reach[0][1])
        tops = [spectrum_slope(natural[j]) for j in best.indices[:3].tolist()]
        assert panels[k].natural_slope == pytest.approx(sum(tops) / 3, rel=1e-3)
        assert [path.layer for path in panels[k].paths] == ["conv1", "conv2"]


def test_pictures_with_alpha_are_compared_over_grey(folder):
    model = small()
    made = pellucid.dream(model, 'channel("conv2", 1)', alpha=True, steps=3)
    flat = made.alpha[:, None] * made.pictures + (1 - made.alpha[:, None]) * 0.5
    net = model.module
    with torch.no_grad():
        own = net.conv2(net.conv1((flat - 0.5) / 0.25).relu()).mean((2, 3))
    panel = trust(made, [str(folder)], top=3)[0]
    assert panel.achieved == pytest.approx(float(own[0, 1]), abs=1e-5)
    assert panel.slope == pytest.approx(spectrum_slope(flat[0]), abs=1e-4)


def test_a_photograph_of_the_unit_is_treated_as_one(folder):
    model = small()
    made = pellucid.dream(model, 'channel("conv2", 1)', steps=0)
    first = trust(made, [str(folder)], top=6)[0]
    source = first.top[0].source
    pixels = torch.from_numpy(np.asarray(Image.open(source)).copy()).permute(2, 0, 1)[None] / 255
    made = replace(made, pictures=pixels)
    as_itself = trust(made, [str(folder)], top=6)[0]
    last = as_itself.paths[-1]
    assert last.natural > last.others, "the unit tells the two kinds apart"
    assert last.share > 0.8
    assert "All the way" in as_itself.verdict
    other = next(k for k in range(12) if str(folder / f"{k}.png") not in [each.source for each in first.top])
    pixels = np.asarray(Image.open(folder / f"{other}.png")).copy()
    made = replace(made, pictures=torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)
    as_other = trust(made, [str(folder)], top=6)[0]
    assert as_other.paths[-1].share < 0.5
    assert "read it with care" in as_other.verdict


def test_layers_are_taken_evenly_outer_ones_first():
    sites = [Site.parse(f"block{k}{end}") for k in range(20) for end in (".conv", "")]
    found = chosen(sites, Site.parse("block9"))
    assert len(found) == 8
    assert str(found[-1]) == "block9"
    assert all("." not in site.path for site in found)
    assert chosen(sites[:2], None) == sites[:2]


def test_verdicts():
    panel = VisualisationTrust("logit(1)", 6.0, 3.0, 1.0, 40, (), -2.0, -2.0, (Path("a", 0.5, 0.9, 0.1),))
    assert panel.ratio == 2
    assert panel.paths[0].share == pytest.approx(0.5)
    assert panel.verdict.startswith("It reaches 2.0 times the most of 40 photographs. All the way")
    panel = replace(panel, achieved=1.0, above=0.25, paths=(Path("a", 0.5, 0.5, 0.5),))
    assert "exceeds 25%" in panel.verdict
    assert "too alike or too few" in panel.verdict
    assert VisualisationTrust("", 1.0, -1.0, 1.0, 4, (), 0, 0).ratio is None


def test_what_cannot_be_compared(folder, tmp_path):
    for objective, words in (("-1 * tv()", "no unit"), ("1 - l2(0.5)", "no unit")):
        with pytest.raises(BadOption, match=words):
            trust(pellucid.dream(small(), objective, steps=0), [str(folder)])
    with pytest.raises(BadOption, match="four photographs at least"):
        trust(pellucid.dream(small(), "logit(1)", steps=0), [str(folder / "1.png")])


def test_page_and_manifest(folder, tmp_path, capsys):
    made = pellucid.dream(small(), "logit((1, 2))", count=2, steps=3)
    made = replace(made, titles=("<bee>", "cat"), trust=trust(made, [str(folder)]))
    save_dream(made, tmp_path / "d.png", command="pellucid dream <x>")
    page, record = (tmp_path / "d.html").read_text(), json.loads((tmp_path / "d.json").read_text())
    assert "&lt;bee&gt;" in page and "<bee>" not in page
    assert page.count("data:image/png") == 3, "the sheet, and each picture beside its photographs"
    assert "http-equiv" in page and 'src="http' not in page
    assert record["trust"][0]["verdict"] in page.replace("&#39;", "'")
    assert record["trust"][1]["unit"] == "logit((2,))"
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef model():\n    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), "
        "nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))\n"
    )
    line = ["dream", str(tmp_path / "net.py"), "--size", "16", "--class", "1", "--steps", "2", "--trust", str(folder)]
    assert main([*line, "--out", str(tmp_path / "c.png")]) == 0
    assert "12 photographs" in capsys.readouterr().out
    plain = pellucid.dream(small(), "logit(1)", steps=0)
    save_dream(plain, tmp_path / "p.png")
    assert "not compared with photographs" in (tmp_path / "p.html").read_text()
