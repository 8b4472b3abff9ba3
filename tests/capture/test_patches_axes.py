"""Changing little in signals and volumes: scores of local changes, computed box by box, against whole passes."""

from itertools import product

import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.capture.incremental import scoring
from pellucid.capture.running import Budget, guarded
from pellucid.contracts import LocalPerturbation

AXES = st.sampled_from([1, 1, 3])


def layer(name, axes):
    return getattr(nn, f"{name}{axes}d")


def boxes_of(sizes, window, stride):
    starts = torch.tensor(list(product(*(range(0, size, stride) for size in sizes))))
    return torch.cat([starts, (starts + window).minimum(torch.tensor(sizes))], 1)


def local(boxes, value=1.0):
    def paint(parts, samples, numbers, corners):
        for part, corner, box in zip(parts, corners.tolist(), boxes[numbers].tolist(), strict=True):
            begin, end = box[: len(corner)], box[len(corner) :]
            where = [slice(b - c, e - c) for b, e, c in zip(begin, end, corner, strict=True)]
            part[(slice(None), *where)] = part[(slice(None), *where)] * -0.5 + value
        return parts

    return LocalPerturbation(boxes, paint)


def total(out):
    return (out * torch.linspace(-1, 1, out[0].numel(), dtype=out.dtype).view(out[0].shape)).flatten(1).sum(1)


def box_by_box(net, image, change):
    """The scores, None where they cannot be had, and what share of the work of whole passes they took."""
    engine = scoring.Incremental(
        pellucid.wrap(net), image, change, lambda out, samples: (total(out), None), Budget(image.device)
    )
    score = image.new_zeros(len(image), len(change.boxes))
    try:
        with guarded(net):
            for k in range(len(image)):
                for numbers, (found, _) in engine.answers(k):
                    score[k, numbers] = found
    except scoring.NotLocal:
        return None, 1.0
    whole = sum(e.work * torch.Size(e.places).numel() for e in engine.memo.log) * len(change.boxes)
    return score, engine.memo.work / whole


def by_whole_passes(net, image, change):
    samples, count = torch.arange(len(image)), len(change.boxes)
    with torch.no_grad():
        return torch.stack(
            [total(net(change(image.clone(), samples, torch.full_like(samples, k)))) for k in range(count)], 1
        )


def check(net, image, change):
    found, share = box_by_box(net, image, change)
    assert found is not None, "fell back to whole passes"
    expected = by_whole_passes(net, image, change)
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * scale)
    return share


# Random networks


class Branches(nn.Module):
    """A skip around two layers that keep the size, added or joined."""

    def __init__(self, channels, axes, how):
        super().__init__()
        conv = layer("Conv", axes)
        self.body = nn.Sequential(conv(channels, channels, 3, padding=1), nn.ReLU(), conv(channels, channels, 1))
        self.how = how

    def forward(self, x):
        y = self.body(x)
        if self.how == "+=":
            y += x
            return y
        return x + y if self.how == "+" else torch.cat([x, y], 1)


class Cut(nn.Module):
    """Some places only, as causal networks and pyramids have it."""

    def __init__(self, axes, begin, end, step):
        super().__init__()
        self.wanted = (slice(None), slice(None), *[slice(begin, -end if end else None, step)] * axes)

    def forward(self, x):
        return x[self.wanted]


class Shuffle(nn.Module):
    def forward(self, x):
        x = x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
        a, b = x.chunk(2, dim=1)
        return torch.cat([b, a], 1)


class PlacesLast(nn.Module):
    """Layer norm over channels, as ConvNeXt has it."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x):
        return self.norm(x.movedim(1, -1)).movedim(-1, 1) * 2


@st.composite
def layers(draw, channels, axes):
    """A layer, and how many channels come out of it."""

    def each(least, most):
        return tuple(draw(st.integers(least, most)) for _ in range(axes))

    kind = draw(
        st.sampled_from(
            ["conv", "conv", "transposed", "pool", "norm", "act", "skip", "resize", "pad", "cut", "shuffle", "last"]
        )
    )
    if kind == "conv":
        mode = draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]))
        more = each(0, 1), each(1, 2), 2 - channels % 2, draw(st.booleans()), mode
        return layer("Conv", axes)(channels, 4, each(1, 3), each(1, 2), *more), 4
    if kind == "transposed":
        steps = each(1, 3)
        extra = tuple(draw(st.integers(0, s - 1)) for s in steps)
        given = channels, 2, each(1, 3), steps, each(0, 1), extra, 1, draw(st.booleans()), draw(st.integers(1, 2))
        return layer("ConvTranspose", axes)(*given), 2
    if kind == "pool":
        size = each(1, 3)
        around = tuple(draw(st.integers(0, s // 2)) for s in size)
        made = draw(
            st.sampled_from(
                [
                    layer("MaxPool", axes)(size, each(1, 2), around, ceil_mode=draw(st.booleans())),
                    layer("AvgPool", axes)(size, each(1, 2), around, draw(st.booleans()), draw(st.booleans())),
                    layer("LPPool", axes)(2, 2 if axes == 1 else size),
                ]
            )
        )
        return made, channels
    if kind == "norm":
        made = layer("BatchNorm", axes)(channels)
        nn.init.uniform_(made.running_mean), nn.init.uniform_(made.running_var, 0.5, 2)
        return made, channels
    if kind == "skip":
        how = draw(st.sampled_from(["+", "+=", "cat"]))
        return Branches(channels, axes, how), channels * (1 + (how == "cat"))
    if kind == "resize":
        linear = ("linear", "bilinear", "trilinear")[axes - 1]
        return nn.Upsample(scale_factor=2, mode=draw(st.sampled_from(["nearest", linear]))), channels
    made = {
        "act": lambda: draw(st.sampled_from([nn.ReLU(), nn.ReLU(inplace=True), nn.GELU(), nn.LeakyReLU(0.1)])),
        "pad": lambda: layer("ConstantPad", axes)([draw(st.integers(-1, 2))] * (2 * axes), 0.5),
        "cut": lambda: Cut(axes, draw(st.integers(0, 1)), draw(st.integers(0, 1)), draw(st.integers(1, 2))),
        "shuffle": lambda: nn.Identity() if channels % 2 else Shuffle(),
        "last": lambda: PlacesLast(channels),
    }[kind]()
    return made, channels


@st.composite
def networks(draw, axes):
    channels, made = 2, []
    for _ in range(draw(st.integers(1, 4))):
        new, channels = draw(layers(channels, axes))
        made.append(new)
    heads = [
        [],
        [nn.Flatten()],
        [layer("AdaptiveAvgPool", axes)(1), nn.Flatten(), nn.Linear(channels, 3)],
        [layer("AdaptiveMaxPool", axes)(2), nn.Flatten()],
    ]
    return nn.Sequential(*made, *draw(st.sampled_from(heads)))


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(st.data(), AXES, st.integers(0, 2**16))
def test_random_networks_in_one_and_three_axes(data, axes, seed):
    torch.manual_seed(seed)
    net = data.draw(networks(axes)).double().eval()
    sizes = [data.draw(st.integers(6, 30 if axes == 1 else 8)) for _ in range(axes)]
    image = torch.randn(2, 2, *sizes, dtype=torch.float64)
    try:
        with torch.no_grad():
            net(image)
    except RuntimeError:  # a window larger than the map
        assume(False)
    check(net, image, local(boxes_of(sizes, data.draw(st.integers(1, 4)), data.draw(st.integers(3, 5)))))


# Networks with habits


class Causal(nn.Module):
    """Dilated convolutions that see the past only, by cutting off what they see of the future."""

    def __init__(self):
        super().__init__()
        self.body = nn.ModuleList(nn.Conv1d(2, 2, 2, padding=d, dilation=d) for d in (1, 2, 4))

    def forward(self, x):
        for conv, d in zip(self.body, (1, 2, 4), strict=True):
            x = x + conv(x)[..., :-d].tanh()
        return x.mean(-1)


class Factorised(nn.Module):
    """Convolutions in space, then in time, down and up again, with a skip between."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv3d(2, 4, (1, 3, 3), (1, 2, 2), (0, 1, 1)), nn.BatchNorm3d(4), nn.ReLU(True))
        self.time = nn.Conv3d(4, 4, (3, 1, 1), padding=(1, 0, 0))
        self.up = nn.ConvTranspose3d(4, 2, (1, 2, 2), (1, 2, 2))

    def forward(self, x):
        return torch.cat([self.up(self.time(self.down(x))), x], 1).mean((2, 3, 4))


class TakesSignalsForPictures(nn.Module):
    """Pools over channels and time, as torch takes three axes without a batch."""

    def forward(self, x):
        return F.max_pool2d(torch.tanh(x), 2).mean(-1)


class WritesIntoPlaces(nn.Module):
    """Rectifies a part of an earlier value in place, and uses that."""

    def forward(self, x):
        y = torch.tanh(x)
        y[..., 1:].relu_()
        return y.mean(-1)


@pytest.mark.parametrize(("make", "sizes", "most"), [(Causal, (60,), 0.3), (Factorised, (4, 12, 12), 0.3)])
def test_only_what_a_change_reaches_is_computed(make, sizes, most):
    torch.manual_seed(0)
    net = make().double().eval()
    image = torch.randn(1, 2, *sizes, dtype=torch.float64)
    assert check(net, image, local(boxes_of(sizes, 2, 4))) < most


def test_functions_for_other_axes_are_not_mistaken():
    check(TakesSignalsForPictures(), torch.randn(2, 4, 9, dtype=torch.float64), local(boxes_of((9,), 2, 3)))


def test_writing_into_places_of_another_value_is_not_followed():
    image = torch.randn(1, 2, 9, dtype=torch.float64)
    assert box_by_box(WritesIntoPlaces(), image, local(boxes_of((9,), 2, 3)))[0] is None


@pytest.mark.parametrize(("free", "kept"), [(2**40, 3 * 2**29), (0, 3 * 2**26)])
def test_more_is_kept_of_volumes_where_memory_is_free(free, kept, monkeypatch):
    monkeypatch.setattr(Budget, "free", lambda budget: free)
    image, net = torch.randn(1, 2, 3, 3, 3), nn.ReLU()
    engine = scoring.Incremental(
        pellucid.wrap(net),
        image,
        local(boxes_of((3, 3, 3), 2, 2)),
        lambda out, samples: (total(out), None),
        Budget(image.device, 2),
    )
    with guarded(net):
        assert len([numbers for numbers, _ in engine.answers(0)]) > 1
    assert engine.memo.limit == kept
