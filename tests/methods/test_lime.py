"""LIME, Ribeiro, Singh & Guestrin, equation 2."""

import numpy as np
import pytest
import torch
from games import Payoff, grid, painted, uniform
from nets import LinearScore, close, numbers, pooled_net, random_maps
from sklearn.linear_model import Lasso, Ridge

import pellucid
from pellucid.errors import BadOption, Cancelled
from pellucid.targets import Probability

IMAGE, CLASSES = random_maps(2, (2, 2, 8, 12)), [3, 0]
LABELS = grid(8, 12, 2, 4)


def run(net, target=CLASSES, image=IMAGE, seed=0, chunk=None, **options):
    options = {"lime": {"regions": "2x4", "samples": 60, **options}}
    return pellucid.explain(net, image, "lime", target, options=options, seed=seed, chunk=chunk)["lime"]


def sampled(payoff, samples, seed, width=0.25):
    """Inputs, scores and kernel, one set at a time."""
    inputs, scores, kernel = [], [], []
    for number in range(samples):
        shown = uniform(seed, number, payoff.players) < 0.5 if number else np.ones(payoff.players, bool)
        z, whole = shown.astype(float), np.ones(payoff.players)
        cosine = z @ whole / (np.linalg.norm(z) * np.linalg.norm(whole)) if z.any() else 0.0
        inputs.append(z)
        scores.append(payoff(np.flatnonzero(shown)))
        kernel.append(np.exp(-((1 - cosine) ** 2) / width**2))
    return np.array(inputs), np.array(scores), np.array(kernel)


@pytest.mark.parametrize("penalty", [None, 0.0, 7.5])
def test_ridge_as_scikit_learn_has_it(penalty):
    net, got = pooled_net(), run(pooled_net(), seed=3, width=0.4, penalty=penalty)
    for k, c in enumerate(CLASSES):
        payoff = Payoff(net, IMAGE[k], LABELS, c)
        inputs, scores, kernel = sampled(payoff, 60, 3, width=0.4)
        model = Ridge(alpha=1.0 if penalty is None else penalty).fit(inputs, scores, kernel)
        close(got.extras["values of regions"][k], model.coef_, rtol=1e-7)
        close(got.extras["constant"][k], model.intercept_, rtol=1e-7)
        close(got.extras["fit"][k], model.score(inputs, scores, kernel), rtol=1e-7)
        close(got.extras["score"][k], payoff.everybody)
        close(got.raw[k], painted(LABELS, model.coef_), rtol=1e-7)


def test_lasso_as_scikit_learn_has_it():
    net, got = pooled_net(), run(pooled_net(), regression="lasso", penalty=0.2)
    for k, c in enumerate(CLASSES):
        inputs, scores, kernel = sampled(Payoff(net, IMAGE[k], LABELS, c), 60, 0)
        middle = (kernel @ inputs) / kernel.sum()
        largest = (
            np.abs((inputs - middle).T @ (kernel * (scores - kernel @ scores / kernel.sum()))).max() / kernel.sum()
        )
        model = Lasso(0.2 * largest, max_iter=100_000, tol=1e-10).fit(inputs, scores, kernel)
        close(got.extras["values of regions"][k], model.coef_, rtol=1e-4, atol=1e-9)
        close(got.extras["constant"][k], model.intercept_, rtol=1e-4)
        assert 0 < (model.coef_ == 0).sum() < 8
        just_too_much = Lasso(largest * 1.001).fit(inputs, scores, kernel)
        assert not just_too_much.coef_.any()


def test_lasso_leaves_nothing_at_its_largest_penalty():
    assert not run(pooled_net(), regression="lasso", penalty=1.0).values.abs().max() > 1e-9


def test_linear_model_is_recovered():
    net = LinearScore((2, 8, 12))
    parts = numbers((net.weight[1] * (IMAGE + 0.25)).sum(1))
    expected = [[part[r == LABELS].sum() for r in range(8)] for part in parts]
    got = run(net, 1, fill=-0.25, penalty=0.0)
    close(got.extras["values of regions"], expected)
    close(got.extras["fit"], [1.0, 1.0])
    assert "explains 100% of how the score varies" in got.notes[0]
    small = run(net, 1, fill=-0.25, regression="lasso", penalty=1e-6)
    close(small.extras["values of regions"], expected, rtol=1e-3, atol=1e-3)


def test_a_poor_fit_is_said():
    class Odd(torch.nn.Module):
        """1 when an odd number of regions is shown: nothing for a linear model."""

        def forward(self, x):
            shown = (x[:, 0, ::4, ::3] != 0).flatten(1).sum(1)
            return (shown % 2).to(x)[:, None]

    got = run(Odd(), 0, samples=400)
    assert float(got.extras["fit"].max()) < 0.15
    assert "explains" in got.notes[0]


def test_too_narrow_a_width_is_said():
    notes = run(pooled_net(), width=0.01).notes
    assert any("Only about 1 sets are near enough to count" in note for note in notes)
    assert not any("near enough" in note for note in run(pooled_net()).notes)


def test_probability():
    payoff = Payoff(pooled_net(), IMAGE[0], LABELS, 2, read=lambda scores: scores.softmax(1))
    model = Ridge().fit(*sampled(payoff, 60, 0))
    close(run(pooled_net(), Probability((2,))).extras["values of regions"][0], model.coef_, rtol=1e-7)


def test_seeds_chunks_and_batches():
    net = pooled_net()
    one = run(net)
    assert not torch.equal(run(net, seed=1).values, one.values)
    close(run(net, chunk=5).values, numbers(one.values))
    for k in range(2):
        close(run(net, CLASSES[k], IMAGE[k : k + 1]).values[0], numbers(one.values[k]))


def test_stopped_midway():
    last = []
    with pytest.raises(Cancelled, match="LIME is an estimate from 25 of 60 samples") as stop:
        pellucid.explain(
            pooled_net(), IMAGE, "lime", CLASSES, chunk=10, cancel=lambda: bool(last) and last[-1] >= 50,
            options={"lime": {"regions": "2x4", "samples": 60}}, progress=lambda *at: last.append(at[1]),
        )  # fmt: skip
    close(stop.value.finished["lime"].values, numbers(run(pooled_net(), samples=25).values))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 15}, "at least 16 samples for 8 regions of lime, got 15"),
        ({"regression": "forest"}, "'ridge' or 'lasso' as regression of lime, got 'forest'"),
        ({"penalty": -1.0}, "got 0.25 and -1.0"),
        ({"penalty": 1.5, "regression": "lasso"}, "0 to 1 for lasso"),
        ({"width": 0.0}, "width > 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(pooled_net(), **options)
