"""A network's snapshot is kept from call to call: what has changed in between is seen, and no network kept alive."""

import gc
import weakref

import pytest
import torch
from torch import nn

import tiny
from pellucid.capture.running import guarded
from pellucid.capture.running import recall as recalling
from pellucid.capture.running.snapshot import Snapshot

BETWEEN = {
    "nothing": lambda net: None,
    "train": lambda net: net.train(),
    "part of it in train mode": lambda net: net.features.train(),
    "parameter in place": lambda net: net.fc.weight.data.mul_(2),
    "parameter of another shape": lambda net: setattr(net.fc.weight, "data", torch.ones(2, 8)),
    "parameter replaced": lambda net: setattr(net.fc, "weight", nn.Parameter(net.fc.weight.detach().clone())),
    "frozen": lambda net: net.fc.weight.requires_grad_(False),
    "buffer in place": lambda net: net.features[1].running_mean.add_(1),
    "one number of a buffer through data": lambda net: net.features[1].running_mean.data[-1:].add_(1),
    "part replaced": lambda net: setattr(net, "fc", nn.Linear(8, 3)),
    "part added": lambda net: net.features.add_module("more", nn.Identity()),
    "attribute": lambda net: setattr(net.fc, "in_features", 8.0),
    "list": lambda net: setattr(net, "memo", [1]),
    "hook": lambda net: net.fc.register_forward_hook(lambda *_: None),
    "gradient": lambda net: setattr(net.fc.weight, "grad", torch.ones_like(net.fc.weight)),
}


def state(net):
    """All that a guard promises to put back."""
    parts = [(name, part, {**vars(part)}, list(part._forward_hooks)) for name, part in net.named_modules()]
    tensors = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    held = [(name, id(t), t.requires_grad, t.grad, t.tolist()) for name, t in tensors.items()]
    flags = [(name, part.training) for name, part in net.named_modules()]
    own = [(name, [(key, id(value)) for key, value in values.items()], hooks) for name, _, values, hooks in parts]
    return repr((own, held, flags))


def ruin(net):
    """What a forward pass may do."""
    net.train()
    net.features[1].running_mean.data.add_(3)
    net.features[1].num_batches_tracked.add_(1)
    net.fc.in_features = 9
    net.fc.weight.requires_grad_(not net.fc.weight.requires_grad)
    net.new = 1


@pytest.fixture
def net():
    made = tiny.build(tiny.Pooled)
    with guarded(made):
        pass
    return made


@pytest.mark.parametrize("change", BETWEEN)
def test_what_has_changed_since_the_last_call_is_left_as_it_is(net, change):
    assert net in recalling._kept
    BETWEEN[change](net)
    before = state(net)
    for _ in range(2):
        with guarded(net):
            assert not any(part.training for part in net.modules())
            ruin(net)
        assert state(net) == before


def test_of_a_network_that_comes_as_it_was_left_no_snapshot_is_taken(net, monkeypatch):
    taken = []
    monkeypatch.setattr(Snapshot, "__init__", lambda self, parts: taken.append(parts))
    for _ in range(2):
        with guarded(net):
            pass
    assert taken == []


def test_guards_inside_of_each_other(net):
    net.train()
    before = state(net)
    for _ in range(2):
        with guarded(net):
            with guarded(net):
                ruin(net)
            assert not net.training
            ruin(net)
        assert state(net) == before


def held_by(net):
    return lambda: net


class Owned(nn.Module):
    """Leads back to the network that it is a part of."""

    def __init__(self, back):
        super().__init__()
        self.back = back

    def forward(self, x):
        return x


@pytest.mark.parametrize("how", ["not", "by a method", "by a hook", "by a closure"])
def test_no_network_is_kept_alive(how):
    net = tiny.build(tiny.Pooled)
    if how == "by a method":
        net.features.add_module("owned", Owned(net.forward))
    elif how == "by a closure":
        net.features.add_module("owned", Owned(held_by(net)))
    elif how == "by a hook":
        net.fc.register_forward_hook(lambda *_, net=net: None)
    with guarded(net):
        pass
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None
