"""Values worked out by hand, on networks small enough for it: Pellucid and captum beside them.

The networks are those that captum's own tests state values for: rectifiers on rows of tables, a layer of sums with
one late rectifier, a convolution along one axis. Each derivation stands beside its value.
"""

from pathlib import Path

import pytest
import torch
from captum.attr import DeepLift, FeatureAblation, InputXGradient, IntegratedGradients, Saliency
from torch import nn

import pellucid

pytestmark = pytest.mark.filterwarnings("ignore")
PAGE = Path(__file__).parents[2] / "docs" / "parity.md"


def linear(weight, bias=None):
    layer = nn.Linear(len(weight[0]), len(weight), bias=bias is not None, dtype=torch.float64)
    layer.weight.data = torch.tensor(weight, dtype=torch.float64)
    if bias is not None:
        layer.bias.data = torch.tensor(bias, dtype=torch.float64)
    return layer


def late():
    """f(a, b) = relu(relu(a) - relu(b) - 1)."""
    inner = nn.Sequential(nn.ReLU(), linear([[1.0, -1.0]], [-1.0]))
    return nn.Sequential(inner, nn.ReLU(), linear([[1.0], [0.0]]))


def sums():
    """s = a + b + c; f = relu(s - 10) + 3 relu(s + 1) - 1."""
    return nn.Sequential(
        linear([[1.0] * 3] * 4, [-10.0, 1.0, 1.0, 1.0]), nn.ReLU(), linear([[1.0] * 4] * 2, [-1.0, 1.0])
    )


def doubled():
    """f(a, b) = 2 relu(a) + 2 relu(b - 1.5)."""
    return nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]], [0.0, -1.5]), nn.ReLU(), linear([[2.0, 2.0], [0.0, 0.0]]))


def along():
    """y = relu(x_k + 2 x_(k+1)) at two places of three, summed."""
    conv = nn.Conv1d(1, 1, 2, bias=False, dtype=torch.float64)
    conv.weight.data = torch.tensor([[[1.0, 2.0]]], dtype=torch.float64)
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear([[1.0, 1.0], [0.0, 0.0]]))


CASES = [
    # a > 0, b > 0 and 3 - 1 - 1 > 0: both rectifiers are open, the gradient is (1, -1).
    ("late rectifier, table", late, [3.0, 1.0], "saliency", [1.0, -1.0]),
    ("late rectifier, table", late, [3.0, 1.0], "input-x-gradient", [3.0, -1.0]),
    # On the way t (3, 1) it is relu(2 t - 1), open for half of it: half of 3 and half of -1.
    ("late rectifier, table", late, [3.0, 1.0], "integrated-gradients", [1.5, -0.5]),
    # s = 100: four units are open.
    ("layer of sums, table", sums, [0.0, 100.0, 0.0], "saliency", [4.0, 4.0, 4.0]),
    ("layer of sums, table", sums, [0.0, 100.0, 0.0], "input-x-gradient", [0.0, 400.0, 0.0]),
    # The first unit opens at t = 0.1: 100 (3 + 0.9).
    ("layer of sums, table", sums, [0.0, 100.0, 0.0], "integrated-gradients", [0.0, 390.0, 0.0]),
    # f = 4 s - 8 for s >= 10, and s stays above it without any one of them: four times what is gone.
    ("layer of sums, table", sums, [20.0, 50.0, 30.0], "feature-ablation", [80.0, 200.0, 120.0]),
    # relu(2 - 1.5) = 0.5 beside relu(-1.5) = 0 of the baseline: 2 * 0.5 belongs to b, whatever the way between them.
    ("shifted rectifier, table", doubled, [1.0, 2.0], "deep-lift", [2.0, 1.0]),
    # 2 t - 1.5 > 0 for the last quarter: 2 * 2 / 4.
    ("shifted rectifier, table", doubled, [1.0, 2.0], "integrated-gradients", [2.0, 1.0]),
    ("shifted rectifier, table", doubled, [1.0, 2.0], "input-x-gradient", [2.0, 4.0]),
    # x = (1, -1, 2): 1 - 2 < 0 is shut, -1 + 4 = 3 is open: the gradient is that of the second place.
    ("convolution, signal", along, [[1.0, -1.0, 2.0]], "saliency", [[0.0, 1.0, 2.0]]),
    ("convolution, signal", along, [[1.0, -1.0, 2.0]], "input-x-gradient", [[0.0, -1.0, 4.0]]),
    # Without biases nothing opens or shuts on the way from 0.
    ("convolution, signal", along, [[1.0, -1.0, 2.0]], "integrated-gradients", [[0.0, -1.0, 4.0]]),
    # Without the first, -2 and 3: still 3. Without the second, 1 and 4: 5. Without the third, -1 and -1: 0.
    ("convolution, signal", along, [[1.0, -1.0, 2.0]], "feature-ablation", [[0.0, -2.0, 3.0]]),
]
"""Network, what builds it, input, method, and the value by hand for target 0."""

STEPS = 400
"""Of the way from 0, by Gauss and Legendre in both: a kink between two points costs no more than the weight of one."""
CAPTUM = {
    "saliency": lambda net, x: Saliency(net).attribute(x, 0, abs=False),
    "input-x-gradient": lambda net, x: InputXGradient(net).attribute(x, 0),
    "integrated-gradients": lambda net, x: IntegratedGradients(net).attribute(x, target=0, n_steps=STEPS),
    "feature-ablation": lambda net, x: FeatureAblation(net).attribute(x, target=0),
    "deep-lift": lambda net, x: DeepLift(net).attribute(x, target=0),
}


@pytest.mark.parametrize(("network", "build", "values", "method", "expected"), CASES)
def test_by_hand(network, build, values, method, expected):
    net, given = build(), torch.tensor([values], dtype=torch.float64)
    places = torch.arange(given.shape[-1])
    options = {"integrated-gradients": {"steps": STEPS}, "feature-ablation": {"regions": places}}.get(method, {})
    ours = pellucid.explain(net, given, method, 0, options={method: options})[method].raw.reshape(given.shape)
    wanted = torch.tensor([expected], dtype=torch.float64)
    rounding = 2 / STEPS if method == "integrated-gradients" else 1e-12
    torch.testing.assert_close(ours, wanted, rtol=rounding, atol=1e-12)
    # captum holds the weights of the points in float32.
    torch.testing.assert_close(CAPTUM[method](net, given), ours, rtol=1e-7, atol=1e-12)


def table():
    """What `docs/parity.md` says of the cases above."""
    rows = [
        f"| {network} | {', '.join(f'`{case[3]}`' for case in CASES if case[0] == network)} |"
        for network in dict.fromkeys(case[0] for case in CASES)
    ]
    return "\n".join([f"{len(CASES)} values:", "", "| network | methods |", "|---|---|", *rows])


def test_the_page_counts_them():
    assert table() in PAGE.read_text(), f"docs/parity.md should say:\n{table()}"
