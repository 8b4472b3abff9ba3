"""lucent's face: its signatures, its objectives against a plain loop, and refusals in a sentence.

The signatures are those of torch-lucent 0.1.8 on PyPI, lucent/optvis: render.py, objectives.py, param/, transform.py.
"""

import inspect

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.compat.lucent import objectives, param, render_vis, transform
from pellucid.compat.lucent.transform import Chain
from pellucid.errors import BadOption, BadSite, Refused, UnknownName
from pellucid.feature_visualisation.transforms import PRESETS, Transform

SIGNATURES = {
    render_vis: "model, objective_f, param_f=None, optimizer=None, transforms=None, thresholds=(512,), verbose=False, "
    "preprocess=True, progress=True, show_image=True, save_image=False, image_name=None, show_inline=False, "
    "fixed_image_size=None",
    objectives.neuron: "layer, n_channel, x=None, y=None, batch=None",
    objectives.channel: "layer, n_channel, batch=None",
    objectives.neuron_weight: "layer, weight, x=None, y=None, batch=None",
    objectives.channel_weight: "layer, weight, batch=None",
    objectives.localgroup_weight: "layer, weight=None, x=None, y=None, wx=1, wy=1, batch=None",
    objectives.direction: "layer, direction, batch=None",
    objectives.direction_neuron: "layer, direction, x=None, y=None, batch=None",
    objectives.blur_input_each_step: "",
    objectives.channel_interpolate: "layer1, n_channel1, layer2, n_channel2",
    objectives.alignment: "layer, decay_ratio=2",
    objectives.diversity: "layer",
    objectives.as_objective: "obj",
    param.image: "w, h=None, sd=None, batch=None, decorrelate=True, fft=True, channels=None",
    param.fft_image: "shape, sd=None, decay_power=1",
    param.pixel_image: "shape, sd=None",
    param.lowres_tensor: "shape, underlying_shape, offset=None, sd=0.01",
    param.to_valid_rgb: "image_f, decorrelate=False",
    transform.jitter: "d",
    transform.pad: "w, mode='reflect', constant_value=0.5",
    transform.random_scale: "scales",
    transform.random_rotate: "angles, units='degrees'",
    transform.compose: "transforms",
    transform.normalize: "",
    transform.preprocess_inceptionv1: "",
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 5, 3, stride=2))
        self.fc = nn.Linear(5, 4)

    def forward(self, x):
        return self.fc(self.block(x).mean((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


QUIET = {"progress": False, "show_image": False}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda f: f.__name__)
def test_parameters_are_those_of_lucent(function):
    found = inspect.signature(function).parameters.values()
    shown = [str(p.replace(annotation=p.empty)) for p in found]
    assert ", ".join(shown) == SIGNATURES[function]


def plain(net, loss, numbers, draw, steps, fed=None):
    """lucent's loop without transforms: gradients of the loss, Adam with a rate of 0.05."""
    state = torch.optim.Adam([numbers], lr=0.05)
    for _ in range(steps):
        state.zero_grad()
        pictures = draw()
        seen = pictures if fed is None else F.interpolate(pictures, fed, mode="bilinear")
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        first = net.block[0]((seen - mean) / std)
        last = net.block[2](net.block[1](first))
        layers = {"block_0": first, "block_2": last, "labels": net.fc(last.mean((2, 3))), "input": pictures}
        loss(layers.__getitem__).backward()
        state.step()
    return draw().detach().permute(0, 2, 3, 1).numpy()


def given(batch=2, side=12):
    numbers = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0)).mul_(0.1).requires_grad_()
    return numbers, lambda: torch.sigmoid(numbers)


VECTOR = torch.arange(5.0) - 1
CASES = {  # objective, and lucent's loss of T
    "text": ("block_2:3", lambda t: -t("block_2")[:, 3].mean()),
    "path": ("block.2:3", lambda t: -t("block_2")[:, 3].mean()),
    "linear": ("fc:1", lambda t: -t("labels")[:, 1].mean()),
    "batch": (objectives.channel("block_2", 3, batch=1), lambda t: -t("block_2")[1:2, 3].mean()),
    "neuron": (objectives.neuron("block_2", 1, x=2, y=4), lambda t: -t("block_2")[:, 1, 4, 2].mean()),
    "centre": (objectives.neuron("block_2", 1), lambda t: -t("block_2")[:, 1, 5 // 2, 5 // 2].mean()),
    "direction": (
        objectives.direction("block_2", VECTOR),
        lambda t: -F.cosine_similarity(VECTOR.view(1, -1, 1, 1), t("block_2"), dim=1).mean(),
    ),
    "direction_neuron": (
        objectives.direction_neuron("block_2", VECTOR, x=0, y=1),
        lambda t: -F.cosine_similarity(VECTOR.view(1, -1), t("block_2")[:, :, 1, 0], dim=1).mean(),
    ),
    "weights": (
        objectives.channel_weight("block_2", VECTOR) + objectives.neuron_weight("block_2", VECTOR, 0, 1),
        lambda t: -(t("block_2") * VECTOR.view(1, -1, 1, 1)).mean() - (t("block_2")[:, :, 1, 0] * VECTOR).mean(),
    ),
    "window": (
        objectives.localgroup_weight("block_2", VECTOR, x=1, y=0, wx=2, wy=3),
        lambda t: -(t("block_2")[:, :, 0:3, 1:3] * VECTOR.view(1, -1, 1, 1)).mean(),
    ),
    "interpolate": (
        objectives.channel_interpolate("block_0", 1, "block_2", 2),
        lambda t: -t("block_0")[0, 1].mean() - t("block_2")[1, 2].mean(),
    ),
    "diversity": (
        objectives.channel("block_2", 1) - 0.3 * objectives.diversity("block_0"),
        lambda t: -t("block_2")[:, 1].mean() + 0.3 * alike(t("block_0")),
    ),
    "alignment": (
        objectives.channel("block_2", 1) + 2 * objectives.alignment("block_0"),
        lambda t: -t("block_2")[:, 1].mean() + 2 * (t("block_0")[0] - t("block_0")[1]).square().mean() / 2,
    ),
    "a loss": (lambda t: t("block_2")[:, 3].std() - t("labels")[:, 1].mean(),) * 2,
    "blur": (
        objectives.channel("block_2", 1) - 0.01 * objectives.blur_input_each_step(),
        lambda t: -t("block_2")[:, 1].mean() + 0.005 * (t("input") - blurred(t("input"))).square().sum(),
    ),
}


def alike(maps):
    grams = [F.normalize((m.flatten(1) @ m.flatten(1).T).flatten(), dim=0) for m in maps]
    return sum(grams[i] @ grams[j] for i in range(2) for j in range(2) if i != j) / 2


def blurred(pictures):
    kernel = torch.tensor([[0.5, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 0.5]]).expand(3, 1, 3, 3)
    with torch.no_grad():
        return F.conv2d(pictures, kernel, padding=1, groups=3) / F.conv2d(
            torch.ones_like(pictures), kernel, padding=1, groups=3
        )


@pytest.mark.parametrize("case", CASES)
def test_the_same_pictures_as_a_plain_loop(net, case):
    objective, loss = CASES[case]
    numbers, draw = given()
    options = {"transforms": [], "thresholds": (3,), "fixed_image_size": 12, **QUIET}
    found = render_vis(net, objective, lambda: ([numbers], draw), **options)
    expected = plain(net, loss, *given(), steps=3)
    np.testing.assert_allclose(found[0], expected, atol=2e-4)


def test_small_pictures_are_enlarged_and_thresholds_are_kept(net):
    numbers, draw = given()
    found = render_vis(net, "block_2:3", lambda: ([numbers], draw), transforms=[], thresholds=(1, 3), **QUIET)
    again = given()
    expected = plain(net, lambda t: -t("block_2")[:, 3].mean(), *again, steps=3, fed=(224, 224))
    assert [pictures.shape for pictures in found] == [(2, 12, 12, 3)] * 2
    np.testing.assert_allclose(found[1], expected, atol=2e-4)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_nothing_is_left_behind(net):
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    render_vis(net, "block_2:1", lambda: param.image(16), thresholds=(2,), **QUIET)
    assert net.training
    assert all(p.grad is None and torch.equal(p, before[name]) for name, p in net.named_parameters())
    assert not any(part._forward_hooks for part in net.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_is_normalised_as_it_says(net):
    model = pellucid.wrap(net, size=12, mean=(0.5,) * 3, std=(0.25,) * 3)
    numbers, draw = given(batch=1)
    seen = []
    handle = net.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    render_vis(model, "fc:1", lambda: ([numbers], draw), transforms=[], thresholds=(1,), fixed_image_size=12, **QUIET)
    handle.remove()
    expected = (torch.sigmoid(given(batch=1)[0]).detach() - 0.5) / 0.25
    assert any(torch.allclose(each, expected, atol=1e-6) for each in seen)


@pytest.mark.parametrize("make", [lambda p: torch.optim.SGD(p, lr=5.0), lambda p: torch.optim.LBFGS(p, max_iter=4)])
def test_any_optimiser_also_one_that_asks_several_times(net, make):
    numbers, draw = given(batch=1)
    options = {"transforms": [], "thresholds": (1, 6), "fixed_image_size": 12, **QUIET}
    found = render_vis(net, "fc:1", lambda: ([numbers], draw), make, **options)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        first, last = (net((torch.from_numpy(f).permute(0, 3, 1, 2) - mean) / std)[0, 1] for f in found)
    assert last > first


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: param.image(10, 8, batch=3), (3, 3, 8, 10)),
        (lambda: param.image(8, fft=False, channels=4), (1, 4, 8, 8)),
        (lambda: param.cppn(9), (1, 3, 9, 9)),
    ],
)
def test_images(make, shape):
    torch.manual_seed(3)
    params, draw = make()
    assert draw().shape == shape
    assert 0 < draw().min() <= draw().max() < 1
    assert all(p.requires_grad for p in params)
    torch.manual_seed(3)
    assert torch.equal(draw(), make()[1]())


def test_decorrelation_spectrum_and_sharing():
    _, mixed = param.image(8, sd=0.5)
    _, plainly = param.image(8, sd=0.5, decorrelate=False)
    assert not torch.allclose(mixed(), plainly())
    _, values = param.fft_image((2, 3, 8, 8), sd=0.5)
    torch.testing.assert_close(plainly(), param.to_valid_rgb(lambda: values()[:1])())
    _, shared = param.lowres_tensor((4, 3, 8, 8), (1, 3, 2, 2))
    assert torch.equal(shared()[0], shared()[3])
    with pytest.raises(Refused, match="no offsets"):
        param.lowres_tensor((1, 3, 8, 8), (1, 3, 2, 2), offset=True)
    with pytest.raises(Refused, match="leave these arguments out"):
        param.cppn(8, num_layers=3)


def test_standard_transforms_are_one_sampling_and_lucid_s():
    assert Chain(transform.standard_transforms).parts == [PRESETS["lucid"]]
    flips = Chain([transform.jitter(4), lambda x: x.flip(3), transform.random_rotate([0.5], "rads")])
    assert [type(part) for part in flips.parts] == [Transform, type(lambda: 0), Transform]
    assert flips.parts[2].angles == pytest.approx((28.6479,), abs=1e-3)
    pictures = torch.rand(2, 3, 8, 8)
    composed = transform.compose([transform.normalize(), lambda x: x + 1])
    torch.testing.assert_close(composed(pictures)[:, 0], (pictures[:, 0] - 0.485) / 0.229 + 1)
    assert transform.preprocess_inceptionv1()(torch.ones(1)).item() == 138
    assert transform.jitter(8)(pictures).shape == pictures.shape


def test_files_viewer_and_words(net, tmp_path, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(Image.Image, "show", lambda self: shown.append(self.size))
    name = str(tmp_path / "two.png")
    render_vis(
        net, "fc:1", lambda: param.image(16, batch=2), thresholds=(2,), progress=False, verbose=True, save_image=True,
        image_name=name,
    )  # fmt: skip
    assert shown == [(32, 16)]
    with Image.open(name) as written:
        assert written.size == (32, 16)
    out = capsys.readouterr().out
    assert "Initial loss:" in out
    assert "Loss at step 2:" in out


@pytest.mark.parametrize(
    ("objective", "more", "error", "words"),
    [
        ("block_2", {}, BadOption, "mixed4a:476"),
        ("block_9:1", {}, UnknownName, "block_9"),
        ("block_2:9", {}, BadOption, "no channel 9"),
        (7, {}, BadOption, "got int"),
        (lambda t: t("block_2"), {}, BadOption, "one number"),
        (objectives.channel("block_2", 1, batch=5), {}, BadOption, "no picture 5"),
        (objectives.direction("block_2", torch.ones(3)), {}, BadOption, "3 numbers for 5 channels"),
        ("fc:1", {"thresholds": ()}, BadOption, "thresholds"),
        ("fc:1", {"transforms": ["jitter"]}, BadOption, "functions of pictures"),
        ("fc:1", {"param_f": lambda: param.image(16, channels=2)}, BadOption, "preprocess=False"),
    ],
)
def test_refusals(net, objective, more, error, words):
    options = {"param_f": lambda: param.image(16), "thresholds": (1,), **QUIET, **more}
    with pytest.raises(error, match=words):
        render_vis(net, objective, **options)


def test_two_layers_of_one_name_are_told_apart():
    net = nn.Module()
    net.a_b = nn.Conv2d(3, 2, 1)
    net.a = nn.Module()
    net.a.b = nn.Conv2d(3, 2, 1)
    model = pellucid.wrap(net)
    assert objectives.path_of(model, "a.b") == "a.b"
    assert objectives.path_of(model, "a_b") == "a_b"
    net.c = nn.Module()
    net.c.d_e, net.c.d = nn.Conv2d(3, 2, 1), nn.Module()
    net.c.d.e = nn.Conv2d(3, 2, 1)
    with pytest.raises(BadSite, match="Name it by its path"):
        objectives.path_of(model, "c_d_e")
