"""DeepLIFT averaged over several baselines."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, Passes, ProbeLike, Reference, Scores
from pellucid.errors import BadOption
from pellucid.methods._noise import colours
from pellucid.methods._relevance import check_operations
from pellucid.methods.deep_lift import deep_lift


def deep_lift_shap(
    image: Maps, probe: ProbeLike, rng: Noise, *, baselines: int = 10, kind: str = "colours", spread: float = 2.0
) -> Evidence:
    """How much each pixel adds, on average over many baselines, so that no single colour is blind to itself.

    raw = mean_n DeepLIFT(I, B_n). It sums to S(I) - mean_n S(B_n); what rounding leaves is `extras["gap"]`. The
    baselines stand in for a sample of the data: random uniform colours, or white noise, drawn from the seed and the
    same for all pictures.

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: runs DeepLIFT with each baseline, and scores the baselines.
        rng: random draws by baseline number.
        baselines: number of baselines.
        kind: `colours`, each one value per channel for all pixels, uniform between -spread and spread; or `noise`,
            every pixel and channel on its own, normal with standard deviation spread / 2.
        spread: standard deviation in the model's normalised space, where 2 is about the range of photographs.

    Returns:
        raw shaped as the input, summed over channels for the map; extras `gap` `[batch]`, in units of the score.

    Raises:
        Refused: an operation without a rule, by name.
    """
    if kind not in ("colours", "noise") or baselines < 1 or spread < 0:
        raise BadOption(
            "Expected kind 'colours' or 'noise', at least 1 baseline and spread >= 0 for deep-lift-shap, got "
            f"{kind!r}, {baselines} and {spread}."
        )
    numbers = torch.arange(baselines, device=image.device)
    if kind == "colours":
        drawn = (2 * colours(rng, numbers, image, probe) - 1) * spread
    else:
        drawn = rng.normal(numbers, image) * spread / 2
    mean = torch.zeros_like(image)
    for baseline in drawn:
        for rows, _, raw in probe.each(1, lambda rows, *_: rows, _from_one, options={"baseline": baseline}):
            mean.index_add_(0, rows, raw.to(mean) / baselines)
    own = probe.score(1, lambda rows, *_: rows).score[:, 0]
    others = probe.score(baselines, lambda rows, _, n: drawn[n].expand_as(rows)).score.mean(1)
    return Evidence(mean, extras={"gap": own - others - mean.flatten(1).sum(1)})


def _from_one(
    image: Maps,
    image_gradient: Maps,
    score: Scores,
    collected: Mapping[str, Tensor],
    uncovered: tuple[str, ...],
    assumed: tuple[str, ...],
    *,
    baseline: float | Tensor = 0.0,
) -> Evidence:
    check_operations(METHOD.id, uncovered, "Use expected-gradients.")
    return deep_lift(image, image_gradient, score, collected, uncovered, assumed, baseline=baseline)


METHOD = Method(
    deep_lift_shap,
    id="deep-lift-shap",
    title="DeepLIFT SHAP",
    reference=Reference("arXiv:1705.07874", "section 4.2"),
    caveat="The baselines are colours or noise, not pictures, so the network may treat them in ways of its own.",
    rule="differences",
    reduce="sum",
    passes=Passes("baselines", 2, 1, shared=False),
    joint=True,
)
