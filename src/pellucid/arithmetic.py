"""The arithmetic of layers: output size, parameters, multiply-adds and receptive field, without running anything.

In one file, as it is a module that people import by this name and read from top to bottom.

    first = arithmetic.conv2d(size=227, kernel=11, stride=4, in_channels=3, out_channels=96)
    first.output, first.parameters, first.field  # (55, 55), 34944, 11 pixels every 4
    arithmetic.pool2d(after=first, kernel=3, stride=2).field[0].size  # 19 pixels of the picture

Sources: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285, relationships 1
to 14; Araujo et al., "Computing receptive fields of convolutional neural networks", Distill 2019, eq. 2 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TypeAlias

from pellucid.errors import BadOption

Extent: TypeAlias = int | Sequence[int]
"""One number for every axis, or one per axis."""
Padding: TypeAlias = int | str | Sequence[int]
"""Cells added on both sides of each axis; or `valid` (none), `same` (the output is the input divided by the stride,
rounded up; an odd cell goes behind, as in torch and TensorFlow), `full` (every cell that meets the kernel at all)."""


@dataclass(frozen=True)
class Field:
    """Which cells of the input one output position sees along one axis.

    The output at position i sees the whole numbers between `start + i * step` and `start + i * step + reach`.

    Attributes:
        start: place where the field of position 0 begins, in cells of the input; negative: in the padding.
        step: distance that the field moves from one position to the next; below 1 behind a transposed convolution.
        reach: distance from the first to the last cell of a field.
        exact: True if every position's field reaches both ends; otherwise the ends are bounds.
    """

    start: Fraction = Fraction(0)
    step: Fraction = Fraction(1)
    reach: Fraction = Fraction(0)
    exact: bool = True

    @property
    def size(self) -> int:
        """The largest number of cells that a position can see."""
        return math.floor(self.reach) + 1

    @property
    def centre(self) -> Fraction:
        """The middle of the field of position 0, where the middle of the input's first cell is 0."""
        return self.start + self.reach / 2

    def window(self, position: int) -> tuple[int, int]:
        """First cell that a position sees and the first behind it; may lie outside of the input."""
        start = self.start + position * self.step
        return math.ceil(start), math.floor(start + self.reach) + 1

    def then(self, above: Field) -> Field:
        """The field on this field's input of a layer above, whose field on this one's output is `above`."""
        exact = self.exact and above.exact and (self.step.denominator == 1 or above.reach == above.start == 0)
        return Field(
            start=self.start + above.start * self.step,
            step=self.step * above.step,
            reach=self.reach + above.reach * self.step,
            exact=exact,
        )

    def __str__(self) -> str:
        how = "" if self.exact else "at most "
        return f"{how}{self.size} every {float(self.step):g} from {float(self.start):g}"


@dataclass(frozen=True)
class Arithmetic:
    """What one layer does to sizes and what it costs.

    Attributes:
        size, output: cells along each spatial axis, before and after.
        parameters: weights and biases; None where the channels were not given.
        multiply_adds: number of multiply-adds of one sample, without the bias; None likewise. Pooling multiplies
            nothing.
        field: range per axis of what one output position sees of the input, or of the first layer's input after
            `after=`.
        formula: the output size of each axis, worked out.
        channels: number of channels of the output; None when unknown.
    """

    size: tuple[int, ...]
    output: tuple[int, ...]
    parameters: int | None
    multiply_adds: int | None
    field: tuple[Field, ...]
    formula: tuple[str, ...]
    channels: int | None = None

    def __str__(self) -> str:
        text = " x ".join(map(str, self.output))
        known = [f"output {text}"]
        if self.parameters is not None:
            known += [f"{self.parameters:,} parameters", f"{self.multiply_adds:,} multiply-adds"]
        fields = dict.fromkeys(map(str, self.field))
        return f"{', '.join(known)}; receptive field {' and '.join(fields)}; {'; '.join(dict.fromkeys(self.formula))}"


def conv(
    axes: int,
    size: Extent | None = None,
    kernel: Extent = 1,
    stride: Extent = 1,
    padding: Padding = 0,
    dilation: Extent = 1,
    *,
    in_channels: int | None = None,
    out_channels: int | None = None,
    groups: int = 1,
    bias: bool = True,
    after: Arithmetic | None = None,
) -> Arithmetic:
    """A convolution: `conv1d`, `conv2d` and `conv3d` are this with the number of axes filled in.

    output = floor((size + padding in front + padding behind - dilation (kernel - 1) - 1) / stride) + 1;
    parameters = out_channels (kernel area * in_channels / groups + 1 if bias).

    Args:
        axes: number of spatial axes.
        size: cells of the input along each axis; one number for all.
        kernel: side of the kernel in cells.
        stride: step in cells.
        padding: number of cells around the input, or `valid`, `same` or `full`.
        dilation: distance between the kernel's cells.
        in_channels: needed to count parameters and multiply-adds; known from `after`.
        out_channels: number of channels of the output.
        groups: independent parts; as many as `in_channels` is a depthwise convolution.
        bias: True if each output channel adds a number.
        after: the layer before; gives size and channels, and receptive fields then reach back to its own input.

    Raises:
        BadOption: a value that cannot be, or an output without a single cell.
    """
    layer = _Layer.read(axes, size, kernel, stride, dilation, after)
    pads = layer.pads(padding)
    output, formula = [], []
    for n, k, s, d, (front, back) in zip(layer.size, layer.kernel, layer.stride, layer.dilation, pads, strict=True):
        output.append((n + front + back - d * (k - 1) - 1) // s + 1)
        formula.append(f"floor(({n} + {front} + {back} - {d} * ({k} - 1) - 1) / {s}) + 1 = {output[-1]}")
    field = [
        Field(Fraction(-front), Fraction(s), Fraction(d * (k - 1)))
        for k, s, d, (front, _) in zip(layer.kernel, layer.stride, layer.dilation, pads, strict=True)
    ]
    channels = _channels(in_channels, out_channels, groups, after)
    return layer.result(output, formula, field, channels, groups, bias, positions=output)


def conv_transpose(
    axes: int,
    size: Extent | None = None,
    kernel: Extent = 1,
    stride: Extent = 1,
    padding: Extent = 0,
    dilation: Extent = 1,
    *,
    output_padding: Extent = 0,
    in_channels: int | None = None,
    out_channels: int | None = None,
    groups: int = 1,
    bias: bool = True,
    after: Arithmetic | None = None,
) -> Arithmetic:
    """A transposed convolution: the gradient of a convolution, which spreads each cell over a kernel.

    output = (size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1. Which cells a position sees
    depends on its remainder by the stride, so fields are bounds where the stride is above 1.

    Args:
        axes: number of spatial axes.
        size: number of cells of the input, as for `conv`, like all that is not explained here.
        kernel: side of the kernel of the convolution that this one transposes.
        stride: distance between the cells' kernels in the output.
        padding: cells cut off from both ends of the output.
        dilation: distance between the kernel's cells.
        output_padding: cells added behind the output.
        in_channels: before.
        out_channels: behind.
        groups: independent parts.
        bias: True if each output channel adds a number.
        after: the layer before.

    Raises:
        BadOption: a value that cannot be, or an output without a single cell.
    """
    layer = _Layer.read(axes, size, kernel, stride, dilation, after)
    cut, added = _each(padding, axes, "padding", 0), _each(output_padding, axes, "output_padding", 0)
    output, formula, field = [], [], []
    for n, k, s, d, p, extra in zip(layer.size, layer.kernel, layer.stride, layer.dilation, cut, added, strict=True):
        output.append((n - 1) * s - 2 * p + d * (k - 1) + extra + 1)
        formula.append(f"({n} - 1) * {s} - 2 * {p} + {d} * ({k} - 1) + {extra} + 1 = {output[-1]}")
        reach = Fraction(d * (k - 1), s)
        field.append(Field(Fraction(p, s) - reach, Fraction(1, s), reach, exact=s == 1))
    channels = _channels(in_channels, out_channels, groups, after)
    return layer.result(output, formula, field, channels, groups, bias, positions=layer.size)


def pool(
    axes: int,
    size: Extent | None = None,
    kernel: Extent = 2,
    stride: Extent | None = None,
    padding: Padding = 0,
    dilation: Extent = 1,
    *,
    ceil_mode: bool = False,
    after: Arithmetic | None = None,
) -> Arithmetic:
    """Max, average or any other pooling with a moving window; `pool2d` is this over rows and columns.

    Args:
        axes: number of spatial axes.
        size: number of cells of the input, as for `conv`.
        kernel: side of the window, in cells.
        stride: step in cells; None is the kernel's size, so that windows touch.
        padding: number of cells around the input, as for `conv`.
        dilation: distance between the window's cells.
        ceil_mode: count the last window although it reaches beyond the end.
        after: the layer before.

    Raises:
        BadOption: a value that cannot be, or an output without a single cell.
    """
    layer = _Layer.read(axes, size, kernel, kernel if stride is None else stride, dilation, after)
    pads = layer.pads(padding)
    output, formula = [], []
    for n, k, s, d, (front, back) in zip(layer.size, layer.kernel, layer.stride, layer.dilation, pads, strict=True):
        room = n + front + back - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + front:
            count -= 1  # a window that would begin behind the input is left out
        output.append(count)
        how = "ceil" if ceil_mode else "floor"
        formula.append(f"{how}(({n} + {front} + {back} - {d} * ({k} - 1) - 1) / {s}) + 1 = {count}")
    field = [
        Field(Fraction(-front), Fraction(s), Fraction(d * (k - 1)))
        for k, s, d, (front, _) in zip(layer.kernel, layer.stride, layer.dilation, pads, strict=True)
    ]
    return layer.pooled(output, formula, field)


def adaptive_pool(
    axes: int, size: Extent | None = None, output: Extent = 1, *, after: Arithmetic | None = None
) -> Arithmetic:
    """Pooling to a given number of cells: position i sees floor(i size / output) to ceil((i + 1) size / output).

    Args:
        axes: number of spatial axes.
        size: number of cells of the input, as for `conv`.
        output: cells wanted along each axis; 1 is global pooling.
        after: the layer before.
    """
    layer = _Layer.read(axes, size, 1, 1, 1, after)
    wanted, field = _each(output, axes, "output", 1), []
    for n, m in zip(layer.size, wanted, strict=True):
        slack = Fraction(0) if n % m == 0 else Fraction(m - 1, m)
        field.append(Field(-slack, Fraction(n, m), Fraction(n, m) + 2 * slack - 1, exact=n % m == 0))
    return layer.pooled(list(wanted), [f"{m} as asked for" for m in wanted], field)


def linear(in_features: int, out_features: int, bias: bool = True) -> Arithmetic:
    """A dense layer: every output sees every input."""
    if min(in_features, out_features) < 1:
        raise BadOption(f"Expected features from 1, got {in_features} and {out_features}.")
    products = in_features * out_features
    field = Field(Fraction(0), Fraction(0), Fraction(in_features - 1))
    formula = (f"{out_features} outputs",)
    return Arithmetic((in_features,), (out_features,), products + bias * out_features, products, (field,), formula)


@dataclass(frozen=True)
class _Layer:
    """The arguments of one layer, one number per axis each."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    after: Arithmetic | None

    @classmethod
    def read(
        cls, axes: int, size: Extent | None, kernel: Extent, stride: Extent, dilation: Extent, after: Arithmetic | None
    ) -> _Layer:
        if (size is None) == (after is None):
            raise BadOption("Give either the size of the input, or with `after` the layer that it comes from.")
        numbers = after.output if after else size
        return cls(
            _each(numbers or 0, axes, "size", 1),
            _each(kernel, axes, "kernel", 1),
            _each(stride, axes, "stride", 1),
            _each(dilation, axes, "dilation", 1),
            after,
        )

    def pads(self, padding: Padding) -> list[tuple[int, int]]:
        """Cells in front of and behind each axis."""
        spans = [d * (k - 1) for k, d in zip(self.kernel, self.dilation, strict=True)]
        if not isinstance(padding, str):
            return [(p, p) for p in _each(padding, len(self.size), "padding", 0)]
        if padding == "valid":
            return [(0, 0)] * len(spans)
        if padding == "full":
            return [(span, span) for span in spans]
        if padding == "same":
            totals = [
                max((-(-n // s) - 1) * s + span + 1 - n, 0)
                for n, s, span in zip(self.size, self.stride, spans, strict=True)
            ]
            return [(total // 2, total - total // 2) for total in totals]
        raise BadOption(f"Expected the padding in cells, or 'valid', 'same' or 'full', got {padding!r}.")

    def result(
        self,
        output: Sequence[int],
        formula: Sequence[str],
        field: Sequence[Field],
        channels: tuple[int, int] | None,
        groups: int,
        bias: bool,
        positions: Sequence[int],
    ) -> Arithmetic:
        """The layer's arithmetic; each weight is used once per position."""
        self._check(output, formula)
        weights = None if channels is None else math.prod(self.kernel) * channels[0] * channels[1] // groups
        return Arithmetic(
            size=self.size,
            output=tuple(output),
            parameters=None if weights is None or channels is None else weights + bias * channels[1],
            multiply_adds=None if weights is None else weights * math.prod(positions),
            field=self._field(field),
            formula=tuple(formula),
            channels=None if channels is None else channels[1],
        )

    def pooled(self, output: Sequence[int], formula: Sequence[str], field: Sequence[Field]) -> Arithmetic:
        """The arithmetic of a layer without weights, which keeps the channels."""
        self._check(output, formula)
        channels = self.after.channels if self.after else None
        return Arithmetic(self.size, tuple(output), 0, 0, self._field(field), tuple(formula), channels)

    def _field(self, own: Sequence[Field]) -> tuple[Field, ...]:
        if self.after is None:
            return tuple(own)
        return tuple(below.then(above) for below, above in zip(self.after.field, own, strict=True))

    def _check(self, output: Sequence[int], formula: Sequence[str]) -> None:
        if min(output) < 1:
            raise BadOption(
                f"The kernel does not fit: {'; '.join(dict.fromkeys(formula))}. Use a larger input, more padding or a "
                "smaller kernel."
            )


def _each(given: Extent, axes: int, name: str, least: int) -> tuple[int, ...]:
    numbers = (given,) * axes if isinstance(given, int) else tuple(given)
    if len(numbers) != axes or any(not isinstance(n, int) or n < least for n in numbers):
        raise BadOption(f"Expected one whole number from {least} or {axes} of them as {name}, got {given!r}.")
    return numbers


def _channels(inputs: int | None, outputs: int | None, groups: int, after: Arithmetic | None) -> tuple[int, int] | None:
    inputs = after.channels if inputs is None and after else inputs
    if groups < 1:
        raise BadOption(f"Expected groups from 1, got {groups}.")
    if inputs is None or outputs is None:
        return None
    if inputs < 1 or outputs < 1 or inputs % groups or outputs % groups:
        raise BadOption(f"{inputs} input and {outputs} output channels do not divide into {groups} groups.")
    return inputs, outputs


conv1d, conv2d, conv3d = partial(conv, 1), partial(conv, 2), partial(conv, 3)
conv_transpose1d, conv_transpose2d, conv_transpose3d = (
    partial(conv_transpose, 1),
    partial(conv_transpose, 2),
    partial(conv_transpose, 3),
)
pool1d, pool2d, pool3d = partial(pool, 1), partial(pool, 2), partial(pool, 3)
adaptive_pool1d, adaptive_pool2d, adaptive_pool3d = (
    partial(adaptive_pool, 1),
    partial(adaptive_pool, 2),
    partial(adaptive_pool, 3),
)
