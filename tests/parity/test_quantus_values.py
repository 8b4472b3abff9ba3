"""What Quantus 0.6.0 gives for the same maps, where its definition is ours.

Its numbers stand here because installing it would put a second OpenCV beside the one of other peers. They were made by

    given = dict(model=net, x_batch=IMAGE, y_batch=CLASSES, a_batch=MAPS[:, None], device="cpu", softmax=True)
    quantus.Sparseness(normalise=False)(**given)
    quantus.Complexity(normalise=False)(**given)
    quantus.PixelFlipping(features_in_step=8, perturb_baseline=0.0, normalise=False, abs=False)(**given)

Its `Monotonicity` is not compared: it starts from the baseline and replaces pixels by the baseline, so that it answers
"monotone" for every map (`metrics/faithfulness/monotonicity.py`, `evaluate_batch`).
"""

import pytest
import torch
from torch import nn

import pellucid

SHAPE = (3, 1, 8, 8)


def pseudo_random(*shape, start=0):
    """The same numbers with every version of torch."""
    count = torch.Size(shape).numel()
    return torch.sin(1e3 * torch.arange(start, start + count, dtype=torch.float64) ** 1.5).float().reshape(shape)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(256, 5)
        with torch.no_grad():
            for number, weight in enumerate(self.parameters()):
                weight.copy_(0.3 * pseudo_random(*weight.shape, start=1000 * number))

    def forward(self, x):
        return self.fc(self.conv(x).relu().flatten(1))


NET, IMAGE, MAPS = Net().eval(), pseudo_random(*SHAPE, start=77), pseudo_random(3, 8, 8, start=5000)
CLASSES = [0, 3, 2]
SPARSENESS = [0.269933, 0.262862, 0.244571]
COMPLEXITY = [4.027506, 4.032856, 4.043686]
FLIPPED = [
    [0.022564, 0.028445, 0.019909, 0.041112, 0.048143, 0.155401, 0.16548, 0.240497],
    [0.295909, 0.213316, 0.166686, 0.192866, 0.249713, 0.201573, 0.167461, 0.125477],
    [0.418792, 0.384977, 0.366492, 0.282084, 0.474558, 0.400747, 0.311452, 0.340328],
]


def ours(metric, **options):
    explained = pellucid.explain(NET, IMAGE, "saliency", target=CLASSES)
    return pellucid.evaluate(explained, metric, {metric: options}, maps={"mine": MAPS})["mine", metric]


def test_sparseness():
    assert ours("gini-sparseness").values.tolist() == pytest.approx(SPARSENESS, abs=1e-6)


def test_complexity():
    assert ours("entropy").values.tolist() == pytest.approx(COMPLEXITY, abs=1e-5)


def test_pixel_flipping_is_the_curve_of_deletion():
    """Ours begins with the picture itself, theirs after the first step."""
    curve = ours("deletion", steps=8).extras["curve"][:, 1:]
    torch.testing.assert_close(curve, torch.tensor(FLIPPED), atol=1e-6, rtol=1e-5, check_dtype=False)
