"""Own mask: the explaining network's answer, worked by hand."""

import torch

import pellucid
import tiny


def test_own_mask_is_the_explaining_network_s_answer_resized():
    net, image = tiny.build(tiny.Masked), tiny.images()
    # its convolutions halve the grid to 8 x 8; between the centres of cells the values are mixed linearly, beyond the
    # outermost centres they stay: output pixel i lies at (i + 1/2) / 2 - 1/2 cells
    with torch.no_grad():
        drawn = 1 / (1 + torch.exp(-net.explainer(image)))[:, 0]
    place = ((torch.arange(16, dtype=torch.float64) + 0.5) / 2 - 0.5).clamp(0, 7)
    mix = (1 - (place[:, None] - torch.arange(8)).abs()).clamp(min=0)
    expected = torch.einsum("ir,brc,jc->bij", mix, drawn, mix)
    found = pellucid.explain(net, image, "own-mask")["own-mask"]
    torch.testing.assert_close(found.values, expected, rtol=1e-12, atol=1e-14)
    assert bool((found.values >= 0).all() and (found.values <= 1).all())
    assert (expected.max() - expected.min()) > 0.3
