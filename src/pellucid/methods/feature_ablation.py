"""Feature ablation: hide one region at a time and see what the score loses."""

from dataclasses import replace

import torch
from torch import Tensor

from pellucid.contracts import Evidence, LocalPerturbation, Maps, Method, Noise, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._players import Game, game_of
from pellucid.methods._squares import ONE_AT_A_TIME, in_channel
from pellucid.numerics import crops, per_row


def feature_ablation(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    regions: int | str | Tensor | None = None,
    fill: float | str | Tensor = 0.0,
    by_channel: bool = False,
) -> Evidence:
    """What the score loses when one region of the picture is hidden, region by region.

    d_r = S(I) - S(I without region r): occlusion with regions of any shape instead of a sliding square.
    Only what a hidden region changes is computed (`capture/patches`).

    Args:
        image: I, `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`.
        probe: scores the pictures with hidden regions.
        rng: random draws of the noise of the fill `noise`; the same for all pictures.
        regions: number of superpixels, a grid such as `7x7`, `channels`, or the file of a label map (see
            `pellucid.masking.regions`); None is 50 superpixels, or on small pictures a grid of about as many cells; of
            signals 50 segments, of tables the columns.
        fill: what hides: a value in the model's normalised space (0 is the mean colour of its training data), `mean`,
            `blur`, `noise`, `inpaint` or another picture (see `pellucid.masking.fills`).
        by_channel: True if a region is hidden in one channel at a time, in all of them in turn.

    Returns:
        raw `[batch, *axes]` at the size of the input, signed: each pixel has its region's d_r; extras `values of
        regions`, `scores` (S without each region) and, where there are classes, `classes` (the top one then), all
        `[batch, region]`, and the label map `regions`. With `by_channel`, raw shaped as the input, summed over channels
        for the map, and the extras `[batch, channel, region]`, without classes.
    """
    game = game_of(METHOD.id, image, probe, rng, regions, fill)

    labels, boxes, players, cover = game.regions.of_values, game.regions.boxes(), game.players, game.fill
    if by_channel and game.regions.by_channel:
        raise BadOption(f"The regions of {METHOD.id} are channels already, so by_channel has nothing to add.")
    channels = image.shape[1] if by_channel else 1
    boxes = torch.cat([torch.zeros_like(boxes[:, :1]), boxes.repeat(1, channels, 1)], 1)  # the first hides nothing

    def hide(parts: Maps, samples: Tensor, numbers: Tensor, corners: Tensor) -> Maps:
        mine = crops(labels, samples, corners, parts.shape[2:])
        which = numbers - 1
        seen = (mine == per_row(which % players, mine)) & per_row(which >= 0, mine)
        if by_channel:
            seen = in_channel(seen, which // players, channels)
        return cover.hide(parts, samples, seen, corners)

    answers = probe.score(1 + channels * game.players, LocalPerturbation(boxes, hide))
    scores = answers.score.double()
    drops, top = (scores[:, :1] - scores[:, 1:]).cpu(), answers.top
    if by_channel:
        shape = (len(image), channels, game.players)
        return _of_channels(game, drops.reshape(shape), scores[:, 1:].reshape(shape))
    found = game.evidence(drops, scores=scores[:, 1:])
    return found if top is None else replace(found, extras={**found.extras, "classes": top[:, 1:]})


def _of_channels(game: Game, drops: Tensor, scores: Tensor) -> Evidence:
    """The map of each channel; `drops` and `scores` are `[batch, channel, region]`."""
    each = [game.evidence(part) for part in drops.unbind(1)]
    return Evidence(
        torch.stack([found.raw for found in each], 1),
        extras={
            "values of regions": drops.to(game.fill.image),
            "scores": scores.to(game.fill.image),
            "regions": game.regions.labels,
        },
        notes=(*each[0].notes, ONE_AT_A_TIME),
    )


METHOD = Method(
    feature_ablation,
    id="feature-ablation",
    title="Feature ablation",
    reference=Reference("arXiv:1311.2901", "section 4.2, with regions for squares"),
    caveat="Evidence that two regions hold alike does not show, as each is hidden alone; a hidden region is itself "
    "something to see.",
    reduce="sum",
    joint=True,
)
