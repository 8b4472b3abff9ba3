"""Shortcuts that never change an answer, rows that influence each other, and networks that are random."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils import checkpoint

import pellucid
import tiny
from pellucid.errors import BadOption, BadOutput, PellucidError, Refused, Unexpected


def maps(net, image, method, **kwargs):
    return pellucid.explain(net, image, method, kwargs.pop("target", 1), **kwargs)[method].raw


def options_of(method):
    return {method: OPTIONS[method]} if method in OPTIONS else None


def gradient(net, image, target=1):
    """dS/dx by autograd, each picture alone."""
    rows = []
    for row in image.split(1):
        leaf = row.clone().requires_grad_()
        rows.append(torch.autograd.grad(net(leaf)[0, target], leaf)[0])
    return torch.cat(rows)


def drops(net, image, windows, fill=0.0, target=1):
    """S(x) - S(x with a window hidden), by one whole pass for each window `(top, left, bottom, right)`: [window]."""
    with torch.no_grad():
        plain = net(image)[0, target]
        hidden = []
        for top, left, bottom, right in windows:
            changed = image.clone()
            changed[:, :, top:bottom, left:right] = fill
            hidden.append(plain - net(changed)[0, target])
    return torch.stack(hidden)


# Networks that see how their values lie in memory, or how many rows there are -----------------------------------------


class Flattens(nn.Module):
    """Two convolutions, then whatever becomes of their values."""

    def __init__(self, flatten):
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3, 2), nn.Linear(4 * 36, 5)
        self.flatten = flatten

    def forward(self, x):
        return self.fc(self.flatten(self.b(self.a(x).relu()).relu()))


def strided(y):
    return torch.as_strided(y, (len(y), 144), (144, 1)).clone()


def insisting(y):
    torch._assert(y.is_contiguous(), "not like this")
    return y.flatten(1)


def branching(y):
    return y.flatten(1) if y.is_contiguous() else y.permute(0, 2, 3, 1).flatten(1)


def by_numpy(y):
    return torch.from_numpy(y.detach().numpy().copy()).flatten(1)


FLATTENINGS = {
    "view": lambda y: y.view(len(y), -1),
    "view with size": lambda y: y.view(y.size(0), 144),
    "reshape": lambda y: y.reshape(len(y), -1),
    "folded": lambda y: y.view(len(y) * 4, 36).view(len(y), 4, 36).flatten(1),
    "turned": lambda y: y.transpose(1, 2).contiguous().view(len(y), -1),
    "as_strided": strided,
    "asserted": insisting,
    "branch": branching,
    "numpy": by_numpy,
}


@pytest.mark.parametrize("name", FLATTENINGS)
def test_f1_networks_that_flatten_with_view(name):
    # occlusion with windows that tile the picture: each cell holds d = S(x) - S(x hidden), spread over the window
    net, image = tiny.build(Flattens, FLATTENINGS[name]), tiny.images(1)
    windows = [(r, c, r + 4, c + 4) for r in range(0, 16, 4) for c in range(0, 16, 4)]
    expected = drops(net, image, windows).reshape(1, 4, 4)
    found = pellucid.explain(net, image, "occlusion", 1, options={"occlusion": {"window": 4, "stride": 4, "fill": 0}})
    got = found["occlusion"].raw
    if got.shape[-2:] != (4, 4):
        got = got.reshape(1, 4, 4, 4, 4).mean((2, 4)) if got.ndim == 3 else got.mean(1)
    scale = expected.abs().max()
    torch.testing.assert_close(got / got.abs().max(), expected / scale, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ["occlusion", "feature-ablation", "sensitivity", "extremal-perturbation"])
def test_f1_as_with_flatten(method):
    image = tiny.images(1)
    view, flat = (maps(tiny.build(Flattens, f), image, method, options=options_of(method))
                  for f in (FLATTENINGS["view"], lambda y: y.flatten(1)))  # fmt: skip
    torch.testing.assert_close(view, flat, rtol=0, atol=1e-10 * float(flat.abs().max()))


class Frames(nn.Module):
    """Four frames in the channel axis, folded into the batch: `view` meets strides with two rows, not with one."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 5)

    def forward(self, x):
        y = self.conv(x.view(len(x) * 4, 3, *x.shape[2:])).relu()
        return self.head(y.mean((2, 3)).view(len(x), 4, -1).mean(1))


def test_f5_frames_folded_into_the_batch():
    net, image = tiny.build(Frames), tiny.images(8).view(2, 12, 16, 16)
    torch.testing.assert_close(maps(net, image, "saliency"), gradient(net, image))
    assert maps(net, image[:1], "lime").shape[0] == 1
    assert maps(net, image, "occlusion").any()


# Rows that influence each other ---------------------------------------------------------------------------------------


class Mixes(nn.Module):
    """A small network whose values at one of two places meet those of the other rows."""

    def __init__(self, inside=None, behind=None):
        super().__init__()
        self.a, self.b, self.h = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, 2), nn.Linear(6, 5)
        self.inside, self.behind = inside or (lambda y: y), behind or (lambda s: s)

    def forward(self, x):
        y = self.inside(self.b(self.a(x).relu()))
        return self.behind(self.h(y.relu().mean((2, 3))))


class Named(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def between_pictures(scores):
    weights = (scores @ scores.T).softmax(1)
    return scores + weights @ scores


MIXING = {
    "by module": lambda: Mixes(inside=nn.BatchNorm2d(6).train()),
    "by function": lambda: Mixes(inside=lambda y: F.batch_norm(y, None, None, training=True)),
    "by hand": lambda: Mixes(inside=lambda y: (y - 0.5 * y.mean(0)) / (0.5 + y.std((0, 2, 3), keepdim=True))),
    "running sum": lambda: Mixes(behind=lambda s: s.cumsum(0)),
    "turned round": lambda: Mixes(inside=lambda y: y.flip(0)),
    "moved on": lambda: Mixes(behind=lambda s: s.roll(1, 0)),
    "softmax of the batch": lambda: Mixes(behind=lambda s: s * s.softmax(0)),
    "attention": lambda: Mixes(behind=between_pictures),
    "counted": lambda: Mixes(behind=lambda s: s * len(s)),
}
OPTIONS = {
    "integrated-gradients": {"steps": 3},
    "rise": {"masks": 10},
    "occlusion": {"window": 8, "stride": 8},
    "extremal-perturbation": {"steps": 2},
}
FAMILIES = ("saliency", "grad-cam", "occlusion", "ablation-cam", "deep-lift")
ASKED = [(name, method) for name in MIXING for method in FAMILIES if name != "by module"]
ASKED += [("by hand", method) for method in ("integrated-gradients", "rise", "lrp")]


@pytest.mark.parametrize(("name", "method"), ASKED)
def test_f4_rows_that_influence_each_other(name, method):
    # what a picture gets alone is the answer: then no other row can have a say in it
    net, image = tiny.build(MIXING[name]), tiny.images(2)
    try:
        together = pellucid.explain(net, image, method, 1, options=options_of(method))
    except Refused as error:
        assert "influence each other" in str(error) or method == "lrp"
        return
    alone = torch.cat([maps(net, row, method, options=options_of(method)) for row in image.split(1)])
    torch.testing.assert_close(together[method].raw, alone, rtol=0, atol=1e-12 * float(alone.abs().max()))
    assert sum("influence each other" in note for note in together.notes) == 1
    if method == "saliency":
        torch.testing.assert_close(alone, gradient(net, image))


def test_f4_metrics_and_predictions_too():
    net, image = tiny.build(MIXING["by hand"]), tiny.images(3)
    together = pellucid.explain(net, image, "saliency")
    alone = [pellucid.explain(net, row, "saliency") for row in image.split(1)]
    assert [p[0] for p in together.predictions] == [a.predictions[0][0] for a in alone]
    score = together["saliency"].score("deletion")
    expected = torch.cat([a["saliency"].score("deletion").values for a in alone])
    torch.testing.assert_close(score.values, expected)
    assert any("influence each other" in note for note in score.notes)


def test_f4_top_looks_at_pictures_one_by_one(tmp_path):
    """A unit's best value is the largest of what the layer gives for the picture alone."""
    net = tiny.build(MIXING["by hand"], dtype=torch.float32)
    model = pellucid.wrap(net, size=16, resize=None, mean=(0.5,) * 3, std=(0.5,) * 3)
    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    kept, handle = [], net.b.register_forward_hook(lambda _, __, out: kept.append(out))
    for k in range(3):
        pixels = torch.from_numpy(np.asarray(Image.open(tmp_path / f"{k}.png")).copy()).permute(2, 0, 1)[None]
        net(pixels / 127.5 - 1)
    handle.remove()
    expected = torch.stack([(y - 0.5 * y.mean(0)) / (0.5 + y.std((0, 2, 3), keepdim=True)) for y in kept])
    net.inside = Named(net.inside)
    top = pellucid.top_pictures(model, tmp_path, "inside", most=3)
    for unit, hits in enumerate(top.units):
        best = expected[:, 0, unit].amax((1, 2)).sort(descending=True).values
        torch.testing.assert_close(torch.tensor([hit.value for hit in hits]), best, rtol=1e-4, atol=1e-5)


def test_f4_chunks_and_company_of_calm_networks_say_nothing():
    net, image = tiny.build(Mixes), tiny.images(3)
    assert pellucid.explain(net, image, "saliency", 1).notes == ()


@pytest.mark.parametrize("target", [None, 1])
def test_s7_scores_of_fewer_rows_than_pictures(target):
    net = tiny.build(Mixes, behind=lambda s: s[:1])
    with pytest.raises(BadOutput, match="scores of 1 row for 2 pictures"):
        pellucid.explain(net, tiny.images(2), "saliency", target)


# Random networks ------------------------------------------------------------------------------------------------------

RANDOM = {  # depth by chance: three passes may well agree
    "dropout": lambda: Mixes(inside=lambda y: F.dropout(y, 0.5)),
    "noise": lambda: Mixes(inside=lambda y: y + 0.5 * torch.randn_like(y)),
    "depth by hand": lambda: Mixes(inside=lambda y: y * (torch.rand(len(y), 1, 1, 1, dtype=y.dtype) < 0.5)),
    "numpy": lambda: Mixes(behind=lambda s: s * float(__import__("numpy").random.rand())),
}


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("method", ["saliency", "grad-cam", "occlusion", "ablation-cam", "rise"])
def test_f9_equal_seeds_from_the_first_call_on(name, method):
    net, image = tiny.build(RANDOM[name]), tiny.images(2)
    first = pellucid.explain(net, image, method, 1, seed=4, options=options_of(method))
    assert torch.equal(maps(net, image, method, seed=4, options=options_of(method)), first[method].raw)
    assert torch.equal(maps(net, image[1:], method, seed=4, options=options_of(method)), first[method].raw[1:])
    assert sum("is random: two passes over one picture differ" in note for note in first.notes) == 1


def test_s8_what_is_hidden_makes_the_difference_not_the_noise():
    # y + e with the same e in every pass: S(x) - S(x hidden) is that of the network without e, as the head is linear
    net = tiny.build(Mixes, behind=lambda s: s + torch.randn_like(s))
    clean, image = tiny.build(Mixes), tiny.images(1)
    torch.testing.assert_close(maps(net, image, "occlusion"), maps(clean, image, "occlusion"), rtol=0, atol=1e-12)


class Counts(Mixes):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


class OwnGenerator(Mixes):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x):
        return super().forward(x) * torch.rand(1, generator=self.generator)


@pytest.mark.parametrize("network", [Counts, OwnGenerator])
def test_s8_networks_that_depend_on_how_often_they_are_called(network):
    with pytest.raises(Refused, match="does not repeat itself: two passes over one picture differ"):
        pellucid.explain(tiny.build(network), tiny.images(2), "saliency", 1)


# Parts that run twice, programs for one picture ----------------------------------------------------------------------


class Checkpointed(nn.Module):
    def __init__(self, reentrant=None):
        super().__init__()
        self.c, self.h, self.reentrant = nn.Conv2d(3, 8, 3), nn.Linear(8, 5), reentrant
        self.b = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, x):
        y = self.c(x)
        y = self.b(y) if self.reentrant is None else checkpoint.checkpoint(self.b, y, use_reentrant=self.reentrant)
        return self.h(y.mean((2, 3)))


@pytest.mark.parametrize("reentrant", [True, False])
def test_f11_checkpointed_parts_run_plainly(reentrant):
    before, image = dict(vars(checkpoint)), tiny.images()
    net, plain = tiny.build(Checkpointed, reentrant), tiny.build(Checkpointed)
    for method in ("lrp", "deep-lift", "full-grad", "guided-backprop", "saliency"):
        torch.testing.assert_close(maps(net, image, method), maps(plain, image, method))
    assert {k for k, v in vars(checkpoint).items() if before[k] is not v} == set()


def test_f11_other_threads_keep_their_checkpoints():
    from concurrent.futures import ThreadPoolExecutor

    from pellucid.capture.running.checkpoints import PlainCheckpoints

    def train(count):
        leaf, calls = torch.ones(1, requires_grad=True), []
        part = lambda x: (calls.append(1), (x * 2).sin())[1]  # noqa: E731
        checkpoint.checkpoint(part, leaf, use_reentrant=False).sum().backward()
        return len(calls)

    with PlainCheckpoints(), ThreadPoolExecutor(1) as others:
        assert list(others.map(train, [0])) == [2]  # once on the way there, once more on the way back
        assert train(0) == 1


class OnePicture(Mixes):
    """As programs exported with one picture are."""

    def forward(self, x):
        assert x.size(0) == 1, "Guard failed: x.size()[0] == 1"
        return super().forward(x)


def test_f12_networks_that_take_one_picture_at_a_time():
    net, plain, image = tiny.build(OnePicture), tiny.build(Mixes), tiny.images()
    for method in ("saliency", "occlusion", "ablation-cam", "integrated-gradients", "rise"):
        found = pellucid.explain(net, image, method, 1, options=options_of(method))
        assert found.notes == ()
        torch.testing.assert_close(found[method].raw, maps(plain, image, method, options=options_of(method)))
    with pytest.raises(Refused, match=r"takes one picture at a time .*Guard failed"):
        pellucid.explain(net, image, "deep-lift", 1)


# Errors of the network's own -----------------------------------------------------------------------------------------


class Fails(nn.Module):
    def __init__(self, inner=None, behind=None):
        super().__init__()
        self.c, self.inner, self.h = nn.Conv2d(3, 6, 3), Inner(inner or (lambda y: y)), nn.Linear(6, 5)
        self.behind = behind or (lambda s: s)

    def forward(self, x):
        return self.behind(self.h(self.inner(self.c(x)).mean((2, 3))))


class Inner(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x):
        return self.act(x)


def throws(error):
    def act(_):
        raise error

    return act


class Mute(Exception):
    def __str__(self):
        raise ValueError("no words")


@pytest.mark.parametrize("method", ["saliency", "occlusion"])
@pytest.mark.parametrize(
    "error", [ValueError("mine"), StopIteration(), Mute(), KeyError("a"), TypeError("f() takes 1")]
)
def test_c11_an_error_of_the_network_s_own(error, method):
    with pytest.raises(Unexpected, match=f"Fails failed in 'inner': {type(error).__name__}.*own code") as caught:
        pellucid.explain(tiny.build(Fails, throws(error)), tiny.images(), method, 1)
    assert caught.value.__cause__ is error


def test_c11_an_error_on_one_picture_only():
    def picky(y):
        if bool((y.mean((1, 2, 3)) > 100).any()):
            raise ValueError("too bright")
        return y

    net, image = tiny.build(Fails, picky), tiny.images()
    bright = image + 1e4 * net.c.weight.sum(0).sign().mean((1, 2))[None, :, None, None]
    assert maps(net, image, "saliency").any()
    for method in ("saliency", "grad-cam", "lrp"):
        with pytest.raises(Unexpected, match="too bright"):
            pellucid.explain(net, torch.cat([image, bright]), method, 1)


def test_c11_a_hook_that_raises():
    net = tiny.build(Fails)
    net.c.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(Unexpected, match="failed in 'c': ZeroDivisionError"):
        pellucid.explain(net, tiny.images(), "saliency", 1)


def in_inference_mode(y):
    with torch.inference_mode():
        return y * 2


OUTPUTS = {
    "sparse": (lambda s: s.to_sparse(), BadOutput, "sparse_coo"),
    "meta": (lambda s: s.to("meta"), BadOutput, "'meta'"),
    "nothing": (lambda s: None, BadOutput, "NoneType"),
    "text": (lambda s: "cat", BadOutput, "got str"),
    "whole numbers": (lambda s: s.argmax(1), BadOutput, "int64"),
    "constant": (lambda s: torch.zeros_like(s.detach()), PellucidError, "does not depend on"),
    "detached": (in_inference_mode, PellucidError, "does not depend on"),
}


@pytest.mark.parametrize("method", ["saliency", "grad-cam"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_c11_outputs_that_are_no_scores(name, method):
    make, kind, words = OUTPUTS[name]
    with pytest.raises(kind, match=words):
        pellucid.explain(tiny.build(Fails, None, make), tiny.images(), method)


def test_c11_inference_mode_inside():
    for method in ("saliency", "grad-cam"):
        with pytest.raises(PellucidError, match=r"gradient"):
            pellucid.explain(tiny.build(Fails, in_inference_mode), tiny.images(), method, 1, layer=None)


PICTURES = {
    "sparse": (lambda x: x.to_sparse(), "sparse_coo one. Convert it with tensor.to_dense"),
    "meta": (lambda x: x.to("meta"), "meta one. Take pictures with values"),
    "nested": (lambda x: torch.nested.nested_tensor(list(x), layout=torch.jagged), "nested one. Convert it"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_c16_tensors_without_a_value_in_every_place(name):
    make, words = PICTURES[name]
    with pytest.raises(BadOption, match=words):
        pellucid.explain(tiny.build(Fails), make(tiny.images()), "saliency", 1)


def test_c16_networks_without_values():
    with pytest.raises(Refused, match="has no weights: they are on the device 'meta'"):
        pellucid.explain(tiny.build(Fails).to("meta"), tiny.images(), "saliency", 1)
