"""Fooling: closed forms on linear networks, distances kept, nothing left behind."""

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
from pellucid.adversarial import ATTACKS, fool, from_noise, smallest
from pellucid.errors import BadOption, UnknownName
from pellucid.training import Settings, read_examples
from pellucid.training.study import study

PICTURES = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.6 + 0.2
STD = 0.25


def linear(classes=2):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 36, classes)).double()
    return pellucid.wrap(net, size=6, mean=(0.5,) * 3, std=(STD,) * 3)


def margins(scores, labels):
    other = scores.scatter(1, labels[:, None], -torch.inf).amax(1)
    return scores.gather(1, labels[:, None])[:, 0] - other


def test_logistic_regression_loses_exactly_eps_times_the_l1_norm():
    model = linear()
    weight = model.module[1].weight.detach()
    labels = torch.tensor([0, 1, 0, 1])
    made = fool(model, PICTURES, eps=0.01, labels=labels, clip=False)
    drop = margins(made.scores_before, labels) - margins(made.scores_after, labels)
    expected = 0.01 * (weight[0] - weight[1]).abs().sum() / STD
    torch.testing.assert_close(drop, expected.expand(4), rtol=1e-5, atol=0)


def test_in_l2_it_loses_eps_times_the_l2_norm():
    model = linear()
    weight = model.module[1].weight.detach()
    labels = torch.tensor([0, 0, 1, 1])
    made = fool(model, PICTURES, eps=0.05, norm="l2", labels=labels, clip=False)
    drop = margins(made.scores_before, labels) - margins(made.scores_after, labels)
    torch.testing.assert_close(drop, (0.05 * (weight[0] - weight[1]).norm() / STD).expand(4), rtol=1e-5, atol=0)


def test_smallest_change_of_a_linear_network_is_margin_over_norm():
    model = linear()
    weight = model.module[1].weight.detach()
    found = smallest(model, PICTURES, attack="fgsm", most=1.0)
    gap = margins(found.scores_before, found.scores_before.argmax(1))
    exact = gap * STD / (weight[0] - weight[1]).abs().sum()
    torch.testing.assert_close(found.eps.double(), exact, rtol=0, atol=2 / 2**12)
    assert found.flipped.all()


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_distance_range_and_seed(attack, norm):
    model = linear(3)
    eps = torch.tensor([0.0, 0.02, 0.1, 0.4], dtype=torch.float64)
    made = fool(model, PICTURES, attack=attack, norm=norm, eps=eps, seed=3)
    assert (made.distance <= eps * (1 + 1e-6)).all()
    assert torch.equal(made.after[0], PICTURES[0])
    assert 0 <= made.after.min() <= made.after.max() <= 1
    assert torch.equal(made.after, fool(model, PICTURES, attack=attack, norm=norm, eps=eps, seed=3).after)


def test_a_target_is_reached():
    made = fool(linear(3), PICTURES, attack="pgd", eps=0.2, target=2, steps=20)
    assert (made.scores_after.argmax(1) == 2).all()


def test_no_trace():
    model = linear()
    net = model.module.train()
    before = [p.detach().clone() for p in net.parameters()]
    fool(model, PICTURES)
    assert net.training
    assert all(p.grad is None and torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))


def test_misuse():
    for options, error, words in (
        ({"attack": "cw"}, UnknownName, "Attacks:"),
        ({"norm": "l1"}, UnknownName, "Norms:"),
        ({"eps": -1.0}, BadOption, "distance of 0 or more"),
        ({"target": 7}, BadOption, "class from 0 to 1"),
    ):
        with pytest.raises(error, match=words):
            fool(linear(), PICTURES, **options)


def test_smallest_change_in_l2_reaches_as_far_as_in_linf():
    model = linear()
    weight = model.module[1].weight.detach()
    found = smallest(model, PICTURES, attack="fgsm", norm="l2")
    gap = margins(found.scores_before, found.scores_before.argmax(1))
    exact = gap * STD / (weight[0] - weight[1]).norm()
    torch.testing.assert_close(found.eps.double(), exact, rtol=0, atol=0.25 * 108**0.5 / 2**17)
    assert found.flipped.all()


def test_noise_is_taken_for_a_class_one_level_of_brightness_at_a_time():
    model = linear(3)
    model.module.float()
    made = from_noise(model, 2, count=3, sure=0.9, seed=4)
    sure = made.scores_after.softmax(1)[:, 2]
    assert (sure >= 0.9).all()
    assert (made.distance <= 1).all()
    torch.testing.assert_close((made.eps * 255).round(), made.eps * 255, atol=1e-3, rtol=0)
    alone = from_noise(model, 2, count=1, sure=0.9, seed=4)
    assert torch.equal(made.after[:1], alone.after), "a picture stops when it is sure, whatever the others do"
    assert 0 <= made.before.min() < 0.1 < 0.9 < made.before.max() <= 1
    first = from_noise(model, 2, count=1, sure=1e-6)
    assert torch.equal(first.before, first.after), "sure already"
    few = from_noise(model, 2, sure=1.0, steps=2)
    assert few.eps.item() == pytest.approx(2 / 255, rel=1e-4)


def test_noise_misuse():
    for options, words in (
        ({"target": 3}, "class from 0 to 2"),
        ({"count": 0}, "at least one picture"),
        ({"sure": 1.5}, "up to 1"),
        ({"steps": 0}, "one step"),
    ):
        with pytest.raises(BadOption, match=words):
            from_noise(linear(3), **{"target": 1, **options})


@pytest.mark.long
def test_digits_fall_to_fgsm_and_not_to_noise():
    made = study("lenet5", read_examples("digits"), Settings(passes=6, patience=6))
    model = pellucid.wrap(made.trained.module, preprocess=made.card.preprocess)
    mean, std = made.card.preprocess.mean[0], made.card.preprocess.std[0]
    pictures, labels = (made.inputs * std + mean).clamp(0, 1), made.test.labels
    found = fool(model, pictures, eps=0.1, labels=labels)
    noise = torch.from_numpy(np.random.default_rng(0).choice([-0.1, 0.1], pictures.shape)).float()
    with torch.no_grad():
        noisy = made.trained.module(((pictures + noise).clamp(0, 1) - mean) / std)
    fgsm = float((found.scores_after.argmax(1) == labels).float().mean())
    random = float((noisy.argmax(1) == labels).float().mean())
    assert random >= 0.93
    assert fgsm <= 0.5
