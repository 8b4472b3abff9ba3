"""A new head behind a layer: the maps are the network's own, CAM becomes exact, and the file makes it again."""

import pytest
import torch
from test_study import squares
from torch import nn

import pellucid
from pellucid.errors import BadOption, BadSite, Refused
from pellucid.models.camified import Camified, maps_at
from pellucid.models.trained import save_trained
from pellucid.training.camify import camify
from pellucid.training.loop import Settings
from pellucid.training.study import study


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    made = study("lenet5", squares(), Settings(passes=8, batch=16, rate=5e-3, shift=0))
    path = tmp_path_factory.mktemp("camify") / "lenet5.safetensors"
    save_trained(made.trained.module, path, made.card)
    return path


def test_cam_is_refused_before_and_exact_after(trained, tmp_path):
    model = pellucid.load(trained)
    picture = torch.randn(1, 1, 32, 32)
    with pytest.raises(Refused, match="CAM needs global average pooling"):
        pellucid.explain(model, picture, "cam", layer="s4")
    made = camify(model, squares(), site="s4")
    path = tmp_path / "new.safetensors"
    save_trained(made.module, path, made.card)
    again = pellucid.load(path)
    found = pellucid.explain(again, picture, "cam", target=1, layer="trunk.s4")["cam"]
    with torch.no_grad():
        score = made.module(picture)[0, 1]
    torch.testing.assert_close(found.raw.mean() + made.module.linear.bias[1].detach(), score, atol=1e-5, rtol=1e-4)
    assert made.before is not None, "the classes are the network's own"
    assert made.counts == (48, 12)
    assert made.after > 0.6
    assert made.card.facts["accuracy"] == made.after


def test_the_network_is_left_alone(trained):
    model = pellucid.load(trained)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    camify(model, squares(), site="s4")
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    assert not any(part._forward_hooks for part in model.module.modules())


def test_maps_at_stops_behind_the_layer():
    class Trunk(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.never = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
            self.flat = nn.Flatten()

        def forward(self, x):
            self.flat(self.conv(x))
            raise AssertionError("run too far")

    trunk, pictures = Trunk(), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(maps_at(trunk, "conv", pictures), trunk.conv(pictures))
    with pytest.raises(BadSite, match=r"flat gives \[2, 144\]"):
        maps_at(trunk, "flat", pictures)
    with pytest.raises(BadSite, match="no layer 'head'"):
        Camified(trunk, "head", 4, 2)
    with pytest.raises(BadSite, match="never calls b"):
        maps_at(Skips(), "b", pictures)


class Skips(nn.Module):
    def __init__(self):
        super().__init__()
        self.b = nn.Identity()

    def forward(self, x):
        return x


def test_models_that_cannot_be_made_again_are_refused():
    model = pellucid.wrap(nn.Sequential(nn.Conv2d(1, 4, 3)), size=32, mean=(0.5,), std=(0.5,))
    with pytest.raises(BadOption, match="not loaded by a name"):
        camify(model, squares(), site="0")
