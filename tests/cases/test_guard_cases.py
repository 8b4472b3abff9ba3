"""Interrupts and traces: what a forward pass may do to a network, and what a signal may cut short."""

import array
import os
import random
import signal
import sys
import threading
import time
import types
import warnings
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
import tiny
from pellucid.capture.running import guarded, import_whole, recall, thorough
from pellucid.capture.running.random_state import Drawing
from pellucid.cli import app, process
from pellucid.errors import Cancelled, Refused, TraceLeft


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
        (torch.backends.cudnn.benchmark, torch.backends.mkldnn.enabled, dict(vars(torch._tensor_str.PRINT_OPTS))),
        (np.geterr(), np.get_printoptions(), sys.getrecursionlimit()),
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

GUARD = ("guard.py", "snapshot.py", "recall.py", "contents.py", "watch.py", "settings.py", "random_state.py",
         "turns.py", "modules.py", "interrupts.py")  # fmt: skip
PASSES = ("passes.py", "probe.py", "behind_layer.py", "feeding.py", "recorder.py", "base.py", "relu.py", "sites.py",
          "batch_size.py", "contextlib.py", "grad_mode.py", "overrides.py")  # fmt: skip
OF_OTHERS = {"contextlib.py", "grad_mode.py", "overrides.py"}


def test_the_files_that_are_interrupted_are_there():
    there = {path.name for path in Path(pellucid.__file__).parent.glob("capture/**/*.py")}
    assert {*GUARD, *PASSES} - there == OF_OTHERS


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


def test_t1_an_interrupt_at_any_line_of_a_guard_that_was_recalled_leaves_the_model_whole():
    net = tiny.build(tiny.Pooled)

    def work():
        with guarded(net):
            net.features[1].running_mean.data.add_(1)
            net.fc.weight.requires_grad_(False)
            net.train()

    once(net)
    counter, before = Interrupter(GUARD, at=-1), everything(net)
    counter.run(work)
    for at in range(1, counter.lines + 1, 31):
        once(net)
        assert net in recall._kept
        interrupted = Interrupter(GUARD, at).run(work)
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


# T2: the interrupt comes as an interrupt, whatever it meets.


def press(*_):
    signal.raise_signal(signal.SIGINT)


def test_t1_the_first_ctrl_c_waits_for_the_border_and_keeps_what_is_finished():
    calls = []

    def deed(net, x):
        calls.append(len(x))
        if len(calls) == 20:
            press()
            calls.append("the pass went on")

    with pytest.raises(Cancelled) as stop:
        pellucid.explain(tiny.build(Does, deed), tiny.images(1), ["saliency", "rise"], 0, chunk=1)
    assert calls[-1] == "the pass went on"
    assert [found.method.id for found in stop.value.finished] == ["saliency"]


def test_t1_the_second_ctrl_c_breaks_a_pass_at_once():
    after = []

    def deed(net, x):
        press()
        press()
        after.append(x)

    with pytest.raises(Cancelled):
        explained(tiny.build(Does, deed))
    assert after == []


def test_t1_one_ctrl_c_breaks_a_pass_that_takes_long(monkeypatch):
    monkeypatch.setattr("pellucid.capture.running.interrupts.PATIENCE", 0.1)

    def deed(net, x):
        press()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            time.sleep(0.01)

    start = time.monotonic()
    with pytest.raises(Cancelled):
        explained(tiny.build(Does, deed))
    assert time.monotonic() - start < 15


def test_t2_an_interrupt_that_became_another_error_is_an_interrupt():
    def deed(net, x):
        try:
            press()
            press()
        except KeyboardInterrupt:
            raise TypeError("Cannot compare structured arrays") from None

    with pytest.raises(Cancelled):
        explained(tiny.build(Does, deed))


def test_t1_a_handler_of_the_users_own_is_called_and_put_back():
    seen = []

    def own(number, frame):
        seen.append(number)

    before = signal.signal(signal.SIGINT, own)
    try:
        found = explained(tiny.build(Does, lambda net, x: press() if not seen else None))
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(found) == 2, "a handler that does not raise stops nothing"
    assert seen == [signal.SIGINT]


def test_t1_other_threads_leave_the_signals_alone():
    handlers = []
    net = tiny.build(Does, lambda net, x: handlers.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=explained, args=(net,))
    thread.start()
    thread.join()
    assert set(handlers) == {signal.getsignal(signal.SIGINT)}


# T3: what a forward changes. Each deed, with what must then be as it was; values of parameters and gradients are only
# watched, so those changes are told.


class Own:
    def __init__(self):
        self.count, self.inside = 0, [1]


class Holds(Does):
    """Holds one of everything that can change without being replaced."""

    def __init__(self, deed):
        super().__init__(deed)
        self.fc.memory = [1]
        self.tensors = [torch.zeros(3), {"deep": (torch.ones(2),)}]
        self.array, self.bytes, self.shorts = np.zeros(4), bytearray(b"abc"), array.array("h", [1, 2])
        self.torch_rng, self.numpy_rng = torch.Generator().manual_seed(1), np.random.default_rng(1)
        self.old_rng, self.python_rng = np.random.RandomState(1), random.Random(1)
        self.object, self.space = Own(), types.SimpleNamespace(n=0)
        self.hidden = [nn.BatchNorm2d(3).double()]  # in a plain list: no part to torch
        self.register_buffer("table", torch.zeros(100))

    def held(self):
        numbers = [t.tolist() for t in (*self.tensors[:1], *self.tensors[1]["deep"])]
        draws = [self.torch_rng.get_state().tolist(), repr(self.numpy_rng.bit_generator.state)]
        draws += [repr(self.old_rng.get_state()), self.python_rng.getstate()]
        held = [self.array.tolist(), bytes(self.bytes), list(self.shorts), vars(self.object).copy(), vars(self.space)]
        hidden = [self.hidden[0].training, self.hidden[0].running_mean.tolist(), list(vars(self.hidden[0]))]
        parts = (numbers, draws, held, hidden, self.fc.memory, self.object.inside, self.table.tolist())
        return [repr(part) for part in parts]


DEEDS = {
    "attribute of a child": lambda net, x: setattr(net.fc, "memo", x.mean()),
    "attribute of a child replaced by an equal one": lambda net, x: setattr(net.fc, "in_features", 8.0),
    "attribute renamed": lambda net, x: net.__dict__.update(space2=net.__dict__.pop("space")),
    "list of a child": lambda net, x: net.fc.memory.append(2),
    "tensor in a list": lambda net, x: net.tensors[0].add_(1),
    "tensor in a list through data": lambda net, x: net.tensors[0].data.add_(1),
    "tensor deep inside": lambda net, x: net.tensors[1]["deep"][0].mul_(3),
    "numpy array": lambda net, x: net.array.__iadd__(1),
    "bytearray": lambda net, x: net.bytes.extend(b"x"),
    "array": lambda net, x: net.shorts.append(3),
    "torch generator": lambda net, x: torch.rand(1, generator=net.torch_rng),
    "numpy generator": lambda net, x: net.numpy_rng.random(),
    "old numpy generator": lambda net, x: net.old_rng.rand(),
    "python generator": lambda net, x: net.python_rng.random(),
    "object": lambda net, x: setattr(net.object, "count", net.object.count + 1),
    "inside an object": lambda net, x: net.object.inside.append(1),
    "namespace": lambda net, x: setattr(net.space, "n", 1),
    "hidden module": lambda net, x: net.hidden[0].train()(x),
    "buffer through data": lambda net, x: net.table.data.add_(1),
    "buffer replaced through data": lambda net, x: setattr(net.table, "data", torch.ones(7)),
    "train": lambda net, x: net.train(),
    "child's train": lambda net, x: net.features.train(),
    "eval": lambda net, x: net.eval(),
    "hook with keywords": lambda net, x: net.fc.register_forward_hook(lambda *_: None, with_kwargs=True),
    "parameter through data": lambda net, x: net.fc.weight.data.mul_(0.9),
    "parameter replaced through data": lambda net, x: setattr(net.fc.weight, "data", net.fc.weight.data * 0.9),
    "gradient in place": lambda net, x: net.fc.weight.grad.add_(1),
    "gradient through data": lambda net, x: net.fc.weight.grad.data.add_(1),
    "gradient replaced": lambda net, x: setattr(net.fc.weight, "grad", torch.zeros_like(net.fc.weight)),
}
TOLD = {
    "parameter through data", "parameter replaced through data", "gradient in place", "gradient through data"
}  # fmt: skip


def holding(*deeds, train=False):
    def all_of_them(net, x):
        for deed in deeds:
            DEEDS[deed](net, x)

    net = tiny.build(Holds, all_of_them).train(train)
    net.fc.weight.grad = torch.ones_like(net.fc.weight)
    return net


def leaves_no_trace_or_tells(deeds, work, train=False):
    net = holding(*deeds, train=train)
    before, held = everything(net), net.held()
    try:
        work(net)
        told = ""
    except TraceLeft as error:
        told = str(error)
    assert ("parameters" in told) == any(deed.startswith("parameter") for deed in deeds), told
    assert ("gradients" in told) == bool({"gradient in place", "gradient through data"} & set(deeds)), told
    after = everything(net)
    if "parameters" in told:
        before[1].pop("fc.weight"), after[1].pop("fc.weight")
    assert after == before
    assert net.held() == held, [(a, b) for a, b in zip(net.held(), held, strict=True) if a != b]


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("deed", DEEDS)
def test_t3_what_a_forward_changes_is_put_back_or_told(deed, train):
    leaves_no_trace_or_tells([deed], once, train)


def test_t3_any_combination_of_changes_is_put_back_or_told():
    """The property over the kinds: random combinations through whole calls."""
    draw = random.Random(12)
    for _ in range(12):
        deeds = draw.sample(sorted(DEEDS), 4)
        leaves_no_trace_or_tells(deeds, explained, train=draw.random() < 0.5)


def test_t3_one_changed_number_is_seen_when_all_are_compared():
    net = tiny.build(Does, lambda net, x: net.fc.weight.data[1, 1].add_(1e-9))
    with thorough(), pytest.raises(TraceLeft, match="parameters in place"):
        once(net)


class Passes(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def test_t3_settings_of_the_process_are_put_back():
    def deed(net, x):
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_deterministic_debug_mode("warn")
        torch.set_default_device("cpu")
        torch.set_grad_enabled(True)
        torch.autograd.set_detect_anomaly(True)
        warnings.simplefilter("error")
        torch.set_printoptions(precision=2, sci_mode=True)
        torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
        torch.backends.mkldnn.enabled = not torch.backends.mkldnn.enabled
        np.seterr(all="ignore"), np.set_printoptions(precision=2)
        sys.setrecursionlimit(sys.getrecursionlimit() + 1000)
        Passes().__enter__()

    net = tiny.build(Does, deed)
    before = everything(net)
    once(net)
    assert everything(net) == before
    assert not torch.is_anomaly_enabled()


HALF = """
import os, signal
for _ in range(2):  # the second is an order
    os.kill(os.getpid(), signal.SIGINT)
whole = True
"""


@pytest.mark.parametrize("within", [True, False])
def test_an_interrupt_leaves_no_half_of_a_module(within, tmp_path, monkeypatch):
    """As torch's compiler, which its optimisers import at their first use: half of it makes every later call fail."""
    name = f"half_{within}"
    (tmp_path / f"{name}.py").write_text(HALF)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        once(tiny.build(Does, lambda net, x: __import__(name))) if within else import_whole(name)
    assert sys.modules.pop(name).whole


# T4: threads and forks.


def test_t4_a_fork_while_another_thread_explains_does_not_hang():
    inside, go = threading.Event(), threading.Event()

    def deed(net, x):
        net.counts.append(1)
        inside.set()
        go.wait(30)

    net = tiny.build(Does, deed).train()
    net.counts = []
    thread = threading.Thread(target=explained, args=(net,))
    thread.start()
    inside.wait(30)
    child = os.fork()
    if child == 0:  # whatever happens, the child must not go on with the tests
        signal.alarm(30)
        whole = net.training and net.counts == [] and not net.features._forward_hooks
        net.deed = lambda net, x: None
        explained(net)
        os._exit(0 if whole else 1)
    go.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_t4_two_threads_that_explain_each_others_model_do_not_hang():
    both, ended = threading.Barrier(2), []
    nets = [tiny.build(Does), tiny.build(Does)]

    def work(own, other):
        try:
            with guarded(own):
                both.wait(30)
                with guarded(other):
                    ended.append("right")
        except Refused as error:
            ended.append(str(error).partition(",")[0])

    threads = [threading.Thread(target=work, args=pair) for pair in (nets, nets[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(ended) == ["Two threads each explain a model whose forward pass explains the other's", "right"]


# S10: random numbers of other threads.


NUMBERS = 60


def numbers():
    return torch.rand(1).item(), random.random(), np.random.rand()


@contextmanager
def another_draws(drawn):
    """Let another thread draw, from the same seeds each time, until it has enough numbers and this one is done."""
    begun, over = threading.Event(), threading.Event()

    def draw():
        while len(drawn) < NUMBERS or not over.is_set():
            drawn.append(numbers())
            begun.set()
            time.sleep(0.0005)

    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    thread = threading.Thread(target=draw)
    thread.start()
    begun.wait(30)
    try:
        yield
    finally:
        over.set()
        thread.join(60)


def test_s10_numbers_that_another_thread_draws_are_never_drawn_again():
    """Drawn alone from the same seeds the numbers are these, so what the thread got must be them, in order."""
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()
    drawn, nets = [], cycle([tiny.build(tiny.Pooled) for _ in range(4)])
    with another_draws(drawn):
        while len(drawn) < NUMBERS:
            pellucid.explain(next(nets), tiny.images(1), "saliency", 0)
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = [numbers() for _ in drawn]
    torch.set_rng_state(state[0]), random.setstate(state[1]), np.random.set_state(state[2])
    assert drawn == expected


DRAWS = {
    "torch": lambda x: torch.rand(3),
    "torch ": lambda x: x.clone().uniform_(),
    "torch  ": lambda x: torch.nn.functional.dropout(x),
    "torch   ": lambda x: torch.manual_seed(3),
    "torch    ": lambda x: torch.nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
    "python": lambda x: random.gauss(0, 1),
    "numpy": lambda x: np.random.rand(3),
    "": lambda x: torch.rand(3, generator=torch.Generator()),
    " ": lambda x: torch.nn.functional.scaled_dot_product_attention(x, x, x),
    "  ": lambda x: (torch.nn.functional.dropout(x, training=False), random.Random(0).random()),
    "   ": lambda x: (random.getstate(), torch.get_rng_state()),
    "    ": lambda x: np.zeros(3),
}


def test_s10_what_a_pass_draws_from_is_told_from_what_another_thread_draws():
    net = tiny.build(tiny.Pooled)
    with another_draws([]):
        found = {}
        for deed in DRAWS:
            with guarded(net), Drawing(net, deed) as drawing:
                DRAWS[deed](tiny.images(1))
                time.sleep(0.02)
            found[deed] = " ".join(drawing.drawn)
    assert found == {deed: deed.strip() for deed in DRAWS}


@pytest.mark.parametrize("first_out", [0, 1])
def test_s10_two_threads_that_explain_networks_that_draw_leave_the_state_as_it_was(first_out):
    before = surroundings()
    inside, out = threading.Barrier(2), [threading.Event(), threading.Event()]

    def made(which):
        begun = []

        def deed(net, x):
            torch.rand(3), random.random(), np.random.rand()
            if not begun:
                begun.append(True)
                inside.wait(30)
                if which != first_out:
                    out[first_out].wait(30)

        return tiny.build(Does, deed)  # here, as it draws from the state too

    def work(which, net):
        explained(net)
        out[which].set()

    threads = [threading.Thread(target=work, args=(which, made(which))) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert surroundings() == before


# SIGTERM is not Ctrl-C: it is now, and so is losing the terminal.

TOLD_TO_END = """
import os, signal, torch
from torch import nn

class Ends(nn.Sequential):
    def forward(self, x):
        if len(x) > 5:  # only perturbations come in such chunks
            os.kill(os.getpid(), signal.{signal})
        return super().forward(x)

def model():
    return Ends(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_sigterm_cleans_and_keeps_as_ctrl_c_does(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ends.py").write_text(TOLD_TO_END.format(signal=name))
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)
    arguments = ["explain", "sample:cat", "--model", "ends.py:model", "--size", "32", "--target", "0", "--out", "out"]
    try:
        process.stop_as_on_ctrl_c()
        assert app.main([*arguments, "--method", "saliency", "--method", "rise"]) == 130
    finally:
        signal.signal(number, before)
    assert "Interrupted; 1 of 2 attributions are finished." in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "out" / "cat" / "saliency.png").exists()
    assert not list(tmp_path.rglob(".pellucid*"))


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        process.stop_as_on_ctrl_c()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
