"""Excitation backprop: marginal winning probabilities by loops, and laws."""

import numpy as np
import pytest
import torch
from relevance_nets import Written, as_dense, seeded
from torch import nn

import pellucid
import tiny
from pellucid.errors import Refused

IMAGE = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
TINY = 1e-6


def net():
    return seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Conv2d(4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)
        )
    )


def walk(x, weight, chances, layer=None):
    """P_j = sum_k x_j w_jk+ / sum_i x_i w_ik+ P_k, one connection at a time."""
    below = np.zeros_like(x)
    totals = [sum(x[i] * max(w[i], 0) for i in range(len(x))) for w in weight]
    size = np.mean(totals if layer is None else np.maximum(layer, 0) @ x)
    for k, w in enumerate(weight):
        total = totals[k] + TINY * size
        for j in range(len(x)):
            below[j] += x[j] * max(w[j], 0) / total * chances[k]
    return below


def explain(method, model, layer, target=0, image=IMAGE):
    return pellucid.explain(model, image, method, target, layer=layer)[method].raw


@pytest.mark.parametrize("contrastive", [False, True])
def test_by_hand(contrastive):
    model = net()
    y = model[:2](IMAGE).detach()
    z = model[2:4](y).flatten().detach().numpy()
    top = model[5].weight.detach().numpy()[2:3]
    layer = model[5].weight.detach().numpy()
    chances = walk(z, top, [1.0], layer)
    if contrastive:
        chances = chances - walk(z, -top, [1.0], -layer)
    expected = walk(y.flatten().numpy(), as_dense(model[2], (4, 3, 3))[0], chances).reshape(4, 3, 3).sum(0)
    method = "contrastive-excitation-backprop" if contrastive else "excitation-backprop"
    torch.testing.assert_close(explain(method, model, "1", 2)[0], torch.from_numpy(expected))


def test_chances_are_positive_and_sum_to_one():
    got = explain("excitation-backprop", seeded(lambda: Written("in place", bias=True)), "relu_in_place:0", 1)
    assert got.min() >= 0
    assert got.sum() == pytest.approx(1, abs=1e-4)


def test_a_residual_sum_chooses_by_its_positive_parts():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.ReLU()

        def forward(self, x):
            x = self.stem(x)
            return (x + x * torch.tensor([[[[2.0]], [[-1.0]], [[0.5]]]])).relu().mean((2, 3))

    image = torch.rand(1, 3, 2, 2, dtype=torch.float64)
    got = pellucid.explain(Sum(), image, "excitation-backprop", 0, layer="stem")["excitation-backprop"].raw
    torch.testing.assert_close(got, image[:, 0] / image[:, 0].sum(), rtol=1e-4, atol=1e-6)


def test_the_contrast_is_zero_where_a_class_and_its_opposite_agree():
    model = net()
    model[5].weight.data[1] = 0
    assert not explain("contrastive-excitation-backprop", model, "1", 1).any()


def test_only_what_lies_above_the_layer_needs_rules():
    class Smooth(tiny.Plain):
        def __init__(self):
            super().__init__(nn.GELU())
            self.act2 = nn.ReLU()

    image = tiny.images()
    assert explain("excitation-backprop", tiny.build(Smooth), "act2", None, image).min() >= 0
    with pytest.raises(Refused, match="excitation-backprop has no rule for gelu"):
        explain("excitation-backprop", tiny.build(Smooth), "conv1", None, image)


@pytest.mark.parametrize("method", ["excitation-backprop", "contrastive-excitation-backprop"])
def test_other_methods_that_look_further_down_need_no_rules_of_it(method):
    smooth = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 2), nn.SiLU(), nn.Conv2d(4, 3, 2, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)
        )
    )
    image = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    together = pellucid.explain(smooth, image, ["refine-cam", "lrp", method], 0)
    assert together["refine-cam"].site != together[method].site
    torch.testing.assert_close(together[method].raw, pellucid.explain(smooth, image, method, 0)[method].raw)
    with pytest.raises(Refused, match="silu"):
        pellucid.explain(smooth, image, method, 0, layer="0")
