"""Coarse to fine: what is measured is occlusion, what is not is interpolated."""

from itertools import pairwise

import numpy as np
import pytest
from nets import close, numbers, pooled_net, random_maps

import pellucid
from pellucid.errors import BadOption

IMAGE, CLASSES, ID = random_maps(2, (2, 2, 13, 16)), [3, 0], "occlusion-coarse-to-fine"


def run(method=ID, **options):
    return pellucid.explain(pooled_net(), IMAGE, method, CLASSES, options={method: options})[method]


def between(known, places, at):
    """Linear interpolation of a row of known values, one position at a time."""
    for left, right in pairwise(places):
        if left <= at <= right:
            part = (at - left) / (right - left)
            return known[places.index(left)] * (1 - part) + known[places.index(right)] * part
    return known[0]


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_naive_loops(share):
    whole, got = numbers(run("occlusion", window=4, stride=2).raw), run(window=4, stride=2, factor=2, share=share)
    down, across = whole.shape[1:]
    rows, columns = sorted({*range(0, down, 2), down - 1}), sorted({*range(0, across, 2), across - 1})
    for n in range(2):
        guess = np.zeros((down, across))
        for i in range(down):
            for j in range(across):
                line = [between(list(whole[n, r, columns]), columns, j) for r in rows]
                guess[i, j] = between(line, rows, i)
        order = np.argsort(-np.abs(guess).ravel(), kind="stable")[: round(share * guess.size)]
        expected = guess.copy()
        expected.ravel()[order] = whole[n].ravel()[order]
        close(got.raw[n], expected)
        measured = np.zeros(guess.size, bool)
        measured[order] = True
        measured = measured.reshape(guess.shape) | np.isin(np.arange(down), rows)[:, None] & np.isin(
            np.arange(across), columns
        )
        assert (got.extras["measured"][n].numpy() == measured).all()
    least = int(got.extras["measured"].flatten(1).sum(1).min())
    assert got.notes[1] == f"{least} of {guess.size} positions are measured; the others are interpolated."


def test_everything_measured_is_occlusion():
    whole, got = run("occlusion", window=4, stride=2), run(window=4, stride=2, share=1.0)
    close(got.raw, numbers(whole.raw))
    close(got.values, numbers(whole.values))


def test_it_asks_less():
    assert (
        run(window=4, stride=1, factor=2, share=0.2).cost.forward
        < 0.6 * run("occlusion", window=4, stride=1).cost.forward
    )


@pytest.mark.parametrize("options", [{"factor": 0}, {"share": 1.5}, {"share": -0.1}])
def test_bad_options(options):
    with pytest.raises(BadOption, match="Expected factor >= 1 and share from 0 to 1 for occlusion-coarse-to-fine"):
        run(window=4, stride=2, **options)
