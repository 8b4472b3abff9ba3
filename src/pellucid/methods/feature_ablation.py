"""Feature ablation: hide one region at a time and see what the score loses."""

from dataclasses import replace

import torch
from torch import Tensor

from pellucid.methods._players import game_of
from pellucid.numerics import crops
from pellucid.types import Evidence, Local, Maps, Method, Noise, Paper, ProbeLike


def feature_ablation(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    regions: int | str | Tensor | None = None,
    fill: float | str | Tensor = 0.0,
) -> Evidence:
    """What the score loses when one region of the picture is hidden, region by region.

    d_r = S(I) - S(I without region r): occlusion with regions of any shape instead of a sliding square.
    Only what a hidden region changes is computed (`capture/patches`).

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: scores the pictures with hidden regions.
        rng: draws the noise of the fill `noise`; the same for all pictures.
        regions: number of superpixels, a grid such as `7x7`, or the file of a label map (see `pellucid.regions`); None
            is 50 superpixels, or on small pictures a grid of about as many cells.
        fill: what hides: a value in the model's normalised space (0 is the mean colour of its training data), `mean`,
            `blur`, `noise`, `inpaint` or another picture (see `pellucid.fills`).

    Returns:
        raw `[batch, row, column]` at the size of the input, signed: each pixel has its region's d_r; extras `values of
        regions`, `scores` (S without each region) and, where there are classes, `classes` (the top one then), all
        `[batch, region]`, and the label map `regions`.
    """
    game = game_of(METHOD.id, image, probe, rng, regions, fill)

    labels, boxes = game.regions.labels[:, None], game.regions.boxes()
    boxes = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)  # the first hides nothing

    def hide(parts: Maps, samples: torch.Tensor, numbers: torch.Tensor, corners: torch.Tensor) -> Maps:
        mine = crops(labels, samples, corners, (parts.shape[2], parts.shape[3]))
        return game.fill.hide(parts, samples, mine == numbers[:, None, None, None] - 1, corners)

    answers = probe.score(1 + game.players, Local(boxes, hide))
    scores = answers.score.double()
    found = game.evidence((scores[:, :1] - scores[:, 1:]).cpu(), scores=scores[:, 1:])
    if answers.top is None:
        return found
    return replace(found, extras={**found.extras, "classes": answers.top[:, 1:]})


METHOD = Method(
    feature_ablation,
    id="feature-ablation",
    title="Feature ablation",
    reference=Paper("arXiv:1311.2901", "section 4.2, with regions for squares"),
    caveat="Evidence that two regions hold alike does not show, as each is hidden alone; a hidden region is itself "
    "something to see.",
)
