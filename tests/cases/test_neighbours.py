"""Neighbours of the known cases: token networks that order, cut and fold their places in unusual ways."""

import pytest
import torch
from torch import nn

import pellucid

PATCH, ROWS, COLUMNS, WIDTH = 4, 4, 6, 24


def tokens(x):
    """Patches of the picture row by row, `[batch, place, value]`."""
    b, c, h, w = x.shape
    cut = x.reshape(b, c, h // PATCH, PATCH, w // PATCH, PATCH)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * PATCH * PATCH)


def shuffled_with_class_token(net, x):
    t = torch.cat([net.token.expand(len(x), -1, -1), net.patch(tokens(x))], 1)
    return t[:, torch.randperm(t.shape[1], generator=torch.Generator().manual_seed(1))]


def written_behind_class_token(net, x):
    t = net.patch(tokens(x))
    out = t.new_zeros(len(x), t.shape[1] + 1, WIDTH)
    out[:, 0], out[:, 1:] = net.token[:, 0], t
    return out


def sorted_by_a_feature(net, x):
    t = net.patch(tokens(x))
    return t.gather(1, t[..., :1].argsort(1).expand_as(t))


def cut_by_unfold(net, x):
    cut = x.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
    return net.patch(cut.permute(0, 2, 3, 1, 4, 5).flatten(3)).transpose(1, 2)


WAYS = {
    "column by column": lambda net, x: net.patch(tokens(x.transpose(2, 3))),
    "backwards": lambda net, x: net.patch(tokens(x)).flip(1),
    "places before pictures": lambda net, x: net.patch(tokens(x)).transpose(0, 1),
    "shuffled": shuffled_with_class_token,
    "written": written_behind_class_token,
    "sorted": sorted_by_a_feature,
    "unfold, columns before rows": cut_by_unfold,
}


class Net(nn.Module):
    def __init__(self, way):
        super().__init__()
        torch.manual_seed(0)
        self.way = WAYS[way]
        self.patch, self.norm, self.dense = nn.Linear(48, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)
        self.token, self.head = nn.Parameter(torch.randn(1, 1, WIDTH)), nn.Linear(WIDTH, 3)

    def forward(self, x):
        t = self.dense(self.norm(self.way(self, x)))
        pictures_second = t.ndim == 3 and t.shape[1] == len(x) != t.shape[0]
        return self.head(t.mean(0) if pictures_second else t.flatten(1, -2).mean(1))


@pytest.mark.parametrize("way", WAYS)
def test_places_in_unusual_orders_are_put_where_they_are(way):
    # Each token is computed of its own patch alone, so the one patch that differs is the one cell that differs,
    # whatever order the network keeps its tokens in.
    image = torch.zeros(1, 3, ROWS * PATCH, COLUMNS * PATCH)
    image[:, :, PATCH : 2 * PATCH, 4 * PATCH : 5 * PATCH] = 3
    options = {"eigen-cam": {"rectify": False}}
    raw = pellucid.explain(Net(way).eval(), image, "eigen-cam", target=0, options=options)["eigen-cam"].raw[0]
    apart = (raw - raw.median()).abs()
    assert (apart > 1e-4 * apart.max()).nonzero().tolist() == [[1, 4]]
