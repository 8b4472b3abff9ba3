"""The promises, tested where they shall hold: on this machine, with these versions. Takes a few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pellucid.api import explain
from pellucid.capture.running import thorough
from pellucid.errors import Refused
from pellucid.evaluation import evaluate
from pellucid.metrics.randomisation import FAILS
from pellucid.models import load

_ROUNDS = 7


@dataclass(frozen=True)
class TestResult:
    """What one test found; `ok` is None for a measurement that cannot fail."""

    promise: str
    test: str
    ok: bool | None
    found: str


class _Net(nn.Module):
    """Convolution, activation of several kinds, convolution, pooling, linear head."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.head, self.act = nn.BatchNorm2d(8), nn.Linear(8, 4), activation

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.act(self.norm(self.second(self.act(self.first(x))))).mean((2, 3)))
        return scores


class _Raises(_Net):
    def forward(self, x: Tensor) -> Tensor:
        self.calls = [*getattr(self, "calls", []), len(x)]
        self.norm(self.first(x))
        raise RuntimeError("raised on purpose, midway")


def selftest() -> list[TestResult]:
    """Run all tests; a test that raises has failed."""
    return [_run(*test) for test in _TESTS]


def _run(promise: str, name: str, test: Callable[[], tuple[bool | None, str]]) -> TestResult:
    try:
        ok, found = test()
    except Exception as error:  # noqa: BLE001 - a diagnosis reports whatever goes wrong, and goes on
        ok, found = False, f"{type(error).__name__}: {error}"
    return TestResult(promise, name, ok, found)


def _seeded(make: Callable[[], Any]) -> Any:
    """Make something random without touching the process's own random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def _image() -> Tensor:
    made: Tensor = _seeded(lambda: torch.randn(2, 3, 16, 16))
    return made


def _functional_relu() -> tuple[bool, str]:
    module, function = _seeded(lambda: _Net(nn.ReLU())), _seeded(lambda: _Net(F.relu))
    guided = [explain(net, _image(), "guided-backprop")["guided-backprop"].raw for net in (module, function)]
    plain = explain(function, _image(), "saliency")["saliency"].raw
    same, other = _largest(guided[0] - guided[1]), _largest(guided[1] - plain)
    return same == 0 and other > 0, f"differs from nn.ReLU by {same:.1g}, from the plain gradient by {other:.1g}"


def _in_place() -> tuple[bool, str]:
    nets: list[nn.Module] = [_seeded(partial(_Net, nn.ReLU(inplace=inplace))) for inplace in (False, True)]
    maps = [explain(net, _image(), "grad-cam", layer="norm")["grad-cam"].values for net in nets]
    gap = _largest(maps[0] - maps[1])
    return gap == 0 and _largest(maps[0]) > 0, f"the map changes by {gap:.1g}"


def _refusal() -> tuple[bool, str]:
    try:
        explain(_seeded(lambda: _Net(F.gelu)), _image(), "guided-backprop")
    except Refused as error:
        return "gelu" in str(error), "refused, gelu named"
    return False, "not refused"


def _no_trace() -> tuple[bool, str]:
    return _unchanged(_seeded(lambda: _Net(nn.ReLU(inplace=True))).train(), raises=False)


def _no_trace_when_raising() -> tuple[bool, str]:
    return _unchanged(_seeded(lambda: _Raises(nn.ReLU())).train(), raises=True)


def _unchanged(net: nn.Module, *, raises: bool) -> tuple[bool, str]:
    before, random_before = _state(net), torch.get_rng_state()
    raised = False
    try:
        with thorough():  # every byte is compared, not a few numbers of each tensor
            explain(net, _image(), ["grad-cam", "guided-backprop", "occlusion"], layer="second")
    except RuntimeError as error:
        raised = "on purpose" in str(error)
    changed = [name for name, value in _state(net).items() if not _equal(value, before.pop(name, None))] + list(before)
    if not torch.equal(torch.get_rng_state(), random_before):
        changed.append("random state")
    return raised == raises and not changed, f"changed: {', '.join(changed) or 'nothing'}"


def _state(net: nn.Module) -> dict[str, Any]:
    """Everything about a network that a pass could leave behind."""
    found: dict[str, Any] = {name: value.detach().clone() for name, value in net.state_dict().items()}
    for name, part in net.named_modules():
        kept = {key: value for key, value in vars(part).items() if not key.startswith("_") or key.endswith("_hooks")}
        found |= {f"{name}.{key}": repr(value) for key, value in kept.items()}
    return found | {f"{name}.grad": (p.grad, p.requires_grad) for name, p in net.named_parameters()}


def _equal(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) and isinstance(other, Tensor) else bool(one == other)


def _completeness() -> tuple[bool, str]:
    net = _seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4)))
    found = explain(net, _image(), "integrated-gradients", options={"integrated-gradients": {"steps": 4}})
    gap = _largest(found["integrated-gradients"].extras["gap"])
    return gap < 1e-4, f"gap {gap:.1g} on a linear network"


def _zero_map() -> tuple[bool, str]:
    net = _seeded(lambda: _Net(lambda x: x * 0))
    notes = explain(net, _image(), "saliency")["saliency"].notes
    return any("zero everywhere" in note for note in notes), "; ".join(notes) or "no note"


def _sanity() -> tuple[bool, str]:
    found = explain(load(), "sample:cat", ["guided-backprop", "grad-cam"])
    judged = evaluate(found, "randomisation", controls=False)
    guided, cam = (judged[name, "randomisation"].mean for name in ("guided-backprop", "grad-cam"))
    told = f"likeness {guided:.2f} and {cam:.2f}, more than {FAILS} fails"
    return guided > FAILS >= cam, told


def _speed() -> tuple[None, str]:
    model = load()
    image: Tensor = _seeded(lambda: torch.randn(1, 3, 224, 224))

    def bare() -> None:
        with torch.inference_mode():
            model.module(image)

    def ours() -> None:
        explain(model, image, "grad-cam")

    for warm_up in (bare, ours, bare, ours):
        warm_up()
    rounds = [(_seconds(bare), _seconds(ours)) for _ in range(_ROUNDS)]
    forward, whole = (median(column) for column in zip(*rounds, strict=True))
    return None, f"{whole / forward:.2f} x a bare forward pass ({1e3 * whole:.0f} ms and {1e3 * forward:.0f} ms)"


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _largest(values: Tensor) -> float:
    return float(values.abs().max())


_TESTS: tuple[tuple[str, str, Callable[[], tuple[bool | None, str]]], ...] = (
    ("never silently wrong", "guided backprop at a functional ReLU", _functional_relu),
    ("never silently wrong", "in-place operation behind the layer", _in_place),
    ("never silently wrong", "an activation without a rule is refused", _refusal),
    ("leaves no trace", "a network in training mode", _no_trace),
    ("leaves no trace", "a network that raises midway", _no_trace_when_raising),
    ("honest", "integrated gradients add up to the score", _completeness),
    ("honest", "an empty map is said to be empty", _zero_map),
    ("honest", "random weights: guided backprop fails, grad-cam passes", _sanity),
    ("fast", "grad-cam on efficientnet-lite0", _speed),
)
