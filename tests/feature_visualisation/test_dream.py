"""Dreams: they climb, each picture by itself, leave no trace, and say how they came about."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from dreaming_nets import small
from torch import nn

import pellucid
from pellucid.capture.differentiable import at_once
from pellucid.capture.layers import footprint
from pellucid.capture.running import guarded
from pellucid.cli.dream import units
from pellucid.errors import BadOption, UnknownName
from pellucid.feature_visualisation import parse
from pellucid.feature_visualisation.images import IMAGES, Fourier, Maco, Pixels, Plain, Shared, frequencies
from pellucid.feature_visualisation.optimise import optimise
from pellucid.feature_visualisation.saving import save_dream
from pellucid.feature_visualisation.transforms import NONE, PRESETS, Transform, find_transform


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_every_kind_of_image_climbs(image):
    made = pellucid.dream(small(), "logit(1)", image=image, transform="none", steps=12, rate=0.1)
    assert made.pictures.shape == (1, 3, 16, 16)
    assert 0 <= made.pictures.min() <= made.pictures.max() <= 1
    assert made.final > made.objectives[0]


@pytest.mark.parametrize("image", ["fourier", "pixels", "maco"])
def test_a_batch_comes_out_as_each_picture_alone(image):
    options = {"image": image, "transform": "lucid", "steps": 4}
    whole = pellucid.dream(small(), 'channel("conv2", (0, 3, 5))', count=3, **options)
    parts = pellucid.dream(small(), 'channel("conv2", (0, 3, 5))', count=3, chunk=1, **options)
    torch.testing.assert_close(whole.pictures, parts.pictures, atol=2e-4, rtol=0)
    torch.testing.assert_close(whole.final, parts.final, atol=1e-3, rtol=1e-3)


def test_shared_pictures_have_a_part_in_common():
    objective = 'channel("conv2", (0, 3, 5))'
    options = {"count": 3, "transform": "none", "steps": 12, "rate": 0.2}
    alone, shared = (pellucid.dream(small(), objective, shared=s, **options) for s in (False, True))
    assert spread(shared.pictures) < spread(alone.pictures)
    assert (shared.objectives[-1] > shared.objectives[0]).all()
    own, common = Pixels((8, 8), numbers=(0, 1), spread=1.0), Pixels((8, 8), numbers=(7,), spread=1.0)
    both = Shared(own, common)
    assert len(both) == 2
    torch.testing.assert_close(both.colours(), own.parameters[0] + common.parameters[0])
    for image in ("maco", "pattern", "plain"):
        with pytest.raises(BadOption, match="that can be shared"):
            pellucid.dream(small(), "logit(1)", image=image, shared=True, steps=1)
    with pytest.raises(BadOption, match="drawn together"):
        pellucid.dream(small(), objective, count=3, chunk=2, shared=True)


def spread(pictures):
    """Mean distance of pictures from their mean."""
    return float((pictures - pictures.mean(0)).square().mean())


def test_chunks_follow_memory(monkeypatch):
    model = small()
    one = torch.zeros(1, 3, 16, 16)
    taken = footprint_of(model, one)
    assert at_once(model, one) == 64
    assert at_once(model, torch.zeros(1, 3, 512, 512)) == 40
    monkeypatch.setattr("pellucid.capture.running.batch_size._free_bytes", lambda _: 2 * 5 * taken)
    assert at_once(model, one) == 5
    assert at_once(model, one, views=4) == 1
    sizes = []
    for objective in ("logit((0, 1, 2, 3, 0, 1, 2))", 'logit(0) - diversity("conv2")'):
        pellucid.dream(model, objective, count=7, steps=1, watch=lambda _, value, __: sizes.append(len(value)))
    assert sizes == [5, 2, 7], "what compares pictures has them all"


def footprint_of(model, one):
    with guarded(model.module):
        return footprint(model, one).there_and_back


def test_no_trace_and_nothing_run_beyond_the_layer():
    model = small()
    net = model.module.train()
    ran = []
    net.fc.register_forward_hook(lambda *_: ran.append(1))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    pellucid.dream(model, 'channel("conv1", 2)', steps=3)
    found_out = "three whole passes find out how rows are taken and in which order memory may be, one about the layer"
    assert len(ran) == 4, f"{found_out}; no step goes beyond it"
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert [len(part._forward_hooks) for part in net.modules()] == [0, 0, 0, 0, 1]
    assert torch.equal(torch.get_rng_state(), state)


def test_same_seed_same_pictures_other_seed_others():
    a, b, c = (pellucid.dream(small(), "logit(0)", steps=3, seed=seed).pictures for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.allclose(a, c, atol=1e-3)


def test_simonyan_finds_the_optimum_of_a_linear_network():
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2))
    model = pellucid.wrap(linear, size=8, mean=(0.5,) * 3, std=(0.25,) * 3)
    paper = {"penalty": "0.5 * energy()", "transform": "none", "optimiser": "sgd", "rate": 0.5, "steps": 60}
    made = pellucid.dream(model, "logit(1)", "simonyan", **paper)
    best = linear[1].weight[1].detach().view(1, 3, 8, 8)  # of w.x - |x|^2 / 2
    torch.testing.assert_close((made.pictures - 0.5) / 0.25, best, atol=1e-4, rtol=0)
    assert made.terms["energy()"] == pytest.approx(float(best.square().sum()), rel=1e-3)
    assert "energy()" in made.objective


def test_start_from_a_photograph():
    start = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    for kind in (Pixels, Fourier):
        image = kind((16, 16), start=start, spread=0.0)
        torch.testing.assert_close(image.pictures().detach(), start, atol=1e-4, rtol=0)
    made = pellucid.dream(small(), 'deep_dream("conv2")', start="sample:cat", steps=0)
    again = pellucid.dream(small(), 'deep_dream("conv2")', start="sample:cat", steps=5, transform="none")
    assert again.final > made.final
    with pytest.raises(BadOption, match="cannot start from a photograph"):
        pellucid.dream(small(), "logit(1)", "maco", start="sample:cat")


def test_maco_keeps_its_magnitude():
    image = Maco((16, 16))
    colours = torch.fft.rfft2(
        torch.fft.irfft2(torch.polar(image.magnitude, image.parameters[0][0].detach()), s=(16, 16))
    )
    inner = (slice(None), slice(1, 8), slice(1, 8))  # the edges of a real spectrum are tied to each other
    torch.testing.assert_close(colours.abs()[inner], image.magnitude[inner], rtol=1e-4, atol=1e-4)
    assert frequencies(4, 4)[0].tolist() == [0, 0.25, 0.5]


def test_dead_rectifiers_are_led_around_per_picture():
    class Dead(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return nn.functional.relu(x.mean((1, 2, 3), keepdim=True)[:, :, 0, 0] * self.scale - 0.1)

    model = pellucid.wrap(Dead(), size=8, mean=(0.5,) * 3, std=(1.0,) * 3)
    rescued = pellucid.dream(model, "logit(0)", "simonyan", penalty="", steps=10, rate=0.05)
    assert rescued.rescued > 0
    assert rescued.final > 0
    assert "dead rectifiers" in rescued.notes[0]


def test_transforms_by_hand():
    pictures = torch.rand(2, 3, 9, 9)
    assert NONE.apply(pictures, 0, 1, 0, (0, 1)) is pictures
    turned = Transform(angles=(90.0,)).apply(pictures, 0, 1, 0, (0, 1))
    same = [torch.allclose(turned, torch.rot90(pictures, k, (2, 3)), atol=1e-5) for k in (1, 3)]
    assert any(same)
    shifted = Transform(shifts=(4,)).apply(pictures, 3, 9, 5, (0, 1))
    middle = shifted[:, :, 4, 4]
    for k in range(2):
        near = pictures[k, :, 2:7, 2:7].flatten(1).T
        assert (near - middle[k]).abs().sum(1).min() < 1e-4, "a whole number of pixels, 2 at most"
    views = find_transform("horama").apply(pictures, 0, 10, 0, (0, 1))
    assert views.shape == (12, 3, 9, 9)
    for name, preset in PRESETS.items():
        a, b = (preset.apply(pictures[1:], 2, 9, 3, (1,)), preset.apply(pictures, 2, 9, 3, (0, 1)))
        torch.testing.assert_close(a, b[len(b) // 2 :], msg=name)
    with pytest.raises(UnknownName, match="Transforms:"):
        find_transform("lucia")


def test_interrupted_dreams_keep_what_they_have():
    def stop(_label, done, _all):
        if done == 4:
            raise KeyboardInterrupt

    made = pellucid.dream(small(), "logit(1)", steps=20, progress=stop)
    assert made.stopped
    assert len(made.objectives) == 4
    assert "Interrupted after 4 of 20" in made.notes[0]


def test_what_cannot_be_chosen():
    for changes, words in (
        ({"optimiser": "lbfgs"}, "adam, nadam or sgd"),
        ({"rate": -1}, "rate above 0"),
        ({"count": 0}, "at least one picture"),
        ({"size": 3}, "8 pixels"),
        ({"colour": 1}, "colour"),
    ):
        with pytest.raises(BadOption, match=words):
            pellucid.dream(small(), "logit(1)", **{"steps": 1, **changes})
    with pytest.raises(BadOption, match="need one chunk"):
        pellucid.dream(small(), 'logit(1) - diversity("conv2")', count=3, chunk=2)
    with pytest.raises(UnknownName, match="Recipes"):
        pellucid.dream(small(), "logit(1)", "lucid")


def test_snapshots_watch_and_files(tmp_path):
    seen = []
    made = pellucid.dream(
        small(), "logit(1)", steps=6, snapshot=2, watch=lambda step, value, look: seen.append((step, look().shape))
    )
    assert [step for step, _ in made.snapshots] == [2, 4, 6]
    assert len(seen) == 6
    files = save_dream(replace(made, titles=("bee",)), tmp_path / "bee.png")
    assert sorted(f.name for f in files) == ["bee.gif", "bee.html", "bee.json", "bee.npz", "bee.png"]
    written = json.loads((tmp_path / "bee.json").read_text())
    assert written["objective"] == "logit(1)"
    assert written["final"] == pytest.approx(made.final.tolist())
    assert len(written["objective_per_step"]) == 6
    with pytest.raises(BadOption, match=r"\.png"):
        save_dream(made, tmp_path / "bee.jpg")


def test_grey_networks_dream_in_grey():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    made = pellucid.dream(pellucid.wrap(net, size=12, mean=(0.5,), std=(0.5,)), "logit(1)", steps=3)
    assert made.pictures.shape == (1, 1, 12, 12)


def test_plain_starts_from_the_mean_picture():
    image = Plain((4, 4), (0.2, 0.4, 0.6), (0.1, 0.2, 0.3), 2)
    assert image.pictures()[1, :, 0, 0].tolist() == pytest.approx([0.2, 0.4, 0.6])


def test_final_is_of_the_untransformed_picture():
    model = small()
    made = optimise(
        model, Pixels((16, 16)), parse("logit(1)"), preprocess=model.preprocess, steps=3, transform=PRESETS["lucid"]
    )
    with torch.no_grad():
        score = model.module.eval()((made.pictures - 0.5) / 0.25)[:, 1]
    torch.testing.assert_close(made.final, score)


def test_units_as_they_are_typed():
    assert units("3") == [3]
    assert units("0..3,7") == [0, 1, 2, 3, 7]
    for text in ("", "3..1", "a", "-1", "1.."):
        with pytest.raises(BadOption, match="Expected units"):
            units(text)


def test_a_result_is_frozen():
    made = pellucid.dream(small(), "probability(1)", steps=1)
    with pytest.raises(FrozenInstanceError):
        made.titles = ("bee",)
    assert (made.titles, replace(made, titles=("bee",)).titles) == ((), ("bee",))
    assert "the logit is the better objective" in made.notes[-1]
    assert not any("better objective" in note for note in pellucid.dream(small(), "logit(1)", steps=1).notes)
