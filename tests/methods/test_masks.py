"""What masked pictures look like, and how they change with their masks."""

import numpy as np
import torch
from nets import close, numbers, random_maps

from asked import Asked
from pellucid.masking import blurred
from pellucid.methods._masks import Fade, MaskSearch, cells_to_pixels, fade_of, readings

IMAGE = random_maps(1, (2, 3, 6, 7))


def blur():
    return fade_of("rise", "blur", IMAGE, Asked(None, IMAGE), None)


def masks(seed, count=2):
    return torch.rand(count, 6, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_ends_are_the_picture_and_the_fill():
    samples, ones = torch.tensor([1, 0, 1]), torch.ones(3, 6, 7, dtype=torch.float64)
    for fade, hidden in ((blur(), blurred(IMAGE, 0.1)), (Fade(torch.stack([IMAGE, -IMAGE])), -IMAGE)):
        assert torch.equal(fade.show(samples, ones), IMAGE[samples])
        close(fade.show(samples, 0 * ones), numbers(hidden[samples]))


def test_a_plain_fill_is_blended():
    fade, mask = Fade(torch.stack([IMAGE, IMAGE * 0 + 2])), masks(3)
    close(fade.show(torch.tensor([0, 1]), mask), numbers(mask[:, None] * IMAGE + (1 - mask[:, None]) * 2))


def test_blur_grows_as_the_mask_falls():
    """Each pixel is that of the picture blurred by 0.1 (1 - m), exactly so at the eight levels."""
    fade = blur()
    for level in range(8):
        mask = torch.full((2, 6, 7), 1 - level / 7, dtype=torch.float64)
        close(fade.show(torch.tensor([0, 1]), mask), numbers(blurred(IMAGE, 0.1 * level / 7)), atol=1e-9)
    mask = masks(4)
    got = fade.show(torch.tensor([0, 1]), mask)
    for n, c, i, j in np.ndindex(2, 3, 6, 7):
        depth = 7 * (1 - float(mask[n, i, j]))
        sharper, softer = (float(blurred(IMAGE, 0.1 * (int(depth) + k) / 7)[n, c, i, j]) for k in (0, 1))
        close(got[n, c, i, j], sharper + (depth - int(depth)) * (softer - sharper))


def test_slope_is_the_derivative():
    for fade in (blur(), Fade(torch.stack([IMAGE, -IMAGE]))):
        mask, samples = masks(5), torch.tensor([0, 1])
        more, less = (fade.show(samples, mask + step) for step in (1e-7, -1e-7))
        close(fade.slope(samples, mask), numbers((more - less) / 2e-7), rtol=1e-5, atol=1e-6)


def test_moved_repeats_the_edges():
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    fade, ones = Fade(torch.stack([image, -image, image]), move=(1, -2)), torch.ones(1, 3, 4)
    for mask, sign in ((ones, 1), (0.5 * ones, -1)):
        moved = fade.show(torch.tensor([0]), mask)[0, 0]
        assert (sign * moved).tolist() == [[2, 3, 3, 3], [2, 3, 3, 3], [6, 7, 7, 7]]


def test_cells_become_rectangles():
    drawn = cells_to_pixels(torch.tensor([[[1, 2], [3, 4]]]), (3, 5))
    assert drawn.tolist() == [[[1, 1, 1, 2, 2], [1, 1, 1, 2, 2], [3, 3, 3, 4, 4]]]


def test_climb_is_adam():
    start, slope = torch.rand(3, 4, dtype=torch.float64), torch.randn(6, 3, 4, dtype=torch.float64)
    ours, theirs = MaskSearch(start, 0.03), start.clone().requires_grad_()
    adam = torch.optim.Adam([theirs], lr=0.03, maximize=True)
    for each in slope:
        ours.step(each)
        theirs.grad = each.clone()
        adam.step()
        with torch.no_grad():
            theirs.clamp_(0, 1)
        close(ours.here, numbers(theirs))


def test_readings():
    areas, scores = torch.tensor([[0.1, 0.25], [0.5, 0.123]]), torch.tensor([[3.0, 4.5678], [-1.0, 0.0]])
    notes = readings("shown", areas, scores, torch.tensor([5.0, 2.0]), torch.tensor([1.0, 2.0]))
    assert notes == (
        "With 10.0 %, 25.0 % of picture 0 shown the score is 3, 4.57; with all of it seen 5, with none 1.",
        "With 50.0 %, 12.3 % of picture 1 shown the score is -1, 0; with all of it seen 2, with none 2. This fill "
        "hides nothing that speaks for the target.",
    )
