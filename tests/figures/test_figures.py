"""Figures for papers: colours that are the map's, text that is text, sizes in inches, and no trace in matplotlib."""

import base64
import re
import sys
import zlib
from io import BytesIO

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
from pellucid.cli import main
from pellucid.errors import BadOption, MissingExtra
from pellucid.figures import FigureLook, FigurePanel, FigureRow, figure, figure_of, save_figure
from pellucid.pictures import colour_table


def net(make=nn.Conv2d, channels=3):
    pool = {nn.Conv1d: nn.AdaptiveAvgPool1d, nn.Conv2d: nn.AdaptiveAvgPool2d, nn.Conv3d: nn.AdaptiveAvgPool3d}[make]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(make(channels, 4, 3), nn.ReLU(), pool(1), nn.Flatten(), nn.Linear(4, 3)).eval()


def photo(width=18, height=12):
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([rows * 9, columns * 9, 255 - rows], 2).astype(np.uint8))


@pytest.fixture(scope="module")
def result():
    model = pellucid.wrap(net(), size=12, resize=12)
    return pellucid.explain(model, [photo(), photo(20)], ["grad-cam", "input-x-gradient"])


def bars_of(made):
    return [axes for axes in made.axes if axes.get_label() == "colour bar"]


def images_of(made):
    return [np.asarray(a.images[0].get_array()) for a in made.axes if a.images and a.get_label() != "colour bar"]


def written(made, path):
    return save_figure(made, path).read_bytes()


def expected_colours(values):
    """By hand: signed, symmetric about 0, the end at the 99.5th percentile of sizes but at least a quarter."""
    sizes = np.sort(np.abs(values).ravel())
    end = max(sizes[int(np.ceil(0.995 * (sizes.size - 1)))], sizes[-1] / 4)
    return colour_table("colorcet:bkr")[np.rint(128 + 127 * np.clip(values / end, -1, 1)).astype(int)][..., :3]


def test_a_grid_has_one_bar_and_every_map_its_own_colours_in_the_file_as_well(result, tmp_path):
    made = result.figure(style="map")
    assert len(bars_of(made)) == 1
    want = [expected_colours(a.values[k].double().numpy()) for k in (0, 1) for a in result]
    found = images_of(made)
    assert len(found) == 2 + 4  # each picture stands before its maps
    embedded = [
        np.asarray(Image.open(BytesIO(base64.b64decode(code))).convert("RGB"))
        for code in re.findall(rb"data:image/png;base64,([^\"]+)", written(made, tmp_path / "a.svg"))
    ]
    for place, colours in zip((1, 2, 4, 5), want, strict=True):
        assert np.abs(found[place].astype(int) - colours).max() <= 2  # one step of the table: float32 on the way
        assert any(np.array_equal(found[place], drawn) for drawn in embedded)


def test_text_is_text_and_sizes_are_inches(result, tmp_path):
    made = result.figure(width=5.0, height=3.0)
    assert tuple(made.get_size_inches()) == (5.0, 3.0)
    drawn = written(made, tmp_path / "a.svg").decode()
    assert 'width="360pt" height="216pt"' in drawn
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert {"Grad-CAM", "Input x gradient", "0"} <= set(texts)
    assert any(text.startswith(f"{result['grad-cam'].target[0]}, ") for text in texts)
    assert sum(text.startswith("full colour: ±") for text in texts) == 4
    pdf = written(made, tmp_path / "a.pdf")
    assert b"/MediaBox [ 0 0 360 216 ]" in pdf
    assert b"/CIDFontType2" in pdf or b"/TrueType" in pdf
    streams = [
        zlib.decompress(part) for part in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.S) if part[:1] == b"x"
    ]
    shown = [text for stream in streams for text in re.findall(rb"BT\n(.*?)\nET", stream, re.S)]
    said = {b"".join(re.findall(rb"\(((?:[^()\\]|\\.)*)\)", text)).replace(b"\0", b"") for text in shown}
    assert {b"Grad-CAM", b"Input x gradient"} <= said
    assert Image.open(BytesIO(written(made, tmp_path / "a.png"))).size == (1500, 900)
    again = written(result.figure(width=5.0, height=3.0), tmp_path / "b.pdf")
    assert again == pdf


def test_nothing_of_matplotlib_changes(result, tmp_path):
    before, modules = dict(matplotlib.rcParams), set(sys.modules)
    with matplotlib.rc_context({"axes.grid": True, "savefig.bbox": "tight", "svg.fonttype": "path"}):
        made = result.figure(width=4.0)
        made.savefig(tmp_path / "a.svg")
        assert matplotlib.rcParams["svg.fonttype"] == "path"
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in set(sys.modules) - modules
    assert 'width="288pt"' in (tmp_path / "a.svg").read_text()
    assert "Grad-CAM</text>" in (tmp_path / "a.svg").read_text()


def test_without_matplotlib_the_command_that_brings_it_is_named(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pellucid\[figures\]'"):
        result.figure()


@pytest.mark.parametrize(
    ("look", "match"),
    [
        ({"style": "veil"}, "'overlay' or 'map'"),
        ({"scale": "each"}, "'own' or 'shared'"),
        ({"width": 0}, "inches"),
        ({"height": float("nan")}, "inches"),
        ({"columns": 0}, "column"),
        ({"dpi": 3}, "per inch"),
        ({"height": 0.6}, "rows do not fit"),
        ({"width": 0.6, "columns": 3}, "columns do not fit"),
    ],
)
def test_what_no_figure_can_be_is_refused(result, look, match):
    with pytest.raises(BadOption, match=match):
        result.figure(**look)


def test_a_shared_scale_stands_on_the_bar_and_not_below_the_maps(result):
    made = figure([result], scale="shared", original=False, columns=1)
    high = max(float(a.values.abs().max()) for a in result)
    ends = [label.get_text() for label in bars_of(made)[0].get_xticklabels()]
    assert ends[0] == f"−{ends[2]}"
    assert high / 4 <= float(ends[2]) <= high * 1.01
    assert not [text for text in made.texts if text.get_text().startswith("full colour")]
    assert len(images_of(made)) == 4


def test_hostile_names_stay_text(tmp_path):
    values = torch.zeros(2, 2)
    values[0, 1] = torch.nan
    panel = FigurePanel("$\\frac{", ("a\nb $x_1$ " * 30,), values, pellucid.contracts.axes_of((2, 2)))
    made = figure_of([FigureRow("x", None, (panel,))])
    assert "$\\frac{" in written(made, tmp_path / "a.svg").decode()
    assert tuple(images_of(made)[0][0, 1]) == (0, 200, 120)
    assert "Green: not a number" in " ".join(text.get_text() for text in made.texts)


def test_a_volume_shows_the_three_planes_through_its_maximum():
    values = torch.zeros(4, 5, 6)
    values[1, 2, 3], values[3, 0, 0] = 2.0, torch.inf
    panel = FigurePanel("m", (), values, pellucid.contracts.axes_of(values.shape))
    planes = [a for a in figure_of([FigureRow("x", None, (panel,))]).axes if a.get_label() != "colour bar"]
    assert [a.texts[0].get_text() for a in planes] == ["depth 1", "row 2", "column 3"]
    assert [a.images[0].get_array().shape[:2] for a in planes] == [(5, 6), (4, 6), (4, 5)]
    crossing = [(2, 3), (1, 3), (1, 2)]
    end = colour_table("bids:inferno")[255, :3]
    assert all(np.array_equal(a.images[0].get_array()[at], end) for a, at in zip(planes, crossing, strict=True))
    assert [(a.lines[1].get_ydata()[0], a.lines[0].get_xdata()[0]) for a in planes] == crossing


def test_a_signal_lies_on_ground_of_its_map_in_seconds():
    signal = torch.randn(1, 2, 40, generator=torch.Generator().manual_seed(0))
    result = pellucid.explain(net(nn.Conv1d, 2), signal, "input-x-gradient", kind="signal", rate=20)
    first, second, bar = result.figure().axes
    assert bar.get_label() == "colour bar"
    assert first.get_xlim() == second.get_xlim() == (0.0, 2.0)
    assert second.get_xlabel() == "time (s)"
    np.testing.assert_allclose(first.lines[0].get_ydata(), signal[0, 0])
    np.testing.assert_allclose(first.lines[0].get_xdata(), (np.arange(40) + 0.5) / 20)
    values = result["input-x-gradient"].values[0].numpy()
    ground = np.asarray(first.images[0].get_array())[0].astype(int)
    assert ground.shape == (40, 3)
    redder = ground[:, 0] - ground[:, 2]  # vermilion in favour, blue against
    faint = np.abs(values) < 0.05 * np.abs(values).max()
    assert ((np.sign(redder) == np.sign(values)) | faint).all()


def test_a_row_of_a_table_is_bars_the_largest_first_and_the_rest_as_one_sum():
    values = torch.tensor([0.5, -3.0, 2.0, *([0.1] * 11), torch.nan])
    panel = FigurePanel("m", (), values, pellucid.contracts.axes_of(values.shape, ("feature",)))
    (axes,) = figure_of([FigureRow("x", None, (panel,))]).axes
    assert [label.get_text() for label in axes.get_yticklabels()][:3] == [
        "feature 14: not finite",
        "feature 1",
        "feature 2",
    ]
    lengths = [bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(lengths, [0.0, -3.0, 2.0, 0.5, *([0.1] * 8), 0.3], rtol=1e-6)
    assert axes.get_yticklabels()[-1].get_text() == "sum of 3 others"


def test_maps_of_several_kinds_are_no_figure():
    rows = [
        FigureRow("x", None, (FigurePanel("m", (), torch.ones(size), pellucid.contracts.axes_of(size)),))
        for size in ((3,), (3, 3))
    ]
    with pytest.raises(BadOption, match="several"):
        figure_of(rows, FigureLook())
    with pytest.raises(BadOption, match="none"):
        figure_of([])


def test_a_comparison_has_its_scores_below_the_maps():
    model = pellucid.wrap(net(), size=12, resize=12)
    found = pellucid.compare(model, [photo()], ["saliency", "grad-cam"], ["gini-sparseness"], sanity=False)
    texts = [text.get_text() for text in found.figure().texts]
    for method in ("saliency", "grad-cam"):
        assert any(text.endswith(f": {found[method, 'gini-sparseness'].mean:.3g}") for text in texts)
    assert {"Saliency", "Grad-CAM"} <= set(texts)


def test_the_command_line_draws_all_pictures_in_one_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(
        "from torch import nn\n"
        "model = lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))\n"
    )
    photo().save("a.png")
    photo(20).save("b.png")
    asked = ["explain", "a.png", "b.png", "--model", "small.py:model", "--size", "12", "-m", "saliency"]
    assert main([*asked, "--figure", "out.svg", "--figure-size", "4x3", "--figure-style", "map"]) == 0
    assert "out.svg" in capsys.readouterr().out
    drawn = (tmp_path / "out.svg").read_text()
    assert 'width="288pt" height="216pt"' in drawn
    assert {"a.png", "b.png"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", drawn))
    for wrong in (["--figure", "out.gif"], ["--figure", "out.pdf", "--figure-size", "wide"], ["--figure-dpi", "200"]):
        assert main([*asked, *wrong]) == 2
