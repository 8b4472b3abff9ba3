"""What hides: fills against plain loops, and in parts of pictures as in whole ones."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import pellucid
import tiny
from pellucid.capture.running import Draws
from pellucid.errors import BadOption
from pellucid.masking import fill_of
from pellucid.masking.fills import inpaint
from pellucid.numerics import crops

IMAGE = torch.randn(2, 3, 9, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
KINDS = [0.5, "mean", "blur", "noise", "inpaint", "other.png"]


class Pictures:
    is_tabular = False
    parts = ()

    def picture(self, name):
        return IMAGE.flip(0)[:1] + 1


def fill(kind, image=IMAGE):
    return fill_of("occlusion", kind, image, Pictures(), Draws(0))


def window(top, left, height, width, size=(9, 11)):
    hidden = torch.zeros(1, 1, *size, dtype=torch.bool)
    hidden[:, :, top : top + height, left : left + width] = True
    return hidden


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("box", [(2, 3, 4, 5), (0, 0, 3, 3), (6, 8, 3, 3), (0, 4, 9, 2)])
def test_a_part_is_filled_as_in_the_whole(kind, box):
    top, left, height, width = box
    samples, hidden = torch.tensor([1, 0]), window(*box)
    whole = fill(kind).hide(IMAGE[samples], samples, hidden)
    assert torch.equal(whole[~hidden.expand_as(whole)], IMAGE[samples][~hidden.expand_as(whole)])
    for margin in (0, 1):
        first = (max(0, top - margin), max(0, left - margin))
        size = (min(9, top + height + margin) - first[0], min(11, left + width + margin) - first[1])
        corners = torch.tensor([first, first])
        inside = hidden[:, :, first[0] : first[0] + size[0], first[1] : first[1] + size[1]]
        part = fill(kind).hide(crops(IMAGE, samples, corners, size), samples, inside, corners)
        expected = whole[:, :, first[0] : first[0] + size[0], first[1] : first[1] + size[1]]
        torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-5)


def test_mean_noise_and_number():
    hidden, samples = window(0, 0, 9, 11), torch.tensor([0, 1])
    assert bool((fill(0.5).hide(IMAGE.clone(), samples, hidden) == 0.5).all())
    torch.testing.assert_close(fill("mean").hide(IMAGE.clone(), samples, hidden)[1, 2, 4, 4], IMAGE[1, 2].mean())
    noise = fill("noise")
    assert torch.equal(noise.cover, fill("noise").cover)
    assert torch.equal(fill("noise", IMAGE[1:]).cover, noise.cover[1:])  # alone = in a batch
    torch.testing.assert_close((noise.cover - IMAGE.mean((2, 3), True))[0] / IMAGE.std((2, 3), keepdim=True)[0],
                               Draws(0).normal(torch.tensor([0]), IMAGE)[0])  # fmt: skip


def test_the_blur_leaves_out_what_is_outside():
    sigma, ones = 0.9, np.ones((9, 11))
    blur = [gaussian_filter(m, sigma, mode="constant") / gaussian_filter(ones, sigma, mode="constant")
            for m in IMAGE[0].numpy()]  # fmt: skip
    np.testing.assert_allclose(fill("blur").cover[0].numpy(), np.stack(blur), rtol=1e-9)


def naive_inpaint(picture, hidden):
    """Every hidden pixel is the mean of its neighbours inside the picture: one dense linear system."""
    rows, columns = hidden.shape
    number = {tuple(place): k for k, place in enumerate(np.argwhere(hidden))}
    system, right = np.zeros((len(number), len(number))), np.zeros(len(number))
    for (i, j), k in number.items():
        for y, x in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if 0 <= y < rows and 0 <= x < columns:
                system[k, k] += 1
                if (y, x) in number:
                    system[k, number[y, x]] -= 1
                else:
                    right[k] += picture[y, x]
    filled = picture.copy()
    filled[hidden] = np.linalg.solve(system, right)
    return filled


@pytest.mark.parametrize("seed", range(4))
def test_inpainting_solves_laplaces_equation(seed):
    hidden = torch.rand(2, 1, 9, 11, generator=torch.Generator().manual_seed(seed)) < 0.2 + 0.2 * seed
    filled = inpaint(IMAGE, hidden)
    for n in range(2):
        for c in range(3):
            expected = naive_inpaint(IMAGE[n, c].numpy(), hidden[n, 0].numpy())
            np.testing.assert_allclose(filled[n, c].numpy(), expected, atol=1e-5)


def test_inpainting_without_anything_left_is_finite():
    filled = inpaint(IMAGE.float(), torch.ones(2, 1, 9, 11, dtype=torch.bool))
    assert bool((filled == 0).all())


def test_inpainting_repeats_a_slope():
    slope = torch.arange(11.0).expand(1, 1, 9, 11)
    torch.testing.assert_close(inpaint(slope, window(2, 3, 5, 4)), slope, rtol=0, atol=1e-4)


def test_another_picture_is_read_as_the_explained_one_is():
    model = pellucid.load()
    options = {"occlusion": {"window": 224, "stride": 224, "fill": "sample:coffee"}}
    result = pellucid.explain(model, "sample:cat", "occlusion", 3, options=options)
    other = pellucid.explain(model, "sample:coffee", "saliency", 3)
    score = result["occlusion"].extras["scores"].item()
    with torch.inference_mode():
        expected = model.module(other.pictures[0].tensor[None])[0, 3].item()
    assert score == pytest.approx(expected, rel=1e-4)


def test_what_is_no_fill():
    options = {"occlusion": {"window": 8, "fill": "gray"}}
    with pytest.raises(
        BadOption, match="Expected a number, mean, blur, noise, inpaint or a picture as fill of occlusion, got 'gray'"
    ):
        pellucid.explain(tiny.build(tiny.Plain), tiny.images(1), "occlusion", 0, options=options)
