"""Rules against reference implementations that see the network from below, operation by operation, and counts of both.

On a sample of the networks; on all of them with `--complete`.
"""

import copy
from collections import Counter

import pytest
import torch
from architectures import NETWORKS, build
from reference_deep_lift import deep_lift
from reference_excitation import NoRule, excitation
from reference_lrp import lrp
from traced import NORMS, RECTIFIERS, SOFTMAXES, Traced, aten

import pellucid
from pellucid.capture.backward_rules import BackwardRule
from pellucid.capture.backward_rules.deep_lift_steps import (
    DifferenceStep,
    MaxPoolStep,
    MidpointStep,
    QuotientStep,
    SoftmaxStep,
)
from pellucid.capture.backward_rules.lrp_steps import AffineStep, PassStep
from pellucid.capture.backward_rules.relu import _Rectified
from pellucid.capture.operators import made_by, nodes
from pellucid.capture.running import frozen
from pellucid.errors import Refused


def top(net, image):
    """The top classes: others may be behind a ReLU that is closed."""
    with torch.no_grad():
        return net(image).argmax(1)


@pytest.fixture(scope="module")
def traces():
    return {}


@pytest.fixture
def case(network, traces):
    """The network, two pictures, the network traced."""
    if network not in traces:
        traces.clear()
        traces[network] = Traced(build(network), NETWORKS[network].images())
    return build(network), NETWORKS[network].images(), traces[network]


def explain(net, image, method, **options):
    return pellucid.explain(net, image, method, options={method: options})[method]


def near(found, expected, tolerance, scale=None):
    scale = float(expected.abs().max() if scale is None else scale)
    assert scale > 0
    assert float((found - expected).abs().max()) <= tolerance * scale


def graph_of(net, image, rule, **options):
    """The nodes of a score's graph as a rewriting makes it."""
    rewriting = BackwardRule(rule, tuple(options.items())).make()
    model = pellucid.wrap(net)
    with frozen(net) if rewriting.freezes else torch.enable_grad(), rewriting:
        output = net(rewriting.feed(image.clone().requires_grad_().clone(), model))
        return list(nodes(output[: len(image)].sum()))


class Steered(torch.autograd.Function):
    """A ReLU that sends back by a rule."""

    @staticmethod
    def forward(ctx, x, rule):
        ctx.save_for_backward(x)
        ctx.rule = rule
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, signal):
        (x,) = ctx.saved_tensors
        signal = torch.where(signal > 0, signal, 0)
        return (signal if ctx.rule == "deconvnet" else torch.where(x > 0, signal, 0)), None


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_rectifiers(case, rule):
    net, image, traced = case
    method = {"guided": "guided-backprop", "deconvnet": "deconvnet"}[rule]
    met = Counter()

    def replaced(node, args):
        met[node.target] += 1
        return Steered.apply(args[0], rule) if node.target in RECTIFIERS else None

    leaf = image.clone().requires_grad_()
    with torch.enable_grad():
        score = traced.run(leaf, replaced)[traced.output].amax(1).sum()
    expected = torch.autograd.grad(score, leaf)[0]
    found = explain(net, image, method, other_activations="plain")
    near(found.raw, expected, 1e-9)
    rectifiers = sum(met[op] for op in RECTIFIERS)
    assert [made_by(n) for n in graph_of(net, image, rule)].count(_Rectified) == rectifiers
    if rectifiers:
        plain = explain(net, image, "saliency").raw
        assert float((found.raw - plain).abs().max()) > 0.01 * float(plain.abs().max())


@pytest.mark.parametrize("composite", ["epsilon", "epsilon-plus"])
def test_lrp(case, composite):
    net, image, traced = case
    expected = lrp(traced, image, top(net, image), composite)
    near(explain(net, image, "lrp", composite=composite).raw, expected, 1e-4)
    made = graph_of(net, image, "relevance", composite=composite)
    ours = Counter(n.operation.kind for n in made if made_by(n) is AffineStep)
    passing = Counter(n.kind for n in made if made_by(n) is PassStep)
    ours["activation"] = sum(passing[kind] for kind in ("activation", "capped", "rectifier", "squashing"))
    ours["gate"] = passing["weight"]
    assert {kind: ours[kind] for kind in traced.counts} == dict(traced.counts)


def test_deep_lift(case):
    net, image, traced = case
    near(explain(net, image, "deep-lift", baseline=0.25).raw, deep_lift(traced, image, top(net, image), 0.25), 1e-6)
    made = [made_by(n) for n in graph_of(net, image, "differences", baseline=0.25)]
    assert made.count(MaxPoolStep) == traced.counts["max pooling"]
    assert made.count(SoftmaxStep) == traced.counts["softmax"]
    assert made.count(DifferenceStep) == total(traced, activation=1, norm=1)  # the root
    assert made.count(MidpointStep) == total(traced, product=1, norm=1)  # the square
    assert made.count(QuotientStep) == traced.counts["norm"]


def total(traced, **steps):
    """How many steps the counted operations should have taken."""
    return sum(traced.counts[kind] * many for kind, many in steps.items())


@pytest.mark.parametrize("contrastive", [False, True])
def test_excitation(case, contrastive):
    """At a ReLU of the pictures, as the method explains layers only and its walk goes where values are positive."""
    net, image, traced = case
    method = "contrastive-excitation-backprop" if contrastive else "excitation-backprop"
    behind, pictures = torch.nn.Sequential(torch.nn.ReLU(), net), image.abs()

    def found():
        return pellucid.explain(behind, pictures, method, layer="0")[method].raw

    try:
        expected = excitation(traced, pictures, top(net, pictures), contrastive=contrastive)
    except NoRule:
        with pytest.raises(Refused, match="has no rule for"):
            found()
    else:
        near(found(), expected.sum(1), 1e-4)


CONSTANTS = ("bias", "cls_token", "class_token", "dist_token", "reg_token", "pos_embed", "pos_embedding")


def without_constants(net):
    """The same with everything that it adds set to zero, so that nothing but the pixels can hold relevance."""
    net = copy.deepcopy(net)
    with torch.no_grad():
        for path, tensor in (*net.named_parameters(), *net.named_buffers()):
            if path.endswith((*CONSTANTS, "running_mean")):
                tensor.zero_()
    return net


def test_relevance_is_conserved(network):
    net, image = without_constants(build(network)), NETWORKS[network].images()
    found = explain(net, image, "lrp", composite="epsilon", epsilon=1e-9)
    score = net(image).detach().amax(1)
    assert bool((found.extras["gap"].abs() <= 1e-4 * score.abs()).all())


def test_bias_parts_sum_to_the_score(case):
    net, image, traced = case
    added = traced.operations() & (NORMS | SOFTMAXES)
    if added:
        with pytest.raises(Refused, match=r"norm|softmax|attention"):
            explain(net, image, "full-grad")
        return
    found = explain(net, image, "full-grad")
    total = found.extras["input_part"] + found.extras["bias_parts"].sum(1)
    near(total, net(image).detach().amax(1), 1e-9)


def test_integrated_gradients_sum_to_the_difference_of_the_scores(case):
    """To rounding in smooth networks; roughly where rectifiers switch on the way, as they do in random networks."""
    net, image, traced = case
    with torch.no_grad():  # small steps, but behind a maximum of noise a rectifier may see nothing of the smallest
        image = next(x for x in (0.3 * image[:1], 0.6 * image[:1]) if bool((net(x) != net(0 * x)).any()))
    found = explain(net, image, "integrated-gradients", steps=64)
    with torch.no_grad():
        difference = (net(image) - net(0 * image))[0, top(net, image)]
    torch.testing.assert_close(found.raw.sum() + found.extras["gap"], difference)
    kinks = traced.operations() & {*RECTIFIERS, aten.max_pool2d_with_indices.default, aten.hardswish.default}
    near(found.raw.sum(), difference, 0.1 if kinks else 1e-6, found.raw.abs().sum())
