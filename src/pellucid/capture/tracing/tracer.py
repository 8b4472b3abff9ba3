"""What a network does with one input, step by step: every operation, who asked for it, and whose results it uses.

The pass is watched from below (a `TorchDispatchMode` sees what is really computed, also inside TorchScript and
custom functions) and from above (a `TorchFunctionMode` knows what the user's code called, hooks know which module was
at work).
Nothing of the model is changed, and no intermediate result is kept alive.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary, WeakTensorKeyDictionary

from pellucid.capture.operators import Operator, called, computed_by, multiply_adds
from pellucid.capture.running import forward, input_type, is_out_of_memory, is_unfit
from pellucid.capture.tracing.described import described
from pellucid.capture.tracing.traced import INPUT, KeptStep, ModuleCall, Trace, TracedStep, Value
from pellucid.contracts import Model
from pellucid.errors import BadOption, PellucidError


def trace(model: Model, image: Tensor, keep: Collection[int] = (), call: int | None = None) -> Trace:
    """Run the network once on `image` and write down what it does. Must run inside `guarded`.

    Args:
        model: the network.
        image: its input, batch axis first.
        keep: numbers of steps whose values shall be kept, as an earlier trace of the same input found them.
        call: number of the module call whose output shall be kept.

    Raises:
        BadOption: the network cannot run on it; the message names the module that failed.
    """
    made = image.detach().to(input_type(model, image) if image.is_floating_point() else image.dtype, copy=True)
    recorder = _Recorder(model.module, made, keep, call)
    try:
        with torch.no_grad(), recorder.listening():
            forward(model, made, torch.arange(len(made)))
    except (RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, PellucidError) or is_out_of_memory(error) or is_unfit(error):
            raise
        raise BadOption(
            f"{model.name} cannot run on an input of shape {list(image.shape)}: {_first_line(error)} "
            f"{recorder.place()} Check the size and the number of channels."
        ) from error
    return recorder.result()


def _first_line(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0].strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


class _Recorder:
    """Keeps the books of one pass."""

    def __init__(self, module: nn.Module, image: Tensor, keep: Collection[int], kept_call: int | None) -> None:
        self.module, self.image, self.keep, self.kept_call = module, image, frozenset(keep), kept_call
        self.paused = False  # while a copy is made for us, which is no step of the network
        self.uncounted: set[str] = set()
        self.touched: set[int] = set()  # modules and parameters that a function was called by or with
        self.kept: dict[int, KeptStep] = {}
        self.steps: list[TracedStep] = []
        self.calls: list[ModuleCall] = []
        self.open: list[int] = []
        self.times: Counter[str] = Counter()
        self.known: Any = WeakTensorKeyDictionary()  # tensor -> (its sources, when they were noted)
        self.written: Any = WeakIdKeyDictionary()  # memory -> later writes to it, through whatever tensor
        self.clock = 0
        self.functions = 0
        self.function: tuple[str, int] | None = None
        self.operator: Operator | None = None
        self.known[image] = (((INPUT, 0),), 0)
        self.around = sys.exc_info()[1]  # of the caller, who may be handling an error of his own
        self.failed: tuple[BaseException, ModuleCall] | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        with ExitStack() as stack:
            for path, part in self.module.named_modules():
                if not isinstance(part, torch.jit.ScriptModule):  # runs outside Python, where no hook is called
                    stack.callback(part.register_forward_pre_hook(self._enter(path)).remove)
                    stack.callback(part.register_forward_hook(self._leave, always_call=True).remove)
            stack.enter_context(_Functions(self))
            stack.enter_context(_Operations(self))
            yield

    def result(self) -> Trace:
        parts = dict(self.module.named_modules())
        hidden = {path: part for path, part in parts.items() if isinstance(part, torch.jit.ScriptModule)}
        idle = {path: part for path, part in parts.items() if path not in self.times and path not in hidden}
        used = frozenset(path for path, part in idle.items() if self._was_used(part))
        uncounted = tuple(sorted(self.uncounted))
        return Trace(
            tuple(self.image.shape), tuple(self.steps), tuple(self.calls), idle, hidden, used, uncounted, self.kept
        )

    def _was_used(self, part: nn.Module) -> bool:
        """Whether code of a module or of one inside ran, or a function was given one of its parameters."""
        called = {id(call.module) for call in self.calls} | self.touched
        return any(id(one) in called for one in (*part.modules(), *part.parameters()))

    def touch(self, given: Any) -> None:
        """Note who calls a function, and which parameters it is given."""
        self.touched.update(id(leaf) for leaf in tree_leaves(given) if isinstance(leaf, nn.Parameter))
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_name == "forward" and isinstance(part := frame.f_locals.get("self"), nn.Module):
                self.touched.add(id(part))
                return
            frame = frame.f_back

    def place(self) -> str:
        """Where the pass failed, for people: the innermost module at work."""
        if self.failed is None:
            return "It failed before its first layer."
        call = self.failed[1]
        name = f"in the layer {call.path!r}" if call.path else "in the network's own code"
        return f"It failed {name} ({type(call.module).__name__})."

    def _enter(self, path: str) -> Callable[..., None]:
        def before(part: nn.Module, _: Any) -> None:
            parent = self.open[-1] if self.open else None
            here = len(self.steps)
            call = ModuleCall(len(self.calls), path, self.times[path], parent, part, steps=range(here, here))
            self.times[path] += 1
            self.calls.append(call)
            self.open.append(call.number)

        return before

    def _leave(self, _: nn.Module, __: Any, output: Any) -> None:
        call = self.calls[self.open.pop()]
        error = sys.exc_info()[1]  # also called for a module that is left by an error, caught further out or not
        if error is not None and error is not self.around:
            if self.failed is None or self.failed[0] is not error:
                self.failed = error, call
            call.output = "left early"
            call.steps = range(call.steps.start, len(self.steps))
            return
        call.steps = range(call.steps.start, len(self.steps))
        call.output = described(output)
        tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        call.shape = tuple(output.shape) if isinstance(output, Tensor) else None
        if call.number == self.kept_call and isinstance(output, Tensor):
            self.paused = True
            call.value = output.detach().clone()
            self.paused = False
        call.sources = tuple(dict.fromkeys(source for t in tensors for source in self.sources(t)))

    def sources(self, tensor: Tensor) -> tuple[tuple[int, int], ...]:
        """The steps that a tensor's values came from: its own maker, and who wrote into its memory since."""
        made, when = self.known.get(tensor, ((), -1))
        later = self.written.get(tensor.untyped_storage(), ())
        return tuple(dict.fromkeys([*made, *(source for source, at in later if at > when)]))

    def operation(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
        """Compute one operation and write it down if it depends on the input."""
        if self.paused:
            return compute()
        named = _named(func, args, kwargs)
        given = {name: _noted(value, self.sources) for name, value in named.items()}
        values = [leaf for leaf in _leaves(given) if isinstance(leaf, Value)]
        inputs = tuple(dict.fromkeys(number for value in values for number, _ in value.sources))
        inputs = () if _uses_shape_only(func) else inputs
        wanted = bool(inputs) and len(self.steps) in self.keep
        before = {name: _copied(value) for name, value in named.items()} if wanted else {}
        result = compute()
        self.clock += 1
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        number = len(self.steps)
        if wanted and outputs:
            self.kept[number] = KeptStep(func, before, outputs[0].detach().clone())
        shapes = tuple(tuple(out.shape) for out in outputs)
        cost, operation = multiply_adds(func, named, shapes), func._schema.name
        if cost is None:
            self.uncounted.add(operation.removeprefix("aten::"))
        if self.open and operation.endswith("convolution"):
            self._note_kernels(self.calls[self.open[-1]], named["weight"])
        if not inputs:
            for place in self.open or range(bool(self.calls)):
                self.calls[place].constants += cost or 0
        if inputs:
            call = self.open[-1] if self.open else 0
            operator = self.operator if self.function else computed_by(operation.removeprefix("aten::"))
            self.steps.append(TracedStep(number, operation, given, inputs, shapes, call, self.function, cost, operator))
        written = [
            named[a.name] for a in func._schema.arguments if _writes(a) and isinstance(named.get(a.name), Tensor)
        ]
        for place, out in enumerate(outputs):
            self.known[out] = ((((number, place),) if inputs else ()), self.clock)
        for tensor in written:
            self.known[tensor] = ((((number, 0),) if inputs else ()), self.clock)
            if inputs:
                storage = tensor.untyped_storage()
                self.written[storage] = (*self.written.get(storage, ()), ((number, 0), self.clock))
        return result

    def _note_kernels(self, call: ModuleCall, used: Tensor) -> None:
        """Weights that a convolution makes of its parameter in the pass, such as standardised ones."""
        own = call.module._parameters.get("weight")
        if own is None or own.data_ptr() != used.data_ptr():
            call.kernels = used.detach().clone()


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation that torch computes."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorder = recorder

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return (
            False  # nothing is compiled inside of `guarded`, and torch would import its compiler, which takes seconds
        )

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        return self.recorder.operation(func, args, named, lambda: func(*args, **named))


class _Functions(TorchFunctionMode):
    """Sees every function of torch that Python code calls, but not what these call in turn."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        recorder = self.recorder
        before = recorder.function, recorder.operator
        recorder.functions += 1
        recorder.function, recorder.operator = (_function_name(func), recorder.functions), called(func)
        recorder.touch((args, kwargs))
        try:
            return func(*args, **(kwargs or {}))
        finally:
            recorder.function, recorder.operator = before


def _function_name(func: Any) -> str:
    return str(getattr(func, "__name__", None) or resolve_name(func) or func)


def _named(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by their names in the schema, defaults included."""
    schema = func._schema.arguments
    given = {argument.name: value for argument, value in zip(schema, args, strict=False)}
    defaults = {a.name: a.default_value for a in schema if a.name not in given and a.has_default_value()}
    return {**given, **defaults, **kwargs}


def _noted(value: Any, sources: Callable[[Tensor], tuple[tuple[int, int], ...]]) -> Any:
    """The same argument without the tensors in it."""
    if isinstance(value, Tensor):
        return Value(tuple(value.shape), sources(value))
    if isinstance(value, list | tuple):
        return tuple(_noted(item, sources) for item in value)
    return value


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, tuple):
        yield value
        return
    for item in value:
        yield from _leaves(item)


def _uses_shape_only(func: Any) -> bool:
    """Whether an operation makes a constant of the shape of what it is given, such as `zeros_like`."""
    name = func._schema.name.removeprefix("aten::")
    return bool(name.startswith("new_") or name.endswith("_like"))


def _writes(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write
