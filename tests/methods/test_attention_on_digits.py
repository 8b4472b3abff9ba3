"""What the attention methods show of a small transformer that was taught to find a digit in noise."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import pellucid
from attention_nets import Block

SIZE, DIGIT, PATCH, CLASSES = 24, 8, 4, 4
CHANCE = (DIGIT / SIZE) ** 2


class Finder(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        count = (SIZE // PATCH) ** 2
        self.patch, self.first = nn.Conv2d(1, width, PATCH, PATCH), nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(0.02 * torch.randn(1, 1 + count, width))
        self.blocks = nn.Sequential(*(Block(width, 4, "fused") for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class Scenes:
    """Digits of 8 x 8 pixels at the corners of patches in a picture of noise."""

    def __init__(self, seed, part):
        digits = load_digits()
        known = digits.target < CLASSES
        self.images = torch.tensor(digits.images[known] / 16, dtype=torch.float32)[part]
        self.classes = torch.tensor(digits.target[known])[part]
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, most, count):
        return torch.randint(most, (count,), generator=self.generator)

    def background(self, count):
        return 0.3 * torch.rand(count, 1, SIZE, SIZE, generator=self.generator)

    def put(self, picture, which, row, column):
        there = picture[0, row : row + DIGIT, column : column + DIGIT]
        there.copy_(torch.maximum(there, self.images[which]))

    def places(self, count):
        return (PATCH * self.draw((SIZE - DIGIT) // PATCH + 1, 2 * count)).view(count, 2).tolist()

    def single(self, count):
        pictures, which, places = self.background(count), self.draw(len(self.images), count), self.places(count)
        for picture, digit, place in zip(pictures, which, places, strict=True):
            self.put(picture, digit, *place)
        return pictures, self.classes[which], places

    def pairs(self, count):
        """Two digits of different classes that do not touch: (pictures, classes and places of each digit)."""
        pictures, classes, places = self.background(count), [], []
        for picture in pictures:
            while True:
                which, (one, other) = self.draw(len(self.images), 2), self.places(2)
                apart = max(abs(one[0] - other[0]), abs(one[1] - other[1])) >= DIGIT
                if apart and self.classes[which[0]] != self.classes[which[1]]:
                    break
            for digit, place in zip(which, (one, other), strict=True):
                self.put(picture, digit, *place)
            classes.append(self.classes[which].tolist())
            places.append((one, other))
        return pictures, torch.tensor(classes), places


@pytest.fixture(scope="module")
def finder():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net, scenes, steps = Finder(), Scenes(0, slice(500)), 100
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        pictures, classes, _ = scenes.single(64)
        loss = F.cross_entropy(net(pictures), classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def on(values, place):
    """How much of a map lies on the digit at a place."""
    row, column = place
    return float(values[row : row + DIGIT, column : column + DIGIT].sum())


def explain(net, pictures, method, classes):
    return pellucid.explain(net, pictures, method, classes.tolist())[method].values


def test_it_has_learned(finder):
    pictures, classes, _ = Scenes(1, slice(500, None)).single(64)
    assert (finder(pictures).argmax(1) == classes).float().mean() > 0.7


@pytest.mark.parametrize(("method", "least"), [("attention-rollout", 2.5), ("attention-gradient", 3), ("le-grad", 1.2)])
def test_the_map_lies_on_the_digit(finder, method, least):
    pictures, classes, places = Scenes(2, slice(500, None)).single(64)
    maps = explain(finder, pictures, method, classes)
    shares = [on(values, place) / float(values.sum()) for values, place in zip(maps, places, strict=True)]
    assert sum(shares) / len(shares) > least * CHANCE


def test_of_two_digits_the_class_decides(finder):
    pictures, classes, places = Scenes(3, slice(500, None)).pairs(64)
    hits = {}
    for method in ("attention-rollout", "attention-gradient", "le-grad"):
        right = 0
        for which in (0, 1):
            for values, place in zip(explain(finder, pictures, method, classes[:, which]), places, strict=True):
                right += on(values, place[which]) > on(values, place[1 - which])
        hits[method] = right / 128
    assert hits["attention-rollout"] == 0.5  # one map for all classes: right for one of the two
    assert hits["attention-gradient"] > 0.65
    assert hits["le-grad"] > 0.7
