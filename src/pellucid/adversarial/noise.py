"""Pictures of nothing that a network is sure about."""

from __future__ import annotations

import torch

from pellucid.adversarial.attack import Fooled, class_scores
from pellucid.adversarial.odds import odds
from pellucid.capture.differentiable import differentiable_forward
from pellucid.contracts import Model
from pellucid.errors import BadOption
from pellucid.models.preprocessing import nominal_size, preprocessing_of
from pellucid.seeds import seeded
from pellucid.targets import independent, label_log_odds, probabilities

RATE = 1 / 255
"""How far each value goes in a step: one level of 8 bits."""


def from_noise(
    model: Model, target: int, *, count: int = 1, sure: float = 0.99, steps: int = 255, seed: int = 0
) -> Fooled:
    """Noise that is taken for a class: Nguyen et al., "Deep neural networks are easily fooled", arXiv:1412.1897.

    x <- x + sign(d log p / dx) / 255, from uniform noise, until p reaches `sure`; the sign is taken of the log-odds'
    gradient, which is the same and does not vanish where p is rounded to 0. Of labels that are right or wrong each by
    itself, p is the label's own. Their pictures are ascended or bred
    for long; a few steps are enough here, and what comes out still looks like noise.

    Args:
        model: with preprocessing; left exactly as it was.
        target: the class.
        count: number of pictures; picture k is the same whatever their number.
        sure: probability at which a picture is left as it is.
        steps: at most.
        seed: of the noise.

    Returns:
        The noise before, the pictures after; how far the values went, in `eps`, as the greatest change.

    Raises:
        BadOption: a class, number or probability that cannot be.
    """
    if count < 1 or steps < 1 or not 0 < sure <= 1:
        raise BadOption(
            f"Expected at least one picture and one step, and a probability up to 1; got {count}, {steps}, {sure}."
        )
    preprocess = preprocessing_of(model)
    shape = (preprocess.channels, *nominal_size(preprocess))
    noise = torch.stack([
        torch.rand(shape, generator=seeded(seed, k)) for k in range(count)
    ])  # fmt: skip
    with differentiable_forward(model, (), scores=True) as eyes:
        before = after = class_scores(eyes, preprocess.normalise(noise))
        measured, vanished = eyes.measured(preprocess.normalise(noise)), torch.zeros(count, dtype=torch.bool)
        certain = measured.answers == "probabilities"
        if not 0 <= target < before.shape[1]:
            raise BadOption(f"Expected a class from 0 to {before.shape[1] - 1}, got {target}.")
        pictures, wanted = noise.clone(), torch.full((count,), target, device=before.device)
        for _ in range(steps):
            unsure = probabilities(after, measured)[:, target] < sure
            if not bool(unsure.any()):
                break
            some = unsure.to(pictures.device)
            slope = eyes.slope(
                preprocess.normalise(pictures[some]),
                lambda scores: (
                    label_log_odds(scores, measured)[:, target]
                    if independent(measured)
                    else odds(scores, wanted[: len(scores)], certain=certain)
                ),
            )
            vanished[some.cpu()] = ~((slope != 0) & slope.isfinite()).flatten(1).any(1).cpu()
            slope = slope.nan_to_num(0, 0, 0)
            pictures[some] = (pictures[some] + RATE * slope.sign().to(pictures)).clamp(0, 1)
            after = class_scores(eyes, preprocess.normalise(pictures))
    return Fooled(
        noise, pictures, before, after, (pictures - noise).flatten(1).abs().amax(1), "linf", vanished, measured
    )
