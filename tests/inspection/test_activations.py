"""Activations: the very numbers of the network, ordered, counted and drawn on one scale."""

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
import tiny
from pellucid.errors import BadOption, BadSite
from pellucid.inspection.activations import scales, sheet, strip


def seen(net, image=None, **given):
    return pellucid.inspect(net, tiny.images(2) if image is None else image, **given).activations


def test_the_maps_are_the_networks_own():
    net, image = tiny.build(tiny.Pooled), tiny.images(2)
    found = seen(net, image, layers=["features.0", "features"])
    with torch.no_grad():
        assert torch.allclose(found[0].maps, net.features[0](image[:1])[0])
        assert torch.allclose(found[1].maps, net.features(image[:1])[0])
    strength = found[1].maps.abs().mean((1, 2))[list(found[1].order)]
    assert bool((strength.diff() <= 0).all())
    assert torch.equal(found[0].mean, found[0].maps.abs().mean(0))


def test_tokens_and_channels_last():
    assert seen(tiny.build(tiny.Tokens), layers=["blocks.0"])[0].maps.shape == (8, 4, 4)
    assert seen(tiny.build(tiny.ChannelsLast), layers=["norm"])[0].maps.shape == (12, 4, 4)


class Ends(nn.Module):
    """Unit 0 is silent, unit 1 is at the upper end in most places, unit 2 lives."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x):
        return self.act(torch.cat([x[:, :1] * 0 - 1, x[:, :1].abs() * 100 + 50, x[:, :1]], 1)).mean((2, 3))


@pytest.mark.parametrize(
    ("act", "silent", "saturated"),
    [
        (nn.ReLU(), (0,), ()),
        (nn.ReLU6(), (0, 1), (1,)),
        (nn.Sigmoid(), (0, 1), (1,)),
        (nn.Tanh(), (0, 1), (1,)),
        (nn.Hardtanh(-1, 2), (0, 1), (0, 1)),
        (nn.Identity(), (0,), ()),
    ],
)
def test_silent_and_saturated_units(act, silent, saturated):
    (found,) = seen(Ends(act), tiny.images(1, torch.float32), layers=["act"])
    assert found.silent == silent
    assert found.saturated == saturated


def test_outermost_layers_are_chosen():
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()),
        nn.Sequential(*[nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(8)]),
        nn.Sequential(nn.Conv2d(4, 6, 1), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    found = [str(layer.site) for layer in seen(net, tiny.images(1, torch.float32))]
    assert found == ["0", *[f"1.{k}" for k in range(8)], "2"]


def test_scales():
    net = tiny.build(tiny.Plain)
    found = seen(net, layers=["conv1", "act1"])
    unit, layer, common = (scales(found, name) for name in ("unit", "layer", "global"))
    assert len({s.high for s in unit[0]}) > 1
    assert len({(s.high, s.signed) for s in layer[0]}) == 1
    assert layer[0][0].signed
    assert not layer[1][0].signed
    assert len({(s.high, s.signed) for row in common for s in row}) == 1
    with pytest.raises(BadOption, match="per 'unit', per 'layer' or 'global', got 'own'"):
        scales(found, "own")


def test_pictures():
    found = seen(tiny.build(tiny.Pooled))
    drawn = scales(found, "unit")
    assert np.asarray(sheet(found[0], drawn[0])).shape[2] == 3
    assert strip(found).size[0] > strip(found[:1]).size[0]
    with pytest.raises(BadSite):
        strip(())


def test_only_for_pictures_and_on_wish():
    net = tiny.build(tiny.Plain)
    assert pellucid.inspect(net, size=16).activations == ()
    assert pellucid.inspect(nn.Conv1d(1, 2, 3), torch.zeros(1, 1, 9)).activations == ()
    with pytest.raises(BadSite, match="no spatial grid"):
        seen(net, layers=["fc"])
