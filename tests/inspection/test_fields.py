"""Receptive fields of modules, against the gradients of an all-positive copy."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from pellucid.inspection.fields import described, starts, steps


class Branches(nn.Module):
    """A skip, two branches of different size joined by concatenation, dilation, pooling and a way up again."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.wide, self.near = nn.Conv2d(4, 4, 3, padding=2, dilation=2), nn.Conv2d(4, 4, 1)
        self.pool, self.up = nn.MaxPool2d(2), nn.ConvTranspose2d(8, 4, 2, 2)
        self.last = nn.Conv2d(4, 2, (1, 3), padding=(0, 1))

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = x + F.relu(self.near(x))
        y = self.pool(torch.cat([self.wide(x), self.near(x)], 1))
        return self.last(self.up(y) + x)


def seen_by_gradient(net, path, position, size):
    """Rows and columns of the input that reach a position of a layer, when nothing can cancel."""
    positive = copy.deepcopy(net)
    for parameter in positive.parameters():
        nn.init.uniform_(parameter, 0.5, 1.0)
    positive.pool = nn.AvgPool2d(2)  # any of the values may be the largest one
    kept = []
    positive.get_submodule(path).register_forward_hook(lambda _, __, out: kept.append(out))
    x = torch.ones(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    positive(x)
    (gradient,) = torch.autograd.grad(kept[0][0, :, *position].sum(), x)
    rows, columns = (gradient[0].sum((0, axis)).nonzero()[:, 0] for axis in (2, 1))
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


@pytest.mark.parametrize("path", ["stem", "wide", "pool", "up", "last"])
@pytest.mark.parametrize("place", ["middle", "corner"])
def test_boxes_across_skips_and_branches(path, place):
    net = tiny.build(Branches)
    row = pellucid.inspect(net, size=20).structure[path]
    position = tuple(n // 2 for n in row.shape[2:]) if place == "middle" else (0, 0)
    found, expected = row.field.box(*position), seen_by_gradient(net, path, position, 20)
    if row.field.status == "exact":
        assert found == expected
    else:
        assert all(a <= c and d <= b for (a, b), (c, d) in zip(found, expected, strict=True))


def test_words():
    rows = pellucid.inspect(tiny.build(Branches), size=20).structure
    assert (described(rows["stem"].field), steps(rows["stem"].field), starts(rows["stem"].field)) == ("3", "2", "-1")
    assert rows["wide"].field.status == "exact"
    assert described(rows["up"].field).startswith("at most")
    gap = pellucid.inspect(tiny.build(tiny.Pooled), size=16).structure
    assert (described(gap["fc"].field), steps(gap["fc"].field)) == ("whole", "")
    assert described(None) == steps(None) == starts(None) == ""


def test_attention_sees_everything_and_patches_do_not():
    rows = pellucid.inspect(tiny.build(tiny.Tokens), size=16).structure
    assert (described(rows["patch"].field), steps(rows["patch"].field)) == ("4", "4")
    assert described(rows["blocks.0"].field) == "whole"


def test_a_choice_by_values_is_said():
    class Chooses(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pick = nn.Conv2d(3, 4, 3), nn.Identity()

        def forward(self, x):
            y = self.conv(x)
            return self.pick(y.flatten(2).gather(2, y.flatten(2).argmax(2, keepdim=True)))

    row = pellucid.inspect(Chooses(), size=12).structure["pick"]
    assert row.field.status == "data dependent"
    assert described(row.field).startswith("by data")


def test_a_network_that_goes_another_way_on_noise():
    class Way(nn.Module):
        def __init__(self):
            super().__init__()
            self.bright, self.dark = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 5)

        def forward(self, x):
            y = self.bright(x) if bool(x.detach().mean() > 0.5) else self.dark(x)
            return y.flatten(2)[y.flatten(2) > 0]

    found = pellucid.inspect(Way(), torch.ones(1, 3, 16, 16))
    assert found.structure["bright"].calls == 1
    assert found.structure["dark"].calls == 0
    assert found.structure["bright"].field is None
    assert "Receptive fields are left out" in " ".join(found.structure.notes)
    assert found.drawing()
    whole = pellucid.inspect(Way(), size=16).structure.total
    assert whole.field is None or whole.field.status == "data dependent"


def test_sound_and_film():
    sound = nn.Sequential(nn.Conv1d(1, 2, 5, stride=2), nn.Conv1d(2, 2, 3))
    assert pellucid.inspect(sound, shape=(1, 50)).structure["1"].field.size == (9,)
    film = nn.Sequential(nn.Conv3d(1, 2, (3, 1, 1)), nn.Conv3d(2, 2, 3))
    assert pellucid.inspect(film, shape=(1, 8, 8, 8)).structure["1"].field.size == (5, 3, 3)
    assert pellucid.inspect(nn.Linear(4, 2), shape=(4,)).structure.total.field is None
    words = nn.Embedding(10, 4)
    assert pellucid.inspect(words, torch.tensor([[1, 2]])).structure.total.field is None
