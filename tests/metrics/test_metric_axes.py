"""Metrics and controls in one and three axes: the same network with an axis more, and closed forms."""

import numpy as np
import pytest
import torch

import pellucid
from asked import Asked, Linear, alike_nets, sample
from pellucid.capture.running import Draws
from pellucid.contracts import Frame, MetricResult
from pellucid.errors import BadOption, Refused
from pellucid.evaluation.controls import CONTROLS
from pellucid.held import plain
from pellucid.metrics._likeness import likeness
from pellucid.registry import fill_options, find_metric

ASKING = {
    "deletion": {"steps": 5},
    "insertion": {"steps": 5, "baseline": "mean"},
    "pixel-flipping": {"steps": 3, "share": 0.6},
    "irof": {"regions": "2x2"},
    "sensitivity-n": {"subsets": 6},
    "faithfulness-correlation": {"subsets": 6},
    "monotonicity": {"steps": 4},
    "effective-complexity": {"steps": 5, "loss": 0.02},
    "average-drop": {},
    "increase": {},
    "sufficiency": {},
    "road": {"steps": 3},
}
KNOWING = ["energy-pointing", "iou", "mass-accuracy", "rank-accuracy", "roc-auc", "pxap", "max-box-acc"]


def judged(name, net, image, values, is_tabular=False, **given):
    metric = find_metric(name)
    size = tuple(values.shape[1:])
    mask = values > values.flatten(1).mean(1).reshape(-1, *(1,) * len(size))
    box = torch.tensor([[float(n > 1) for n in reversed(size)] + [float(n) for n in reversed(size)]])
    available = {
        "values": values,
        "image": image,
        "probe": Asked(net, image, is_tabular=is_tabular),
        "rng": Draws(0),
        "mask": mask,
        "boxes": [box.double()] * len(values),
        "frames": [Frame(size, (*(0.0 for _ in size), *map(float, reversed(size))), size)] * len(values),
    }
    found = metric.function(**{need: available[need] for need in metric.needs}, **plain(fill_options(metric, given)))
    return found.values if isinstance(found, MetricResult) else found


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("name", ASKING)
def test_an_axis_of_length_one_changes_no_answer(name, axes):
    image, kernel = (sample(2, 2, 11), (3,)) if axes == 1 else (sample(1, 2, 4, 5), (3, 3))
    if name == "sufficiency":  # asks for 100 pixels
        image = image.repeat(1, 1, *(5 for _ in kernel))[..., :55]
        image = image if axes == 2 else torch.cat([image, image], 2)
    small, large = alike_nets(kernel, image.shape[2:])
    options = dict(ASKING[name])
    more = dict(options)
    if name == "irof":
        options["regions"], more["regions"] = (4, "1x4") if axes == 1 else ("2x2", "1x2x2")
    values = sample(len(image), *image.shape[2:], seed=9)
    one = judged(name, small, image, values, **options)
    assert bool(one.isfinite().all())
    torch.testing.assert_close(judged(name, large, image.unsqueeze(2), values[:, None], **more), one)


@pytest.mark.parametrize("name", [*KNOWING, "pointing-game", "top-k-intersection"])
def test_an_axis_of_length_one_moves_no_thing(name):
    values = sample(2, 4, 5, seed=9)
    options = {"pointing-game": {"tolerance": 1.5}, "top-k-intersection": {"k": 6}}.get(name, {})
    other = torch.zeros(2, 1, 4, 5, dtype=torch.float64)
    small = judged(name, None, other, values, **options)
    wide = judged(name, None, other[:, :, None], values[:, None], **options)
    torch.testing.assert_close(wide, small)


def test_boxes_in_three_axes():
    values = torch.zeros(1, 4, 5, 6, dtype=torch.float64)
    values[0, 1:3, 2:4, 3:6] = 1.0
    box = [torch.tensor([[3.0, 2.0, 1.0, 6.0, 4.0, 3.0]])]  # column, row and depth where it begins, then its ends
    assert find_metric("energy-pointing").function(values, box).tolist() == [1.0]
    assert find_metric("max-box-acc").function(values, box).values.tolist() == [1.0]
    half = [torch.tensor([[3.0, 2.0, 1.0, 6.0, 4.0, 2.0]])]
    assert find_metric("energy-pointing").function(values, half).tolist() == [0.5]
    assert find_metric("energy-pointing").function(values[:, 1, 2], [torch.tensor([[4.0, 6.0]])]).tolist() == [2 / 3]


@pytest.mark.parametrize("size", [(30,), (4, 5, 6)])
def test_contributions_of_a_linear_network_are_perfect(size):
    image, net = sample(1, 2, *size), Linear(2, *size)
    values = (net.weight * image).sum(1)
    assert float(judged("infidelity", net, image, values, squares=9)) < 1e-20
    torch.testing.assert_close(judged("mu-fidelity", net, image, values, subsets=9), torch.ones(1).double())
    torch.testing.assert_close(judged("sensitivity-n", net, image, values, subsets=5), torch.ones(1).double())
    assert -1 <= float(judged("monotonicity-correlation", net, image, values)) <= 1


def test_controls():
    signal, draws = sample(2, 3, 9), Draws(0)
    picture, volume = signal[:, :, None], sample(1, 1, 4, 5, 6)
    torch.testing.assert_close(CONTROLS["edges"](picture, draws)[:, 0], 4 * CONTROLS["edges"](signal, draws))
    torch.testing.assert_close(CONTROLS["centre"](picture, draws)[:, 0], CONTROLS["centre"](signal, draws))
    assert torch.equal(CONTROLS["random"](picture, draws)[:, 0], CONTROLS["random"](signal, draws))
    sides = [np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) / 0.25) ** 2) for n in (4, 5, 6)]
    expected = np.einsum("i,j,k->ijk", *sides)
    np.testing.assert_allclose(CONTROLS["centre"](volume, draws)[0], expected)
    ramp = torch.arange(5.0).reshape(1, 1, 5, 1, 1).expand(1, 1, 5, 4, 3)
    assert CONTROLS["edges"](ramp, draws)[0, 2].unique().tolist() == [32.0]  # 2 steps, weights 4 and 4 beside


def test_what_is_for_pictures_is_refused_by_name():
    volume = sample(1, 4, 4, 4)
    with pytest.raises(BadOption, match="focus is defined for two axes"):
        judged("focus", None, volume[:, None], volume)
    with pytest.raises(BadOption, match="hog is defined for two axes"):
        find_metric("random-target").function(volume, None, None, measure="hog")
    with pytest.raises(BadOption, match="maps have no channels"):
        judged("irof", Linear(2, 7), sample(1, 2, 7), sample(1, 7), regions="channels")


def test_metrics_that_look_at_neighbours_are_refused_for_tables():
    rows, net = sample(1, 1, 120), Linear(1, 120)
    for name in ("road", "monotonicity-correlation", "insertion"):
        with pytest.raises(Refused, match=f"{name} is not defined for tables"):
            judged(name, net, rows, rows[:, 0], is_tabular=True)
    values = (net.weight * rows)[:, 0]
    torch.testing.assert_close(judged("mu-fidelity", net, rows, values, is_tabular=True), torch.ones(1).double())


@pytest.mark.parametrize("size", [(9,), (5, 6, 7)])
def test_likeness(size):
    first = sample(2, *size)
    for measure in ("rank", "signed-rank", "ssim"):
        torch.testing.assert_close(likeness(measure, first, first), torch.ones(2).double())
        assert float(likeness(measure, first, sample(2, *size, seed=3)).max()) < 0.9


@pytest.mark.parametrize("size", [(12,), (2, 3, 4)])
def test_evaluate_gives_what_plain_loops_give(size):
    image, net = sample(2, 2, *size), torch.nn.Sequential(Linear(2, *size), torch.nn.Tanh())
    explained = pellucid.explain(net, image, "occlusion", 0, options={"occlusion": {"window": 1}})["occlusion"]
    options = {"infidelity": {"squares": 6}, "pixel-flipping": {"steps": 3, "share": 0.5}}
    found = pellucid.evaluate(explained, list(options), options)
    for name in options:
        expected = judged(name, net, image, explained.values, **options[name])
        torch.testing.assert_close(found["occlusion", name].values, expected, rtol=1e-8, atol=1e-12)
        assert set(found["occlusion", name].controls) == set(CONTROLS)
