"""Receptive fields: by hand, against published sizes, and against the gradients of all-positive networks."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torchvision import models as tv

import pellucid
import tiny
from pellucid.capture.receptive import receptive_fields
from pellucid.capture.receptive.field import positions, receptive_field
from pellucid.capture.receptive.propagation import Reach
from pellucid.capture.running import guarded
from pellucid.contracts import Grid, Site
from tiny import Do


def field_of(net, shape, dtype=torch.float32):
    """The receptive field of a network's whole output, of any number of axes."""
    image = torch.randn(1, *shape, dtype=dtype)
    with guarded(net), Reach(image) as reach:
        found = positions(reach, net(image))
    return found and receptive_field(found)


def line(*layers, length=20):
    """The receptive field of one-dimensional layers on one channel."""
    return field_of(nn.Sequential(*layers), (1, length))


def conv(size, **options):
    return nn.Conv1d(1, 1, size, **options)


@pytest.mark.parametrize(
    ("layers", "size", "step", "start"),
    [
        ([conv(3)], 3, 1, 0),
        ([conv(3, padding=1), conv(3, padding=1)], 5, 1, -2),
        ([conv(3, stride=2, padding=1), conv(3, padding=1)], 7, 2, -3),
        ([conv(3, dilation=4, padding=4)], 9, 1, -4),
        ([conv(2, stride=2), conv(2, stride=2), conv(2, stride=2)], 8, 8, 0),
        ([nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(2)], 5, 4, -1),
        ([nn.MaxPool1d(3, 2, ceil_mode=True)], 3, 2, 0),
        ([nn.ReLU(), nn.Sigmoid(), nn.Hardswish(), nn.Dropout()], 1, 1, 0),
        ([nn.ReflectionPad1d(2), conv(5)], 5, 1, -2),
        ([nn.ConstantPad1d((3, 0), 0.0), conv(4)], 4, 1, -3),  # a causal convolution
        ([conv(3, padding="same")], 3, 1, -1),
        ([nn.AdaptiveAvgPool1d(5)], 4, 4, 0),
        ([Do(lambda x: x[..., 4:]), conv(3)], 3, 1, 4),
        ([Do(lambda x: x.flip(-1))], 1, -1, 19),
        ([Do(lambda x, a: x + a(x), conv(5, padding=2))], 5, 1, -2),
        ([Do(lambda x, a, b: torch.cat([a(x), b(x)], 1), conv(5, padding=2), conv(3, padding=1))], 5, 1, -2),
    ],
)
def test_by_hand(layers, size, step, start):
    found = line(*layers)
    assert (found.status, found.why) == ("exact", "")
    assert (found.size, found.step, found.start) == ((size,), (step,), (start,))
    assert found.box(1) == ((max(start + step, 0), start + step + size - 1),)


@pytest.mark.parametrize(
    ("layers", "size", "boxes"),
    [
        ([nn.Upsample(scale_factor=2, mode="nearest"), conv(3, padding=1)], 2, [(0, 0), (0, 1), (0, 1), (1, 2)]),
        ([nn.Upsample(scale_factor=2, mode="linear")], 2, [(0, 0), (0, 1), (0, 1), (1, 2)]),
        ([nn.ConvTranspose1d(1, 1, 3, 2, 1)], 2, [(0, 0), (0, 1), (1, 1), (1, 2)]),
        ([Do(lambda x: F.interpolate(x, 30))], 1, [(0, 0), (0, 0), (1, 1), (2, 2)]),
        ([Do(lambda x: x.cumsum(-1))], 20, [(0, 0), (0, 1), (0, 2), (0, 3)]),
        ([Do(lambda x: x.unfold(-1, 4, 4).softmax(-1).flatten(-2))], 4, [(0, 3), (0, 3), (0, 3), (0, 3), (4, 7)]),
    ],
)
def test_where_positions_differ(layers, size, boxes):
    found = line(*layers)
    assert (found.status, found.size) == ("bound", (size,))
    assert [found.box(k)[0] for k in range(len(boxes))] == boxes


@pytest.mark.parametrize(
    "layer",
    [
        Do(lambda x: x * x.mean(-1, keepdim=True)),
        Do(lambda x: x.softmax(-1)),
        Do(lambda x: F.layer_norm(x, (20,))),
        Do(lambda x: F.group_norm(x, 1)),
        Do(lambda x: F.scaled_dot_product_attention(*[x.transpose(1, 2)] * 3).transpose(1, 2)),
        Do(lambda x: (x.transpose(1, 2) @ x) @ x.transpose(1, 2)),
        Do(lambda x: torch.fft.ifft(torch.fft.fft(x)).real),
        Do(lambda x: x.sort(-1).values),
        nn.Sequential(nn.Flatten(), nn.Linear(20, 6), nn.Unflatten(1, (1, 6))),
        nn.AdaptiveMaxPool1d(1),
    ],
)
def test_whole_picture(layer):
    found = line(conv(3, padding=1), layer)
    assert (found.status, found.size, found.start) == ("whole picture", (20,), (0,))


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (Do(lambda x: x[..., x[0, 0].argsort()]), "index chooses pixels by their values"),
        (Do(lambda x: x.masked_select(x > 0)[None, None]), "masked_select"),
        (Do(lambda x: -x if x.sum() > 0 else x), "Python code reads a value"),
    ],
)
def test_data_dependent(layer, why):
    found = line(layer)
    assert found.status == "data dependent"
    assert why in found.why


def test_an_operation_without_a_rule_may_see_everything():
    found = field_of(Do(torch.linalg.matrix_exp), (1, 6, 6))
    assert (found.status, found.why) == ("bound", "no rule for linalg_matrix_exp")
    assert found.size == (6, 6)


def test_what_depends_on_nothing():
    assert line(Do(torch.zeros_like)) is None
    assert line(Do(lambda x: x.new_ones(1, 1, 4) * 2)) is None


def write_into_a_part(x):
    y = torch.zeros_like(x)
    y[..., 3:] += x[..., :-3]
    return y[..., 3:]


def overwrite(x):
    x = x * 1
    x[..., ::2] = 0
    return x[..., 1::2]


@pytest.mark.parametrize(("function", "step"), [(write_into_a_part, 1), (overwrite, 2)])
def test_writing_in_place(function, step):
    found = line(Do(function))
    assert (found.status, found.size, found.step) == ("exact", (1,), (step,))


def test_a_channel_keeps_its_own_field():
    """A network may carry channels with small fields past others with large ones, shuffled."""

    def shuffled(x, wide):
        a, b = x.chunk(2, 1)
        x = torch.cat([a, wide(b)], 1)
        return x.reshape(1, 2, 2, -1).transpose(1, 2).reshape(x.shape)

    net = nn.Sequential(nn.Conv1d(1, 4, 1), Do(shuffled, nn.Conv1d(2, 2, 5, padding=2)))
    assert field_of(net, (1, 20)).size == (5,)
    assert field_of(nn.Sequential(net, Do(lambda x: x[:, ::2])), (1, 20)).size == (1,)


def test_three_axes_and_oblong_kernels():
    net = nn.Sequential(nn.Conv3d(1, 2, (3, 1, 5), stride=(1, 2, 1)), nn.MaxPool3d(2))
    found = field_of(net, (1, 8, 12, 14))
    assert (found.size, found.step, found.start) == ((4, 3, 6), (2, 4, 2), (0, 0, 0))


def test_one_cell_sees_what_there_is():
    found = line(conv(3, stride=2), conv(3, stride=2, padding=1), length=3)
    assert (found.size, found.step, found.status) == ((3,), (None,), "whole picture")


PUBLISHED = {  # Araujo, Norris and Sim 2019, and the arithmetic of the definitions
    "resnet18": (lambda: tv.resnet18(), "layer4", 435, 32),
    "alexnet": (lambda: tv.alexnet(), "features", 195, 32),
    "vgg16": (lambda: tv.vgg16(), "features", 212, 32),
    "mobilenet_v2": (lambda: tv.mobilenet_v2(width_mult=0.25), "features", 491, 32),
    "densenet121": (lambda: tv.DenseNet(4, (6, 12, 24, 16), 8), "features", 2071, 32),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name):
    make, path, size, step = PUBLISHED[name]
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        net = make().eval()
    pixels = 127 if name == "alexnet" else 64
    site, grid = Site(path), Grid("channels-first", (pixels // 32, pixels // 32))
    with guarded(net):
        found = receptive_fields(pellucid.wrap(net), torch.zeros(1, 3, pixels, pixels), {site: grid})[site]
    assert (found.status, found.size, found.step) == ("exact", (size, size), (step, step))


@pytest.mark.parametrize(
    ("make", "path", "grid", "status"),
    [
        (tiny.Tokens, "patch", Grid("channels-first", (4, 4)), "exact"),
        (tiny.Tokens, "blocks.0.norm1", Grid("tokens", (4, 4), 2), "exact"),
        (tiny.Tokens, "blocks.1.norm1", Grid("tokens", (4, 4), 2), "whole picture"),
        (tiny.ChannelsLast, "norm", Grid("channels-last", (4, 4)), "exact"),
        (tiny.Gate, "conv", Grid("channels-first", (16, 16)), "exact"),
    ],
)
def test_any_layout(make, path, grid, status):
    net, site = tiny.build(make), Site(path)
    with guarded(net):
        found = receptive_fields(pellucid.wrap(net), tiny.images(1), {site: grid})[site]
    assert found.status == status
    assert found.boxes.shape == (4, grid.rows, grid.columns)
    if grid.layout == "tokens" and status == "exact":
        assert (found.size, found.step, found.start) == ((4, 4), (4, 4), (0, 0))


CHANNELS, PIXELS = 4, (19, 16)
ODD = st.sampled_from([1, 3, 5])
LAYERS = st.one_of(
    st.tuples(
        st.just("conv"), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2),
        st.sampled_from([1, 2, CHANNELS]),
    ),
    st.tuples(st.sampled_from(["max", "avg"]), st.integers(2, 4), st.integers(1, 3), st.integers(0, 1)),
    st.tuples(st.sampled_from(["skip", "write", "split"]), ODD, st.integers(1, 2)),
    st.tuples(st.just("branch"), ODD, ODD),
    st.tuples(st.just("transposed"), st.integers(2, 4), st.integers(1, 2)),
    st.tuples(st.just("up"), st.sampled_from(["nearest", "bilinear", "bicubic"])),
    st.just(("gate",)),
)  # fmt: skip


class Random(nn.Module):
    """A random network; the `positive` copy has weights above 0, and sums where the other takes the largest."""

    def __init__(self, layers, positive):
        super().__init__()
        self.layers, self.positive = layers, positive

    def weigh(self, out, per_group, *size):
        weight = (
            torch.rand(out, per_group, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
        )
        return weight if self.positive else weight - 0.6

    def conv(self, x, size, step=1, padding=0, dilation=1, groups=1, out=None):
        weight = self.weigh(out or CHANNELS, x.shape[1] // groups, size, size)
        return F.conv2d(x, weight, None, step, padding, dilation, groups)

    def same(self, x, size, dilation=1, out=None):
        return self.conv(x, size, 1, dilation * (size // 2), dilation, out=out)

    def step(self, x, kind, *numbers):
        if kind == "conv":
            return self.conv(x, *numbers).relu()
        if kind in ("max", "avg"):
            size, step, padding = numbers
            if self.positive:
                return F.conv2d(x, torch.ones(CHANNELS, 1, size, size, dtype=x.dtype), None, step, padding, 1, CHANNELS)
            return (F.max_pool2d if kind == "max" else F.avg_pool2d)(x, size, step, padding)
        if kind == "skip":
            return (x + self.same(x, *numbers)).relu_()
        if kind == "write":
            y = self.same(x, *numbers, out=2)
            x = x * 1
            x[:, 1:3] += y
            return x
        if kind == "split":
            a, b = x.chunk(2, 1)
            x = torch.cat([self.same(a, *numbers, out=2), b], 1)
            return x.reshape(len(x), 2, 2, *x.shape[2:]).transpose(1, 2).reshape(x.shape)
        if kind == "branch":
            return torch.cat([self.same(x, size, out=2) for size in numbers], 1)
        if kind == "transposed":
            size, step = numbers
            return F.conv_transpose2d(x, self.weigh(CHANNELS, CHANNELS, size, size), None, step, 1)
        if kind == "up":
            return x.repeat(1, 1, 1, 1) if math.prod(x.shape[2:]) > 900 else self.up(x, *numbers)
        return (x + 1) * (x.mean((2, 3), keepdim=True) + 1)

    def up(self, x, mode):
        return F.interpolate(x, scale_factor=2, mode=mode)

    def forward(self, x):
        for layer in self.layers:
            x = self.step(x, *layer)
        return x


@settings(max_examples=60, deadline=None)
@given(st.lists(LAYERS, min_size=1, max_size=5))
def test_gradients_of_an_all_positive_copy(layers):
    """Inside the picture the boxes are those of the gradients; where they count padding they are larger, never less.

    Where boxes do not follow a rule (upsampling), how they go on beyond an edge is a guess: they may be larger there.
    """
    try:
        found = field_of(Random(layers, False), (CHANNELS, *PIXELS), torch.float64)
    except RuntimeError as error:  # a picture that has become smaller than a kernel
        assume("Kernel size" not in str(error) and "too small" not in str(error) and "pad should be" not in str(error))
        raise
    image = torch.rand(1, CHANNELS, *PIXELS, dtype=torch.float64).requires_grad_()
    maps = Random(layers, True)(image)[0].sum(0)
    rows, columns = maps.shape
    for row, column in {(0, 0), (rows // 2, columns // 2), (rows - 1, columns // 3), (rows // 3, columns - 1)}:
        (gradient,) = torch.autograd.grad(maps[row, column], image, retain_graph=True)
        reached = gradient[0].abs().sum(0) != 0
        if found is None:
            assert not reached.any()
            continue
        theory = found.boxes[:, row, column]
        inside = bool((theory[:2] >= 0).all()) and bool((-theory[2:] < torch.tensor(PIXELS)).all())
        for axis, (first, last) in enumerate(found.box(row, column)):
            along = reached.any(1 - axis).nonzero()[:, 0].tolist()
            if inside and first <= last and found.status != "bound":
                assert (along[0], along[-1]) == (first, last)
            else:
                assert all(first <= pixel <= last for pixel in along)
