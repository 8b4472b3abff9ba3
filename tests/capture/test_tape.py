"""Reading activations and gradients in the awkward cases, against networks that keep every value apart."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import pellucid
import tiny
from pellucid.capture.running import NeedsWholeGraph, Recorder, Stop
from pellucid.contracts import Site
from pellucid.errors import BadSite, UnknownName

SIGNED = {"rectify": False}


def evidence(net, layer, methods="hires-cam", image=None):
    """Sum over channels of gradient x activation: wrong if either is."""
    image = tiny.images() if image is None else image
    names = [methods] if isinstance(methods, str) else methods
    return pellucid.explain(net, image, names, 0, layer, options={"hires-cam": SIGNED})["hires-cam"].raw


def expected(activation, rest):
    """The same, with the rest of the network as a function of the activation."""
    leaf = activation.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(rest(leaf)[:, 0].sum(), leaf)
    return (gradient * leaf.detach()).sum(1)


both_ways = pytest.mark.parametrize(
    "methods", [["hires-cam"], ["hires-cam", "saliency"]], ids=["late graph", "whole graph"]
)


@both_ways
def test_in_place_operation_after_the_site(methods):
    net, x = tiny.build(tiny.AddAfter), tiny.images()
    z = F.relu(net.conv1(x))
    want = expected(net.conv2(z), lambda a: net.fc((a + z.detach()).relu().mean((2, 3))))
    torch.testing.assert_close(evidence(net, "conv2", methods), want)


@both_ways
def test_in_place_relu_after_the_site(methods):
    net, x = tiny.build(tiny.Plain, nn.ReLU(inplace=True)), tiny.images()
    a1 = net.act1(net.conv1(x))
    torch.testing.assert_close(
        evidence(net, "conv2", methods), expected(net.conv2(a1), lambda a: net.fc(a.relu().mean((2, 3))))
    )


@both_ways
@pytest.mark.parametrize("make", [tiny.InPlaceSkip, lambda: tiny.Skip(tiny.Identity2())], ids=["in place", "identity"])
def test_layer_that_returns_its_own_input_counts_for_all_who_hold_it(make, methods):
    net, x = tiny.build(make), tiny.images()
    a = net.act(net.conv1(x))
    torch.testing.assert_close(
        evidence(net, "act", methods), expected(a, lambda a: net.fc((a + net.conv2(a)).mean((2, 3))))
    )


def test_layer_that_returns_its_own_input_out_of_a_list():
    want = evidence(tiny.build(tiny.InPlaceSkip), "act")
    torch.testing.assert_close(evidence(tiny.build(tiny.ListAlias), "act"), want)


@both_ways
def test_layer_that_returns_a_view(methods):
    # a view is a value of its own to the gradient: the skip beside it is not part of it
    net, x = tiny.build(tiny.Skip, tiny.Identity2(view=True)), tiny.images()
    z = net.conv1(x)
    want = expected(z, lambda a: net.fc((z.detach() + net.conv2(a)).mean((2, 3))))
    torch.testing.assert_close(evidence(net, "act", methods), want)


class Keeper(nn.Module):
    """Keeps what it returns, for others to read."""

    def forward(self, x):
        self.kept = x.relu()
        return self.kept


class ReadsKept(tiny.Skip):
    def __init__(self):
        super().__init__(Keeper())

    def forward(self, x):
        y = self.conv2(self.act(self.conv1(x)))
        return self.fc((self.act.kept + y).mean((2, 3)))


@pytest.mark.parametrize(
    "methods",
    [
        ["hires-cam"],
        ["hires-cam", "saliency"],
    ],
    ids=["late graph", "whole graph"],
)
def test_output_that_the_layer_keeps_for_others(methods):
    net, x = tiny.build(ReadsKept), tiny.images()
    a = net.conv1(x).relu()
    want = expected(a, lambda a: net.fc((a + net.conv2(a)).mean((2, 3))))
    torch.testing.assert_close(evidence(net, "act", methods), want)


def test_a_view_needs_the_whole_graph():
    net = tiny.build(tiny.Skip, tiny.Identity2(view=True))
    with torch.no_grad(), pytest.raises(NeedsWholeGraph), Recorder(net, [Site("act")], graph=True):
        net(tiny.images())


def test_slice_written_after_the_site():
    net, x = tiny.build(tiny.SliceInPlace), tiny.images()
    torch.testing.assert_close(evidence(net, "conv2"), evidence(net, "conv2", ["hires-cam", "saliency"], x))


def test_input_port_of_a_layer_and_of_the_network():
    net, x = tiny.build(tiny.Skip), tiny.images()
    z = net.conv1(x)
    want = expected(z, lambda a: net.fc((a + net.conv2(a.relu())).mean((2, 3))))
    torch.testing.assert_close(evidence(net, "act@input"), want)
    image = pellucid.explain(net, x, "input-x-gradient", 0)["input-x-gradient"]
    torch.testing.assert_close(evidence(net, "@input"), image.values)


def test_input_port_is_a_view():
    net = tiny.build(tiny.Pooled)
    with pytest.raises(BadSite, match=r"no spatial grid.*Choose one"):
        evidence(net, "fc@input")


def test_module_called_twice_must_say_which_call():
    net, x = tiny.build(tiny.Reused), tiny.images()
    with pytest.raises(BadSite, match=r"'act' is called 2 times in one pass. Say which: 'act:0', 'act:1'"):
        evidence(net, "act")
    first = net.act(net.conv1(x))
    second = net.act(net.conv2(first))
    head = lambda a: net.fc(a.mean((2, 3)))  # noqa: E731
    torch.testing.assert_close(evidence(net, "act:1"), expected(second, head))
    torch.testing.assert_close(evidence(net, "act:0"), expected(first, lambda a: head(net.conv2(a).relu())))
    with pytest.raises(BadSite, match="'act:2' was called 2 times"):
        evidence(net, "act:2")


def test_several_layers_in_any_order_are_each_as_alone():
    net, x = tiny.build(tiny.Pooled), tiny.images()
    layers = ["features.5", "features.0", "features.2", "features.4"]
    found = pellucid.explain(net, x, "hires-cam", 0, layers, options={"hires-cam": SIGNED})
    for layer, a in zip(layers, found, strict=True):
        assert str(a.site) == layer
        torch.testing.assert_close(a.raw, evidence(net, layer))


def test_unknown_layer_offers_near_ones():
    with pytest.raises(UnknownName, match=r"There is no layer 'features.55'. Did you mean 'features.5'"):
        evidence(tiny.build(tiny.Pooled), "features.55")


@pytest.mark.parametrize("text", ["act:x", "act@left"])
def test_unreadable_layer(text):
    with pytest.raises(pellucid.PellucidError, match=text):
        evidence(tiny.build(tiny.Skip), text)


def test_layer_that_returns_a_tuple_names_what_is_inside():
    net = tiny.build(nn.Sequential, nn.Sequential(tiny.Output("tuple")))
    model = pellucid.wrap(net, output=lambda out: out[0])
    with pytest.raises(BadSite, match=r"'0.0' returns tuple.*'0.0.conv1'"):
        evidence(model, "0.0")


def test_layer_skipped_in_evaluation_mode():
    with pytest.raises(BadSite, match=r"'extra' was called 0 times.*skip it in evaluation mode"):
        evidence(tiny.build(tiny.Sometimes).train(), "extra")


class Detached(tiny.Plain):
    def forward(self, x):
        with torch.no_grad():
            y = self.features(x)
        return self.fc(y.mean((2, 3)))


def test_frozen_trunk_in_no_grad():
    with pytest.raises(BadSite, match="does not depend on the input"):
        pellucid.explain(tiny.build(Detached), tiny.images(), "saliency")
    with pytest.raises(BadSite, match=r"does not depend on the layer 'conv1'.*no_grad inside"):
        evidence(tiny.build(Detached), "conv1")


class Checkpointed(tiny.Plain):
    def forward(self, x):
        return self.fc(checkpoint(self.features, x, use_reentrant=self.reentrant).mean((2, 3)))


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("method", ["guided-backprop", "saliency", "grad-cam"])
def test_checkpointed_part(method, reentrant):
    """In evaluation a checkpoint is of no use: its function runs plainly."""
    net = tiny.build(Checkpointed)
    net.reentrant = reentrant
    found = pellucid.explain(net, tiny.images(), method, 0, "conv1")[method]
    plain = pellucid.explain(tiny.build(tiny.Plain), tiny.images(), method, 0, "conv1")[method]
    torch.testing.assert_close(found.raw, plain.raw)


def test_backward_hook_in_front_of_an_in_place_relu():
    # torch cannot differentiate through it; a layer method that looks behind it does not have to
    net, x = tiny.build(tiny.Pooled), tiny.images()
    plain = pellucid.explain(net, x, "grad-cam", 0)["grad-cam"]
    net.features[4].register_full_backward_hook(lambda *_: None)
    torch.testing.assert_close(pellucid.explain(net, x, "grad-cam", 0)["grad-cam"].raw, plain.raw)
    with pytest.raises(pellucid.errors.Refused, match="no gradient here"):
        pellucid.explain(net, x, "saliency", 0)


def test_stop_ends_the_pass_at_the_site():
    net = tiny.build(tiny.Pooled)
    reached = []
    net.fc.register_forward_hook(lambda *_: reached.append(1))
    with torch.no_grad(), pytest.raises(Stop), Recorder(net, [Site("features.5", 0)], stop=True):
        net(tiny.images())
    assert not reached


def test_hooks_are_gone_when_one_site_does_not_exist():
    net = tiny.build(tiny.Pooled)
    with pytest.raises(UnknownName), Recorder(net, [Site("fc"), Site("nowhere")]):
        pass
    assert not net.fc._forward_hooks
