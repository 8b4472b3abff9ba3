"""Methods that hide parts, in one and three axes: the same network with an axis more, plain loops, closed forms."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
from asked import Asked, Linear, alike_nets, sample
from pellucid.capture.running import Draws
from pellucid.contracts import Evidence
from pellucid.errors import BadOption, Refused
from pellucid.held import plain
from pellucid.registry import fill_options, find_method

SIGNALS, VOLUMES = sample(2, 2, 11), sample(1, 2, 5, 6)
CASES = {
    "occlusion": [{"window": (3,), "stride": 2}, {"window": (2, 3), "stride": 2, "shape": "disc"}],
    "occlusion-coarse-to-fine": [{"window": (3,), "stride": 1, "factor": 2}, {"window": (2, 2), "stride": 1}],
    "sensitivity": [{"cells": (4,)}, {"cells": (2, 3)}],
    "feature-ablation": [{"regions": 4, "by_channel": True}, {"regions": 5, "fill": "mean"}],
    "lime": [{"regions": 4, "samples": 12, "fill": "noise"}, {"regions": "2x2", "samples": 9}],
    "kernel-shap": [{"regions": 4, "samples": 14, "fill": "inpaint"}, {"regions": 4, "samples": 14}],
    "partition-shap": [{"regions": 5, "fill": "mean"}, {"regions": "2x3", "samples": 12}],
    "shapley-sampling": [{"regions": 4, "permutations": 4}, {"regions": "channels", "permutations": 4}],
    "sobol": [{"cells": (3,), "designs": 4}, {"cells": (2, 2), "designs": 4, "fill": "mean"}],
    "hsic": [{"cells": (4,), "masks": 12}, {"cells": (2, 3), "masks": 12, "fill": "noise"}],
}


def run(name, net, image, is_tabular=False, **given):
    method = find_method(name)
    available = {"image": image, "probe": Asked(net, image, is_tabular=is_tabular), "rng": Draws(0)}
    if "image_gradient" in method.needs:
        asked = image.clone().requires_grad_()
        (available["image_gradient"],) = torch.autograd.grad(net(asked)[:, 0].sum(), asked)
    found = method.function(**{need: available[need] for need in method.needs}, **plain(fill_options(method, given)))
    return found if isinstance(found, Evidence) else Evidence(found)


def grown(value):
    """Options of the same question with an axis of length 1 in front."""
    if isinstance(value, tuple):
        return (1, *value)
    return f"1x{value}" if isinstance(value, str) and "x" in value else value


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_an_axis_of_length_one_changes_nothing(name, axes):
    image, kernel = (SIGNALS, (3,)) if axes == 1 else (VOLUMES, (3, 3))
    small, large = alike_nets(kernel, image.shape[2:])
    options = CASES[name][axes - 1]
    more = {key: grown(value) for key, value in options.items()}
    if axes == 1 and "regions" in options:  # a picture's numbers are of superpixels
        more["regions"] = f"1x{options['regions']}"
    one, other = run(name, small, image, **options), run(name, large, image.unsqueeze(2), **more)
    at = 2 if one.raw.ndim == image.ndim else 1
    torch.testing.assert_close(other.raw.squeeze(at), one.raw, rtol=1e-9, atol=1e-11)
    if one.values is not None:
        torch.testing.assert_close(other.values[:, 0], one.values, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("size", "window", "stride"), [((9,), (4,), (3,)), ((4, 5, 3), (2, 3, 2), (2, 1, 2))])
def test_occlusion_by_plain_loops(size, window, stride):
    image, net = sample(1, 2, *size), torch.nn.Sequential(Linear(2, *size), torch.nn.Tanh())
    begins = []
    for length, side, step in zip(size, window, stride, strict=True):
        places = [0]
        while places[-1] + side < length:
            places.append(places[-1] + step)
        begins.append(places)
    total, count, raw = np.zeros(size), np.zeros(size), []
    for corner in product(*begins):
        box = tuple(slice(first, first + side) for first, side in zip(corner, window, strict=True))
        hidden = image.clone()
        hidden[(0, slice(None), *box)] = 0.5
        raw.append(float(net(image) - net(hidden)))
        total[box] += raw[-1]
        count[box] += 1
    found = run("occlusion", net, image, window=window, stride=stride, fill=0.5)
    np.testing.assert_allclose(found.raw[0].flatten(), raw, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.values[0], total / count, rtol=1e-10, atol=1e-12)


def test_default_windows_are_a_seventh_of_each_side():
    image = sample(1, 1, 14, 2, 10)
    found = run("occlusion", Linear(1, 14, 2, 10), image)
    assert found.raw.shape == (1, 13, 2, 10)
    assert "2 x 1 x 1 voxels, moved by 1" in found.notes[0]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("occlusion", {}),
        ("feature-ablation", {}),
        ("kernel-shap", {"samples": 62}),
        ("partition-shap", {}),
        ("shapley-sampling", {"permutations": 4}),
        ("lime", {"samples": 100, "penalty": 0.0}),
    ],
)
def test_columns_of_a_table_are_the_players(name, options):
    rows, net = sample(2, 1, 6), Linear(1, 6)
    baseline = sample(1, 6, seed=8)
    found = run(name, net, rows, is_tabular=True, fill=baseline, **options)
    expected = (net.weight * (rows - baseline))[:, 0]
    torch.testing.assert_close(found.raw, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("fill", ["mean", "blur", "noise", "inpaint"])
def test_fills_that_mix_columns_are_refused(fill):
    with pytest.raises(BadOption, match="columns of a table are in units of their own"):
        run("feature-ablation", Linear(1, 6), sample(1, 1, 6), is_tabular=True, fill=fill)


def test_columns_have_no_neighbours():
    rows, net = sample(1, 1, 100), Linear(1, 100)
    assert run("hsic", net, rows, is_tabular=True, masks=5).raw.shape == (1, 100)
    # each column is seen or not, whatever stands beside it
    seen = torch.stack([Draws(0).uniform(torch.tensor([k]), rows.new_empty(1, 101))[0, :100] < 0.5 for k in range(9)])
    scores = (seen * rows[0] * net.weight).sum(1)
    expected = (scores[:, None] * seen).sum(0) / seen.sum(0).clamp(min=1)
    found = run("rise", net, rows, is_tabular=True, masks=9).raw[0]
    torch.testing.assert_close(found[seen.any(0)], expected[seen.any(0)])
    with pytest.raises(BadOption, match="columns of a table are in units of their own"):
        run("rise", net, rows, is_tabular=True, fill="blur")
    for name in ("occlusion-coarse-to-fine", "meaningful-perturbation", "extremal-perturbation"):
        with pytest.raises(Refused, match=f"{name} is not defined for tables"):
            run(name, net, rows, is_tabular=True, fill=0.0)


def test_channels_are_players():
    image, net = sample(2, 3, 7), Linear(3, 7)
    found = run("kernel-shap", net, image, regions="channels", samples=6)
    expected = (net.weight * image).sum(2)
    torch.testing.assert_close(found.extras["values of regions"], expected)
    assert torch.equal(found.raw, found.extras["values of regions"][:, :, None].expand_as(image))
    ablated = run("feature-ablation", net, image, regions="channels")
    torch.testing.assert_close(ablated.extras["values of regions"], expected)
    with pytest.raises(BadOption, match="channels already"):
        run("feature-ablation", net, image, regions="channels", by_channel=True)
    with pytest.raises(BadOption, match="only one channel"):
        run("lime", Linear(1, 7), sample(1, 1, 7), regions="channels")


def test_segments_and_supervoxels():
    found = run("feature-ablation", Linear(1, 60), sample(1, 1, 60))
    assert found.extras["regions"].unique().numel() == 50
    assert "50 segments" in found.notes[0]
    volume = sample(1, 1, 8, 8, 8)
    labels = run("feature-ablation", Linear(1, 8, 8, 8), volume, regions=5).extras["regions"]
    assert labels.shape == (1, 8, 8, 8)
    assert labels.unique().tolist() == [0, 1, 2, 3, 4]
    small = run("feature-ablation", Linear(1, 2, 4, 5), sample(1, 1, 2, 4, 5))
    assert "a grid of 2 x 4 x 4: a volume of 2 x 4 x 5 voxels is too small" in small.notes[0]


def test_rise_by_plain_loops():
    # cells drawn out with half-pixel centres, one cell longer than the signal, and shifted by up to a cell
    image, net, (cells, masks) = sample(1, 2, 9), Linear(2, 9), (4, 12)
    step, behind = 3, []
    for number in range(masks):
        drawn = Draws(0).uniform(torch.tensor([number]), torch.empty(1, cells + 1, dtype=torch.float64))[0].numpy()
        kept, first = (drawn[:cells] < 0.5).astype(float), int(drawn[cells] * step)
        place = (np.arange((cells + 1) * step) + 0.5) * cells / ((cells + 1) * step) - 0.5
        behind.append(np.interp(place, np.arange(cells), kept)[first : first + 9])
    scores = np.array([float(net(image * torch.from_numpy(mask))) for mask in behind])
    expected = (scores[:, None] * behind).sum(0) / np.sum(behind, 0)
    np.testing.assert_allclose(run("rise", net, image, masks=masks, cells=cells).raw[0], expected, rtol=1e-9)
    volume = run("rise", Linear(1, 3, 4, 5), sample(1, 1, 3, 4, 5), masks=20, cells=(1, 2, 2))
    assert volume.values.shape == (1, 3, 4, 5)


@pytest.mark.parametrize(("size", "area"), [((12,), 0.1), ((4, 4, 4), 0.01)])
def test_meaningful_perturbation_hides_what_counts(size, area):
    image, net = torch.ones(1, 1, *size, dtype=torch.float64), Linear(1, *size)
    net.weight = torch.zeros_like(net.weight)
    net.weight[0, -2:] = 1.0  # the end of the first axis
    found = run("meaningful-perturbation", net, image, steps=40, cells=4, area=area, fill=0.0)
    assert float(found.values[0, -1].min()) > 0.8
    assert float(found.values[0, 0].max()) < 0.2


def test_extremal_perturbation_shows_what_counts():
    image, net = torch.ones(1, 1, 60, dtype=torch.float64), Linear(1, 60)
    net.weight = torch.zeros_like(net.weight)
    net.weight[0, 30:42] = 1.0
    found = run("extremal-perturbation", net, image, steps=60, cells=30, areas="0.2", fill=0.0)
    assert float(found.raw[0, 30:42].min()) > 0.5
    assert float(found.raw[0, :20].max()) < 0.1
    with pytest.raises(Refused, match="defined for pictures and signals"):
        run("extremal-perturbation", Linear(1, 3, 3, 3), sample(1, 1, 3, 3, 3))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("occlusion", {"window": (2, 2)}, "one for each of 1 axes, as window of occlusion, got"),
        ("rise", {"cells": (2, 2)}, "at most 11 cells for rise"),
        ("lime", {"regions": "3x3"}, "A grid of 3x3 does not fit lime's signals of 11 steps"),
        ("lime", {"regions": 12}, "Signals of 11 steps cannot be cut into 12 regions"),
    ],
)
def test_sizes_for_other_axes_are_refused(name, options, message):
    with pytest.raises(BadOption, match=message):
        run(name, alike_nets((3,), (11,))[0], SIGNALS, **options)


class Volumes(torch.nn.Module):
    """Two convolutions in three axes and what they give at each place, weighed."""

    def __init__(self, *size):
        super().__init__()
        self.first, self.last = torch.nn.Conv3d(2, 3, 3, padding=1, bias=False), Linear(3, *size)
        self.first.weight.data = sample(3, 2, 3, 3, 3, seed=2)

    def forward(self, x):
        score = self.last(self.first(x).relu())
        return torch.cat([score, -score], 1)


class Table(torch.nn.Module):
    """Rows of features `[n, feature]`, as such networks take them."""

    def forward(self, x):
        return torch.stack([x[:, 0] * x[:, 1] + x[:, 2], x[:, 3] - x[:, 4]], 1)


class Held(torch.nn.Module):
    """The same for rows as methods hold them, `[n, 1, feature]`."""

    def forward(self, x):
        return Table()(x[:, 0])


ENDS = {
    "occlusion": {},
    "feature-ablation": {},
    "rise": {"masks": 10},
    "kernel-shap": {"samples": 62},
    "hsic": {"masks": 10},
    "sensitivity": {},
}


KINDS = {
    "signal": (alike_nets((3,), (9,))[0], sample(2, 2, 9)),
    "volume": (Volumes(2, 4, 5), sample(2, 2, 2, 4, 5)),
    "table": (Table(), sample(2, 6)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_explain_gives_what_plain_loops_give(kind):
    net, given = KINDS[kind]
    is_tabular = kind == "table"
    more = {} if is_tabular else {"feature-ablation": {"regions": 4}, "kernel-shap": {"regions": 4}}
    options = {name: {**own, **more.get(name, {})} for name, own in ENDS.items()}
    found = pellucid.explain(net, given, list(ENDS), 0, options=options)
    for name in ENDS:
        plainly = (Held(), given[:, None]) if is_tabular else (net, given)
        expected = run(name, *plainly, is_tabular=is_tabular, **options[name])
        torch.testing.assert_close(found[name].raw, expected.raw, rtol=1e-8, atol=1e-10)
        assert found[name].values.shape == (2, *given.shape[1 if is_tabular else 2 :])


class Neighbouring(torch.nn.Module):
    """A network that lays the columns of a row beside one another itself."""

    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Conv1d(1, 3, 3, padding=1), torch.nn.Conv1d(3, 2, 3, padding=1)
        self.double().requires_grad_(False)

    def forward(self, x):
        return self.last(self.first(x[:, None]).relu()).mean(2)


def test_layers_are_tried_on_tables_without_a_blur():
    found = pellucid.explain(Neighbouring(), sample(2, 9), "grad-cam", 0, layer="auto")["grad-cam"]
    assert found.values.shape == (2, 9)


@pytest.mark.parametrize(("size", "words"), [((12,), "a stretch of 4 places"), ((5, 6, 7), "a box of 4 voxels")])
def test_notes_name_what_hides_along_these_axes(size, words):
    net = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(size), 2))
    found = pellucid.explain(net, torch.rand(1, 1, *size), "occlusion", 0, options={"occlusion": {"window": 4}})
    assert any(words in note for note in found["occlusion"].notes)
