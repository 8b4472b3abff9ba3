"""One pass, taken apart: every operation, whose results it uses, what it costs; and nothing of the model is changed."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import pellucid
import tiny
from pellucid.capture.running import guarded
from pellucid.capture.tracing import INPUT, trace
from pellucid.errors import BadOption

NETS = [
    tiny.Plain, tiny.Pooled, tiny.Skip, tiny.InPlaceSkip, tiny.Reused, tiny.AddAfter, tiny.Joined, tiny.SliceInPlace,
    tiny.ListAlias, tiny.Gate, tiny.Tokens, tiny.ChannelsLast, tiny.TwoHeads, tiny.Habits,
]  # fmt: skip


def traced(net, image=None):
    image = tiny.images(1) if image is None else image
    with guarded(net):
        return trace(pellucid.wrap(net), image)


def flops(net, image):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(image)
    return counter.get_total_flops()


@pytest.mark.parametrize("make", NETS)
def test_costs_are_those_of_torchs_own_counter(make):
    net, image = tiny.build(make), tiny.images(3)
    expected = flops(tiny.build(make), image.clone())
    found = traced(net, image)
    assert sum(step.multiply_adds for step in found.steps) * 2 == expected
    assert found.calls[0].steps == range(len(found.steps))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_costs_of_layers_that_the_small_networks_lack():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.ConvTranspose2d(3, 4, 3, 2, groups=1)
            self.deep = nn.Conv2d(4, 8, 3, groups=4, dilation=2)
            self.long, self.cube = nn.Conv1d(8, 4, 5), nn.Conv3d(1, 2, 2)
            self.attend = nn.MultiheadAttention(4, 2, batch_first=True)
            self.mix = nn.Bilinear(4, 4, 2)

        def forward(self, x):
            y = self.long(self.deep(self.up(x)).flatten(2)).transpose(1, 2)[:, :6]
            z, _ = self.attend(y, y, y)
            z = z @ y.transpose(1, 2) @ y + torch.einsum("bij,bkj->bik", z, y).mean()
            return self.cube(z[:, None, None].expand(-1, -1, 3, -1, -1)).flatten(1)

    net, image = tiny.build(Mixed), tiny.images(2)
    with torch.overrides.BaseTorchFunctionMode():  # as in the trace: no fused kernels that hide their products
        expected = flops(net, image)
    assert sum(step.multiply_adds or 0 for step in traced(net, image).steps) * 2 == expected


def names(found, number):
    return "input" if number == INPUT else found.steps[number].operation.partition("::")[2]


def reads(found, operation):
    (step,) = [s for s in found.steps if s.operation == f"aten::{operation}"]
    return {names(found, number) for number in step.inputs}


def test_a_skip_connection_reads_both_ways():
    assert reads(traced(tiny.build(tiny.Skip)), "add") == {"convolution"}
    found = traced(tiny.build(tiny.Skip))
    (add,) = [s for s in found.steps if s.operation == "aten::add"]
    assert [found.calls[found.steps[n].call].path for n in add.inputs] == ["conv1", "conv2"]


def test_an_operation_in_place_is_what_others_read_from_then_on():
    found = traced(tiny.build(tiny.InPlaceSkip))  # relu_(z) + conv2(relu_(z))
    assert reads(found, "add") == {"relu_", "convolution"}


def test_writing_into_a_part_is_seen_by_the_whole():
    class Halves(nn.Module):
        def forward(self, x):
            whole = torch.zeros_like(x)
            part = whole[:, :1]
            part += x[:, :1] * 2
            return whole.sum(1)

    found = traced(Halves(), tiny.images(1))
    assert reads(found, "sum") == {"add_"}
    found = traced(tiny.build(tiny.SliceInPlace))
    assert "add_" in reads(found, "mean")


def test_functions_modules_and_weights():
    found = traced(tiny.build(tiny.AddAfter))
    assert [s.function[0] for s in found.steps if found.calls[s.call].path == ""] == [
        "relu",
        "add_",
        "relu_",
        "mean",
    ]
    assert [call.path for call in found.calls] == ["", "conv1", "conv2", "fc"]
    assert set(found.idle) == {"act"}
    (dense,) = [s for s in found.steps if s.operation == "aten::addmm"]
    assert dense.arguments["mat2"].sources == ()  # the transposed weights are no step
    assert found.calls[0].output == "1 x 5"


def test_modules_called_twice_and_outputs_that_are_no_tensor():
    found = traced(tiny.build(tiny.Reused))
    assert [(c.path, c.times) for c in found.calls if c.path == "act"] == [("act", 0), ("act", 1)]
    assert traced(tiny.build(tiny.Output, "dict")).calls[0].output == "{logits: 1 x 5, aux: 1 x 5}"
    assert traced(tiny.build(tiny.Output, "tuple")).calls[0].output == "(1 x 5, 1 x 5)"
    assert traced(tiny.build(tiny.Output, "object")).calls[0].output == "SimpleNamespace"


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::DeprecationWarning")
def test_torchscript_and_custom_functions_are_seen_through():
    class Custom(nn.Module):
        def forward(self, x):
            return tiny.MyReLU.apply(x).mean()

    assert [names(traced(Custom()), k) for k in range(2)] == ["clamp", "mean"]
    scripted = nn.Sequential(torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())), nn.Flatten())
    found = traced(scripted, tiny.images(1, torch.float32))
    assert [names(found, k) for k in range(2)] == ["convolution", "relu"]
    assert set(found.hidden) == {"0", "0.0", "0.1"}


def test_operations_without_a_rule_for_their_cost():
    class Spectral(nn.Module):
        def forward(self, x):
            return torch.fft.fft(x).abs() + torch.fft.fft(torch.ones(5)).abs()

    found = traced(Spectral(), torch.randn(1, 3, 5))
    assert [s.multiply_adds for s in found.steps if "fft" in s.operation] == [None]
    assert found.uncounted == ("_fft_r2c",)


def test_a_network_that_cannot_run_says_where():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Flatten(), nn.Linear(16, 2)))
    with pytest.raises(BadOption, match=r"\[1, 3, 16, 16\].*in '1\.1'"):
        traced(net, tiny.images(1, torch.float32))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())

    class Own(nn.Module):
        def forward(self, x):
            return F.linear(x, torch.ones(3, 5))

    with pytest.raises(BadOption, match=r"Own cannot take an input of shape \[1, 3, 16, 16\]"):
        traced(Own(), tiny.images(1, torch.float32))


def test_a_module_left_by_an_error_that_the_network_catches():
    class Enough(Exception):
        pass

    class Leaves(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            raise Enough(self.conv(x))

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.last = Leaves(), nn.Linear(4, 2)

        def forward(self, x):
            try:
                self.trunk(x)
            except Enough as enough:
                return self.last(enough.args[0].mean((2, 3)))

    found = traced(Half(), tiny.images(1, torch.float32))
    calls = {call.path: call for call in found.calls}
    assert calls["trunk"].output == "left early"
    assert calls["last"].parent == 0
    assert calls[""].output == "1 x 2"
    assert calls[""].steps == range(len(found.steps))
    assert calls["trunk"].steps == calls["trunk.conv"].steps
