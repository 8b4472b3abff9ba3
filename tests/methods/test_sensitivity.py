"""Input sensitivity: the first-order expansion of Simonyan et al., arXiv:1312.6034, eq. 3, by central differences."""

import numpy as np
import pytest
import torch
from nets import LinearScore, Rectified, close, numbers, random_maps

import pellucid
from pellucid.errors import BadOption

IMAGE, CLASSES = random_maps(0, (2, 2, 5, 6)), [3, 1]


def run(net, target=CLASSES, image=IMAGE, chunk=None, **options):
    options = {"cells": 3, **options}
    return pellucid.explain(net, image, "sensitivity", target, options={"sensitivity": options}, chunk=chunk)[
        "sensitivity"
    ]


def test_naive_loops():
    """Two forward passes per cell and picture, and the hand-written gradient summed over the cell."""
    net, step, cells = Rectified(torch.relu), 0.3, 3
    gradient = net.by_hand(IMAGE, CLASSES, "plain")
    got = run(net, step=step)
    for k, c in enumerate(CLASSES):
        epsilon = step * float(IMAGE[k].max() - IMAGE[k].min())
        measured, predicted = np.zeros((cells, cells)), np.zeros((cells, cells))
        for row, column in np.ndindex(cells, cells):
            inside = np.zeros((5, 6), dtype=bool)
            for i, j in np.ndindex(5, 6):
                inside[i, j] = (i * cells // 5, j * cells // 6) == (row, column)
            change = torch.from_numpy(inside * epsilon)
            with torch.no_grad():
                up, down = (float(net((IMAGE[k] + sign * change)[None])[0, c]) for sign in (1, -1))
            measured[row, column] = (up - down) / (2 * epsilon)
            predicted[row, column] = gradient[k][:, inside].sum()
        close(got.raw[k], measured)
        close(got.extras["gradient"][k], predicted)
        close(got.extras["agreement"][k], np.corrcoef(measured.ravel(), predicted.ravel())[0, 1])
        close(got.extras["excess"][k], np.linalg.norm(measured - predicted) / np.linalg.norm(measured))
        assert 0.5 < float(got.extras["agreement"][k]) < 0.9999  # the network bends within such a step


def test_a_straight_network_agrees_whatever_the_step():
    net = LinearScore(classes=4)
    got = run(net, step=2.0)
    close(got.raw, numbers(got.extras["gradient"]))
    close(got.extras["agreement"], [1, 1])
    assert got.notes == ("What was measured and what the gradient foresaw correlate by 1.00, 1.00.",)
    close(got.extras["excess"], [0, 0])


def test_small_steps_agree_with_a_smooth_network():
    gaps = [float(run(Rectified(torch.tanh), step=step).extras["excess"].max()) for step in (0.2, 0.02, 0.002)]
    assert gaps[1] < 0.05 * gaps[0]  # the error of a central difference falls with the square of the step
    assert gaps[2] < 0.05 * gaps[1]


def test_chunks_change_nothing():
    net = Rectified(torch.relu)
    close(run(net, chunk=3).raw, numbers(run(net).raw))


def test_a_picture_of_one_colour():
    got = run(Rectified(torch.relu), image=torch.zeros(2, 2, 5, 6, dtype=torch.float64))
    assert bool(got.raw.isfinite().all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cells": 0}, "Expected 1 to 5 cells for sensitivity, as many as there are pixels, got 0"),
        ({"cells": 6}, "got 6"),
        ({"step": 0.0}, "Expected step > 0 for sensitivity, got 0.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(LinearScore(classes=4), **options)
