"""Score-CAM."""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, Method, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.numerics import CHANNEL, per_row, places


def score_cam(
    activation: Maps,
    enlarge: Callable[[Tensor], Tensor],
    probe: ProbeLike,
    *,
    variant: str = "paper",
    channels: int | None = None,
) -> Map:
    """A layer's channels, each weighed by what the model says when shown only the part where the channel is active.

    H_k = minmax(enlarge(A_k)); S_k = S(I * H_k); w = softmax over k of S_k; map = ReLU(sum_k w_k A_k). The paper
    subtracts the score of a baseline picture from every S_k, which the softmax cancels, so it is not computed. A
    constant channel hides nothing and highlights nothing; it gets no weight.

    Args:
        activation: A, `[batch, channel, row, column]`.
        enlarge: resizes maps of the layer to the picture I.
        probe: scores the masked pictures.
        variant: `paper` for algorithm 1; `authors` for the published code, which weighs by the masked pictures' scores
            themselves without softmax over channels (there with class probability as the target).
        channels: use only this many channels, those with the largest standard deviation (the Faster Score-CAM idea);
            None uses all.

    Returns:
        `[batch, row, column]` on the layer's grid, never negative.

    Raises:
        BadOption: another variant, or a number of channels that the layer does not have.
    """
    if variant not in ("paper", "authors"):
        raise BadOption(f"Expected 'paper' or 'authors' as variant of score-cam, got {variant!r}.")
    count = activation.shape[CHANNEL]
    if channels is not None and not 1 <= channels <= count:
        raise BadOption(f"Expected 1 to {count} channels for score-cam, got {channels}.")
    kept = activation.flatten(2).std(2).topk(channels or count, 1).indices.sort(1).values
    ones = [1] * len(places(activation))
    chosen = activation.take_along_dim(kept.reshape(*kept.shape, *ones), CHANNEL)

    def mask(rows: torch.Tensor, samples: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        maps = enlarge(chosen[samples, numbers])
        low, high = maps.flatten(1).amin(1), maps.flatten(1).amax(1)
        span = (high - low).clamp(min=torch.finfo(maps.dtype).tiny)
        return rows.mul_(((maps - per_row(low, maps)) / per_row(span, maps))[:, None])

    score = probe.score(kept.shape[1], mask).score
    empty = chosen.flatten(2).amax(2) == chosen.flatten(2).amin(2)
    weights = score.masked_fill(empty, -torch.inf).softmax(1) if variant == "paper" else score
    return (weights.masked_fill(empty, 0).reshape(*kept.shape, *ones) * chosen).sum(CHANNEL).relu()


METHOD = Method(
    score_cam,
    id="score-cam",
    title="Score-CAM",
    reference=Reference("arXiv:1910.01279", "algorithm 1"),
    caveat="The softmax over channels lets a few masks rule when scores are logits; masked pictures are unlike "
    "any that the network was trained on.",
)
