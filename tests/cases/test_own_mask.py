"""A self-explaining network is asked for the mask that it draws itself; others say that they draw none."""

import copy

import pytest
import torch
from torch import nn

import pellucid
from pellucid.cli import main
from pellucid.contracts import Preprocess
from pellucid.errors import Refused
from pellucid.models.card import ModelCard
from pellucid.models.trained import save_trained
from pellucid.registry import DEFAULT_METHODS
from pellucid.zoo.architectures import build
from pellucid.zoo.self_explaining import SelfExplaining


class Sums(nn.Module):
    """Two scores: the sum of the left half and of the right half."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, x):
        return self.weight * torch.stack([x[..., :4].sum((1, 2, 3)), x[..., 4:].sum((1, 2, 3))], 1)


class Brightness(SelfExplaining):
    """Its explaining network is the picture itself, so that the mask is the sigmoid of each pixel."""

    def __init__(self):
        super().__init__(Sums(), channels=1, width=1)
        self.explainer = nn.Conv2d(1, 1, 1, bias=False).double()
        self.explainer.weight = nn.Parameter(torch.ones(1, 1, 1, 1, dtype=torch.float64))


PICTURES = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MASKS = 1 / (1 + (-PICTURES[:, 0]).exp())  # the logistic function, written out


def values(net, pictures=PICTURES, **more):
    return pellucid.explain(net, pictures, "own-mask", **more)["own-mask"].values


def test_w4_a_self_explaining_network_is_asked_for_its_explanation():
    found = pellucid.explain(Brightness().eval(), PICTURES)
    assert [a.method.id for a in found][-1] == "own-mask"
    torch.testing.assert_close(found["own-mask"].values, MASKS, rtol=1e-14, atol=0)
    assert found["own-mask"].site is None
    torch.testing.assert_close(values(Brightness(), target=1, chunk=2), MASKS, rtol=1e-14, atol=0)


def test_w4_on_the_command_line(tmp_path, capsys):
    options = {"main": "lenet5", "options": {}, "channels": 1}
    module = build("self-explaining", options, seed=0)
    path = tmp_path / "pair.safetensors"
    grey = Preprocess((32, 32), None, "bilinear", (0.5,), (0.5,))
    save_trained(module, path, ModelCard("self-explaining", options, preprocess=grey))
    where = ["--model", str(path), "--out", str(tmp_path / "out")]
    assert main(["explain", "sample:cat", *where]) == 0
    assert "own-mask" in capsys.readouterr().out
    assert main(["explain", "sample:cat", "-m", "own-mask", *where]) == 0


def test_networks_without_a_mask_say_so():
    class Named(Sums):
        def mask(self, pictures):
            """Something else of the same name."""
            return pictures[:, 0]

    for net in (Sums(), Named(), pellucid.wrap(Brightness(), call=lambda module, x: module(2 * x))):
        found = pellucid.explain(net, PICTURES)
        assert "own-mask" not in {*found.refused, *(a.method.id for a in found)}
        with pytest.raises(Refused, match="own-mask cannot read this network: it draws no mask of its own"):
            values(net)
    assert "own-mask" not in DEFAULT_METHODS


def test_what_is_no_mask_of_the_picture_is_refused():
    class Coarse(Brightness):
        def mask(self, pictures):
            return super().mask(pictures)[:, ::2, ::2]

    with pytest.raises(Refused, match=r"Expected a mask \[3, 8, 8\] of Coarse's own, got \[3, 4, 4\]"):
        values(Coarse())
    assert "own-mask" in pellucid.explain(Coarse(), PICTURES).refused


def test_weights_in_question_are_the_mask_s_too():
    # with its one weight doubled the mask is the logistic function of twice the pixel
    from pellucid.capture.running import substituted

    net = Brightness()
    before = copy.deepcopy(net.state_dict())
    other, substitution = substituted(pellucid.wrap(net))
    substitution.tensors = {"explainer.weight": 2 * net.explainer.weight.detach()}
    torch.testing.assert_close(values(other), 1 / (1 + (-2 * PICTURES[:, 0]).exp()), rtol=1e-14, atol=0)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
