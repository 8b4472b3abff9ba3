"""Which axis of a layer's tensor is which, and which position stands for which place, on networks that tempt."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.capture.passes import activations, read_grid
from pellucid.capture.running import guarded
from pellucid.contracts import Site
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
    with pytest.raises(BadSite, match=r"no spatial grid.*its axes are not those of the picture"):
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


class Attend(nn.Module):
    """Attention with dense layers of its own for queries, keys and values, after a norm."""

    def __init__(self, width):
        super().__init__()
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, width)
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        y = self.norm(x)
        return x + self.out((self.q(y) @ self.k(y).transpose(1, 2)).softmax(-1) @ self.v(y))


class Tokens(nn.Module):
    """Patches of 4 x 4 pixels in any order, other tokens between them, places last if so wished, then attention."""

    def __init__(self, order, extra, width, *, last, depth=2):
        super().__init__()
        self.order, self.extra, self.last = order, extra, last
        self.patch, self.other = nn.Conv2d(3, width, 4, 4), nn.Parameter(torch.randn(1, len(extra), width))
        self.position = nn.Parameter(torch.randn(1, len(order) + len(extra), width))
        self.blocks, self.mix = nn.Sequential(*(Attend(width) for _ in range(depth))), nn.Conv1d(width, width, 1)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x):
        patches = self.patch(x).flatten(2).transpose(1, 2)[:, self.order]
        own, other = iter(patches.split(1, 1)), iter(self.other.expand(len(x), -1, -1).split(1, 1))
        tokens = [next(other if k in self.extra else own) for k in range(self.position.shape[1])]
        tokens = self.blocks(torch.cat(tokens, 1) + self.position)
        if self.last:
            return self.head(self.mix(tokens.transpose(1, 2)).mean(2))
        return self.head(self.norm(tokens).mean(1))


@pytest.mark.parametrize("seed", range(24))
def test_f2_random_token_networks(seed):
    """Of what a layer gives, the token of a patch changes most when that patch alone does, if little else mixes."""
    random = torch.Generator().manual_seed(seed)

    def draw(low, high):
        return int(torch.randint(low, high, (), generator=random))

    rows, columns = draw(2, 5), draw(3, 6)
    count = rows * columns
    inner = torch.arange(count).view(rows, columns)
    orders = [inner.flatten(), inner.T.flatten(), inner.flip(0).flatten(), torch.randperm(count, generator=random)]
    extra = torch.randperm(count + 3, generator=random)[: draw(0, 4)].clamp(max=count).unique().tolist()
    widths = [8, rows, columns, count, count + len(extra), count - 1]
    torch.manual_seed(seed)
    net = Tokens(orders[draw(0, 4)], extra, max(3, widths[draw(0, 6)]), last=bool(draw(0, 2))).double().eval()
    for block in net.blocks:
        block.out.weight.data *= 1e-3  # attention mixes little, so that values tell the place, too
    image = torch.randn(1, 3, 4 * rows, 4 * columns, generator=random, dtype=torch.float64)
    row, column = draw(0, rows), draw(0, columns)
    other = image.clone()
    other[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] *= -3
    model, sites = (
        pellucid.wrap(net),
        [Site(path) for path in ("blocks.0", "blocks.1.v", "mix" if net.last else "norm")],
    )
    with guarded(net):
        before, after = (activations(model, x, sites) for x in (image, other))
        for site in sites:
            grid = read_grid(model, site, before[site], image)
            change = (grid.to_maps(before[site]) - grid.to_maps(after[site]))[0].square().sum(0)
            assert change.shape == (rows, columns)
            assert divmod(int(change.argmax()), columns) == (row, column)


@pytest.mark.parametrize("seed", range(16))
def test_s1_random_convolutions_on_oblong_pictures(seed):
    """Shapes are torch's own: whatever a convolution gives is `[channel, row, column]`."""
    random = torch.Generator().manual_seed(seed)

    def draw(low, high):
        return int(torch.randint(low, high, (), generator=random))

    size = (draw(12, 33), draw(12, 33))
    layers, width, seen = [], 3, torch.zeros(1, 3, *size)
    for _ in range(draw(1, 4)):
        kernel, step, padding = draw(1, 4), draw(1, 3), draw(0, 3)
        # as many channels as rows or columns will be, or as makes channels x rows look like the picture
        rows, columns = ((n + 2 * padding - kernel) // step + 1 for n in seen.shape[2:])
        tempting = [rows, columns, rows * size[0] // size[1], columns * size[1] // size[0], 4]
        conv = nn.Conv2d(width, max(1, tempting[draw(0, 5)]), kernel, step, padding)
        layers += [conv, [nn.ReLU(), nn.BatchNorm2d(conv.out_channels), nn.MaxPool2d(2, 1)][draw(0, 3)]]
        width, seen = conv.out_channels, layers[-1].eval()(conv(seen)).detach()
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3)).eval()
    image = torch.randn(1, 3, *size, generator=random)
    found = pellucid.explain(net, image, "hires-cam", target=0, layer=[str(k) for k in range(len(layers))])
    sizes = [tuple(net[: k + 1](image).shape[2:]) for k in range(len(layers))]
    assert [tuple(a.raw.shape[1:]) for a in found] == sizes


def test_f8_the_last_layer_is_a_stream_and_no_projection():
    """Dense layers for queries, keys and values read one tensor; the place to look is that tensor."""
    net = Tokens(torch.arange(12), [0], 8, last=False).eval()
    net.norm.register_forward_hook(lambda _, __, out: out[:, :1])  # the head reads the class token
    found = pellucid.explain(net, torch.randn(1, 3, 12, 16), "grad-cam", target=0)["grad-cam"]
    assert str(found.site) == "blocks.1.norm"


def test_networks_with_rotated_parts_and_whole_norms():
    """Norms over a whole sample, gates and added parts of the whole picture leave the homes of values alone."""

    class Mixed(Conv):
        def forward(self, x):
            y = F.layer_norm(self.conv(x), self.conv(x).shape[1:])
            y = y * y.mean((2, 3), keepdim=True).sigmoid() + y.mean(1, keepdim=True).softmax(-1)
            y = y + F.instance_norm(y).flatten(2).softmax(-1).view(y.shape)
            return super().forward(x) + self.head(self.after(torch.rot90(y, 1, (2, 3))).mean((2, 3)))

    net = Mixed(after=nn.Tanh())
    with pytest.raises(BadSite, match="called 2 times"):
        eigen(net, spot(1, 6, (5, 8)), "after")
    found = eigen(net, spot(1, 6, (5, 8)), "after:0"), eigen(net, spot(1, 6, (5, 8)), "after:1")
    assert all(one.raw.shape == (1, 5, 8) for one in found)
    assert hottest(found[1]) == (1, 6)
