"""Receptive fields are never too small, whatever operation lies on the way: against gradients in float64."""

import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.capture.receptive.field import positions, receptive_field
from pellucid.capture.receptive.propagation import Reach
from pellucid.capture.running import guarded
from tiny import Do

CHANNELS, SIDE = 4, 9


def tokens(function):
    return lambda x, *layers: function(x.flatten(2).transpose(1, 2), *layers).transpose(1, 2).unflatten(2, x.shape[2:])


def rows(x, layer):
    return layer(x[0].permute(1, 2, 0))[0].permute(2, 0, 1)[None]


def turned(x):
    grid = F.affine_grid(torch.tensor([[[0.8, 0.1, 0], [-0.1, 0.9, 0.1]]]).to(x), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


LAYERS = {
    "convolution": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
    "strided": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),
    "depthwise": lambda: nn.Conv2d(CHANNELS, CHANNELS, (3, 1), padding=(1, 0), groups=CHANNELS),
    "transposed": lambda: nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, 2, 1),
    "circular": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, padding_mode="circular"),
    "weights of the picture": lambda: Do(
        lambda x: F.conv2d(x, x.mean((2, 3)).reshape(-1, 1, 1, 1).expand(-1, 1, 3, 3), padding=1, groups=x.shape[1])
    ),
    "PReLU": lambda: nn.PReLU(CHANNELS),
    "RReLU": nn.RReLU,
    "GLU": lambda: Do(lambda x: F.glu(torch.cat([x, x.roll(1, 2)], 1), 1)),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(CHANNELS),
    "LayerNorm of maps": lambda: Do(lambda x: F.layer_norm(x, x.shape[1:])),
    "GroupNorm": lambda: nn.GroupNorm(2, CHANNELS),
    "LocalResponseNorm": lambda: nn.LocalResponseNorm(3),
    "fft2": lambda: Do(lambda x: torch.fft.ifft2(torch.fft.fft2(x) * torch.arange(1.0, x.shape[3] + 1)).real),
    "rfft": lambda: Do(lambda x: torch.fft.irfft(torch.fft.rfft(x) ** 2, n=x.shape[3])),
    "Fold": lambda: Do(lambda x: F.fold(F.unfold(x, 3, padding=1), x.shape[2:], 3, padding=1)),
    "FractionalMaxPool2d": lambda: nn.FractionalMaxPool2d(2, output_ratio=0.7),
    "LPPool2d": lambda: nn.LPPool2d(2, 2),
    "MaxPool2d": lambda: nn.MaxPool2d(3, 1, 1),
    "AvgPool2d": lambda: nn.AvgPool2d(2, 1, 1),
    "AdaptiveAvgPool2d": lambda: nn.AdaptiveAvgPool2d(5),
    "grid_sample": lambda: Do(turned),
    "expand": lambda: Do(lambda x: x.mean((2, 3), keepdim=True).expand_as(x)),
    "expand rows": lambda: Do(lambda x: x.mean(2, keepdim=True).expand_as(x)),
    "rows times columns": lambda: Do(lambda x: x.mean(2, keepdim=True) * x.mean(3, keepdim=True)),
    "gate": lambda: Do(lambda x, layer: x * layer(x.mean((2, 3), True)).sigmoid(), nn.Conv2d(CHANNELS, CHANNELS, 1)),
    "fill": lambda: Do(lambda x: x.clone().fill_(x.mean())),
    "copy": lambda: Do(lambda x: torch.empty_like(x).copy_(x.mean(3, keepdim=True))),
    "bicubic": lambda: Do(lambda x: F.interpolate(x, (7, 8), mode="bicubic", antialias=True)),
    "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "flip": lambda: Do(lambda x: x.flip(3)),
    "cumsum": lambda: Do(lambda x: x.cumsum(2)),
    "sort": lambda: Do(lambda x: x.sort(3).values),
    "masked_fill": lambda: Do(lambda x: x.masked_fill(x.roll(2, 3) > 0, 0.0)),
    "scatter_add": lambda: Do(
        lambda x: torch.zeros_like(x).scatter_add(2, torch.arange(x.shape[2]).flip(0)[:, None].expand_as(x), x)
    ),
    "LSTM along rows": lambda: Do(rows, nn.LSTM(CHANNELS, CHANNELS, batch_first=True)),
    "attention": lambda: Do(tokens(lambda t: F.scaled_dot_product_attention(t, t, t))),
    "transformer": lambda: Do(
        tokens(lambda t, layer: layer(t)), nn.TransformerEncoderLayer(CHANNELS, 2, 8, batch_first=True)
    ),
}


def field_of(net, image):
    with guarded(net), torch.no_grad(), Reach(image) as reach:
        found = positions(reach, net(image))
    return receptive_field(found)


def support(net, place):
    """First and last row and column that some gradient of the value at a place is not zero at."""
    touched = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for seed in range(2):
        torch.manual_seed(seed)
        image = torch.randn(1, CHANNELS, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
        values = net(image)[0][(slice(None), *place)]
        (gradient,) = torch.autograd.grad((values * torch.randn_like(values)).sum(), image)
        size = gradient[0].abs().sum(0)
        touched |= size > 1e-14 * size.max()  # bicubic weights that are 0 come out as 1e-32
    return touched.nonzero()


def check(net):
    net = net.double().eval()
    image = torch.randn(1, CHANNELS, SIDE, SIDE, dtype=torch.float64)
    field, grid = field_of(net, image), net(image).shape[2:]
    for place in ((0, 0), tuple(n // 2 for n in grid), tuple(n - 1 for n in grid)):
        places = support(net, place)
        if len(places):
            least, most = places.amin(0).tolist(), places.amax(0).tolist()
            box = field.box(*place)
            assert all(a <= low and high <= b for (a, b), low, high in zip(box, least, most, strict=True)), (place, box)


@pytest.mark.parametrize("name", LAYERS)
def test_b1_a_field_holds_every_pixel_that_counts(name):
    torch.manual_seed(0)
    first, last = (nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(2))
    check(nn.Sequential(first, LAYERS[name](), last))


@pytest.mark.parametrize("seed", range(12))
def test_b1_fields_of_networks_at_random(seed):
    torch.manual_seed(seed)
    check(nn.Sequential(*(LAYERS[name]() for name in random.Random(seed).choices(list(LAYERS), k=3))))


@pytest.mark.parametrize("act", [nn.PReLU(4), nn.RReLU()], ids=["PReLU", "RReLU"])
def test_b1_elementwise_activations_leave_fields_exact(act):
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), act, nn.Conv2d(4, 4, 3, padding=1))
    field = pellucid.inspect(net, torch.rand(1, 3, 16, 16)).structure["2"].field
    assert (field.size, field.status, field.box(5, 5)) == ((5, 5), "exact", ((3, 7), (3, 7)))


def test_b1_the_whole_picture_behind_instance_norm():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4), nn.Conv2d(4, 4, 3, padding=1))
    found = pellucid.inspect(net, torch.rand(1, 3, 16, 16))
    assert found.structure["1"].field.box(2, 3) == ((0, 15), (0, 15))
    assert found.structure["2"].field.box(5, 5) == ((0, 15), (0, 15))


def test_b1_top_draws_behind_a_layer_that_sees_all(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4), nn.Conv2d(4, 4, 3, padding=1))
    found = pellucid.top_pictures(pellucid.wrap(net, size=32), "sample:cat", "1", folder=tmp_path)
    assert found.draw([0]).size[0] > 0


def test_b1_a_skip_around_a_layer_that_sees_all():
    """x + conv(mean of x): each value depends on all pixels, not only on its own."""
    torch.manual_seed(0)
    net = Do(lambda x, layer: x + layer(x.mean((2, 3), True).expand_as(x)), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1))
    check(net)
