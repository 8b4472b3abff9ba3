"""Chunks that fit into memory, and results that do not depend on them."""

import pytest
import torch

import pellucid
import tiny
from pellucid.capture.running import Budget, is_out_of_memory
from pellucid.errors import OutOfMemory

CPU = torch.device("cpu")


def machine(most, error=torch.OutOfMemoryError):
    """Runs up to `most` rows; remembers every attempt."""
    tried = []

    def run(start, stop):
        tried.append((start, stop))
        if stop - start > most:
            raise error("CUDA out of memory")
        return list(range(start, stop))

    return run, tried


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_halved_until_it_fits(error):
    run, tried = machine(3, error)
    parts = list(Budget(CPU, chunk=16).chunks(32, 1, run))
    assert [row for part in parts for row in part] == list(range(32))
    assert tried[:4] == [(0, 16), (0, 8), (0, 4), (0, 2)]
    assert all(stop - start <= 2 for start, stop in tried[3:])


@pytest.mark.parametrize(("total", "sizes"), [(50, [13, 13, 12, 12]), (16, [16]), (17, [9, 8]), (3, [3]), (0, [])])
def test_chunks_are_about_equal(total, sizes):
    run, tried = machine(16)
    assert len(list(Budget(CPU, chunk=16).chunks(total, 1, run))) == len(sizes)
    assert [stop - start for start, stop in tried] == sizes


def test_the_smaller_chunk_is_remembered():
    budget = Budget(CPU)
    run, _ = machine(3)
    list(budget.chunks(20, 1, run))
    assert budget.rows(1) <= 3


def test_not_even_one_row():
    run, tried = machine(0)
    with pytest.raises(OutOfMemory, match="Not even one sample fits into the memory of cpu"):
        list(Budget(CPU).chunks(4, 2**20, run))
    assert tried[-1] == (0, 1)


def test_other_errors_pass():
    def run(start, stop):
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(Budget(CPU).chunks(4, 1, run))


def test_rows():
    assert Budget(CPU, chunk=5).rows(2**60) == 5
    assert Budget(CPU).rows(2**60) == 1
    assert Budget(CPU).rows(1) == 32
    assert Budget(CPU).rows(1, most=512) == 512


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (MemoryError(), True),
        (RuntimeError("size mismatch"), False),
    ],
)
def test_is_out_of_memory(error, answer):
    assert is_out_of_memory(error) == answer


class Narrow(tiny.Pooled):
    """Has memory for `most` samples at once."""

    most = 99

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(x)


METHODS = ["grad-cam", "saliency", "occlusion", "smoothgrad", "integrated-gradients"]
QUICK = {"occlusion": {"window": 8, "stride": 4}, "smoothgrad": {"samples": 3}, "integrated-gradients": {"steps": 4}}


@pytest.mark.parametrize("most", [1, 2, 5])
def test_results_are_the_same_in_little_memory(most):
    image, wide, narrow = tiny.images(6), tiny.build(tiny.Pooled), tiny.build(Narrow)
    narrow.most = most
    expected = pellucid.explain(wide, image, METHODS, options=QUICK)
    for a in pellucid.explain(narrow, image, METHODS, options=QUICK):
        torch.testing.assert_close(a.raw, expected[a.method.id].raw)


def test_no_memory_at_all_is_an_error_of_ours():
    net = tiny.build(Narrow)
    net.most = 0
    with pytest.raises(OutOfMemory):
        pellucid.explain(net, tiny.images(), "saliency")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory")])
def test_late_start_in_little_memory(error, monkeypatch):
    net, image = tiny.build(tiny.Pooled), tiny.images()
    expected = pellucid.explain(net, image, "ablation-cam")["ablation-cam"].raw

    def fail(module, args):
        if len(args[0]) > 4:
            raise error

    net.fc.register_forward_pre_hook(fail)
    torch.testing.assert_close(pellucid.explain(net, image, "ablation-cam")["ablation-cam"].raw, expected)
