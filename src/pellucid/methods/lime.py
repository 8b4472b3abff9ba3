"""LIME: a linear model of the score around the picture, in terms of regions that are shown or hidden."""

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.held import Own
from pellucid.methods._players import game_of
from pellucid.numerics import safe_divide

_EACH = 2
"""Samples for each region below which the regression would fit chance."""
_LASSO_ROUNDS = 100_000


def lime(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    regions: int | str | Tensor | None = None,
    samples: int = 1000,
    regression: str | Own = "ridge",
    penalty: float | None = None,
    alpha: float | None = None,
    width: float = 0.25,
    similarity: Own | None = None,
    fill: float | str | Tensor = 0.0,
) -> Evidence:
    """How much each region counts in a linear model that imitates the network near the picture.

    w minimises sum_z k(z) (S(z) - b - z w)^2 + penalty(w) over random sets z of regions, each shown with probability
    1/2, and the picture itself; k(z) = exp(-D^2 / width^2) with the cosine distance D = 1 - sqrt(|z| / m) to the
    picture of m regions, as in the authors' code.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores the pictures with some regions shown.
        rng: random draws of the sets, by number; the same for all pictures.
        regions: number of superpixels, a grid such as `7x7`, `channels`, or the file of a label map (see
            `pellucid.masking.regions`); None is 50 superpixels, or on small pictures a grid of about as many cells; of
            signals 50 segments, of tables the columns.
        samples: number of sets, the picture itself included.
        regression: `ridge`, or `lasso` (with scikit-learn), which lets few regions count. In Python also a function of
            arrays (sets `[set, region]` of 0 and 1, scores `[set]`, weights `[set]`) that returns w `[region]`.
        penalty: factor of sum w^2 in `ridge` (None: 1, as in the authors' code); in `lasso`, the fraction of
            the penalty at which no region is left (None: 0.05).
        alpha: factor of sum |w| in `lasso`, beside the mean squared error / 2, as scikit-learn has it; instead of
            `penalty`.
        width: cosine distance, 0 to 1, that a picture may have to count.
        similarity: function, in Python only, that gives k(z) `[set]` of sets z, a bool tensor `[set, region]`.
        fill: what hides: a value in the model's normalised space (0 is the mean colour of its training data), `mean`,
            `blur`, `noise`, `inpaint` or another picture (see `pellucid.masking.fills`).

    Returns:
        raw `[batch, *axes]` at the size of the input, signed, or with `channels` shaped as the input: each pixel has
        its region's w; extras `values of regions` w `[batch, region]`; `fit`, the weighted R^2 of the linear model (1
        is perfect), `score` S(I) and `constant` b, all `[batch]`; and the label map `regions`.

    Raises:
        BadOption: fewer than two samples for each region, another regression, a penalty, alpha or width that cannot be,
            or a function that returns something else.
    """
    if isinstance(regression, str) and regression not in ("ridge", "lasso"):
        raise BadOption(f"Expected 'ridge' or 'lasso' as regression of {METHOD.id}, got {regression!r}.")
    if alpha is not None and (alpha < 0 or regression != "lasso" or penalty is not None):
        raise BadOption(
            f"alpha of {METHOD.id} is 0 or more, for the regression 'lasso', and no penalty stands beside it."
        )
    penalty = (0.05 if regression == "lasso" else 1.0) if penalty is None else penalty
    if penalty < 0 or (regression == "lasso" and not 0 < penalty <= 1) or width <= 0:
        raise BadOption(
            f"Expected width > 0 and a penalty >= 0 (0 to 1 for lasso) for {METHOD.id}, got {width} and {penalty}."
        )
    game = game_of(METHOD.id, image, probe, rng, regions, fill)
    m = game.players
    if samples < _EACH * m:
        raise BadOption(f"Expected at least {_EACH * m} samples for {m} regions of {METHOD.id}, got {samples}.")
    sets = rng.uniform(torch.arange(samples), torch.empty(1, m, dtype=torch.float64)) < 0.5
    sets[0] = True
    scores = game.payoffs(samples, lambda _, numbers: sets[numbers], least=_EACH * m)
    inputs = sets[: scores.shape[1]].double()
    near = _kernel(inputs, width) if similarity is None else _own_kernel(similarity, sets[: len(inputs)])
    middle, level = near @ inputs / near.sum(), scores @ near / near.sum()
    plain = inputs, scores
    inputs, scores = inputs - middle, scores - level[:, None]  # the constant b needs no penalty and no column
    if not isinstance(regression, str):
        values = _own_model(regression, *plain, near)
    elif regression == "ridge":
        values = _ridge(inputs, scores, near, penalty)
    else:
        values = _lasso(inputs, scores, near, penalty, alpha)
    explained = scores.square() @ near - (scores - values @ inputs.T).square() @ near
    fit = safe_divide(explained, scores.square() @ near)
    constant = level - values @ middle
    return game.evidence(values, *_quality(fit, near, m), fit=fit, score=scores[:, 0] + level, constant=constant)


def _kernel(inputs: Tensor, width: float) -> Tensor:
    """How much each set counts, `[set]`, by its cosine distance from the whole picture."""
    return torch.exp(-(((1 - inputs.mean(1).sqrt()) / width) ** 2))


def _own_kernel(similarity: Own, sets: Tensor) -> Tensor:
    """The same by the user's own function."""
    near = torch.as_tensor(similarity(sets)).detach().double().cpu()
    if near.shape != (len(sets),) or not bool((near.isfinite() & (near >= 0)).all()) or not bool(near.any()):
        raise BadOption(
            f"Expected a number from 0 on for each of {len(sets)} sets from the similarity of {METHOD.id}, not all of "
            f"them 0, got {_short(near)}."
        )
    return near


def _own_model(function: Own, inputs: Tensor, scores: Tensor, weights: Tensor) -> Tensor:
    """Slopes `[batch, region]` by the user's own linear model."""
    found = [
        torch.as_tensor(function(inputs.numpy(), one.numpy(), weights.numpy())).detach().double().cpu()
        for one in scores
    ]
    for slopes in found:
        if slopes.shape != (inputs.shape[1],) or not bool(slopes.isfinite().all()):
            raise BadOption(
                f"Expected a finite number for each of {inputs.shape[1]} regions from the regression of {METHOD.id}, "
                f"got {_short(slopes)}."
            )
    return torch.stack(found)


def _short(tensor: Tensor) -> str:
    return f"{list(tensor.shape)}, the first {tensor.flatten()[:3].tolist()}"


def _ridge(inputs: Tensor, scores: Tensor, weights: Tensor, penalty: float) -> Tensor:
    """Slopes `[batch, region]` for centred inputs `[set, region]` and scores `[batch, set]`."""
    weighed = weights[:, None] * inputs
    inverse = torch.linalg.pinv(inputs.T @ weighed + penalty * torch.eye(inputs.shape[1]).double(), hermitian=True)
    slopes: Tensor = scores @ weighed @ inverse
    return slopes


def _lasso(inputs: Tensor, scores: Tensor, weights: Tensor, penalty: float, alpha: float | None) -> Tensor:
    """The same with a penalty on sum |w|: `alpha`, or `penalty` as a fraction of that which leaves nothing."""
    from sklearn.linear_model import Lasso

    largest = (scores * weights @ inputs).abs().amax(1) / weights.sum()
    slopes = torch.zeros(len(scores), inputs.shape[1], dtype=torch.float64)
    for k in largest.nonzero()[:, 0].tolist():
        model = Lasso(
            penalty * float(largest[k]) if alpha is None else alpha,
            fit_intercept=False,
            max_iter=_LASSO_ROUNDS,
            tol=1e-8,
        )
        slopes[k] = torch.from_numpy(model.fit(inputs.numpy(), scores[k].numpy(), weights.numpy()).coef_)
    return slopes


def _quality(fit: Tensor, weights: Tensor, least: int) -> tuple[str, ...]:
    """Notes on how well the linear model imitates the network, from R^2 `[batch]`, and on how many sets count."""
    low, high = (f"{float(end):.0%}" for end in (fit.min(), fit.max()))
    share = low if low == high else f"{low} to {high}"
    note = f"The linear model explains {share} of how the score varies near the picture (weighted R²)."
    count = float(weights.sum() ** 2 / weights.square().sum())
    return (
        (note,) if count >= least else (note, f"Only about {count:.0f} sets are near enough to count: widen `width`.")
    )


METHOD = Method(
    lime,
    id="lime",
    title="LIME",
    reference=Reference("arXiv:1602.04938", "equation 2 and algorithm 1"),
    caveat="The map is of a linear stand-in for the network, worth as much as its fit, which stands beside it; the "
    "choice of regions, of the width and of what hides them changes it.",
    reduce="sum",
    passes=Passes("samples"),
    joint=True,
)
