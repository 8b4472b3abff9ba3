"""Shapley-CAM, Cai, arXiv:2501.06261, and the curvature that it asks for."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from nets import close, numbers, pooled_net, random_maps
from torch import nn

import pellucid
import tiny
from pellucid.capture.passes import PassRequest, run_passes
from pellucid.capture.running import guarded
from pellucid.contracts import Site
from pellucid.errors import BadOption
from pellucid.targets import Logit

IMAGE, CLASSES = random_maps(0, (2, 2, 5, 6)), [3, 1]


def run(net, target=CLASSES, layer=None, **options):
    return pellucid.explain(net, IMAGE, "shapley-cam", target, layer, {"shapley-cam": options})["shapley-cam"]


def test_full_hessian_of_the_paper_s_utility():
    net, expected = pooled_net(), []
    tail = nn.Sequential(*list(net)[4:])
    for picture, c in zip(IMAGE, CLASSES, strict=True):
        a = net[:4](picture[None]).detach()
        utility = lambda x, c=c: (tail(x)[0, c] + tail(x).log_softmax(1)[0, c]).sum()  # noqa: E731
        g = torch.autograd.functional.jacobian(utility, a)
        h = torch.autograd.functional.hessian(utility, a).reshape(a.numel(), a.numel())
        w = (g - (h @ a.flatten()).reshape(a.shape) / 2).mean((2, 3), keepdim=True)
        expected.append(numbers((w * a).sum(1)[0]))
    expected = np.stack(expected)
    close(run(net, rectify=False).raw, expected, rtol=1e-6)
    close(run(net).raw, np.maximum(expected, 0), rtol=1e-6, atol=1e-9)


def test_a_quadratic_score_is_divided_fairly():
    """On a quadratic the second-order expansion is exact: the shares add up to S(A) - S(0)."""

    class Quadratic(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Identity()
            self.form = random_maps(3, (3, 3))

        def forward(self, x):
            y = self.mix(x * 1.0).mean((2, 3))
            return torch.einsum("bi,ij,bj->b", y, self.form, y)[:, None] + y.sum(1, keepdim=True)

    net, image = Quadratic(), random_maps(4, (1, 3, 2, 2))
    options = {"shapley-cam": {"utility": "target", "rectify": False}}
    got = pellucid.explain(net, image, "shapley-cam", lambda out: out[:, 0], "mix", options)["shapley-cam"]
    close(got.raw.sum(), numbers(net(image)).sum())


def test_grad_cam_where_the_score_is_linear_in_the_layer():
    net = pooled_net()
    close(run(net, utility="target").raw, numbers(pellucid.explain(net, IMAGE, "grad-cam", CLASSES)["grad-cam"].raw))


def test_a_target_that_is_no_class_is_its_own_utility_and_says_so():
    net = pooled_net()
    got = run(net, target=lambda out: out[:, 2])
    close(got.raw, numbers(run(net, target=2, utility="target").raw))
    assert "no score with a log-probability beside it" in got.notes[0]


@pytest.mark.parametrize(
    ("make", "site"),
    [(tiny.Tokens, "blocks.0"), (tiny.ChannelsLast, "mix"), (tiny.Gate, "conv"), (tiny.AddAfter, "conv2")],
)
def test_curvature_is_the_slope_of_the_gradient(make, site):
    """H A = d/ds gradient(A + s A) at 0, by a central difference; also with attention and in-place operations."""
    net, image, site = tiny.build(make), tiny.images(1), Site(site)
    model = pellucid.wrap(net)
    wish = PassRequest(sites=(site,), gradients=True, curvature=True)
    with guarded(net):
        found = run_passes(model, image, torch.arange(1), [Logit((1,))], wish)
    slopes = []
    part = net.get_submodule(site.path)
    for s in (-1e-5, 1e-5):
        kept = []

        def grow(module, args, out, s=s, kept=kept):
            kept.append(((1 + s) * out).detach().requires_grad_())
            return kept[-1].clone()

        handle = part.register_forward_hook(grow)
        net(image)[0, 1].backward()
        handle.remove()
        slopes.append(kept[0].grad)
    difference = next((b - a) / 2e-5 for a, b in pairwise(slopes))
    got = found.curvature[0, site]
    if make is tiny.Tokens:
        difference = difference[:, 2:].transpose(1, 2).reshape(got.shape)
    if make is tiny.ChannelsLast:
        difference = difference.permute(0, 3, 1, 2)
    close(got, numbers(difference), rtol=1e-4, atol=1e-7)
    assert got.abs().max() > 1e-6 or make is tiny.AddAfter


def test_bad_utility():
    with pytest.raises(BadOption, match="'rest' or 'target' as utility of shapley-cam, got 'softmax'"):
        run(pooled_net(), utility="softmax")
