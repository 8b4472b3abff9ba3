"""Changing little: `Probe.score` for local changes against whole passes."""

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from pellucid.capture.incremental import scoring, windows
from pellucid.capture.incremental.grouping import group, sizes
from pellucid.capture.incremental.passes import RULES, PassCache
from pellucid.capture.incremental.spans import Interval, Slide
from pellucid.capture.meter import ProgressMeter
from pellucid.capture.operators import op
from pellucid.capture.probe import Probe
from pellucid.capture.running import Budget, guarded
from pellucid.contracts import LocalPerturbation
from pellucid.targets import Custom, Logit


def total(out):
    return (out * torch.linspace(-1, 1, out[0].numel(), dtype=out.dtype).view(out[0].shape)).flatten(1).sum(1)


TOTAL = Custom(total)


def boxes_of(rows, columns, window, stride):
    tops, lefts = range(0, rows, stride), range(0, columns, stride)
    return torch.tensor([(t, c, min(t + window, rows), min(c + window, columns)) for t in tops for c in lefts])


def paint(value):
    def change(parts, samples, numbers, corners):
        for part, corner, box in zip(parts, corners.tolist(), change.boxes[numbers].tolist(), strict=True):
            (y, x), (top, left, bottom, right) = corner, box
            part[:, top - y : bottom - y, left - x : right - x] *= -0.5
            part[:, top - y : bottom - y, left - x : right - x] += value
        return parts

    return change


def local(boxes, value=1.0):
    change = paint(value)
    change.boxes = boxes
    return LocalPerturbation(boxes, change)


def both(net, image, change, target=TOTAL, chunk=None):
    """Scores box by box and by whole passes, and whether the first really were box by box."""
    model, count = pellucid.wrap(net), len(change.boxes)
    with guarded(model.module):
        probe = Probe(model, image, target, None, Budget(image.device, chunk), ProgressMeter())
        quick = probe._score_boxes(count, change)
        whole = probe.score(count, lambda rows, samples, numbers: change(rows, samples, numbers))
    return quick, whole


def check(net, image, change, target=TOTAL, **more):
    quick, whole = both(net, image, change, target, **more)
    assert quick is not None, "fell back to whole passes"
    exact = image.dtype == torch.float64
    scale = float(whole.score.abs().max())
    torch.testing.assert_close(quick.score, whole.score, rtol=0, atol=(1e-10 if exact else 1e-5) * max(scale, 1e-3))
    assert float(whole.score.std(1).min()) > 0
    assert (quick.top is None) == (whole.top is None)
    if quick.top is not None:
        assert torch.equal(quick.top, whole.top)


# Random networks


KERNELS = st.tuples(st.integers(1, 3), st.integers(1, 3))
PAIRS = st.tuples(st.integers(0, 2), st.integers(0, 2))
STEPS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw, channels):
    out = draw(st.sampled_from([2, 4]))
    groups = draw(st.sampled_from([1, 2])) if channels % 2 == 0 else 1
    kernel, steps = draw(KERNELS), draw(STEPS)
    mode = draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]))
    padding = draw(st.sampled_from(["same", "valid"])) if draw(st.booleans()) and steps == (1, 1) else draw(PAIRS)
    spread = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    return nn.Conv2d(channels, out, kernel, steps, padding, spread, groups, draw(st.booleans()), mode)


@st.composite
def poolings(draw):
    kernel, steps, ceil = draw(KERNELS), draw(STEPS), draw(st.booleans())
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    if draw(st.booleans()):
        return nn.MaxPool2d(kernel, steps, padding, draw(st.integers(1, 2)), ceil_mode=ceil)
    include, divisor = draw(st.booleans()), draw(st.sampled_from([None, None, 3]))
    return nn.AvgPool2d(kernel, steps, padding, ceil, include, divisor)


ACTIVATIONS = [nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(inplace=True), nn.SiLU(), nn.GELU(), nn.LeakyReLU(0.1),
               nn.Hardswish(inplace=True), nn.ELU(inplace=True), nn.Sigmoid(), nn.Tanh(), nn.Softplus(),
               nn.Dropout(0.5), nn.Identity()]  # fmt: skip


class ChannelNorm(nn.Module):
    """Layer norm over channels, as ConvNeXt has it."""

    def __init__(self, channels):
        super().__init__()
        self.norm, self.mix = nn.LayerNorm(channels), nn.Linear(channels, channels)

    def forward(self, x):
        return self.mix(self.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class Branches(nn.Module):
    """A skip around two layers that keep the size, added, multiplied or joined."""

    def __init__(self, channels, how):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 1)
        )
        self.how = how

    def forward(self, x):
        y = self.body(x)
        if self.how == "+=":
            y += x
            return y
        return {
            "+": lambda: x + y,
            "*": lambda: x * y,
            "cat": lambda: torch.cat([x, y], 1),
            "scaled": lambda: y * 0.5 - x,
        }[self.how]()


class Shuffle(nn.Module):
    def forward(self, x):
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        a, b = x.chunk(2, dim=1)
        return torch.cat([b, a, x[:, :1]], 1)


@st.composite
def networks(draw):
    channels, layers = 3, []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(
            st.sampled_from(["conv", "conv", "pool", "act", "norm", "layer norm", "skip", "pad", "resize", "shuffle"])
        )
        if kind == "conv":
            layers.append(draw(convolutions(channels)))
            channels = layers[-1].out_channels
        elif kind == "pool":
            layers.append(draw(poolings()))
        elif kind == "act":
            layers.append(draw(st.sampled_from(ACTIVATIONS)))
        elif kind == "norm":
            layers.append(nn.BatchNorm2d(channels))
            nn.init.uniform_(layers[-1].running_mean), nn.init.uniform_(layers[-1].running_var, 0.5, 2)
        elif kind == "layer norm":
            layers.append(ChannelNorm(channels))
        elif kind == "skip":
            how = draw(st.sampled_from(["+", "+=", "*", "cat", "scaled"]))
            layers.append(Branches(channels, how))
            channels *= 1 + (how == "cat")
        elif kind == "pad":
            layers.append(nn.ZeroPad2d(tuple(draw(st.integers(0, 2)) for _ in range(4))))
        elif kind == "resize":
            layers.append(nn.Upsample(scale_factor=2, mode=draw(st.sampled_from(["nearest", "bilinear"]))))
        elif channels % 2 == 0:
            layers.append(Shuffle())
            channels += 1
    head = draw(st.sampled_from(["none", "pool", "flatten", "cells"]))
    layers += {
        "none": [],
        "pool": [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3)],
        "flatten": [nn.Flatten()],
        "cells": [nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten()],
    }[head]
    return nn.Sequential(*layers)


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(st.data(), st.integers(0, 2**16))
def test_random_networks(data, seed):
    torch.manual_seed(seed)
    net = data.draw(networks()).double().eval()
    image = torch.randn(2, 3, data.draw(st.integers(8, 19)), data.draw(st.integers(8, 19)), dtype=torch.float64)
    try:
        with torch.no_grad():
            net(image)
    except RuntimeError:  # a window larger than the map
        assume(False)
    window = data.draw(st.integers(1, 6))
    change = local(boxes_of(*image.shape[2:], window, data.draw(st.integers(2, 7))), data.draw(st.floats(-2, 2)))
    quick, whole = both(net, image, change)
    assert quick is not None
    scale = max(1.0, float(whole.score.abs().max()))
    torch.testing.assert_close(quick.score, whole.score, rtol=0, atol=1e-10 * scale)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 2**16), st.integers(1, 9), st.integers(1, 9))
def test_single_precision_and_channels_last(seed, window, stride):
    net = tiny.build(tiny.Pooled, dtype=torch.float32)
    image = tiny.images(2, torch.float32, (24, 20), seed)
    check(net, image, local(boxes_of(24, 20, window, stride)), Logit((1,)))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(st.data(), st.integers(0, 2**16))
def test_fast_convolutions_err_by_a_small_part_of_the_difference(data, seed):
    torch.manual_seed(seed)
    net = data.draw(networks()).eval()
    image = torch.randn(2, 3, data.draw(st.integers(8, 19)), data.draw(st.integers(8, 19)))
    try:
        with torch.no_grad():
            base = total(net(image))
    except RuntimeError:  # a window larger than the map
        assume(False)
    change = local(boxes_of(*image.shape[2:], data.draw(st.integers(1, 6)), data.draw(st.integers(2, 7))))
    model = pellucid.wrap(net)
    with guarded(model.module), pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "has_short_floats", lambda device: True)
        patch.setattr(windows, "_HEAVY", 1)
        probe = Probe(model, image, TOTAL, None, Budget(image.device), ProgressMeter())
        exact, fast = (probe._score_boxes(len(change.boxes), change, fast) for fast in (False, True))
    assert exact.deviation is None and fast.deviation is not None
    largest = float((exact.score - base[:, None]).abs().max())
    torch.testing.assert_close(fast.score, exact.score, rtol=0, atol=0.03 * largest + 1e-5)


def test_fast_is_exact_where_nothing_is_heavy(monkeypatch):
    monkeypatch.setattr(scoring, "has_short_floats", lambda device: True)
    net, image = tiny.build(tiny.Pooled, dtype=torch.float32), tiny.images(2, torch.float32)
    change, model = local(boxes_of(16, 16, 5, 4)), pellucid.wrap(net)
    with guarded(model.module):
        probe = Probe(model, image, Logit((1,)), None, Budget(image.device), ProgressMeter())
        exact, fast = (probe._score_boxes(len(change.boxes), change, fast) for fast in (False, True))
    assert torch.equal(exact.score, fast.score)
    monkeypatch.setattr(windows, "_HEAVY", 1)
    with guarded(model.module):
        assert not torch.equal(exact.score, probe._score_boxes(len(change.boxes), change, True).score)


# Networks with habits


HABITS = ("Plain", "Pooled", "Skip", "InPlaceSkip", "Reused", "AddAfter", "Joined", "KeepsBatch", "ListAlias", "Gate",
          "Tokens", "ChannelsLast", "Habits")  # fmt: skip


@pytest.mark.parametrize("name", HABITS)
@pytest.mark.parametrize("chunk", [None, 3])
def test_habits(name, chunk):
    check(tiny.build(getattr(tiny, name)), tiny.images(), local(boxes_of(16, 16, 5, 4)), Logit((1, 0)), chunk=chunk)


def fallback(net, image=None):
    image = tiny.images() if image is None else image
    change = local(boxes_of(*image.shape[2:], 5, 4))
    quick, _ = both(net, image, change)
    assert quick is None
    # and `score` gives the right numbers all the same
    model = pellucid.wrap(net)
    with guarded(model.module):
        probe = Probe(model, image, TOTAL, None, Budget(image.device), ProgressMeter())
        got = probe.score(len(change.boxes), change).score
    rows = torch.stack(
        [
            change(image.clone(), torch.arange(len(image)), torch.full((len(image),), k))
            for k in range(len(change.boxes))
        ]
    )
    with torch.no_grad():
        torch.testing.assert_close(got.T, torch.stack([TOTAL.function(net(r)) for r in rows]))


class WritesIntoShuffled(tiny.Skip):
    def forward(self, x):
        z = self.conv1(x)
        a, _ = z.chunk(2, dim=1)
        a.relu_()
        return self.fc(self.conv2(z).mean((2, 3)))


class WritesIntoRows(tiny.Skip):
    def forward(self, x):
        z = self.conv1(x)
        z[:, :, ::2] = 0
        return self.fc(self.conv2(z).mean((2, 3)))


class Compiled(tiny.Skip):
    def __init__(self):
        super().__init__()
        self.act = torch.jit.script(nn.Hardtanh(-0.1, 0.1))


@pytest.mark.parametrize("make", [tiny.SliceInPlace, WritesIntoShuffled, WritesIntoRows])
def test_what_cannot_be_followed_runs_whole(make):
    fallback(tiny.build(make))


def test_custom_gradients():
    check(tiny.build(tiny.Plain, tiny.MyReLU.apply), tiny.images(), local(boxes_of(16, 16, 5, 4)), Logit((1, 0)))


@pytest.mark.filterwarnings("ignore:.*is deprecated")
def test_compiled_parts():
    check(tiny.build(Compiled), tiny.images(), local(boxes_of(16, 16, 5, 4)), Logit((1, 0)))


class LooksAtValues(tiny.Skip):
    """Chooses one way for all that it is given by their largest value."""

    def forward(self, x):
        z = self.act(self.conv1(x))
        z = z * 2 if float(z.amax()) > 1e6 else z
        return self.fc(self.conv2(z).mean((2, 3)))


class GlobalNorm(tiny.Skip):
    def forward(self, x):
        return self.fc(self.conv2(F.group_norm(self.conv1(x), 2)).mean((2, 3)))


class MapForEach(tiny.Skip):
    """A constant map and a channel gate."""

    def __init__(self):
        super().__init__()
        self.place, self.gate = nn.Parameter(torch.randn(16, 16)), nn.Parameter(torch.randn(8, 1, 1))

    def forward(self, x):
        return self.fc(self.conv2(torch.relu(self.conv1(x) * self.place + self.gate) / 2).amax((2, 3)))


class SqueezeExcite(tiny.Skip):
    """A gate of each variant's own, computed where values are ordinary tensors, on a map that is none."""

    def forward(self, x):
        z = torch.relu(self.conv1(x))
        return self.fc(self.conv2(z * torch.sigmoid(z.mean((2, 3)) * 3)[:, :, None, None]).mean((2, 3)))


@pytest.mark.parametrize("make", [GlobalNorm, MapForEach, SqueezeExcite])
@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_what_has_no_rule_becomes_an_ordinary_tensor(make, chunk):
    check(tiny.build(make), tiny.images(), local(boxes_of(16, 16, 5, 4)), Logit((1, 0)), chunk=chunk)


def test_one_way_for_a_whole_batch_is_left_to_whole_passes():
    net, image, change = tiny.build(LooksAtValues), tiny.images(), local(boxes_of(16, 16, 5, 4))
    assert both(net, image, change)[0] is None


def test_a_wrong_rule_is_noticed(monkeypatch):
    def wrong(run, func, args, kwargs):
        return run.pointwise(args[0], args[0].patch * 1.01, lambda still: still)

    monkeypatch.setitem(RULES, op.RELU, wrong)
    net, image, change = tiny.build(tiny.Plain), tiny.images(), local(boxes_of(16, 16, 5, 4))
    assert both(net, image, change)[0] is None


def test_a_wrong_value_kept_from_an_earlier_pass_is_noticed(monkeypatch):
    keep = PassCache.keep
    monkeypatch.setattr(PassCache, "keep", lambda memo, key, value: keep(memo, key, value * 1.01))
    net, image, change = tiny.build(tiny.Plain), tiny.images(), local(boxes_of(16, 16, 5, 4))
    assert both(net, image, change)[0] is None


@pytest.mark.long
def test_networks_of_torchvision():
    import torchvision

    for name in ("resnet18", "mobilenet_v2", "squeezenet1_1", "densenet121", "shufflenet_v2_x0_5", "regnet_y_400mf",
                 "convnext_tiny", "mnasnet0_5", "alexnet", "swin_t"):  # fmt: skip
        torch.manual_seed(0)
        net = torchvision.models.get_model(name, weights=None).eval()
        image = torch.randn(1, 3, 96, 80)
        boxes = torch.tensor([(0, 0, 16, 16), (40, 30, 56, 46), (64, 64, 96, 80), (3, 50, 20, 70), (0, 0, 0, 0)])
        quick, whole = both(net, image, local(boxes), Logit((5,)))
        assert quick is not None, name
        assert float((whole.score - whole.score[:, -1:]).abs().max()) > 0
        with torch.no_grad():
            scale = float(net(image).abs().max())
        assert float((quick.score - whole.score).abs().max()) <= 1e-5 * scale, name


# Geometry and grouping


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 4), st.integers(5, 20), st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_slide_finds_what_a_kernel_touches(kernel, stride, before, length, data):
    out = (length + 2 * before - kernel) // stride + 1
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    line = torch.zeros(1, 1, length)
    line[..., start:stop] = 1
    touched = F.conv1d(line, torch.ones(1, 1, kernel), stride=stride, padding=before)[0, 0].nonzero()[:, 0].tolist()
    span = Slide(kernel, stride, before, out).through(
        Interval(*(torch.tensor([v]).numpy() for v in (start, stop)), length)
    )
    assert list(range(int(span.start[0]), int(span.stop[0]))) == touched


def test_groups_are_all_variants_once_and_tight():
    net, image = tiny.build(tiny.Pooled), tiny.images(1, size=(64, 64))
    change = local(boxes_of(64, 64, 8, 4))
    engine = scoring.Incremental(
        pellucid.wrap(net), image, change, lambda out, samples: (out[:, 0], None), Budget(image.device)
    )
    with guarded(net):
        found = [numbers for numbers, _ in engine.answers(0)]
    assert sorted(torch.cat(found).tolist()) == list(range(len(change.boxes)))
    whole = sum(e.work * e.places[0] * e.places[1] for e in engine.memo.log) * len(change.boxes)
    boxes = change.boxes.numpy()
    down, across = (sizes(engine.memo.log, k, boxes[:, k], boxes[:, k + 2], 64) for k in (0, 1))
    least = sum(float(e.work) * float((d * a).sum()) for e, d, a in zip(engine.memo.log, down, across, strict=True))
    assert least <= engine.memo.work < 0.3 * whole
    assert len(group(engine.memo.log, boxes, (64, 64))) < len(boxes)
