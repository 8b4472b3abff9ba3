"""Which axis of a layer's tensor is which, and which position stands for which place, on networks that tempt."""

import pytest
import torch
from torch import nn

import pellucid
from pellucid.errors import BadSite


def eigen(net, image, layer=None):
    options = {"eigen-cam": {"rectify": False}}
    return pellucid.explain(net.eval(), image, "eigen-cam", target=0, layer=layer, options=options)["eigen-cam"]


def hottest(attribution):
    """The cell whose value lies farthest from that of most cells; the component's sign is arbitrary."""
    apart = (attribution.raw[0] - attribution.raw[0].median()).abs()
    return divmod(int(apart.argmax()), apart.shape[1])


class Conv(nn.Module):
    """A convolution of the picture's own rows and columns, after `before` and before `after`."""

    def __init__(self, before=torch.clone, after=torch.clone, size=1):
        super().__init__()
        torch.manual_seed(1)
        self.before, self.after, self.head = before, after, nn.Linear(8, 3)
        self.conv = nn.Conv2d(3, 8, size, padding=size // 2)

    def forward(self, x):
        return self.head(self.after(self.conv(self.before(x))).mean((2, 3)))


def spot(row, column, size=(9, 9)):
    image = torch.zeros(1, 3, *size)
    image[:, :, row, column] = 5
    return image


def test_s1_convolution_with_as_many_channels_as_tempt():
    """16 x 12 pixels, two convolutions with stride 2 and 1: 6 x 4 cells; 8 x 6 has the exact aspect instead."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 5),
    ).eval()  # fmt: skip
    found = pellucid.explain(net, torch.randn(1, 3, 16, 12), "grad-cam", target=0)["grad-cam"]
    assert found.raw.shape == (1, 6, 4)


@pytest.mark.parametrize(
    ("pixels", "strides", "channels", "cells"),
    [  # (n - 3) // stride + 1 cells behind each convolution
        ((48, 36), (2, 2, 2), 4, (5, 3)),
        ((32, 24), (2,), 20, (15, 11)),
        ((32, 24), (2, 2), 10, (7, 5)),
        ((30, 40), (4,), 9, (7, 10)),
        ((12, 16), (1,), 8, (10, 14)),
    ],
)
def test_s1_unpadded_convolutions_on_oblong_pictures(pixels, strides, channels, cells):
    layers = [nn.Conv2d(3 if k == 0 else channels, channels, 3, s) for k, s in enumerate(strides)]
    net = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3)).eval()
    found = pellucid.explain(net, torch.randn(1, 3, *pixels), "grad-cam", target=0)["grad-cam"]
    assert found.raw.shape[1:] == cells


def test_s1_turned_inside_the_network():
    """A 1 x 1 convolution sees each pixel alone, so the map has its maximum where the pixel is."""
    turns = {
        "transposed": lambda x: x.transpose(2, 3), "mirrored": lambda x: x.flip(3), "upside down": lambda x: x.flip(2),
        "rotated": lambda x: torch.rot90(x, 1, (2, 3)), "rolled": lambda x: x.roll((3, 2), (2, 3)),
    }  # fmt: skip
    for turn in turns.values():
        found = eigen(Conv(turn), spot(1, 6), "conv")
        assert hottest(found) == (1, 6)


def test_s1_turned_oblong_pictures():
    for turn in (lambda x: x.transpose(2, 3), lambda x: torch.rot90(x, 3, (2, 3))):
        found = eigen(Conv(turn), spot(1, 6, (5, 8)), "conv")
        assert found.raw.shape == (1, 5, 8)
        assert hottest(found) == (1, 6)


def test_s1_layers_larger_than_the_picture():
    found = eigen(nn.Sequential(nn.Conv2d(3, 6, 3, padding=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()), spot(4, 2))
    assert found.raw.shape == (1, 11, 11)
    up = Conv(lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert hottest(eigen(up, spot(1, 6), "conv")) in [(2, 12), (2, 13), (3, 12), (3, 13)]


def test_s1_what_is_nowhere_is_refused_with_the_reason():
    """Each cell of x + mirrored x shows two places of the picture."""
    with pytest.raises(BadSite, match="no spatial grid: its axes are not those of the picture"):
        eigen(Conv(lambda x: x + x.flip(3)), spot(1, 6), "conv")
    with pytest.raises(BadSite, match="do not follow each other"):
        eigen(Conv(lambda x: x.roll(3, 3), size=3), spot(1, 6), "conv")


def test_b8_map_of_another_aspect_than_the_picture():
    net = Conv(after=nn.MaxPool2d((2, 8)))
    net.after.register_forward_hook(lambda *_: None)
    found = pellucid.explain(net.eval(), torch.rand(1, 3, 32, 32), "grad-cam", target=1, layer="after")["grad-cam"]
    assert found.raw.shape == (1, 16, 4)


def test_f2_features_before_places():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.bn, self.fc = nn.Conv2d(3, 64, 4, 4), nn.BatchNorm1d(64), nn.Linear(64, 5)

        def forward(self, x):
            return self.fc(self.bn(self.conv(x).flatten(2)).relu().mean(2))

    image = torch.zeros(1, 3, 28, 28)
    image[:, :, :4, 24:] = 3  # only the cell at the top right differs, so principal components light it alone
    found = eigen(Flat(), image)
    assert str(found.site) == "bn"
    apart = (found.raw[0] - found.raw[0].median()).abs()
    assert (apart > 1e-4 * apart.max()).nonzero().tolist() == [[0, 6]]


def test_f2_class_token_behind_the_patches():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.patch, self.lin, self.head = nn.Conv2d(3, 12, 4, 4), nn.Linear(12, 12), nn.Linear(12, 5)
            self.mix, self.cls = nn.MultiheadAttention(12, 2, batch_first=True), nn.Parameter(torch.zeros(1, 1, 12))

        def forward(self, x):
            t = self.lin(torch.cat([self.patch(x).flatten(2).transpose(1, 2), self.cls.expand(len(x), -1, -1)], 1))
            return self.head((t + self.mix(t, t, t, need_weights=False)[0])[:, -1])

    image = torch.zeros(1, 3, 16, 16)
    image[:, :, 4:8, 4:8] = 3
    found = eigen(Last(), image)
    assert str(found.site) == "lin"
    assert hottest(found) == (1, 1)


class Merge(nn.Module):
    """Four neighbouring tokens become one."""

    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(4 * width, 2 * width)

    def forward(self, t):
        b, n, d = t.shape
        h = int(n**0.5)
        return self.linear(t.view(b, h // 2, 2, h // 2, 2, d).permute(0, 1, 3, 2, 4, 5).reshape(b, n // 4, 4 * d))


class Pyramid(nn.Module):
    """Tokens `[batch, place, feature]` throughout, as the authors of Swin write it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.p, self.one, self.merge, self.two = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8), Merge(8), nn.Linear(16, 16)
        self.norm, self.h = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, x):
        return self.h(self.norm(self.two(self.merge(self.one(self.p(x).flatten(2).transpose(1, 2))))).mean(1))


def test_f8_token_pyramids_get_their_last_stage():
    found = pellucid.explain(Pyramid().eval(), torch.randn(1, 3, 32, 32), "grad-cam", target=1)["grad-cam"]
    assert str(found.site) == "norm"
    assert found.raw.shape == (1, 4, 4)
    image = torch.zeros(1, 3, 32, 32)
    image[:, :, 8:16, 16:24] = 3
    assert hottest(eigen(Pyramid(), image, "norm")) == (1, 2)
    assert len(pellucid.explain(Pyramid().eval(), image, "fem", target=1, layer=["one", "norm"])) == 2


def test_a_grid_can_be_declared():
    class Shuffled(nn.Module):
        """Nothing tells where its four tokens are: each is a sum over all pixels."""

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.mix, self.head = nn.Linear(48, 6 * 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(nn.Identity()(self.mix(x.flatten(1)).view(-1, 6, 8)).mean(1))

    net = nn.Sequential(
        nn.Flatten(), nn.Linear(48, 48), nn.Unflatten(1, (6, 8)), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)
    )
    image = torch.randn(1, 3, 4, 4)
    with pytest.raises(BadSite, match=r"whole picture alike.*'3#14x14'"):
        eigen(net, image, "3")
    values = nn.Sequential(*net[:4])(image)[0].detach()
    found = pellucid.explain(net.eval(), image, "hires-cam", target=0, layer="3#tokens:2x2+1")["hires-cam"]
    weight = net[5].weight[0].view(6, 8).detach()
    torch.testing.assert_close(found.raw[0], (weight * values).sum(1)[1:5].view(2, 2).relu())
    assert str(found.site) == "3#tokens:2x2+1"
    with pytest.raises(BadSite, match="does not hold a grid of 3x3"):
        eigen(net, image, "3#3x3")
    with pytest.raises(pellucid.PellucidError, match="ROWSxCOLUMNS"):
        eigen(net, image, "3#wide")
    with pytest.raises(BadSite, match="in several ways: tokens:2x2, tokens-last:2x2"):
        eigen(net, image, "3#2x2")
