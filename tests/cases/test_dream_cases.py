"""Dreams: the moves of lucent and keras-vis, what may be started from, and what is said of networks of one size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
from pellucid.compat.keras_vis import visualize_activation
from pellucid.compat.lucent import transform
from pellucid.errors import BadOption


class Quarters(nn.Module):
    """Four classes, each the brightness of its quarter less that of the others; 0.6 more for the first one."""

    def __init__(self):
        super().__init__()
        self.seen = nn.Linear(4, 4)
        with torch.no_grad():
            self.seen.weight.copy_(4 / 3 * torch.eye(4) - 1 / 3)
            self.seen.bias.copy_(torch.tensor([0.6, 0, 0, 0]))

    def forward(self, x):
        return self.seen(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


class Given:
    """What the network was given last."""

    def callback(self, i, named_losses, overall_loss, grads, wrt_value):
        self.value = wrt_value

    def on_end(self):
        pass


@pytest.mark.parametrize(
    ("ends", "normalised"), [((0.0, 1.0), False), ((-1.0, 1.0), False), ((0.0, 1.0), True), ((0.0, 255.0), True)]
)
def test_w1_keras_vis_brings_every_class_about(ends, normalised):
    # For a network that weighs quarters the answer is known: the class's own quarter is the brightest, and what was
    # optimised is answered with the class, whose score has grown. In units of 0 to 255, whatever the range, the
    # variation weighs 255^2 times as much and the activation's slope 1 / 255, and nothing of it was left.
    size, net = 16, Quarters()
    given = {"mean": (0.5,), "std": (0.25,)} if normalised else {"mean": (0.0,), "std": (1.0,)}
    model = pellucid.wrap(net, size=size, resize=None, **given)
    if not normalised:
        model = replace(model, preprocess=None)
    noise = np.random.default_rng(0).random((size, size, 1))
    start = (noise - noise.mean()) / noise.std() * 0.05 * (ends[1] - ends[0]) + (ends[0] + ends[1]) / 2
    for k in range(4):
        last = Given()
        picture = visualize_activation(model, -1, k, seed_input=start, input_range=ends, max_iter=60, callbacks=[last])
        means = picture[..., 0].reshape(2, size // 2, 2, size // 2).mean((1, 3)).flatten()
        assert means.argmax() == k
        scores = net(torch.from_numpy(np.moveaxis(last.value, -1, 1)).float())[0]
        assert int(scores.argmax()) == k
        assert picture.min() >= ends[0]
        assert picture.max() <= ends[1]


def test_w1_steps_and_noise_are_in_the_network_s_own_units():
    # RMSProp without a rate: the first step of every value is g / sqrt(0.05 g^2) = 4.47 of the network's own units.
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False))
    with torch.no_grad():
        net[1].weight.fill_(1.0)
    for ends in ((0.0, 1.0), (0.0, 255.0)):
        model, seen = pellucid.wrap(net, size=8, resize=None, mean=(0.0,), std=(1.0,)), []
        listener = type("L", (Given,), {"callback": lambda self, *given: seen.append(given[-1].copy())})()  # noqa: B023
        visualize_activation(model, -1, 0, input_range=ends, max_iter=2, lp_norm_weight=0, tv_weight=0,
                             callbacks=[listener])  # fmt: skip
        np.testing.assert_allclose(seen[1] - seen[0], np.sqrt(20), rtol=1e-4)
        # The noise is a picture's: the middle of the range and a twentieth of its width, 0.5 and 0.05 once normalised.
        assert seen[0].mean() == pytest.approx(0.5, abs=1e-4)
        assert seen[0].std() == pytest.approx(0.05, rel=0.01)


@pytest.mark.parametrize("state", range(50))
def test_p4_lucent_s_moves_work_on_small_pictures_for_every_state(state):
    # Moved pictures of one colour have that colour: nothing comes in from outside but their mirror image.
    torch.manual_seed(state)
    moves = (transform.jitter(2), transform.random_scale([0.9, 1.1]), transform.random_rotate([-10, 10]))
    for move in moves:
        torch.testing.assert_close(move(torch.ones(1, 3, 4, 4)), torch.ones(1, 3, 4, 4))


def test_p4_pad_is_a_rim_and_before_moves_left_out():
    pictures = torch.arange(9.0).view(1, 1, 3, 3)
    grey = transform.pad(2, mode="constant", constant_value=0.5)(pictures)
    assert grey.shape == (1, 1, 7, 7)
    assert torch.equal(grey[:, :, 2:5, 2:5], pictures)
    assert float(grey.sum()) == 36 + 0.5 * (49 - 9)
    mirrored = transform.pad(1)(pictures)
    assert mirrored[0, 0, 0].tolist() == [4, 3, 4, 5, 4]  # the row behind the first: 3, 4, 5
    with pytest.raises(BadOption, match="needs pictures of 4 at least"):
        transform.pad(3)(pictures)
    with pytest.raises(BadOption, match="reflect or constant"):
        transform.pad(1, mode="edge")
    assert len(transform.Chain([transform.pad(4), transform.jitter(4)]).parts) == 1
    alone = transform.Chain([transform.pad(2, mode="constant")])
    assert alone.apply(pictures, 0, 1, 0, [0]).shape == (1, 1, 7, 7)


def tiny():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def test_a_module_is_dreamed_of_as_its_wrapped_self():
    # Pictures of a bare module are RGB from 0 to 1: those of the same module wrapped with no more than its size.
    made = pellucid.dream(tiny(), "logit(1)", size=16, steps=2)
    wrapped = pellucid.dream(pellucid.wrap(tiny(), size=16, resize=None), "logit(1)", steps=2)
    assert torch.equal(made.pictures, wrapped.pictures)
    with pytest.raises(BadOption, match="no preprocessing"):
        pellucid.dream(tiny(), "logit(1)", steps=2)


@pytest.mark.parametrize("kind", [np.asarray, lambda image: image, lambda image: image.convert("L")])
def test_photographs_to_start_from_are_pictures_of_any_kind(kind, tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 24, 3), dtype=np.uint8))
    model, given = pellucid.wrap(tiny(), size=16), kind(image)
    whole = given if isinstance(given, Image.Image) else Image.fromarray(given)
    whole.save(tmp_path / "start.png")
    call = {"objective": "logit(1)", "steps": 0, "image": "pixels"}
    made = pellucid.dream(model, start=given, **call)
    assert torch.equal(made.pictures, pellucid.dream(model, start=str(tmp_path / "start.png"), **call).pictures)
    call = {"recipe": "deep-dream", "layer": "0", "steps": 1, "octaves": 1}
    made = pellucid.dream(model, start=given, **call)
    assert torch.equal(made.pictures, pellucid.dream(model, start=str(tmp_path / "start.png"), **call).pictures)


def test_what_cannot_be_started_from_is_said():
    model = pellucid.wrap(tiny(), size=16)
    for start in (torch.zeros(1, 3, 20, 20), torch.zeros(1, 1, 16, 16), torch.zeros(16, 16)):
        with pytest.raises(BadOption, match="the shape that is drawn, 3 x 16 x 16"):
            pellucid.dream(model, "logit(1)", steps=1, start=start)
    with pytest.raises(BadOption, match="path or sample:NAME"):
        pellucid.dream(model, recipe="caricature", layers=["0"], start=Image.new("RGB", (16, 16)), steps=1)


class OfOneSize(nn.Module):
    """Refuses other sizes as vision transformers do."""

    def __init__(self):
        super().__init__()
        self.cells, self.head = nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 3)

    def forward(self, x):
        assert x.shape[2] == 16, "Wrong image height!"
        return self.head(self.cells(x).mean((2, 3)))


def test_b9_a_network_of_one_size_says_which():
    model = pellucid.wrap(OfOneSize(), size=16, resize=None)
    assert pellucid.dream(model, "logit(1)", steps=1).pictures.shape == (1, 3, 16, 16)
    with pytest.raises(
        BadOption, match=r"no pictures of 32 x 32 pixels: .*Wrong image height.*Its own size is 16 x 16"
    ):
        pellucid.dream(model, "logit(1)", steps=1, size=32)


def test_dead_units_and_weights_that_are_no_numbers_are_said():
    net = tiny()
    model = pellucid.wrap(net, size=16, resize=None)
    assert not any("Picture" in note for note in pellucid.dream(model, "logit(1)", steps=3).notes)
    with torch.no_grad():
        net[0].bias[2] = -1e3  # this unit is never on, the others are
    notes = pellucid.dream(model, 'channel("1", (0, 2))', count=2, steps=3).notes
    assert any(note.startswith("Picture 1: no change of the picture changed the objective") for note in notes)
    with torch.no_grad():
        net[4].weight[1].fill_(float("nan"))
    assert any("not a finite number" in note for note in pellucid.dream(model, "logit(1)", steps=3).notes)
