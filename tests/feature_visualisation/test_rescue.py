"""Dead rectifiers are led around for the pictures that they are dead for, and for no others."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.capture.differentiable import differentiable_forward, in_graph, slopes

RECTIFIERS = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "function": F.relu,
    "method": lambda x: x.relu(),
    "clamp": lambda x: x.clamp(min=0),
}


class Net(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
        self.act = act

    def forward(self, x):
        return (self.act(x.flatten(1) + 0) * self.scale).sum(1, keepdim=True)


def climb(act, given, *, rescue):
    model = pellucid.wrap(Net(act))
    given = given.view(-1, 3, 1, 1).requires_grad_()
    with differentiable_forward(model, (), scores=True) as eyes:
        _, scores = eyes.see(given, rescue=rescue)
        (slope,) = slopes(in_graph(lambda: scores[:, 0]), [given])
        return slope.flatten(1), eyes.rescued


@pytest.mark.parametrize("act", RECTIFIERS.values(), ids=RECTIFIERS)
def test_each_picture_by_itself(act):
    alive, dead = [0.5, -1.0, -1.0], [-1.0, -1.0, -1.0]
    slope, rescued = climb(act, torch.tensor([alive, dead]), rescue=True)
    assert slope[0].tolist() == [1, 0, 0], "one live value is enough: the plain gradient"
    assert slope[1].tolist() == [1, 0, 3], "the parts that push the input up, and not the one that pushes it down"
    assert rescued == 1
    slope, rescued = climb(act, torch.tensor([alive, dead]), rescue=False)
    assert slope.tolist() == [[1, 0, 0], [0, 0, 0]]
    assert rescued == 0


@pytest.mark.parametrize("act", [nn.ReLU6(), F.relu6, lambda x: F.hardtanh(x, 0.0, 6.0)])
def test_both_ends_of_a_capped_rectifier(act):
    slope, rescued = climb(act, torch.tensor([[7.0, 8.0, 9.0], [7.0, -1.0, 2.0]]), rescue=True)
    assert slope.tolist() == [[0, -2, 0], [0, 0, 3]]
    assert rescued == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda x: x * F.relu6(x + 3).div_(6),
        lambda x: nn.ReLU6(inplace=True)(x + 0).add_(1),
        lambda x: x.clamp(min=0).add_(1),
        lambda x: F.threshold(x, 0, 0).mul_(2),
        lambda x: nn.Hardtanh(0, 1)(x).add_(1),
        lambda x: x * F.relu(x.mean() + 3),
        lambda x: x * F.relu(x.mean(1) + 3)[:, None],
    ],
)
def test_what_a_rectifier_gave_may_be_written_to_and_may_be_of_any_shape(act):
    given = torch.tensor([[0.5, -1.0, 2.0], [0.25, 1.0, 0.75]])
    with_rescue, rescued = climb(act, given, rescue=True)
    assert torch.equal(with_rescue, climb(act, given, rescue=False)[0])
    assert rescued == 0
    assert with_rescue.abs().sum() > 0


def test_a_rectifier_with_one_value_for_each_picture():
    slope, rescued = climb(
        lambda x: x * 0 + F.relu(x[:, 0])[:, None], torch.tensor([[1.0] * 3, [-1.0] * 3]), rescue=True
    )
    assert slope.tolist() == [[2, 0, 0], [2, 0, 0]], "1 - 2 + 3, and the same for the dead one"
    assert rescued == 1
