"""Kernel SHAP: Shapley values of regions by a weighted regression."""

import math

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._estimates import precision
from pellucid.methods._players import game_of

_EACH = 4
"""Samples for each region below which the regression would mostly fit chance."""


def kernel_shap(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    regions: int | str | Tensor | None = None,
    samples: int = 1000,
    fill: float | str | Tensor = 0.0,
) -> Evidence:
    """What each region adds to the score, shared out fairly, from pictures with random sets of regions shown.

    phi minimises sum_z k(z) (S(z) - S(0) - z phi)^2 with z the regions shown, k(z) = (m - 1) / (C(m, |z|) |z| (m -
    |z|)) for m regions, and sum phi = S(I) - S(nothing shown) as a constraint. Sets are drawn with probability k(z),
    each together with its complement (Covert & Lee, arXiv:2012.01536). With samples for all sets the values
    are the Shapley values themselves.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores the pictures with some regions shown.
        rng: random draws of the sets, by number; the same for all pictures.
        regions: number of superpixels, a grid such as `7x7`, `channels`, or the file of a label map (see
            `pellucid.masking.regions`); None is 50 superpixels, or on small pictures a grid of about as many cells; of
            signals 50 segments, of tables the columns.
        samples: number of sets, in pairs; from 2^m - 2 on, all of them.
        fill: what hides: a value in the model's normalised space (0 is the mean colour of its training data), `mean`,
            `blur`, `noise`, `inpaint` or another picture (see `pellucid.masking.fills`).

    Returns:
        raw `[batch, *axes]` at the size of the input, signed, or with `channels` shaped as the input: each pixel has
        its region's phi; extras `values of regions` and their `standard error` (of the regression, pairs kept together;
        0 with all sets), both `[batch, region]`, `score` S(I) and `baseline` S(nothing shown), both `[batch]`, and the
        label map `regions`.

    Raises:
        BadOption: fewer than four samples for each region, and not all sets.
    """
    game = game_of(METHOD.id, image, probe, rng, regions, fill)
    m = game.players
    if samples < min(_EACH * m, 2**m - 2):
        raise BadOption(
            f"Expected at least {min(_EACH * m, 2**m - 2)} samples for {m} regions of {METHOD.id}, got {samples}."
        )
    nobody, everybody = game.ends()
    complete = 2**m - 2 <= samples
    sets, weights = _all_sets(m, rng) if complete else _drawn_sets(m, samples // 2, rng)
    scores = game.payoffs(len(sets), lambda _, numbers: sets[numbers], least=_EACH * m, step=2)
    complete &= scores.shape[1] == len(sets)
    sets, weights = sets[: scores.shape[1]].double(), weights[: scores.shape[1]]
    # whatever is orthogonal to (1, ..., 1) keeps the sum, so the constraint holds by construction
    span = torch.linalg.qr(torch.cat([torch.ones(m, 1), torch.eye(m)[:, 1:]], 1).double()).Q[:, 1:]
    inputs, even = sets @ span, (everybody - nobody)[:, None] / m
    rest = scores - nobody[:, None] - even * sets.sum(1)
    inverse = torch.linalg.pinv(inputs.T @ (weights[:, None] * inputs), hermitian=True)
    slopes = (rest * weights) @ inputs @ inverse
    values = even + slopes @ span.T
    error = torch.zeros_like(values)
    if not complete:
        misfit = (weights * (rest - slopes @ inputs.T))[:, :, None] * inputs
        pairs = misfit.reshape(len(image), -1, 2, m - 1).sum(2)
        freedom = pairs.shape[1] / (pairs.shape[1] - m + 1)
        error = ((pairs @ inverse @ span.T).square().sum(1) * freedom).sqrt()
    note = (
        "All sets were asked for: these are the exact Shapley values."
        if complete
        else precision(error, values, "region")
    )
    return game.evidence(values, note, **{"standard error": error, "score": everybody, "baseline": nobody})


def _all_sets(m: int, rng: Noise) -> tuple[torch.Tensor, torch.Tensor]:
    """Every set but the empty and the full one, each before its complement, pairs in random order; and k(z)."""
    half = torch.arange(1, 2 ** (m - 1))
    half = half[rng.uniform(torch.zeros(1, dtype=torch.long), half[None].double())[0].argsort()]
    first = (half[:, None] >> torch.arange(m)) % 2 == 1
    sets = torch.stack([first, ~first], 1).reshape(-1, m)
    kernel = torch.tensor([0.0, *((m - 1) / (math.comb(m, s) * s * (m - s)) for s in range(1, m))], dtype=torch.float64)
    return sets, kernel[sets.sum(1)]


def _drawn_sets(m: int, pairs: int, rng: Noise) -> tuple[torch.Tensor, torch.Tensor]:
    """Sets drawn with probability k(z), each before its complement; and their weights, which are all 1 therefore."""
    sizes = torch.arange(1, m, dtype=torch.float64)
    chance = (1 / (sizes * (m - sizes))).cumsum(0)
    drawn = rng.uniform(torch.arange(pairs), torch.empty(1, m + 1, dtype=torch.float64))
    size = 1 + torch.searchsorted(chance / chance[-1], drawn[:, :1].contiguous(), right=True)
    first = drawn[:, 1:].argsort(1).argsort(1) < size.clamp(max=m - 1)
    return torch.stack([first, ~first], 1).reshape(-1, m), torch.ones(2 * pairs, dtype=torch.float64)


METHOD = Method(
    kernel_shap,
    id="kernel-shap",
    title="Kernel SHAP",
    reference=Reference("arXiv:1705.07874", "theorem 2"),
    caveat="A random estimate unless all sets are asked for; most of its questions are pictures with many regions "
    "hidden, unlike any that the network was trained on.",
    reduce="sum",
    passes=Passes("samples"),
    joint=True,
)
