"""What the guard puts back, what it refuses, and what it cannot undo."""

import collections
import sys
import threading

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import pellucid
import tiny
from pellucid.capture.running import guarded
from pellucid.errors import Refused, TraceLeft


def ruin(net):
    net.fc.weight.requires_grad_(False)
    net.fc.weight.grad = torch.zeros_like(net.fc.weight)
    net.features[0] = nn.Identity()
    net.fc.register_forward_hook(print)
    net.features[1].running_mean.fill_(9)
    net.features[1]._buffers["running_var"] = torch.zeros(6)
    net.note = "new"
    net.eval()
    torch.manual_seed(1234)
    torch.set_grad_enabled(True)


def test_everything_is_put_back_even_if_the_module_is_ruined():
    net = tiny.build(tiny.Pooled).train()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    parts, random = list(net.modules()), torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), guarded(net):
        ruin(net)
        raise ZeroDivisionError
    assert all(a is b for a, b in zip(net.modules(), parts, strict=True))
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert all(part.training for part in net.modules())
    assert net.fc.weight.requires_grad
    assert net.fc.weight.grad is None
    assert not net.fc._forward_hooks
    assert not hasattr(net, "note")
    assert torch.equal(torch.get_rng_state(), random)


def test_inside_it_is_evaluation_mode_without_gradients():
    net = tiny.build(tiny.Pooled).train()
    with torch.inference_mode(), guarded(net):
        assert not any(part.training for part in net.modules())
        assert not torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


class Learns(tiny.Plain):
    def forward(self, x):
        with torch.no_grad():
            self.fc.bias.add_(1)
        return super().forward(x)


def test_parameter_changed_in_forward_is_told():
    net = tiny.build(Learns)
    net.conv1.weight.requires_grad_(False)
    with pytest.raises(TraceLeft, match="changed its own parameters in place"):
        pellucid.explain(net, tiny.images(), "saliency")
    assert not net.conv1.weight.requires_grad


def test_statistics_over_the_batch_are_refused():
    with pytest.raises(Refused, match="BatchNorm2d without running statistics"):
        pellucid.explain(tiny.build(tiny.BatchStatistics), tiny.images(), "saliency")


class Remembers(tiny.Plain):
    """Keeps `memory` up to date in a way that depends on its kind."""

    def __init__(self, memory, update):
        super().__init__()
        self.memory, self.update = memory, update

    def forward(self, x):
        self.update(self.memory)
        return super().forward(x)


@pytest.mark.parametrize(
    ("memory", "update"),
    [
        ([1], lambda m: m.append(2)),
        ({1: 2}, lambda m: m.update({1: 3})),
        ({1}, lambda m: m.add(2)),
        pytest.param(collections.deque([1]), lambda m: m.append(2)),
        pytest.param({"k": [1]}, lambda m: m["k"].append(2)),
        pytest.param(torch.zeros(1), lambda m: m.add_(1)),
    ],
    ids=["list", "dict", "set", "deque", "nested", "tensor"],
)
def test_containers_that_forward_changes(memory, update):
    before = repr(memory)
    net = tiny.build(Remembers, memory, update)
    pellucid.explain(net, tiny.images(), ["grad-cam", "occlusion"])
    assert net.memory is memory
    assert repr(memory) == before


def test_pruned_weight_stays_the_same_tensor():
    net = tiny.build(tiny.Plain)
    prune.l1_unstructured(net.conv1, "weight", 0.5)
    weight = net.conv1.weight
    pellucid.explain(net, tiny.images(), "grad-cam")
    assert net.conv1.weight is weight


class TicksLater(tiny.Plain):
    def __init__(self):
        super().__init__()
        self.register_buffer("ticks", torch.zeros(1))
        self.on = False

    def forward(self, x):
        if self.on:
            self.ticks.add_(1)
        return super().forward(x)


def test_buffer_written_through_data_between_two_calls():
    net = tiny.build(TicksLater)
    pellucid.explain(net, tiny.images(), "saliency")
    net.ticks.data.fill_(7)
    net.on = True
    pellucid.explain(net, tiny.images(), "saliency")
    assert net.ticks == 7


def test_a_second_thread_waits():
    net, order = tiny.build(tiny.Plain), []
    inside, go = threading.Event(), threading.Event()

    def first():
        with guarded(net):
            inside.set()
            go.wait(5)
            order.append("first")

    def second():
        inside.wait(5)
        with guarded(net):
            order.append("second")

    threads = [threading.Thread(target=f) for f in (first, second)]
    for thread in threads:
        thread.start()
    inside.wait(5)
    threads[1].join(0.05)
    assert order == []
    go.set()
    for thread in threads:
        thread.join()
    assert order == ["first", "second"]


@pytest.mark.filterwarnings("ignore")
def test_two_threads_on_two_models_leave_the_compiler_as_it_was():
    torch.compile(nn.Linear(1, 1), backend="eager")(torch.zeros(1, 1))
    inside, second_inside = threading.Event(), threading.Event()

    def first():
        with guarded(nn.Linear(1, 1)):
            inside.set()
            second_inside.wait(5)

    def second():
        inside.wait(5)
        with guarded(nn.Linear(1, 1)):
            second_inside.set()
            threads[0].join()

    threads = [threading.Thread(target=f) for f in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stance = sys.modules["torch._dynamo.eval_frame"]._stance.stance
    torch.compiler.set_stance("default")
    assert stance == "default"


@pytest.mark.filterwarnings("ignore")
def test_the_callers_own_compiler_stance_is_kept():
    torch.compile(nn.Linear(1, 1), backend="eager")(torch.zeros(1, 1))
    with torch.compiler.set_stance("eager_on_recompile"):
        with guarded(nn.Linear(1, 1)):
            pass
        assert sys.modules["torch._dynamo.eval_frame"]._stance.stance == "eager_on_recompile"


def test_attributes_keep_their_order():
    net = tiny.build(tiny.Habits)
    names = list(vars(net))
    pellucid.explain(net, tiny.images(), "saliency")
    assert list(vars(net)) == names


def test_a_call_within_a_call():
    net = tiny.build(tiny.Plain).train()
    image = tiny.images()

    def inner(out):
        pellucid.explain(net, image, "saliency", 0)
        return out[:, 1]

    found = pellucid.explain(net, image, "saliency", inner)["saliency"]
    torch.testing.assert_close(found.values, pellucid.explain(net, image, "saliency", 1)["saliency"].values)
    assert all(part.training for part in net.modules())


class Around(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def test_models_that_share_parts_take_turns():
    shared = tiny.build(tiny.Pooled).train()
    image, failed = tiny.images(), []
    expected = pellucid.explain(shared, image, "grad-cam", 1)["grad-cam"].raw

    def work():
        try:
            found = pellucid.explain(Around(shared), image, "grad-cam", 1, "net.features")["grad-cam"].raw
            torch.testing.assert_close(
                found, pellucid.explain(shared, image, "grad-cam", 1, "features")["grad-cam"].raw
            )
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert all(part.training and not part._forward_hooks for part in shared.modules())
    torch.testing.assert_close(pellucid.explain(shared, image, "grad-cam", 1)["grad-cam"].raw, expected)


def test_lazy_layers_without_weights_are_refused_and_stay_lazy():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(pellucid.errors.Refused, match=r"Lazy\w+ has no weights yet. Run the network once"):
        pellucid.explain(net, torch.zeros(1, 3, 8, 8), "saliency")
    assert type(net[0]) is nn.LazyConv2d
