"""Feature ablation: occlusion, Zeiler & Fergus, section 4.2, with regions of any shape."""

import numpy as np
import pytest
from games import Payoff, grid, painted
from nets import LinearScore, close, numbers, pooled_net, random_maps

import pellucid
from pellucid.errors import BadOption
from pellucid.targets import Probability

IMAGE, CLASSES = random_maps(2, (2, 2, 8, 12)), [3, 0]


def run(net, target=CLASSES, image=IMAGE, chunk=None, **options):
    options = {"feature-ablation": {"regions": "2x4", **options}}
    return pellucid.explain(net, image, "feature-ablation", target, options=options, chunk=chunk)["feature-ablation"]


def test_naive_loops():
    net, labels, got = pooled_net(), grid(8, 12, 2, 4), run(pooled_net())
    for k, c in enumerate(CLASSES):
        payoff = Payoff(net, IMAGE[k], labels, c)
        lost = [payoff.everybody - payoff(set(range(8)) - {r}) for r in range(8)]
        close(got.extras["values of regions"][k], lost)
        close(got.extras["scores"][k], payoff.everybody - np.array(lost))
        close(got.raw[k], painted(labels, lost))
        assert got.extras["regions"][k].tolist() == labels.tolist()


def test_top_classes_without_each_region():
    net, got = pooled_net(), run(pooled_net())
    for k, r in np.ndindex(2, 8):
        picture = IMAGE[k : k + 1].clone()
        picture[0, :, grid(8, 12, 2, 4) == r] = 0
        assert int(got.extras["classes"][k, r]) == int(net(picture).argmax())


def test_linear_model():
    net, labels = LinearScore((2, 8, 12)), grid(8, 12, 2, 4)
    parts = numbers((net.weight[1] * (IMAGE - 0.5)).sum(1))
    expected = [[part[labels == r].sum() for r in range(8)] for part in parts]
    close(run(net, 1, fill=0.5).extras["values of regions"], expected)


def test_windows_that_tile_are_occlusion():
    occlusion = pellucid.explain(
        pooled_net(), IMAGE, "occlusion", CLASSES, options={"occlusion": {"window": 4, "stride": 4}}
    )["occlusion"]
    close(run(pooled_net(), regions="2x3").values, numbers(occlusion.values))


def test_probability():
    net, labels = pooled_net(), grid(8, 12, 2, 4)
    payoff = Payoff(net, IMAGE[1], labels, 2, read=lambda scores: scores.softmax(1))
    got = run(net, Probability((2,)))
    close(got.extras["values of regions"][1], [payoff.everybody - payoff(set(range(8)) - {r}) for r in range(8)])


@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_change_nothing(chunk):
    close(run(pooled_net(), chunk=chunk).values, numbers(run(pooled_net()).values))


def test_an_output_without_classes():
    got = run(pooled_net().conv1, lambda out: out.flatten(1).sum(1))
    assert "classes" not in got.extras


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regions": 1}, "feature-ablation compares regions and needs at least two, got 1"),
        ({"regions": "1x1"}, "needs at least two, got 1"),
        ({"regions": "9x2"}, "A grid of 9x2 does not fit feature-ablation's pictures of 8 x 12 pixels"),
        ({"regions": 97}, "8 x 12 pixels cannot be cut into 97 regions"),
        ({"regions": "some"}, "a grid such as '7x7' or the file of a label map as regions of feature-ablation"),
        ({"fill": "grey"}, "fill"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(pooled_net(), **options)
