import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.contracts import Preprocess
from pellucid.errors import BadOption
from pellucid.pictures import heat, overlay, prepare, scale, sheet
from pellucid.pictures.geometry import stretch, window

WHOLE = Preprocess((32, 32), None)


def plain(width=96, height=64, level=100):
    return np.full((height, width, 3), level, np.uint8)


def smooth(size=32):
    axis = torch.linspace(-2, 2, size)
    return torch.exp(-(axis[:, None] ** 2) - axis[None] ** 2)


def pixels(image):
    return np.asarray(image).astype(int)


@pytest.mark.parametrize(("cells", "size"), [((7, 5), (40, 33)), ((32, 32), (20, 9))])
def test_stretch_is_bilinear_with_half_pixel_centres(cells, size):
    values = torch.rand(cells, dtype=torch.float64)
    expected = torch.nn.functional.interpolate(values[None, None], size=size, mode="bilinear", antialias=True)
    whole = (0, 0, size[1], size[0])
    np.testing.assert_allclose(stretch(values.numpy(), whole, whole), expected[0, 0], atol=1e-5)


def test_window_takes_pixels_whose_centre_is_inside():
    assert window((0.4, 0.6, 9.5, 9.51)) == (0, 1, 9, 10)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 9), (15, 15), (6, 2)])
@pytest.mark.parametrize(("width", "height"), [(451, 300), (211, 333), (40, 52)])
def test_one_hot_map_lands_on_its_original_pixels(width, height, row, column):
    picture = prepare(plain(width, height), Preprocess((16, 16), 18))
    values = torch.zeros(16, 16)
    values[row, column] = 1
    bare = overlay(picture, torch.zeros(16, 16), style="veil")
    changed = np.abs(pixels(overlay(picture, values, style="veil")) - pixels(bare)).sum(2)
    left, top, right, bottom = picture.box
    high, wide = (bottom - top) / 16, (right - left) / 16
    y, x = np.unravel_index(changed.argmax(), changed.shape)
    if not {row, column} & {0, 15}:  # towards the map's edge the bilinear hill is flat
        peak = [place.mean() + 0.5 for place in (changed == changed.max()).nonzero()]
        assert peak == pytest.approx([top + (row + 0.5) * high, left + (column + 0.5) * wide], abs=1)
    assert left + column * wide - 1 <= x + 0.5 <= left + (column + 1) * wide + 1
    assert top + row * high - 1 <= y + 0.5 <= top + (row + 1) * high + 1


def test_without_evidence_the_picture_shows_alone():
    picture = prepare("sample:cat", WHOLE)
    drawn = pixels(overlay(picture, torch.zeros(32, 32)))
    assert np.abs(drawn - np.rint(0.85 * pixels(picture.image.convert("L").convert("RGB")))).max() <= 1


def test_brightness_does_not_depend_on_the_picture():
    # grad-cam's show_cam_on_image divides by the picture's maximum.
    bright = plain()
    bright[0, 0] = 255
    drawn = [overlay(prepare(array, WHOLE), smooth()) for array in (plain(), bright)]
    assert np.array_equal(pixels(drawn[0])[2:, 2:], pixels(drawn[1])[2:, 2:])


def test_strong_evidence_never_wraps_around():
    # torchcam squares a uint8 mask, so that 255 becomes 1: the hottest pixel turns the coldest colour.
    picture = prepare(plain(32, 32, 0), WHOLE)
    ramp = torch.linspace(0, 1, 32).expand(32, 32)
    for style in ("veil", "glow"):
        luma = pixels(overlay(picture, ramp, style=style).convert("L"))[16]
        assert (np.diff(luma) >= 0).all() and luma[-1] > 180


def test_order_survives_on_a_bright_picture():
    drawn = pixels(overlay(prepare(plain(32, 32, 255), WHOLE), torch.linspace(0, 1, 32).expand(32, 32)))
    saturation = np.ptp(drawn[16], axis=1)
    assert saturation[0] == 0 and saturation[-1] > 60


def test_what_the_model_never_saw_is_dark_and_framed():
    picture = prepare(plain(300, 200, 200), Preprocess((32, 32), 36))
    drawn = pixels(overlay(picture, smooth()))
    left, top, _, _ = window(picture.box)
    assert drawn.shape == (200, 300, 3)
    assert drawn[100, 5].tolist() == [64] * 3 and drawn[100, left - 1].tolist() == [235] * 3
    assert drawn[top, left + 50, 0] > 100


def test_opacity_zero_is_the_picture():
    picture = prepare("sample:rocket", WHOLE)
    assert np.array_equal(pixels(overlay(picture, smooth(), opacity=0)), pixels(picture.image))


def test_signs_have_their_colours():
    values = torch.cat([-torch.ones(32, 16), torch.ones(32, 16)], 1)
    for drawn in (overlay(prepare(plain(), WHOLE), values), heat(values)):
        left, right = pixels(drawn)[16, 1], pixels(drawn)[16, -2]
        assert left[2] > left[0] + 50 and right[0] > right[2] + 50


def test_style_follows_the_grain():
    picture, grain = prepare(plain(), WHOLE), torch.rand(32, 32, generator=torch.Generator().manual_seed(0))
    for values, style in ((smooth(), "veil"), (smooth(8), "veil"), (grain, "glow")):
        assert np.array_equal(pixels(overlay(picture, values)), pixels(overlay(picture, values, style=style)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_green(bad):
    values = smooth()
    values[:8] = bad
    picture = prepare(plain(), WHOLE)
    for drawn in (overlay(picture, values), heat(values, (64, 96))):
        assert pixels(drawn)[5, 50].tolist() == [0, 200, 120] and pixels(drawn)[40, 50, 0] > 80


def test_one_invalid_value_is_seen_on_a_tiny_picture_and_with_any_scale():
    values = smooth()
    values[16, 16] = float("nan")
    drawn = overlay(prepare(plain(4, 4), WHOLE), values, scale=scale(smooth()))
    assert (pixels(drawn) == [0, 200, 120]).all(2).any()


def test_a_common_scale_makes_maps_comparable():
    common = scale(torch.stack([smooth(), 0.1 * smooth()]), percentile=100)
    faint, strong = (pixels(heat(k * smooth(), scale=common).convert("L")).max() for k in (0.1, 1))
    assert faint < 30 < 200 < strong


def test_heat_is_the_colour_table_and_takes_any_device_type():
    assert heat(torch.tensor([[0.0, 1.0]]), colour_map="gray").getpixel((1, 0)) == (255, 255, 255)
    assert heat(smooth().bfloat16(), (10, 20)).size == (20, 10)


def test_grey_pictures_and_one_pixel_maps():
    grey = prepare(plain(), Preprocess((8, 8), None, mean=(0.0,), std=(1.0,)))
    assert overlay(grey, torch.ones(1, 1)).mode == "RGB"


def test_sheet():
    image = Image.new("RGB", (200, 100), "red")
    page = sheet([(image, "Grad-CAM"), (image, "a\nvery " + "long " * 99), (image, "")], columns=2, cell=80, gap=10)
    assert page.size[0] == 190
    assert (pixels(page).reshape(-1, 3) == [255, 0, 0]).all(1).sum() == 3 * 80 * 40
    assert sheet([(image, "")] * 2, cell=80, gap=10).size == (190, 60)


def test_refusals():
    picture = prepare(plain(), WHOLE)
    with pytest.raises(BadOption, match=r"a map \[row, column\], got the shape \[1, 8, 8\]\. Pass one map"):
        overlay(picture, torch.ones(1, 8, 8))
    with pytest.raises(BadOption, match=r"opacity between 0 and 1, got 2"):
        overlay(picture, smooth(), opacity=2)
    with pytest.raises(BadOption, match=r"style 'auto', 'veil' or 'glow', got 'jet'"):
        overlay(picture, smooth(), style="jet")
    with pytest.raises(BadOption, match=r"at least one picture and one column, got 0 and 0"):
        sheet([])
