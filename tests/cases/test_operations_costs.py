"""Multiply-adds of everything that a pass computes, constants included: torch's own counter, and formulas by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import pellucid


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.cells = kind(5, 3, batch_first=True, **options)

    def forward(self, x):
        return self.cells(x)[0]


class Cell(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell = kind(5, 3)

    def forward(self, x):
        state = None
        for k in range(x.shape[1]):
            state = self.cell(x[:, k], state)
        return state[0] if isinstance(state, tuple) else state


class Queries(nn.Module):
    """Learned queries, which do not depend on the input, go through a dense layer."""

    def __init__(self):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, 6, 16))
        self.dense, self.attend = nn.Linear(16, 16), nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, x):
        return self.attend(self.dense(self.queries.expand(len(x), -1, -1)), x, x)[0]


class LowRank(nn.Module):
    """Weights made in the pass: [8, 2] x [2, 5]."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Parameter(torch.randn(8, 2)), nn.Parameter(torch.randn(2, 5))

    def forward(self, x):
        return F.linear(x, self.up @ self.down)


def counted(net, image):
    net.requires_grad_(False)
    with torch.overrides.BaseTorchFunctionMode(), FlopCounterMode(display=False) as counter:
        net.eval()(image)
    return counter.get_total_flops() // 2


COUNTED = {
    "GRU": (lambda: Recurrent(nn.GRU), (4, 5)),
    "GRU both ways": (lambda: Recurrent(nn.GRU, num_layers=2, bidirectional=True), (4, 5)),
    "RNN": (lambda: Recurrent(nn.RNN), (4, 5)),
    "GRUCell": (lambda: Cell(nn.GRUCell), (4, 5)),
    "LSTMCell": (lambda: Cell(nn.LSTMCell), (4, 5)),
    "RNNCell": (lambda: Cell(nn.RNNCell), (4, 5)),
    "low rank": (LowRank, (4, 5)),
    "queries": (Queries, (5, 16)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_b2_totals_are_those_of_torchs_own_counter(name):
    make, shape = COUNTED[name]
    net, image = make(), torch.randn(1, *shape)
    found = pellucid.inspect(net, image).structure
    assert found.total.multiply_adds == counted(net, image)
    assert found.uncounted == ()
    several = pellucid.inspect(net, torch.randn(3, *shape)).structure
    assert several.total.multiply_adds == found.total.multiply_adds, "of one sample, however many there are"


def test_b2_by_hand():
    assert pellucid.inspect(Recurrent(nn.GRU), torch.randn(1, 4, 5)).structure.total.multiply_adds == 4 * 9 * (5 + 3)
    found = pellucid.inspect(Queries(), torch.randn(1, 5, 16)).structure
    assert found["dense"].multiply_adds == 6 * 16 * 16
    assert found["dense"].multiply_add_share == 6 * 16 * 16 / found.total.multiply_adds


def test_lstm_bilinear_and_vectors_by_hand():
    """T 4H (I + H) for a layer and way; O I1 I2 for a bilinear form; rows times columns for a matrix and a vector."""

    def total(net, *shape):
        return pellucid.inspect(net, torch.randn(1, *shape)).structure.total.multiply_adds

    assert total(Recurrent(nn.LSTM), 4, 5) == 4 * 12 * (5 + 3)
    both = Recurrent(nn.LSTM, num_layers=2, bidirectional=True)
    assert total(both, 4, 5) == 2 * 4 * 12 * (5 + 3) + 2 * 4 * 12 * (6 + 3)

    class Form(nn.Module):
        def __init__(self):
            super().__init__()
            self.form = nn.Bilinear(5, 5, 4)

        def forward(self, x):
            return self.form(x, x)

    class Vector(nn.Module):
        def forward(self, x):
            return torch.mv(x[0], x[0, 0]) + torch.dot(x[0, 0], x[0, 1])

    class InPlace(nn.Module):
        def forward(self, x):
            return torch.zeros(4, 4).addmm_(x[0], x[0].T)[None]

    assert total(Form(), 3, 5) == 3 * 4 * 5 * 5
    assert total(Vector(), 4, 5) == 4 * 5 + 5
    assert total(InPlace(), 4, 5) == 4 * 4 * 5


def test_a_total_that_is_incomplete_says_so():
    class Spectral(nn.Module):
        def forward(self, x):
            return torch.fft.rfft(x).abs()

    found = pellucid.inspect(Spectral(), torch.randn(1, 3, 5))
    assert found.structure.uncounted == ("_fft_r2c",)
    assert "at least 0 multiply-adds" in repr(found)
    assert "at least" not in repr(pellucid.inspect(LowRank(), torch.randn(1, 5)))


def test_never_called_is_said_of_nothing_that_is_used():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([nn.Linear(5, 5)])
            self.scales = nn.ParameterList([nn.Parameter(torch.ones(5))])
            self.row = nn.Sequential(nn.Linear(5, 5), nn.Tanh())
            self.act, self.by_forward, self.read = nn.ReLU(), nn.Linear(5, 5), nn.Linear(5, 5)
            self.attend = nn.MultiheadAttention(5, 1, batch_first=True)
            self.spare, self.spare_parts = nn.Linear(5, 5), nn.ModuleList([nn.Tanh()])

        def forward(self, x):
            x = self.attend(x, x, x)[0]
            for part in [*self.parts, *self.row]:
                x = part(x)
            x = F.linear(x, self.read.weight)
            return self.by_forward.forward(self.act.forward(x * self.scales[0]))

    notes = pellucid.inspect(Odd(), torch.randn(1, 4, 5)).structure.notes
    assert notes == ("Never called in evaluation mode: spare, spare_parts.0.",)
