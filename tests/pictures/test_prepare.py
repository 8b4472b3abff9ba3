import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.contracts import Preprocess
from pellucid.errors import BadOption, BadPicture, UnknownName
from pellucid.pictures import prepare


def noise(width, height):
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("resize", "size"), [(256, (224, 224)), (235, (224, 224)), (71, (64, 64)), (97, (64, 91))])
@pytest.mark.parametrize(("width", "height"), [(451, 300), (301, 517), (256, 256), (333, 97), (50, 61)])
def test_same_input_as_torchvision(width, height, resize, size, interpolation):
    from torchvision import transforms as tv

    preprocess = Preprocess(size, resize, interpolation, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    array = noise(width, height)
    mode = tv.InterpolationMode(interpolation)
    steps = [tv.Resize(resize, mode), tv.CenterCrop(size), tv.ToTensor(), tv.Normalize(preprocess.mean, preprocess.std)]
    expected = tv.Compose(steps)(Image.fromarray(array))
    torch.testing.assert_close(prepare(array, preprocess).tensor, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("width", "height"), [(451, 300), (300, 451), (32, 32)])
def test_the_box_leads_back_to_original_pixels(width, height):
    # A linear ramp keeps its values under a resize, so each input pixel tells which original position it came from.
    ramp = np.linspace(0, 255, width)[None].repeat(height, 0)
    preprocess = Preprocess((64, 64), 80, "bilinear", (0.0,), (1.0,))
    picture = prepare(np.rint(ramp).astype(np.uint8), preprocess)
    left, top, right, bottom = picture.box
    centres = left + (np.arange(64) + 0.5) * (right - left) / 64
    seen = picture.tensor[0, 32].numpy() * (width - 1) + 0.5
    inside = slice(2, -2)  # a resize flattens the ramp at the picture's own edges
    assert np.abs(seen - centres)[inside].max() < 0.02 * width / 64 + width / 255
    assert right - left == pytest.approx(bottom - top, rel=0.01)
    assert (left + right, top + bottom) == pytest.approx((width, height), abs=1.01 * width / 80)


def test_exact_box():
    # 451 x 300 becomes 384 x 256; the crop starts at column 80, row 16.
    box = prepare("sample:cat", Preprocess()).box
    assert box == pytest.approx((80 * 451 / 384, 16 * 300 / 256, 304 * 451 / 384, 240 * 300 / 256), abs=1e-9)


def test_without_resize_the_whole_picture_is_squeezed():
    picture = prepare(noise(90, 40), Preprocess((32, 48), None))
    assert picture.tensor.shape == (3, 32, 48)
    assert picture.box == (0, 0, 90, 40) and picture.notes == ()


def test_the_resize_grows_to_cover_the_crop():
    picture = prepare(noise(500, 400), Preprocess((224, 448), 100))
    assert picture.tensor.shape == (3, 224, 448)
    assert picture.box[0] == pytest.approx(0) and picture.box[2] == pytest.approx(500, abs=1.2)


def test_a_small_picture_is_enlarged_and_it_is_said():
    assert prepare(noise(32, 32), Preprocess()).notes == ("enlarged from 28 x 28 to 224 x 224 pixels",)


def test_one_mean_makes_it_grey():
    picture = prepare("sample:coffee", Preprocess((28, 28), 28, mean=(0.5,), std=(0.25,)))
    assert picture.tensor.shape == (1, 28, 28) and picture.image.mode == "L"
    assert picture.tensor.dtype == torch.float32 and picture.tensor.abs().max() <= 2


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [("sample:cat", None, "cat"), (noise(9, 9), None, "picture"), (noise(9, 9), "mine", "mine")],
)
def test_names(source, name, expected):
    assert prepare(source, Preprocess((8, 8), 8), name).name == expected


def test_refusals():
    with pytest.raises(BadOption, match=r"has 4 means and 4 standard deviations\. Pass tensors"):
        prepare("sample:cat", Preprocess(mean=(0.0,) * 4, std=(1.0,) * 4))
    with pytest.raises(UnknownName, match=r"no interpolation 'bicubik'\. Did you mean 'bicubic'"):
        prepare("sample:cat", Preprocess(interpolation="bicubik"))
    with pytest.raises(BadPicture, match=r"too narrow: 100,000 x 1 pixels would become 25,600,000 x 256"):
        prepare(noise(100_000, 1), Preprocess())


@pytest.mark.parametrize(("width", "height"), [(451, 300), (301, 517), (256, 256), (50, 61)])
def test_a_whole_picture_in_its_own_shape(width, height):
    transforms = pytest.importorskip("torchvision.transforms._presets")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    normalisation = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    own = prepare(image, Preprocess(size=None, resize=80, interpolation="bilinear", **normalisation))
    expected = transforms.SemanticSegmentation(resize_size=80, antialias=True, **normalisation)(image)
    assert torch.allclose(own.tensor, expected, atol=1e-6)
    assert own.box == (0, 0, width, height)
    as_it_is = prepare(image, Preprocess(size=None, resize=None, mean=(0, 0, 0), std=(1, 1, 1)))
    assert torch.equal(as_it_is.tensor, torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255)
