"""`visualize_activation`, with the parameters of keras-vis 0.5.0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.capture.differentiable import differentiable_forward
from pellucid.compat.keras_vis.modifiers import EPSILON, Array, on_gradients
from pellucid.compat.keras_vis.modifiers import rule as rule_of
from pellucid.compat.keras_vis.network import Filters, Layer, as_array, as_input, ask, from_array, site_of
from pellucid.contracts import Model, Preprocess
from pellucid.errors import BadOption, Refused
from pellucid.models.wrap import wrap

_WHOLE, _DECAY, _POWER, _SPREAD = 255, 0.95, 6, 0.05
_MORE = ("max_iter", "input_modifiers", "callbacks", "verbose")


def visualize_activation(
    model: Model | nn.Module,
    layer_idx: Layer,
    filter_indices: Filters = None,
    wrt_tensor: Layer | None = None,
    seed_input: Any = None,
    input_range: tuple[float, float] = (0, 255),
    backprop_modifier: str | None = None,
    grad_modifier: str | Callable[[Array], Array] | None = None,
    act_max_weight: float = 1,
    lp_norm_weight: float = 10,
    tv_weight: float = 10,
    **optimizer_params: Any,
) -> Array:
    """The input that makes some filters large, smooth and of moderate values.

    As in keras-vis, steps are taken and norms are measured in the network's own units: what is optimised is what the
    network is given, and may leave the range. `input_range` says how pictures are written: those that are given and
    come out, and the first noise, around the middle of the range with a twentieth of its width as deviation. A network
    with preprocessing normalises pictures of the range; one without is given them as they are. The picture that comes
    out has a tenth of the range as contrast, so the network may see less in it than in what was optimised, which
    callbacks see. `pellucid.dream` makes better pictures.

    Args:
        model: any network, or a `Model`; left as it was.
        layer_idx: the layer of the filters; of classes, the last one before any softmax.
        filter_indices: one or several of its channels or units; None is all.
        wrt_tensor: only None, the input.
        seed_input: what to start from: a path or image for a `Model`, or values of `input_range` as a tensor
            `[channel, row, column]` or an array of floats `[row, column, channel]`; None is noise around the middle.
        input_range: the least and greatest value of a picture.
        backprop_modifier: `guided`, or `relu` (also `rectified`, `deconv`): every positive signal passes a ReLU.
        grad_modifier: `absolute`, `negate`, `relu`, `invert`, `small_values` or a function of an array.
        act_max_weight: of the filters' activation.
        lp_norm_weight: of the input's 6-norm, divided by the number of its values.
        tv_weight: of its total variation, likewise.
        **optimizer_params: `max_iter` (200), `input_modifiers`, `callbacks` and `verbose`, as of keras-vis's optimiser.

    Returns:
        The input with the least loss, its contrast set to a tenth of the range, `[row, column, channel]`; whole
        numbers where the range has them.

    Raises:
        BadOption, UnknownName, BadSite: arguments that do not fit the network.
        Refused: `wrt_tensor`, or a backprop modifier for a network with other activations than ReLU.
    """
    if wrt_tensor is not None:
        raise Refused("The input is changed along its own gradient; leave wrt_tensor out of visualize_activation.")
    unknown = [name for name in optimizer_params if name not in _MORE]
    low, high = (float(end) for end in input_range)
    if unknown or not low < high:
        raise BadOption(
            f"visualize_activation takes {', '.join(_MORE)} and a range whose first value is the smaller one; got "
            f"{', '.join(unknown) or input_range}."
        )
    model = wrap(model)
    between = _Range(model.preprocess, low, high)
    start = between.noise(model) if seed_input is None else between.read(model, seed_input)
    made = _Descent(
        model, layer_idx, filter_indices, rule_of(backprop_modifier), on_gradients(grad_modifier),
        (act_max_weight, lp_norm_weight, tv_weight),
    ).run(start, **optimizer_params)  # fmt: skip
    picture = (high - low) * _contrast(as_array(between.to_picture(from_array(made, start)))[0]) + low
    whole = all(isinstance(end, int) for end in input_range)
    return picture.clip(low, high).astype(np.uint8) if whole and low >= 0 and high <= _WHOLE else picture


class _Range:
    """Between pictures of the caller's range and what the network is given."""

    def __init__(self, preprocess: Preprocess | None, low: float, high: float) -> None:
        self.preprocess, self.low, self.high = preprocess, low, high

    def to_input(self, values: Tensor) -> Tensor:
        """Values of the range as the network takes them; those of one without preprocessing stay as they are."""
        if self.preprocess is None:
            return values
        return self.preprocess.normalise((values - self.low) / (self.high - self.low))

    def to_picture(self, given: Tensor) -> Tensor:
        """The way back."""
        if self.preprocess is None:
            return given
        return self.preprocess.denormalise(given) * (self.high - self.low) + self.low

    def read(self, model: Model, picture: Any) -> Tensor:
        """A picture to start from, as the network takes it."""
        given = as_input(model, picture)
        values = isinstance(picture, Tensor) or (isinstance(picture, np.ndarray) and picture.dtype.kind == "f")
        return self.to_input(given) if values else given

    def noise(self, model: Model) -> Tensor:
        """keras-vis's first input: evenly drawn, around the middle of the range, deviating by a twentieth of it."""
        preprocess = self.preprocess
        if preprocess is None or preprocess.size is None:
            raise BadOption("How large is the input? Say pellucid.wrap(model, size=224), or give a seed_input.")
        drawn = torch.Generator().manual_seed(torch.initial_seed() % 2**63)
        noise = torch.rand(1, len(preprocess.mean), *preprocess.size, generator=drawn)
        even = (noise - noise.mean()) / noise.std()
        return self.to_input(even * _SPREAD * (self.high - self.low) + (self.low + self.high) / 2).to(model.device)


class _Descent:
    """keras-vis's descent: gradients of unit length, RMSProp without a rate."""

    def __init__(
        self, model: Model, layer: Layer, filters: Filters, rule: str,
        modify: Callable[[Array], Array], weights: tuple[float, float, float],
    ) -> None:  # fmt: skip
        self.model, self.filters, self.rule, self.modify = model, filters, rule, modify
        self.site = site_of(model, layer)
        self.weights = tuple(weight or 0.0 for weight in weights)

    def run(
        self, values: Tensor, *, max_iter: int = 200, input_modifiers: Any = (), callbacks: Any = (),
        verbose: bool = False,
    ) -> Array:  # fmt: skip
        """The input `[1, row, column, channel]` after the step whose loss was the least."""
        if not isinstance(max_iter, int) or max_iter < 1:
            raise BadOption(f"Expected max_iter of 1 or more, got {max_iter!r}.")
        cache: Array | None = None
        best, least = as_array(values), np.inf
        with differentiable_forward(self.model, [self.site], scores=False) as eyes:
            eyes.check(values)
            for number in range(max_iter):
                for each in input_modifiers or ():
                    values = from_array(each.pre(as_array(values)), values)
                losses, slope = self._loss(eyes, values)
                gradient = self.modify(as_array(slope / (slope.square().mean().sqrt() + EPSILON)))
                loss = sum(losses.values())
                for each in callbacks or ():
                    each.callback(number, list(losses.items()), loss, gradient, as_array(values))
                if verbose:
                    _say(number, losses, loss)
                kept = np.zeros_like(gradient) if cache is None else cache
                cache = _DECAY * kept + (1 - _DECAY) * gradient**2
                array = as_array(values) - gradient / np.sqrt(cache + EPSILON)
                for each in reversed(input_modifiers or ()):
                    array = each.post(array)
                values = from_array(array, values)
                if loss < least:
                    best, least = array, loss
        for each in callbacks or ():
            each.on_end()
        return best

    def _loss(self, eyes: Any, values: Tensor) -> tuple[dict[str, float], Tensor]:
        """The parts of the loss, and its gradient at the values."""
        act, norm, rough = self.weights
        found = ask(eyes, values, self.site, self.filters, self.rule)
        size, tv, tv_slope = values.numel(), *_total_variation(values)
        p_norm, p_slope = _p_norm(values)
        losses = {
            "ActivationMax Loss": -act * float(found.value.sum()),
            f"L-{_POWER}.0 Norm Loss": norm * p_norm / size,
            "TV(2.0) Loss": rough * tv / size,
        }
        return losses, -act * found.gradient + norm / size * p_slope + rough / size * tv_slope


def _p_norm(values: Tensor) -> tuple[float, Tensor]:
    """(sum |x|^6)^(1/6), and its gradient; computed relative to the greatest value, as sixth powers overflow."""
    most = values.abs().max().clamp(min=EPSILON)
    share = values / most
    total = share.abs().pow(_POWER).sum()
    slope = share.sign() * share.abs().pow(_POWER - 1) * total.clamp(min=1e-30).pow(1 / _POWER - 1)
    return float(most * total.pow(1 / _POWER)), slope


def _total_variation(values: Tensor) -> tuple[float, Tensor]:
    """Sum of the squared differences to the right and downwards, off the last row and column, and its gradient."""
    down = values[:, :, 1:, :-1] - values[:, :, :-1, :-1]
    right = values[:, :, :-1, 1:] - values[:, :, :-1, :-1]
    slope = torch.zeros_like(values)
    slope[:, :, 1:, :-1] += 2 * down
    slope[:, :, :-1, 1:] += 2 * right
    slope[:, :, :-1, :-1] -= 2 * (down + right)
    return float(down.square().sum() + right.square().sum()), slope


def _contrast(array: Array) -> Array:
    """Values around a half with a standard deviation of a tenth, within 0 to 1."""
    even = (array - array.mean()) / (array.std() + EPSILON)
    clipped: Array = np.clip(0.1 * even + 0.5, 0, 1)
    return clipped


def _say(number: int, losses: dict[str, float], loss: float) -> None:
    from rich.console import Console

    parts = ", ".join(f"{name}: {value:.5g}" for name, value in losses.items())
    Console().print(f"Iteration {number + 1}: {parts}, overall {loss:.5g}", highlight=False, markup=False)
