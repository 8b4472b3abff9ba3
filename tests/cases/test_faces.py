"""What people type and pass in: own preprocessing, pictures by name, networks that do not fit the pictures."""

import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
from pellucid.capture.running import blame
from pellucid.cli import main
from pellucid.errors import BadOption, BadOutput, UnknownName

SAYS = "cannot take an input of shape [1, 3, 28, 28]"
GREY_FILE = """
    from torch import nn

    def grey():
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
"""


def network(channels=3):
    torch.manual_seed(0)
    parts = nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    return nn.Sequential(*parts).eval()


def photograph(width=90, height=60):
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def as_tensor(image):
    return torch.from_numpy(np.atleast_3d(np.array(image)).copy()).permute(2, 0, 1).float() / 255


def normalised(image, mean=0.5, std=0.25):
    return (as_tensor(image) - mean) / std


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(textwrap.dedent(GREY_FILE))
    photograph().save(tmp_path / "photo.png")

    def call(*arguments):
        code = main(list(arguments))
        return code, *capsys.readouterr()

    return call


MODEL = ("--model", "nets.py:grey", "--size", "28")


@pytest.mark.parametrize(
    "command",
    [
        ("explain", "photo.png", *MODEL),
        ("fool", "photo.png", *MODEL),
        ("top", "photo.png", "--layer", "0", *MODEL),
        ("layers", "nets.py:grey", "--size", "28"),
        ("layers", "nets.py:grey", "--size", "28", "--picture", "photo.png"),
        ("sheet", "nets.py:grey", "--layer", "0", "--size", "28"),
        ("dream", "nets.py:grey", "--class", "1", "--size", "28"),
        ("atlas", "photo.png", "--layer", "0", *MODEL),
        ("look", "photo.png", "--layer", "0", "--unit", "1", *MODEL),
        ("inspect", "nets.py:grey", "--picture", "photo.png", "--size", "28"),
        ("locate", "photo.png", *MODEL),
        ("compare", "photo.png", *MODEL),
    ],
    ids=lambda command: command[0] + ("+picture" if "--picture" in command else ""),
)
def test_b9_f12_every_command_says_the_same_of_a_network_that_does_not_fit(run, command):
    code, _, err = run(*command)
    assert code == 2
    assert SAYS in err
    assert "--mean 0 --std 1" in err


def test_b9_the_way_out_that_is_named_works(run):
    code, *_ = run("fool", "photo.png", *MODEL, "--mean", "0", "--std", "1")
    assert code == 0


def test_b9_python_says_it_too():
    with pytest.raises(BadOption, match=r"cannot take an input of shape \[1, 3, 28, 28\].* in '0'"):
        pellucid.layers(pellucid.wrap(network(1), size=28))


@pytest.mark.parametrize("mean", [0.25, [0.25], torch.tensor(0.25), np.float32(0.25)], ids=lambda m: type(m).__name__)
def test_w7_one_number_is_grey(mean):
    luma = np.array(photograph(28, 28).convert("L"), dtype=np.float32) / 255  # by hand: grey, then (x - 0.25) / 0.5
    model = pellucid.wrap(network(1), size=28, resize=None, mean=mean, std=0.5)
    given = pellucid.explain(model, photograph(28, 28), "saliency").pictures[0].tensor
    assert torch.allclose(given[0], torch.from_numpy((luma - 0.25) / 0.5), atol=1e-6)


def test_newcomer_5_a_mean_of_one_and_a_std_of_three():
    with pytest.raises(BadOption, match="one number per channel, 1 or 3 each; got 1 and 3"):
        pellucid.wrap(network(1), size=28, mean=0.5, std=[0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    "values",
    [{"mean": "grey"}, {"mean": [[0.1, 0.2]]}, {"std": object()}, {"size": 28.5}, {"size": "28"}, {"resize": 9.5}],
)
def test_w7_values_of_other_types_are_answered(values):
    with pytest.raises(BadOption):
        pellucid.wrap(network(1), **{"size": 28, **values})


def crop(image, side=40, centre=24):
    """Shorter side to `side`, then the centre: what most evaluation transforms do."""
    factor = side / min(image.size)
    wide, high = (int(length * factor) for length in image.size)
    left, top = (wide - centre) // 2, (high - centre) // 2
    return image.resize((wide, high), Image.Resampling.BILINEAR).crop((left, top, left + centre, top + centre))


class Processor:
    """As the image processors of Hugging Face: a mapping with a batch of arrays comes back."""

    def __call__(self, images, return_tensors=None):
        pixels = np.array(images.resize((24, 24)), dtype=np.float32).transpose(2, 0, 1)
        return {"pixel_values": [pixels / 127.5 - 1]}


# The part that each shows of 90 x 60 pixels, by hand. The crop: 60 x 40 after resizing, of which columns 18 to 42 and
# rows 8 to 32 are left, times 1.5.
FUNCTIONS = {
    "squeezed": (lambda image: normalised(image.resize((24, 24))), (0, 0, 90, 60)),
    "as it is": (normalised, (0, 0, 90, 60)),
    "central crop": (lambda image: normalised(crop(image)), (27, 12, 63, 48)),
    "off-centre crop": (lambda image: normalised(image.crop((10, 5, 50, 45)).resize((20, 20))), (10, 5, 50, 45)),
    "batch of one": (lambda image: normalised(image.resize((24, 24)))[None], (0, 0, 90, 60)),
    "processor": (Processor(), (0, 0, 90, 60)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_newcomer_5_preprocessing_by_a_function_is_measured(name):
    function, box = FUNCTIONS[name]
    model = pellucid.wrap(network(), preprocess=function)
    found = pellucid.explain(model, photograph(), "saliency")
    picture = found.pictures[0]
    assert picture.box == pytest.approx(box, abs=0.25)
    mean, std = (0.5, 0.5) if name == "processor" else (0.5, 0.25)
    assert model.preprocess.mean == pytest.approx((mean,) * 3, abs=1e-6)
    assert model.preprocess.std == pytest.approx((std,) * 3, abs=1e-6)
    assert model.preprocess.size == (
        None if name == "as it is" else (24, 24) if name != "off-centre crop" else (20, 20)
    )
    own = function(photograph())
    own = torch.as_tensor(own["pixel_values"][0] if name == "processor" else own)
    assert torch.equal(picture.tensor, own.reshape(picture.tensor.shape).float())
    direct = pellucid.explain(network(), picture.tensor[None], "saliency")
    assert torch.equal(found["saliency"].values, direct["saliency"].values)
    assert found.picture("saliency").size == (90, 60)
    assert not picture.notes


def test_newcomer_5_random_crops_and_scales_are_measured():
    generator = np.random.default_rng(5)
    for _ in range(6):
        left, top = generator.integers(0, 20, 2)
        right, bottom = left + generator.integers(30, 60), top + generator.integers(25, 38)
        sides = tuple(int(side) for side in generator.integers(15, 60, 2))
        box = tuple(int(edge) for edge in (left, top, right, bottom))
        model = pellucid.wrap(
            network(), preprocess=lambda image, box=box, sides=sides: normalised(image.crop(box).resize(sides))
        )
        found = pellucid.explain(model, photograph(), "saliency")
        assert found.pictures[0].box == pytest.approx(box, abs=0.5)


def framed(image):
    canvas = Image.new("RGB", (40, 40))
    canvas.paste(image.resize((24, 24)), (8, 8))
    return normalised(canvas)


@pytest.mark.parametrize(
    "function",
    [
        lambda image: normalised(image.resize((24, 24))).flip(2),
        lambda image: normalised(image.resize((24, 24)).rotate(10)),
        lambda image: normalised(image.resize((24, 24))).transpose(1, 2),
        framed,
    ],
    ids=["mirrored", "turned", "transposed", "framed"],
)
def test_newcomer_5_where_pixels_go_elsewhere_that_is_said(function):
    found = pellucid.explain(pellucid.wrap(network(), preprocess=function), photograph(), "saliency")
    picture = found.pictures[0]
    assert "is unknown" in picture.notes[0]
    shown = np.array(picture.image, dtype=np.float32) / 255  # it is the network's own input
    assert np.abs(shown.transpose(2, 0, 1) - (picture.tensor * 0.25 + 0.5).numpy()).max() < 1 / 255


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda image: normalised(image) + torch.rand(1), "something else of the same picture"),
        (lambda image: 1 / 0, "failed on a PIL image of 260 x 300 pixels: ZeroDivisionError"),
        (lambda image: image, r"Expected a float tensor \[channel, row, column\]"),
        (lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1), "of torch.uint8"),
        (lambda image: as_tensor(image) ** 2, "does not scale and shift"),
        (lambda image: as_tensor(image) - as_tensor(image).mean(), "does not scale and shift"),
        (lambda image: as_tensor(image) * torch.inf, "NaN or infinity"),
        ("squeeze", "a function of a PIL image"),
    ],
)
def test_newcomer_5_what_cannot_be_measured_is_refused(function, match):
    with pytest.raises(BadOption, match=match):
        pellucid.wrap(network(), preprocess=function)


def test_newcomer_5_a_function_and_values_beside_it():
    with pytest.raises(BadOption, match="Give the function alone"):
        pellucid.wrap(network(), preprocess=normalised, size=24)


def test_newcomer_5_files_say_that_it_is_a_function(tmp_path):
    model = pellucid.wrap(network(), preprocess=lambda image: normalised(image.resize((24, 24))))
    found = pellucid.explain(model, photograph(), "saliency")
    found.save(tmp_path / "out")
    text = (tmp_path / "out" / "picture" / "manifest.json").read_text()
    assert "transform" in text
    assert "pellucid.Preprocess(" not in text


class TextFirst(nn.Module):
    """As CLIP of Hugging Face: text comes first, pictures by their name."""

    def __init__(self):
        super().__init__()
        self.conv, self.words = nn.Conv2d(3, 4, 3), nn.Embedding(10, 4)

    def forward(self, input_ids=None, pixel_values=None, attention_mask=None):
        seen = self.conv(pixel_values).relu().mean((2, 3))
        return seen @ self.words(input_ids).mean(1).T


def test_newcomer_6_pictures_go_in_by_their_name():
    torch.manual_seed(0)
    net, image, words = TextFirst().eval(), torch.randn(1, 3, 12, 12), torch.tensor([[1, 2]])
    given = image.clone().requires_grad_()
    net(input_ids=words, pixel_values=given)[0, 0].backward()
    right = given.grad.abs().amax(1)
    for inputs in ({"input_ids": words}, words):
        found = pellucid.explain(net, image, "saliency", target=0, inputs=inputs)
        assert torch.allclose(found["saliency"].values.abs(), right, rtol=1e-5)


def test_w5_picture_of_a_tensor_is_the_map_alone():
    found = pellucid.explain(network(), torch.randn(2, 3, 20, 30), "saliency")
    assert found.picture("saliency", 1).size == (30, 20)
    with pytest.raises(UnknownName, match="There is no picture 2: 2 pictures were explained"):
        found.picture("saliency", 2)


def test_w6_three_axes_are_no_hint_at_a_missing_batch():
    """They are a signal, and what is said is about the network's output."""
    with pytest.raises(BadOutput, match=r"Expected class scores \[batch, class\] from Conv1d, got shape \[1, 8, 13\]"):
        pellucid.explain(nn.Conv1d(16, 8, 3), torch.rand(1, 16, 15), "saliency")


def test_code_of_ours_is_all_of_the_package():
    assert Path(pellucid.__file__).parent == blame._OURS
