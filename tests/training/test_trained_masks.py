"""A network that says what it needs to see, and how that is judged."""

import pytest
import torch
from test_study import squares
from torch import nn

import pellucid
from pellucid.errors import BadOption
from pellucid.models.trained import save_trained
from pellucid.training.loop import Settings
from pellucid.training.masks import compare_masks, own_masks
from pellucid.training.report import study_page
from pellucid.training.study import study
from pellucid.zoo.self_explaining import SelfExplaining, preserving


@pytest.mark.long
def test_the_mask_lies_on_the_square_and_beats_chance(tmp_path):
    settings = Settings(passes=30, batch=16, rate=5e-3, patience=30, shift=0)
    made = study("lenet5", squares(160), settings, self_explaining=True)
    path = tmp_path / "pair.safetensors"
    save_trained(made.trained.module, path, made.card)
    model = pellucid.load(path)
    compared = compare_masks(model, made.inputs)
    masks, bright = compared.maps["own mask"], made.inputs[:, 0] > 1.5
    assert masks[bright].mean() > 2 * masks[~bright].mean()
    own, chance = compared.scores["own mask"]["insertion"], compared.scores["random"]["insertion"]
    assert own.better_than(chance)
    assert own.judged == len(made.inputs)
    page = study_page(made, settings, own=compared)
    assert "What it says it needs to see" in page
    assert page.count("<svg") == 4


class Sums(nn.Module):
    """Two scores: the sum of the left half and of the right half."""

    def forward(self, x):
        return torch.stack([x[..., :4].sum((1, 2, 3)), x[..., 4:].sum((1, 2, 3))], 1)


def test_what_is_minimised_by_hand():
    torch.manual_seed(0)
    module = SelfExplaining(Sums(), channels=1, width=2)
    pictures, labels = torch.randn(3, 1, 8, 8), torch.tensor([0, 1, 0])
    torch.manual_seed(1)
    loss, scores = preserving(module, pictures, labels)
    torch.manual_seed(1)
    noise, mask = torch.randn_like(pictures), module.mask(pictures)
    seen = Sums()(mask[:, None] * pictures + (1 - mask[:, None]) * noise)
    expected = nn.functional.cross_entropy(scores, labels) + nn.functional.cross_entropy(seen, scores.argmax(1))
    expected = expected + mask.mean() + 0.3 * (mask.diff(dim=1).abs().mean() + mask.diff(dim=2).abs().mean())
    torch.testing.assert_close(loss, expected)
    assert mask.shape == (3, 8, 8)


def test_other_networks_draw_no_masks():
    with pytest.raises(BadOption, match="draws no mask"):
        own_masks(pellucid.wrap(Sums()), torch.zeros(1, 1, 8, 8))
