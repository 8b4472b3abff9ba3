"""A network trained together with one that says which part of the picture it needs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE, ROUGHNESS = 1.0, 0.3
"""Weights of the mask's size and roughness against the two cross-entropies."""

OPEN = 3.0
"""The mask begins nearly open: one that closes before the main network has learned anything never opens again."""


class SelfExplaining(nn.Module):
    """Scores from one network, and from another the part of the picture that these scores need.

    Trained together: the main network answers right for the picture and for the picture seen through the mask; the
    mask is small and smooth. The same terms as for masks optimised per picture (Fong and Vedaldi, ICCV 2017; Dabkowski
    and Gal, NeurIPS 2017), but learned once, so that a mask costs one forward pass.

    Args:
        main: scores pictures `[batch, channel, row, column]`.
        channels: of the pictures.
        width: maps of the explaining network.
    """

    def __init__(self, main: nn.Module, channels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.main = main
        last = nn.Conv2d(2 * width, 1, 1)
        last.bias = nn.Parameter(torch.full((1,), OPEN))
        self.explainer = nn.Sequential(
            nn.Conv2d(channels, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=2, dilation=2),
            nn.ReLU(),
            last,
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores `[batch, class]` of the whole pictures."""
        scores: Tensor = self.main(pictures)
        return scores

    def mask(self, pictures: Tensor) -> Tensor:
        """What the scores need, `[batch, row, column]`, from 0 (nothing) to 1."""
        drawn = torch.sigmoid(self.explainer(pictures))
        size = (pictures.shape[2], pictures.shape[3])
        return F.interpolate(drawn, size, mode="bilinear", align_corners=False)[:, 0]


def mask_of(module: nn.Module) -> Callable[..., Tensor] | None:
    """What runs a network on pictures for the mask that it draws itself; None for networks that draw none."""
    return _draw if isinstance(module, SelfExplaining) else None


def _draw(module: SelfExplaining, pictures: Tensor) -> Tensor:
    return module.mask(pictures)


def preserving(module: nn.Module, pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What becomes small in training, and the scores.

    cross-entropy(S(x), y) + cross-entropy(S(m x + (1 - m) n), argmax S(x)) + a mean(m) + b mean |grad m|, with noise n
    as bright and as uneven as the pictures (mean 0, deviation 1). Without noise a faint mask would hide nothing: the
    network would learn to see faint pictures.
    """
    if not isinstance(module, SelfExplaining):
        raise TypeError(f"Expected a SelfExplaining network, got {type(module).__name__}.")
    scores, mask = module(pictures), module.mask(pictures)
    hidden = torch.randn_like(pictures) * (1 - mask[:, None])
    seen = module(pictures * mask[:, None] + hidden)
    kept = F.cross_entropy(seen, scores.detach().argmax(1))
    rough = mask.diff(dim=1).abs().mean() + mask.diff(dim=2).abs().mean()
    return F.cross_entropy(scores, labels) + kept + SIZE * mask.mean() + ROUGHNESS * rough, scores
