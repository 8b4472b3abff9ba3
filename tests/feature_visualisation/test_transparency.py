"""Pictures with alpha: laid over noise that changes, opaque only where it helps, and opaque no more than it pays."""

import json
import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import torch
from dreaming_nets import small
from PIL import Image
from torch import nn

import pellucid
from pellucid.cli import main
from pellucid.errors import BadOption
from pellucid.feature_visualisation import parse
from pellucid.feature_visualisation.drawing import as_sheet
from pellucid.feature_visualisation.saving import save_dream
from pellucid.feature_visualisation.transforms import NONE, find_transform
from pellucid.feature_visualisation.transparency import LaidOver, laid_over, over_grey

QUICK = {"alpha": True, "transform": "none", "steps": 4}


class Middle(nn.Module):
    """How red the middle is; the rest of the picture does not matter."""

    def forward(self, x):
        return x[:, :1, 6:10, 6:10].mean((2, 3))


def middle():
    return pellucid.wrap(Middle(), size=16, resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)


def test_laid_over_by_hand():
    colours, opacity = torch.tensor([0.2, 0.4, 0.6]), torch.tensor([0.25])
    pictures = torch.cat([colours, opacity]).view(1, 4, 1, 1).expand(2, 4, 3, 3)
    seen = laid_over(1.0, pictures)
    torch.testing.assert_close(seen[1, :, 2, 0], torch.tensor([0.8, 0.85, 0.9]))
    flat, alpha = over_grey(pictures, 3)
    torch.testing.assert_close(flat[0, :, 0, 0], 0.25 * colours + 0.75 * 0.5)
    assert alpha.shape == (2, 3, 3)
    assert over_grey(flat, 3) == (flat, None)


def test_what_lies_below_is_new_in_each_step_and_for_each_picture():
    clear, solid = torch.rand(2, 4, 16, 16), torch.rand(2, 4, 16, 16)
    clear[:, 3], solid[:, 3] = 0, 1
    laid = LaidOver(NONE)

    def seen(pictures=clear, step=0, seed=0, numbers=(0, 1)):
        return laid.apply(pictures, step, 9, seed, numbers)

    below = seen()
    assert torch.equal(seen(solid), solid[:, :3])
    assert torch.equal(below, seen())
    assert torch.equal(below[1:], seen(clear[1:], numbers=(1,))), "by its own number, whatever else is in the batch"
    others = (seen(step=1), seen(seed=1), below.flip(0))
    assert all((below - other).abs().mean() > 0.1 for other in others)
    assert 0.05 < below.std() < 0.4 and abs(below.mean() - 0.5) < 0.25
    moved = LaidOver(find_transform("maco")).apply(clear, 0, 9, 0, (0, 1))
    assert moved.shape == (8, 3, 16, 16)


def test_only_what_helps_is_opaque():
    made = pellucid.dream(middle(), "logit(0)", image="pixels", alpha=True, transform="none", steps=200)
    assert made.pictures.shape == (1, 3, 16, 16) and made.alpha.shape == (1, 16, 16)
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[6:10, 6:10] = True
    assert made.alpha[0][inside].mean() > 0.9
    assert made.alpha[0][~inside].mean() < 0.2
    assert made.pictures[0, 0][inside].mean() > 0.9
    score = made.judged[:, 0, 6:10, 6:10].mean((1, 2))
    opacity, rough = made.terms["alpha()"], made.terms["blur_alpha()"]
    torch.testing.assert_close(opacity, made.alpha.mean((1, 2)))
    torch.testing.assert_close(made.final, score * (1 - opacity) - 0.1 * rough)
    assert made.objective == "logit(0) * (1 - alpha()) - 0.1 * blur_alpha()"
    assert "over plain grey" in made.notes[0]


def test_what_opacity_costs_can_be_said():
    costs = (0.0, 5.0)
    free, dear = (pellucid.dream(middle(), f"logit(0) - {c} * alpha()", **{**QUICK, "steps": 40}) for c in costs)
    assert dear.objective == "logit(0) - 5 * alpha()"
    assert dear.alpha.mean() < free.alpha.mean() - 0.1
    below = pellucid.dream(middle(), "logit(0) - 9", **QUICK)
    assert "rewards opacity" in below.notes[1]
    for fine in ("logit(0)", "logit(0) - 9 - 5 * alpha()"):
        assert not any("rewards" in note for note in pellucid.dream(middle(), fine, **QUICK).notes)


def test_penalties_are_of_the_picture_over_grey():
    made = pellucid.dream(small(), "tv() + 0 * alpha()", **QUICK)
    flat = made.judged
    rough = flat.diff(dim=2).abs().sum((1, 2, 3)) + flat.diff(dim=3).abs().sum((1, 2, 3))
    torch.testing.assert_close(made.terms["tv()"], rough)


@pytest.mark.parametrize("image", ["fourier", "laplacian", "pattern", "pixels"])
def test_a_batch_comes_out_as_each_picture_alone(image):
    options = {**QUICK, "image": image, "transform": "lucid"}
    whole = pellucid.dream(small(), 'channel("conv2", (0, 3, 5))', count=3, **options)
    parts = pellucid.dream(small(), 'channel("conv2", (0, 3, 5))', count=3, chunk=1, **options)
    torch.testing.assert_close(whole.pictures, parts.pictures, atol=5e-4, rtol=0)
    torch.testing.assert_close(whole.alpha, parts.alpha, atol=5e-4, rtol=0)
    assert not torch.allclose(whole.alpha[0], whole.alpha[1], atol=1e-3)


def test_an_interrupted_one_goes_on_to_the_same(tmp_path):
    def stop(_label, done, _all):
        if done == 3:
            raise KeyboardInterrupt

    call = {"objective": "logit(1)", "alpha": True, "shared": True, "count": 2, "steps": 7, "snapshot": 2}
    whole = pellucid.dream(small(), **call)
    assert pellucid.dream(small(), keep=tmp_path, progress=stop, **call).stopped
    made = pellucid.dream(small(), keep=tmp_path, **call)
    assert any("Taken up" in note for note in made.notes)
    assert torch.equal(made.pictures, whole.pictures) and torch.equal(made.alpha, whole.alpha)
    assert [pictures.shape[1] for _, pictures in made.snapshots] == [4, 4, 4]


def test_pictures_on_disk_have_alpha(tmp_path):
    made = pellucid.dream(small(), "logit((1, 2))", count=2, snapshot=2, **QUICK)
    sheet = as_sheet(made)
    assert sheet.mode == "RGBA"
    assert sheet.getpixel((0, 0))[3] == 255, "the paper is opaque"
    one = pellucid.dream(small(), "logit(1)", snapshot=2, **QUICK)
    files = save_dream(one, tmp_path / "bee.png")
    assert tmp_path / "bee.gif" in files
    with Image.open(tmp_path / "bee.png") as image:
        assert image.mode == "RGBA"
        found = np.asarray(image)[::6, ::6, 3]  # every pixel as a square
    np.testing.assert_allclose(found, (one.alpha[0] * 255).round().numpy())
    assert json.loads((tmp_path / "bee.json").read_text())["recipe"]["alpha"] is True
    page = (tmp_path / "bee.html").read_text()
    shown = re.search(r'<img class="[^"]*checkered"[^>]* src="data:image/png;base64,([^"]+)"', page)
    with Image.open(BytesIO(b64decode(shown[1]))) as image:
        assert image.mode == "RGBA"


def test_composed_recipes_keep_alpha():
    made = pellucid.dream(small(), recipe="kernels", layer="conv2", units=(7, 2), **QUICK)
    assert made.pictures.shape == (2, 3, 5, 5) and made.alpha.shape == (2, 5, 5)
    both = pellucid.dream(small(), recipe="caricature", layer=("conv1", "conv2"), start="sample:cat", **QUICK)
    assert both.alpha.shape == (2, 16, 16)


def test_grey_networks_too():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    made = pellucid.dream(pellucid.wrap(net, size=12, mean=(0.5,), std=(0.5,)), "logit(1)", **QUICK)
    assert made.pictures.shape == (1, 1, 12, 12) and made.alpha.shape == (1, 12, 12)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"objective": "logit(1)", "image": "maco"}, "can have alpha"),
        ({"objective": "logit(1)", "image": "plain"}, "can have alpha"),
        ({"objective": "logit(1) - alpha()", "alpha": False}, "Set alpha"),
        ({"recipe": "deep-dream", "layer": "conv2", "start": "sample:cat"}, "no transparent parts"),
    ],
)
def test_wishes_that_cannot_be_met(wishes, words):
    with pytest.raises(BadOption, match=words):
        pellucid.dream(small(), **{**QUICK, **wishes})


def test_the_cost_of_opacity_can_be_written_and_read():
    text = "logit(1) * (1 - alpha()) - 0.1 * blur_alpha()"
    assert str(parse(text)) == text


def test_the_flag(tmp_path):
    out = tmp_path / "fish.png"
    line = ["dream", "efficientnet-lite0", "--class", "goldfish", "--side", "32", "--steps", "1", "--alpha"]
    assert main([*line, "--out", str(out)]) == 0
    with Image.open(out) as image:
        assert image.mode == "RGBA"
