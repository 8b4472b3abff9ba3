"""Shapley values of regions by sampling orders in which they appear."""

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._estimates import precision
from pellucid.methods._players import game_of


def shapley_sampling(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    regions: int | str | Tensor | None = None,
    permutations: int = 20,
    antithetic: bool = True,
    fill: float | str | Tensor = 0.0,
) -> Evidence:
    """What each region adds to the score on average, if regions appear one by one in random order.

    phi_r = mean over orders of S(regions up to r) - S(regions before r). The values of one order add up to S(I) -
    S(nothing shown), so their mean does too, whatever the number of orders.

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores the pictures with some regions shown.
        rng: random draws of the orders, by number; the same for all pictures.
        regions: number of superpixels, a grid such as `7x7`, `channels`, or the file of a label map (see
            `pellucid.masking.regions`); None is 50 superpixels, or on small pictures a grid of about as many cells; of
            signals 50 segments, of tables the columns.
        permutations: number of orders; each takes as many samples as there are regions, less one.
        antithetic: let every second order be the one before it backwards, which mostly lessens the error.
        fill: what hides: a value in the model's normalised space (0 is the mean colour of its training data), `mean`,
            `blur`, `noise`, `inpaint` or another picture (see `pellucid.masking.fills`).

    Returns:
        raw `[batch, *axes]` at the size of the input, signed, or with `channels` shaped as the input: each pixel has
        its region's phi_r; extras `values of regions` and their `standard error`, both `[batch, region]`, `score` S(I)
        and `baseline` S(nothing shown), both `[batch]`, and the label map `regions`.

    Raises:
        BadOption: fewer than two independent orders, or half a pair of them.
    """
    group = 2 if antithetic else 1
    if permutations < 2 * group or permutations % group:
        wanted = "an even number of permutations from 4" if antithetic else "at least 2 permutations"
        raise BadOption(f"Expected {wanted} for {METHOD.id}, got {permutations}.")
    game = game_of(METHOD.id, image, probe, rng, regions, fill)
    nobody, everybody = game.ends()
    players, steps = game.players, game.players - 1
    ranks = _ranks(rng, permutations, players, antithetic=antithetic)

    def shown(_: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return ranks[numbers // steps] <= (numbers % steps)[:, None]

    unit = group * steps
    between = game.payoffs(permutations * steps, shown, least=2 * unit, step=unit).reshape(len(image), -1, steps)
    start, end = (side[:, None, None].expand(-1, between.shape[1], 1) for side in (nobody, everybody))
    gains = torch.cat([start, between, end], 2).diff(dim=2)
    added = gains.gather(2, ranks[: gains.shape[1]].expand_as(gains))
    added = added.reshape(len(image), -1, group, players).mean(2)  # the two orders of a pair are not independent
    values, error = added.mean(1), added.std(1) / added.shape[1] ** 0.5
    ends = {"score": everybody, "baseline": nobody}
    return game.evidence(values, precision(error, values, "region"), **{"standard error": error}, **ends)


def _ranks(rng: Noise, permutations: int, players: int, *, antithetic: bool) -> torch.Tensor:
    """The place of each region in each order, from 0, `[permutation, region]`."""
    numbers = torch.arange(permutations)
    drawn = rng.uniform(numbers // 2 if antithetic else numbers, torch.empty(1, players, dtype=torch.float64))
    ranks = drawn.argsort(1).argsort(1)
    if antithetic:
        ranks[1::2] = players - 1 - ranks[1::2]
    return ranks


METHOD = Method(
    shapley_sampling,
    id="shapley-sampling",
    title="Shapley sampling",
    reference=Reference("doi:10.1016/j.cor.2008.04.004", "sampling of orders, here in antithetic pairs"),
    caveat="A random estimate; most of its questions are pictures with many regions hidden, unlike any that the "
    "network was trained on.",
    reduce="sum",
    joint=True,
)
