"""A failed search is not robustness: `fool` finds what there is to find, or says that it did not search."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
from pellucid.adversarial import fool, from_noise, smallest
from pellucid.adversarial.attack import odds
from pellucid.cli import main
from pellucid.errors import BadOption, BadOutput

GREY = torch.full((1, 3, 4, 4), 0.5)


class Linear(nn.Module):
    """Scores that are linear in the picture."""

    def __init__(self, weights, *, softmax=False):
        super().__init__()
        self.weights, self.softmax = nn.Parameter(weights), softmax

    def forward(self, x):
        scores = x.flatten(1) @ self.weights.T
        return scores.softmax(1) if self.softmax else scores


class Band(nn.Module):
    """Another answer only where the picture's mean is 0.51 to 0.56."""

    def __init__(self):
        super().__init__()
        self.c = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        t = x.mean((1, 2, 3)) - 0.5
        return self.c * torch.stack([0 * t, 1 - ((t - 0.035) / 0.025) ** 2], 1)


def weights(classes=2, seed=0):
    return torch.randn(classes, 48, generator=torch.Generator().manual_seed(seed))


def exact(w, x):
    """The smallest change of any value that takes a linear network to the other of two classes: gap over l1 norm."""
    gap = (x.flatten(1) @ (w[0] - w[1])).abs()
    return gap / (w[0] - w[1]).abs().sum()


@pytest.mark.parametrize("scale", [1e-6, 100, 1e20])
@pytest.mark.parametrize("attack", ["fgsm", "iterated"])
def test_b7a_a_sure_network_is_moved_by_its_margin_whatever_the_scale(scale, attack):
    found = smallest(pellucid.wrap(Linear(weights() * scale), size=4), GREY, attack=attack)
    assert found.flipped.all() and not found.vanished.any()
    torch.testing.assert_close(found.eps, exact(weights(), GREY), rtol=1e-3, atol=0)


def test_b7a_the_step_is_that_of_the_cross_entropy():
    """Property: the log-odds have the direction of the cross-entropy's gradient, taken by autograd, for any classes."""
    generator = torch.Generator().manual_seed(1)
    for classes in (2, 3, 10):
        scores = torch.randn(5, classes, generator=generator, dtype=torch.float64).requires_grad_()
        labels = torch.arange(5) % classes
        (wanted,) = torch.autograd.grad(torch.nn.functional.cross_entropy(scores, labels, reduction="sum"), scores)
        (found,) = torch.autograd.grad(-odds(scores, labels, certain=False).sum(), scores)
        torch.testing.assert_close(
            nn.functional.normalize(found), nn.functional.normalize(wanted), rtol=1e-12, atol=1e-15
        )
        (same,) = torch.autograd.grad(-odds(scores.softmax(1), labels, certain=True).sum(), scores)
        torch.testing.assert_close(same, found, rtol=1e-9, atol=1e-12)


def test_b7b_an_answer_that_comes_and_goes_is_found():
    model = pellucid.wrap(Band(), size=4)
    assert not fool(model, GREY, eps=0.1, attack="fgsm").flipped.any()  # one step goes beyond the band
    for attack in ("fgsm", "iterated"):
        found = smallest(model, GREY, attack=attack)
        assert found.flipped.all() and found.eps.item() == pytest.approx(0.01, rel=1e-3)
    assert fool(model, GREY, eps=0.1, attack="iterated").flipped.all()  # its second of ten steps of 0.015 is inside


def test_b7c_pictures_outside_of_their_range_are_refused():
    model = pellucid.wrap(Linear(weights()), size=4)
    for bad in (GREY * 255, GREY - 1, GREY * math.nan, (GREY * 255).byte(), GREY[0]):
        with pytest.raises(BadOption, match=r"Expected (float )?pictures"):
            fool(model, bad)
        with pytest.raises(BadOption, match=r"Expected (float )?pictures"):
            smallest(model, bad)


def test_b7d_softmax_is_not_applied_twice():
    plain, soft = (pellucid.wrap(Linear(weights(3), softmax=s), size=4) for s in (False, True))
    for options in ({}, {"target": 1}, {"attack": "iterated", "norm": "l2"}):
        torch.testing.assert_close(fool(soft, GREY, **options).after, fool(plain, GREY, **options).after)
    sure = from_noise(soft, 2, sure=0.9).scores_after
    assert sure[0, 2] >= 0.9
    torch.testing.assert_close(smallest(soft, GREY).eps, smallest(plain, GREY).eps, rtol=1e-3, atol=0)


def test_a_gradient_that_vanished_is_said():
    """A softmax inside the network of scores 1e4 apart is flat in float32; so is a dead rectifier, and a step."""
    dead = nn.Sequential(nn.Flatten(), nn.Linear(48, 2), nn.ReLU())
    dead[1].weight.data.fill_(-1.0)
    dead[1].bias.data = torch.tensor([-1.0, -2.0])
    for net in (dead, Linear(weights() * 1e4, softmax=True)):
        found = smallest(pellucid.wrap(net, size=4), GREY)
        assert found.vanished.all() and not found.flipped.any()
    assert not fool(pellucid.wrap(Band(), size=4), GREY).vanished.any()


def test_smallest_with_the_present_answer_as_target_is_nothing():
    model = pellucid.wrap(Linear(weights(3)), size=4)
    now = int((GREY.flatten(1) @ weights(3).T).argmax())
    found = smallest(model, GREY, target=now)
    assert found.distance.item() == found.eps.item() == 0 and torch.equal(found.after, GREY)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", ["fgsm", "iterated", "pgd"])
def test_no_search_depends_on_what_is_beside_a_picture(attack, norm):
    model = pellucid.wrap(nn.Sequential(nn.Flatten(), Linear(weights(3)), nn.Tanh()), size=4)
    pictures = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    together = fool(model, pictures, attack=attack, norm=norm, eps=0.05, seed=7)
    for k in range(5):
        alone = fool(model, pictures[k : k + 1], attack=attack, norm=norm, eps=0.05, seed=7)
        torch.testing.assert_close(together.after[k], alone.after[0], rtol=0, atol=1e-6)
    every = smallest(model, pictures, attack=attack, norm=norm, seed=7)
    some = smallest(model, pictures[3:], attack=attack, norm=norm, seed=7)
    torch.testing.assert_close(every.eps[3:], some.eps, rtol=1e-3, atol=0)


def test_what_smallest_returns_changes_the_answer_of_random_networks():
    """Property: run through the plain network, the pictures have another answer, within the distance that is named."""
    for seed in range(4):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(48, 12), nn.ReLU(), nn.Linear(12, 4))
        pictures = torch.rand(3, 3, 4, 4)
        found = smallest(pellucid.wrap(net, size=4), pictures)
        with torch.no_grad():
            changed = net(found.after).argmax(1) != net(pictures).argmax(1)
        assert changed.any() and torch.equal(changed, found.flipped)
        assert ((found.after - pictures).flatten(1).abs().amax(1) <= found.eps + 1e-6).all()
        assert torch.equal(found.eps == 0.25, ~changed)


def test_what_has_no_other_answer_is_refused():
    with pytest.raises(BadOutput, match="single score"):
        fool(pellucid.wrap(Linear(weights(1)), size=4), GREY)
    with pytest.raises(BadOutput, match="not finite"):
        fool(pellucid.wrap(Linear(weights() * math.inf), size=4), GREY)
    model = pellucid.wrap(Linear(weights()), size=4)
    for labels in (torch.tensor([2]), torch.tensor([0, 1]), torch.tensor([0.5])):
        with pytest.raises(BadOption, match="labels from 0 to 1"):
            fool(model, GREY, labels=labels)
    for eps in (torch.ones(3), math.nan, -1.0):
        with pytest.raises(BadOption, match="distance of 0 or more"):
            fool(model, GREY, eps=eps)


NETS = """
import torch
from test_fooling_cases import Linear, weights
import pellucid
def plain(): return pellucid.wrap(Linear(weights()), size=4, resize=6)
def flat(): return pellucid.wrap(Linear(weights() * 1e4, softmax=True), size=4)
"""


def test_the_picture_that_is_saved_still_fools_when_read_back(tmp_path, monkeypatch, capsys):
    """8 x 12 pixels, resized to 6 x 9 and cropped to 4 x 4: the file holds all of it, read with the same flags."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    Path("nets.py").write_text(NETS)
    pixels = np.random.default_rng(0).integers(60, 190, (8, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("a.png")
    how = ["--model", "nets.py:plain", "--method", "saliency", "--json"]
    assert main(["fool", "a.png", "--smallest", "--save", "b.png", *how]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["changed"] and said["saved"]["fools"]
    with Image.open("b.png") as file:
        assert file.size == (9, 6)
    model = pellucid.load("nets.py:plain")
    before, after = (pellucid.explain(model, name, []).predictions[0][0].index for name in ("a.png", "b.png"))
    assert (before, after) == (said["before"]["class"], said["after"]["class"]) and before != after
    assert main(["fool", "a.png", "--eps", "1e-5", "--save", "c.png", *how]) == 4, "a script must not take it for one"
    captured = capsys.readouterr()
    assert "No picture that fools as asked was found: c.png" in captured.err
    said = json.loads(captured.out)
    assert said["exit_code"] == 4
    assert not said["changed"] and any("failed is no proof" in note for note in said["notes"])
    assert main(["fool", "a.png", "--model", "nets.py:flat", "--method", "saliency"]) == 0
    assert "gradient vanished" in capsys.readouterr().out
