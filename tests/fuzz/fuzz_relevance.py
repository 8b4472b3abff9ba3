"""LRP, excitation backprop, DeepLIFT and FullGrad on plain chains of layers, layer by layer from the formulas.

A chain is what the family `plain` consists of: convolutions with or without batch norm, rectifiers, pooling, one
flattening, dense layers. Nothing of `pellucid` is imported.
"""

import math

import torch
from fuzz_blocks import Activation
from torch import nn
from torch.nn import functional as F

STABILISER = 1e-6
"""Of the mean size of the sums that belong together: of a picture's map behind a convolution, else of the last axis."""
MEANS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


def chain(case, start=""):
    """The layers in order, batch norms taken together with the convolution below; from behind the layer `start`."""
    layers, begun = [], not start
    for name, part in [*case.net.trunk.named_children(), *case.net.head.named_children()]:
        for layer in (part if isinstance(part, nn.Sequential) else [part]) if begun else ():
            layers.append(folded(layers.pop(), layer) if isinstance(layer, nn.BatchNorm2d) else layer)
        begun |= start == f"trunk.{name}"
    return layers


def folded(conv, norm):
    """A convolution and the batch norm above it as one convolution."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = torch.zeros(conv.out_channels, dtype=scale.dtype) if conv.bias is None else conv.bias
    how = (conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    one = nn.utils.skip_init(nn.Conv2d, *how, dtype=scale.dtype)  # which draws no random numbers
    one.weight.data = (conv.weight * scale[:, None, None, None]).detach()
    one.bias.data = (bias * scale + norm.bias - norm.running_mean * scale).detach()
    return one


def values(layers, x):
    """What goes into each layer, and the scores."""
    found = [x]
    with torch.no_grad():
        for layer in layers:
            found.append(layer(found[-1].clone()))
    return found


def back(function, x, signal):
    """The transposed derivative of a function at x, applied to a signal."""
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(function(x.clone()), x, signal)[0]


def top(case, scores):
    """One at the class of each picture."""
    return F.one_hot(torch.tensor(case.classes), scores.shape[1]).to(scores)


def linear(layer, x, weight, bias):
    """A dense layer or convolution with other weights."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding)


def stable(layer, z):
    """z moved away from zero; nothing is shared out where all is zero."""
    axes = (1, 2, 3) if isinstance(layer, nn.Conv2d) else -1
    moved = z + torch.where(z < 0, -1, 1) * STABILISER * z.abs().mean(axes, keepdim=True)
    return moved.masked_fill(moved == 0, math.inf)


def share(layer, terms, signal):
    """R_j = sum_t x_t w_t R / z for terms of input, weight and bias."""
    z = sum(linear(layer, *term) for term in terms)
    quotient = signal / stable(layer, z)
    return sum(x * back(lambda v, w=w: linear(layer, v, w, None), x, quotient) for x, w, _ in terms)


def by_sign(x, weight, bias):
    """What excites: positive inputs by positive weights, negative by negative ones."""
    return [(x.clamp(min=0), weight.clamp(min=0), bias), (x.clamp(max=0), weight.clamp(max=0), None)]


def lrp(case, composite):
    """The score handed down: dense layers epsilon; convolutions epsilon, or z-plus under `epsilon-plus`."""
    layers = chain(case)
    xs = values(layers, case.image)
    r = xs[-1] * top(case, xs[-1])
    for layer, x in zip(reversed(layers), reversed(xs[:-1]), strict=True):
        if isinstance(layer, Activation):
            continue
        if isinstance(layer, nn.Conv2d) and composite == "epsilon-plus":
            r = share(layer, by_sign(x, layer.weight, None if layer.bias is None else layer.bias.clamp(min=0)), r)
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            r = share(layer, [(x, layer.weight, layer.bias)], r)
        elif isinstance(layer, MEANS):
            r = x * back(layer, x, r / stable(layer, layer(x)))
        else:  # the winner of max pooling; flattening
            r = back(layer, x, r)
        r = r.detach()
    return r


def excitation(case, *, contrastive=False):
    """Chances of a walk along excitatory connections to the layer, summed over channels."""
    layers, below = chain(case, case.layer), at(case)
    xs = values(layers, below)
    p, first = top(case, xs[-1]), True
    for layer, x in zip(reversed(layers), reversed(xs[:-1]), strict=True):
        if isinstance(layer, Activation):
            continue
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            up = share(layer, by_sign(x, layer.weight, None), p)
            if contrastive and first:
                up = up - share(layer, by_sign(x, -layer.weight, None), p)
            p, first = up, False
        elif isinstance(layer, MEANS):
            up = x.clamp(min=0)
            p = up * back(layer, up, p / stable(layer, layer(up)))
        else:
            p = back(layer, x, p)
        p = p.detach()
    return p.sum(1)


def at(case):
    """What the layer gives."""
    found = []
    handle = case.net.get_submodule(case.layer).register_forward_hook(lambda _, __, out: found.append(out.clone()))
    with torch.no_grad():
        case.net(case.image)
    handle.remove()
    return found[0]


def deep_lift(case):
    """The rescale rule against a picture of zeros."""
    layers = chain(case)
    xs, others = values(layers, case.image), values(layers, torch.zeros_like(case.image))
    m = top(case, xs[-1])
    for k in reversed(range(len(layers))):
        layer, x, x0 = layers[k], xs[k], others[k]
        if isinstance(layer, Activation):
            slope = back(layer, x, torch.ones_like(x))
            near = (x - x0).abs() <= 1e-9 * (x.abs() + x0.abs())
            m = m * torch.where(near, slope, (xs[k + 1] - others[k + 1]) / (x - x0).masked_fill(near, 1))
        elif isinstance(layer, nn.MaxPool2d):
            m = _pooled(layer, x, x0, m)
        else:
            m = back(layer, x, m)
        m = m.detach()
    return m * case.image


def _pooled(layer, x, x0, m):
    """The larger of both maxima says which place in the window answers for the difference."""
    how = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
    (y, place), (y0, place0) = (F.max_pool2d(v, *how, return_indices=True) for v in (x, x0))
    place = torch.where(y >= y0, place, place0).flatten(2)
    apart = (x - x0).flatten(2).gather(2, place)
    ratio = torch.where(apart == 0, 1, (y - y0).flatten(2) / apart.masked_fill(apart == 0, 1))
    return torch.zeros_like(x).flatten(2).scatter_add(2, place, m.flatten(2) * ratio).reshape(x.shape)


def full_grad(case):
    """Sum over psi of the pixels' part and of each bias with a grid; psi(p) = |p| stretched to 0..1 over a sample."""
    found, handles = [], []

    def note(layer, inputs, out):
        bias = _bias(layer, inputs[0], out)
        if bias is None:
            return None
        zero = torch.zeros_like(out, requires_grad=True)
        found.append((bias, zero))
        return out + zero

    parts = [p for p in case.net.modules() if isinstance(p, (nn.Conv2d, nn.BatchNorm2d, nn.Linear, Activation))]
    for part in parts:  # activations may overwrite their input, so it is copied before
        handles.append(part.register_forward_pre_hook(lambda _, inputs: tuple(x.clone() for x in inputs)))
        handles.append(part.register_forward_hook(note))
    image = case.image.clone().requires_grad_()
    for part in case.net.modules():
        if isinstance(part, Activation):
            part.rule = "plain"
    signals = torch.autograd.grad(case.score(image).sum(), [image, *(zero for _, zero in found)])
    for part in case.net.modules():
        if isinstance(part, Activation):
            part.rule = None
    for handle in handles:
        handle.remove()
    total = psi(case, case.image * signals[0])
    for (bias, _), signal in zip(found, signals[1:], strict=True):
        if signal.ndim == 4:
            total = total + psi(case, bias * signal)
    return total


def _bias(layer, x, y):
    """What a layer adds: its bias; a batch norm's shift; of a rectifier its ceiling, where it is reached."""
    if isinstance(layer, Activation):
        return None if math.isinf(layer.ceiling) else (y == layer.ceiling).to(y) * y.detach()
    if isinstance(layer, nn.BatchNorm2d):
        shift = layer.bias - layer.running_mean * layer.weight / (layer.running_var + layer.eps).sqrt()
    else:
        shift = layer.bias
    return None if shift is None else shift.detach().reshape(-1, *[1] * (y.ndim - 2))


def psi(case, part):
    """|part| stretched to 0..1, summed over channels, resized to the picture."""
    size = part.abs()
    low, high = size.amin((1, 2, 3), keepdim=True), size.amax((1, 2, 3), keepdim=True)
    stretched = torch.where(high > low, (size - low) / (high - low), 0).sum(1)
    return F.interpolate(stretched[:, None], case.image.shape[2:], mode="bilinear", align_corners=False)[:, 0]


REFERENCES = {
    "lrp": (lambda case: lrp(case, "epsilon-plus"), {}),
    "lrp by epsilon": (lambda case: lrp(case, "epsilon"), {"composite": "epsilon"}),
    "deep-lift": (deep_lift, {}),
    "full-grad": (full_grad, {}),
    "excitation-backprop": (excitation, {}),
    "contrastive-excitation-backprop": (lambda case: excitation(case, contrastive=True), {}),
}
