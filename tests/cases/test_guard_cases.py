"""Interrupts and traces: what a forward pass may do to a network, and what a signal may cut short."""

import os
import random
import signal
import sys
import warnings

import numpy as np
import pytest
import torch

import pellucid
import tiny
from pellucid.capture.guard import guarded


def everything(net):
    """All that a pass could leave behind, in words that can be compared."""
    parts = dict(net.named_modules())
    tables = {
        (path, key): [(name, id(value)) for name, value in table.items()]
        for path, part in parts.items()
        for key, table in vars(part).items()
        if isinstance(table, dict)
    }
    values = {name: value.detach().clone().numpy().tobytes() for name, value in net.state_dict().items()}
    attributes = {(path, name): id(value) for path, part in parts.items() for name, value in vars(part).items()}
    flags = {path: part.training for path, part in parts.items()}
    grads = {name: (id(p.grad), p.requires_grad) for name, p in net.named_parameters()}
    order = [list(vars(part)) for part in parts.values()]
    return tables, values, attributes, flags, grads, order, surroundings()


def surroundings():
    """What a pass could leave behind outside of the network."""
    return (
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        repr(np.random.get_state()),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch._C._len_torch_function_stack(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        list(warnings.filters),
        signal.getsignal(signal.SIGINT),
        signal.getsignal(signal.SIGTERM),
    )


class Does(tiny.Pooled):
    """Does something to itself in each forward pass."""

    def __init__(self, deed=lambda net, x: None):
        super().__init__()
        self.deed = deed

    def forward(self, x):
        self.deed(self, x)
        return super().forward(x)


def explained(net):
    return pellucid.explain(net, tiny.images(), ["grad-cam", "occlusion"], 0)


# T1: Ctrl-C inside the restoring. Each line of the guard and of what it is made of is interrupted once, as a signal
# would do it between two instructions: by the handler that is installed at that moment.

GUARD = ("guard.py", "snapshot.py", "contents.py", "watch.py", "settings.py", "random_state.py", "turns.py", "walk.py",
         "interrupts.py")  # fmt: skip
PASSES = ("passes.py", "probe.py", "feeding.py", "tape.py", "rewriting.py", "rules.py", "sites.py", "budget.py",
          "contextlib.py", "grad_mode.py", "overrides.py")  # fmt: skip


class Interrupter:
    """A tracer that sends SIGINT at the `at`th line of some files, `times` times at once."""

    def __init__(self, files, at, times=1):
        self.files, self.at, self.times, self.lines = files, at, times, 0

    def __call__(self, frame, event, _):
        if frame.f_code.co_filename.rpartition(os.sep)[2] not in self.files:
            return self.__call__ if event == "call" else None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                for _ in range(self.times):
                    signal.raise_signal(signal.SIGINT)
        return self.__call__

    def run(self, work):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            work()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False


def ruin(net, x):
    """What a forward may do that has to be put back."""
    net.features[0].memo = x.mean()
    net.counts.append(1)
    net.table["new"] = 1
    net.features[1].running_mean.add_(1)
    net.fc.weight.requires_grad_(False)
    net.train()


def ruined():
    net = tiny.build(Does, ruin).train()
    net.counts, net.table = [], {}
    return net


def once(net):
    with guarded(net):
        net(tiny.images().clone())


@pytest.mark.parametrize("times", [1, 2])
def test_t1_an_interrupt_at_any_line_of_the_guard_leaves_the_model_whole(times):
    net = ruined()
    once(net)
    counter = Interrupter(GUARD, at=-1)
    counter.run(lambda: once(net))
    before = everything(net)
    for at in range(1, counter.lines + 1, 31 if times == 1 else 47):
        interrupted = Interrupter(GUARD, at, times).run(lambda: once(net))
        assert everything(net) == before, f"line event {at}"
        assert interrupted, f"line event {at}: the wish was lost"


@pytest.mark.parametrize("times", [1, 2])
def test_t1_an_interrupt_at_any_line_of_the_passes_leaves_the_model_whole(times):
    net = ruined()

    def work():
        pellucid.explain(net, tiny.images(1), ["guided-backprop", "score-cam"], 0)

    work()
    counter = Interrupter(PASSES, at=-1)
    counter.run(work)
    before = everything(net)
    for at in range(1, counter.lines + 1, counter.lines // 8):
        assert Interrupter(PASSES, at, times).run(work), f"line event {at}: the wish was lost"
        assert everything(net) == before, f"line event {at}"
