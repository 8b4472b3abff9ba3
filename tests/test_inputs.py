"""Networks that take more than a picture, or take it in a way of their own."""

import pytest
import torch
from torch import nn

import pellucid
import tiny
from pellucid.errors import BadOption, Refused, Unexpected
from pellucid.inspection import layers
from pellucid.targets import Logit

IMAGE = tiny.images(3)
AGE = torch.tensor([[0.5, -1.0], [2.0, 0.3], [-0.7, 1.1]], dtype=torch.float64)
TARGET = [4, 0, 2]


class Gated(tiny.Plain):
    """The features are weighed by other data and joined with it."""

    def __init__(self):
        super().__init__()
        self.gate, self.fc = nn.Linear(2, 8), nn.Linear(10, tiny.CLASSES)

    def forward(self, x, age):
        pooled = self.features(x).mean((2, 3))
        return self.fc(torch.cat([pooled * self.gate(age), age], 1))


class Pair(tiny.Plain):
    """Compares two pictures; one tower sees both."""

    def forward(self, first, second):
        a, b = (self.features(x).mean((2, 3)) for x in (first, second))
        return self.fc(a * b)


class Linear(nn.Module):
    """S = sum w I + (v . m) mean I"""

    def __init__(self):
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(3, 4, 4)), nn.Parameter(torch.randn(2))

    def forward(self, x, *, meta):
        return ((x * self.w).sum((1, 2, 3)) + (meta @ self.v) * x.mean((1, 2, 3)))[:, None]


ANSWERED = {
    "saliency": {}, "grad-cam": {}, "guided-backprop": {}, "smoothgrad": {"samples": 3},
    "integrated-gradients": {"steps": 3}, "expected-gradients": {"samples": 3}, "occlusion": {"window": 8, "stride": 8},
    "score-cam": {}, "ablation-cam": {}, "finer-cam": {}, "shapley-cam": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def gated():
    return tiny.build(Gated)


@pytest.fixture(scope="module")
def alone(gated):
    rows = (slice(k, k + 1) for k in range(3))
    return [explain(gated, IMAGE[r], list(ANSWERED), (AGE[r],), TARGET[r][0]) for r in rows]


def explain(net, image, methods, inputs, target, **more):
    options = {m: o for m, o in ANSWERED.items() if o and m in methods}
    return pellucid.explain(net, image, methods, target, options=options, inputs=inputs, **more)


def test_a_closed_form():
    net, image, meta = tiny.build(Linear), torch.randn(2, 3, 4, 4, dtype=torch.float64), AGE[:2]
    result = pellucid.explain(net, image, ["saliency", "integrated-gradients"], 0, inputs={"meta": meta})
    expected = (net.w + (meta @ net.v)[:, None, None, None] / 48).detach()
    torch.testing.assert_close(result["saliency"].raw, expected)
    torch.testing.assert_close(result["integrated-gradients"].raw, expected * image)
    torch.testing.assert_close(result["integrated-gradients"].extras["gap"], torch.zeros(2, dtype=torch.float64))
    assert result.notes[0].startswith("The other inputs were held as they are")
    scores = [row[0].score for row in result.predictions]
    assert scores == pytest.approx(net(image, meta=meta).flatten().tolist())


def test_gradients_by_hand(gated):
    leaf = IMAGE.clone().requires_grad_()
    picked = gated(leaf, AGE).gather(1, torch.tensor(TARGET)[:, None]).sum()
    (expected,) = torch.autograd.grad(picked, leaf)
    torch.testing.assert_close(pellucid.explain(gated, IMAGE, "saliency", TARGET, inputs=AGE)["saliency"].raw, expected)


@pytest.mark.parametrize("more", [{}, {"chunk": 1}, {"chunk": 2}], ids=["at once", "by one", "by two"])
def test_every_picture_keeps_its_own(gated, alone, more):
    together = explain(gated, IMAGE, list(ANSWERED), AGE, TARGET, **more)
    for k in range(3):
        for a, b in zip(together, alone[k], strict=True):
            torch.testing.assert_close(a.values[k], b.values[0], rtol=1e-9, atol=1e-12, msg=a.method.id)


def test_relevance_methods_go_through_what_they_know(gated):
    """The gate multiplies by what does not depend on the picture: linear to all of them."""
    for method in ("lrp", "deep-lift", "excitation-backprop"):
        together = pellucid.explain(gated, IMAGE, method, TARGET, inputs=AGE)[method]
        for k in range(3):
            alone = pellucid.explain(gated, IMAGE[k : k + 1], method, TARGET[k], inputs=AGE[k : k + 1])[method]
            torch.testing.assert_close(together.values[k], alone.values[0], rtol=1e-9, atol=1e-12)


def test_full_grad_refuses_to_join_what_it_does_not_know(gated):
    with pytest.raises(Refused, match="no rule for constants joined to values"):
        pellucid.explain(gated, IMAGE, "full-grad", TARGET, inputs=AGE)


def test_two_pictures_and_which_of_them_is_explained():
    net, other = tiny.build(Pair), tiny.images(3, seed=8)
    first, second = IMAGE.clone().requires_grad_(), other.clone().requires_grad_()
    expected = torch.autograd.grad(net(first, second)[:, 1].sum(), [first, second])
    raw = pellucid.explain(net, IMAGE, "saliency", 1, inputs=other)["saliency"].raw
    torch.testing.assert_close(raw, expected[0])
    turned = pellucid.wrap(net, call=lambda module, picture, partner: module(partner, picture))
    raw = pellucid.explain(turned, other, "saliency", 1, inputs=IMAGE)["saliency"].raw
    torch.testing.assert_close(raw, expected[1])


def test_a_shared_tower_is_met_once_for_each_picture():
    net, other = tiny.build(Pair), tiny.images(3, seed=8)
    result = pellucid.explain(net, IMAGE, "grad-cam", 1, layer=["act2:0", "act2:1"], inputs=other)
    own, partner = (net.features(x).detach() for x in (IMAGE, other))
    weights = net.fc.weight[1].detach() / 64
    for a, (here, there) in zip(result, [(own, partner), (partner, own)], strict=True):
        gradient = weights * there.mean((2, 3))
        torch.testing.assert_close(a.raw, (gradient[:, :, None, None] * here).sum(1).relu())


def test_a_network_that_is_called_in_its_own_way():
    class Lists(tiny.Plain):
        def forward(self, pictures, *, scale):
            return {"class": super().forward(torch.stack(pictures)) * scale}

    net = tiny.build(Lists)
    model = pellucid.wrap(net, call=lambda module, rows: module(list(rows), scale=2), output="class")
    leaf = IMAGE.clone().requires_grad_()
    (expected,) = torch.autograd.grad(net(list(leaf), scale=2)["class"][:, 3].sum(), leaf)
    torch.testing.assert_close(pellucid.explain(model, IMAGE, "saliency", 3)["saliency"].raw, expected)
    assert [str(c.site) for c in layers(model, size=16)] == ["conv1", "act1", "conv2", "act2"]


def test_layers_of_a_network_with_several_inputs(gated):
    noise = layers(gated, size=16, inputs=AGE[:1])
    assert [str(c.site) for c in noise] == ["conv1", "act1", "conv2", "act2"]
    tried = layers(gated, IMAGE, inputs=AGE)
    assert str(tried.recommended) in {"act1", "conv2", "act2", "conv1"}
    with pytest.raises(BadOption, match="cannot be called with pictures"):
        layers(gated, size=16)


def test_models_of_one_module_are_not_mistaken_for_each_other():
    net = tiny.build(tiny.Plain)
    for factor in (1.0, -2.0, 3.0):
        model = pellucid.wrap(net, call=lambda module, rows, by=factor: module(rows) * by)
        raw = pellucid.explain(model, IMAGE, "saliency", 1)["saliency"].raw
        torch.testing.assert_close(raw, factor * pellucid.explain(net, IMAGE, "saliency", 1)["saliency"].raw)


def test_inputs_are_not_changed_and_may_be_integers():
    class Writes(tiny.Plain):
        def forward(self, x, which, age):
            age.add_(1)
            return super().forward(x).gather(1, which) * age

    net, age = tiny.build(Writes), AGE[:, :1].float()
    which = torch.tensor([[1], [3], [0]])
    kept = age.clone()
    raw = pellucid.explain(net, IMAGE, "saliency", Logit(0), inputs=(which, age))["saliency"].raw
    assert torch.equal(age, kept)
    plain = pellucid.explain(tiny.build(tiny.Plain), IMAGE, "saliency", which.flatten())["saliency"].raw
    torch.testing.assert_close(raw, plain * (age.double() + 1)[:, :, None, None])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (AGE[:2], r"Expected a tensor with one row for each of 3 pictures as input 0, got shape \[2, 2\]"),
        ({"age": AGE.tolist()}, "Expected a tensor with one row for each of 3 pictures as input 'age', got list"),
        ((AGE, torch.tensor(3)), r"as input 1, got shape \[\]"),
        (3, "Expected tensors, or tensors by name, as inputs; got int"),
    ],
)
def test_inputs_that_do_not_fit(gated, inputs, message):
    with pytest.raises(BadOption, match=message):
        pellucid.explain(gated, IMAGE, "saliency", 0, inputs=inputs)


def test_a_network_that_is_called_wrongly(gated):
    with pytest.raises(BadOption, match=r"Gated cannot be called with pictures: .*missing 1 .*'age'.*inputs=.*call="):
        pellucid.explain(gated, IMAGE, "saliency")
    with pytest.raises(BadOption, match=r"cannot be called with pictures and 2 more: .*takes 3 positional"):
        pellucid.explain(gated, IMAGE, "saliency", inputs=(AGE, AGE))
    with pytest.raises(BadOption, match="unexpected keyword argument 'years'"):
        pellucid.explain(gated, IMAGE, "saliency", inputs={"years": AGE})
    missing = pellucid.wrap(tiny.build(tiny.Plain), call=lambda module: module)
    with pytest.raises(BadOption, match="takes 1 positional argument but 2 were given"):
        pellucid.explain(missing, IMAGE, "saliency")

    class Mistaken(tiny.Plain):
        def forward(self, x):
            return self.features()

    with pytest.raises(Unexpected, match="features") as error:  # a mistake in the network's own code is no misuse
        pellucid.explain(tiny.build(Mistaken), IMAGE, "saliency")
    assert isinstance(error.value.__cause__, TypeError)


def test_a_call_that_is_none():
    with pytest.raises(BadOption, match="Expected a function of the module and the pictures as call, got 3"):
        pellucid.wrap(nn.Identity(), call=3)
