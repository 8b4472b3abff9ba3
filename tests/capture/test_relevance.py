"""The machinery under the relevance family: what is rewritten, what is shared, what is left behind."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from pellucid.capture.backward_rules import PLAIN, BackwardRule, rule_of
from pellucid.capture.backward_rules.registry import CATALOGUE
from pellucid.capture.operators import functions, is_linear, nearest, nodes, plain_name
from pellucid.capture.passes import PassRequest
from pellucid.capture.running import frozen
from pellucid.contracts import Site
from pellucid.errors import Unexpected

REWRITTEN = ("lrp", "deep-lift", "full-grad", "excitation-backprop", "contrastive-excitation-backprop")
every_method = pytest.mark.parametrize("method", REWRITTEN)


class Counted(tiny.Pooled):
    """Counts its passes; its convolution and one ReLU run twice."""

    def __init__(self):
        super().__init__()
        self.passes, self.twice = tiny.Fuse(), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        self.passes()
        y = self.features(x)
        return self.fc(self.pool(F.relu(self.twice(F.relu(self.twice(y))))).flatten(1))


@every_method
def test_the_users_weights_are_untouched(method):
    net = tiny.build(Counted).train()
    net.fc.bias.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    flags = [p.requires_grad for p in net.parameters()]
    versions = [t._version for t in net.state_dict(keep_vars=True).values()]
    pellucid.explain(net, tiny.images(), method)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [p.requires_grad for p in net.parameters()] == flags
    assert [t._version for t in net.state_dict(keep_vars=True).values()] == versions
    assert all(p.grad is None for p in net.parameters())


def passes(net, *args, **kwargs):
    """Passes of a call once the network is known."""
    pellucid.explain(net, *args, **kwargs)
    before = net.passes.calls
    pellucid.explain(net, *args, **kwargs)
    return net.passes.calls - before


@every_method
def test_one_pass_is_one_pass(method):
    assert passes(tiny.build(Counted), tiny.images(), method, layer="features.5") == 1


def test_rules_share_a_pass_only_where_they_rewrite_the_network_alike():
    net = tiny.build(Counted)
    assert passes(net, tiny.images(), ["saliency", "guided-backprop", "deconvnet"]) == 1
    assert passes(net, tiny.images(), ["saliency", "guided-backprop", "lrp", "deep-lift"]) == 3


def test_wishes_are_split_by_rewriting():
    site, lrp, walk = Site("features"), rule_of("relevance", {"epsilon": 0.1, "else": 1}), BackwardRule("excitation")
    assert lrp == BackwardRule("relevance", (("epsilon", 0.1),))
    first, second, third = PassRequest(
        (site,), gradients=True, rules=(BackwardRule("guided"), lrp), site_rules=(walk,)
    ).split()
    assert (first.order, first.sites) == ((PLAIN, BackwardRule("guided")), (site,))
    assert (second.order, second.sites) == ((lrp,), ())
    assert (third.order, third.sites) == ((walk,), (site,))
    assert PassRequest((site,)).split() == [PassRequest((site,))]
    assert PassRequest(rules=(lrp,)).split() == [PassRequest(rules=(lrp,))]


@every_method
def test_together_with_others_it_is_the_same(method):
    net, image = tiny.build(Counted), tiny.images()
    alone = pellucid.explain(net, image, method)[method]
    together = pellucid.explain(net, image, ["grad-cam", "guided-backprop", *REWRITTEN])[method]
    torch.testing.assert_close(together.values, alone.values)


@every_method
def test_frozen_flags_come_back_after_an_error(method):
    fuse = tiny.Fuse(error=RuntimeError("midway"))
    net = tiny.build(tiny.Habits, fuse)
    flags = [p.requires_grad for p in net.parameters()]
    pellucid.explain(net, tiny.images(), method)
    fuse.at = fuse.calls + 1
    with pytest.raises(Unexpected, match="midway"):
        pellucid.explain(net, tiny.images(), method)
    assert [p.requires_grad for p in net.parameters()] == flags


def test_frozen_parameters_are_constants():
    net = tiny.build(tiny.Plain)
    with frozen(net):
        assert not net(tiny.images()).requires_grad
    assert net(tiny.images()).requires_grad


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_rewriting_changes_no_value(name):
    for kind in (tiny.Pooled, tiny.Skip, tiny.AddAfter, tiny.Joined, tiny.Gate, tiny.Tokens, tiny.ChannelsLast):
        net, image = tiny.build(kind), tiny.images()
        expected, rewriting = net(image), BackwardRule(name).make()
        with frozen(net), rewriting:
            rows = rewriting.feed(image.clone().requires_grad_(), pellucid.wrap(net))
            got = net(rows)
        torch.testing.assert_close(got[: len(image)], expected, rtol=1e-12, atol=1e-14)


def test_smoothgrad_of_lrp_passes_the_options_on():
    net, image = tiny.build(tiny.Pooled), tiny.images()
    options = {"smoothgrad": {"of": "lrp", "samples": 2, "noise": 0.0}, "lrp": {"composite": "epsilon"}}
    got = pellucid.explain(net, image, "smoothgrad", options=options)["smoothgrad"]
    expected = pellucid.explain(net, image, "lrp", options={"lrp": options["lrp"]})["lrp"]
    torch.testing.assert_close(got.raw, expected.raw)


def test_functions_are_found_under_all_their_names():
    assert {torch.add, torch.Tensor.add, torch.Tensor.add_} <= functions("add", "add_")
    assert torch.nn.functional.gelu in functions("gelu")


def test_what_is_linear_is_read_off_the_graph():
    x = torch.randn(2, 3, requires_grad=True)
    y, c = x.clone(), torch.ones(3)
    for linear in (y * 2, c * y, y / c, y + y, 1 - y, y.mean(), y @ torch.ones(3, 2), y.T, y.sum(0)):
        assert is_linear(linear.grad_fn), linear.grad_fn
    for bent in (y * y, c / y, y / y, y @ y.T, y.exp(), y.relu(), y.amax(), torch.maximum(y, c)):
        assert not is_linear(bent.grad_fn), bent.grad_fn


def test_nearest_stops_at_what_it_looks_for():
    x = torch.randn(2, requires_grad=True)
    result = (x.exp() + x.exp().exp()).sum()
    assert len(nearest(result.grad_fn, lambda n: plain_name(n) == "exp")) == 2
    assert [plain_name(n) for n in nodes(result)].count("exp") == 3
