"""Every reference from its formula, naively: autograd with a hook on the layer, loops over windows, regions, channels.

Nothing of `pellucid` is imported. Each function takes a `Case` and gives what the method's raw map must be, or None
where the formula itself is at the mercy of rounding (a quotient of cancelled sums, equal singular values).
"""

import copy
import itertools
import math

import fuzz_blocks
import numpy as np
import torch
from torch.nn import functional as F

WINDOW, STRIDE, REGIONS, STEPS = (4, 3), (3, 2), (2, 3), 5
_LOST = 1e-7  # of a sum's terms: where less remains, its digits are rounding


def at_layer(case):
    """Activation and the score's gradient at the layer, both `[batch, channel, row, column]`.

    The layer's output is copied at once, so that nothing overwrites it; its gradient is that of a zero that is added.
    """
    found = {}

    def hook(_, __, out):
        found["a"] = out.detach().clone()
        found["zero"] = torch.zeros_like(out, requires_grad=True)
        return out + found["zero"]

    handle = case.net.get_submodule(case.layer).register_forward_hook(hook)
    try:
        with torch.enable_grad():
            score = case.score(*batch(case.image)).sum()
            (g,) = torch.autograd.grad(score, found["zero"])
    finally:
        handle.remove()
    count = len(case.image)
    return on_grid(case, found["a"])[:count], on_grid(case, g)[:count]


def on_grid(case, out):
    """A layer's output as maps, by what the generator knows of its layout."""
    if case.layout == "first":
        return out
    if case.layout == "last":
        return out.permute(0, 3, 1, 2)
    tokens = out[:, 1:] if case.layout == "before" else out[:, :-1]
    return tokens.transpose(1, 2).reshape(len(out), -1, *case.grid)


def off_grid(case, out, maps):
    """The layer's output with these maps in it."""
    if case.layout == "first":
        return maps
    if case.layout == "last":
        return maps.permute(0, 2, 3, 1)
    tokens, out = maps.flatten(2).transpose(1, 2), out.clone()
    if case.layout == "before":
        out[:, 1:] = tokens
    else:
        out[:, :-1] = tokens
    return out


def batch(image):
    """Two of a single picture, and which pictures they are of.

    Torch's batch norm misreads gradients of a batch of one whose channels come last (2.15, on CPUs).
    """
    return (image, range(len(image))) if len(image) > 1 else (torch.cat([image, image]), [0, 0])


# layers


def grad_cam(case):
    a, g = at_layer(case)
    return (g.mean((2, 3), keepdim=True) * a).sum(1).clamp(min=0)


def hires_cam(case):
    a, g = at_layer(case)
    return (g * a).sum(1).clamp(min=0)


def layer_cam(case):
    a, g = at_layer(case)
    return (g.clamp(min=0) * a).sum(1).clamp(min=0)


def grad_cam_plus_plus(case):
    """alpha = g^2 / (2 g^2 + sum A g^3), 0 where g is 0; w = sum alpha ReLU(g)."""
    a, g = at_layer(case)
    out = torch.zeros_like(a[:, 0])
    for n, k in np.ndindex(*a.shape[:2]):
        total, weight = float(a[n, k].sum()), 0.0
        for slope in g[n, k].flatten().tolist():
            below = 2 + total * slope
            if abs(below) < _LOST:
                return None
            weight += max(slope, 0) / below
        out[n] += weight * a[n, k]
    return out.clamp(min=0)


def xgrad_cam(case):
    """w = sum g A / sum A, none for channels whose activation sums to 0."""
    a, g = at_layer(case)
    out = torch.zeros_like(a[:, 0])
    for n, k in np.ndindex(*a.shape[:2]):
        total, size = float(a[n, k].sum()), float(a[n, k].abs().sum())
        if 0 < abs(total) < _LOST * size or (total == 0 and size > 0):
            return None
        if total:
            out[n] += float((g[n, k] * a[n, k]).sum()) / total * a[n, k]
    return out.clamp(min=0)


def eigen_cam(case):
    """Projection on the first principal direction of the centred channels; the sign agrees with sum g A."""
    a, g = at_layer(case)
    maps = []
    for one, evidence in zip(a, (g * a).sum(1), strict=True):
        places = one.flatten(1).T
        places = places - places.mean(0)
        u, s, _ = torch.linalg.svd(places, full_matrices=False)
        component = (u[:, 0] * s[0]).reshape(evidence.shape)
        agreement = float((component * evidence).sum())
        close = len(s) > 1 and s[1] > 0.999 * s[0]
        if close or s[0] < 1e-6 or abs(agreement) <= _LOST * float((component * evidence).abs().sum()):
            return None
        maps.append(component * math.copysign(1, agreement))
    return torch.stack(maps).clamp(min=0)


def ablation_cam(case):
    """w_k = (S - S without channel k) / |S|."""
    a, _ = at_layer(case)
    score = without_gradient(case, case.image)
    if bool((score.abs() < 1e-9).any()):
        return None
    out = torch.zeros_like(a[:, 0])
    for k in range(a.shape[1]):

        def silence(_, __, result, k=k):
            maps = on_grid(case, result).clone()
            maps[:, k] = 0
            return off_grid(case, result, maps)

        handle = case.net.get_submodule(case.layer).register_forward_hook(silence)
        lost = (score - without_gradient(case, case.image)) / score.abs()
        handle.remove()
        out += lost[:, None, None] * a[:, k]
    return out.clamp(min=0)


def score_cam(case):
    """w = softmax over channels of the score of the picture seen through each channel, stretched to 0..1."""
    a, _ = at_layer(case)
    out = torch.zeros_like(a[:, 0])
    for n in range(len(a)):
        scores, kept = [], []
        for channel in a[n]:
            spread = float(channel.max() - channel.min())
            if 0 < spread < _LOST * float(channel.abs().max()):
                return None
            if spread == 0:
                continue
            mask = F.interpolate(channel[None, None], case.image.shape[2:], mode="bilinear", align_corners=False)[0, 0]
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            scores.append(float(without_gradient(case, case.image[n : n + 1] * mask, [n])))
            kept.append(channel)
        for weight, channel in zip(torch.tensor(scores, dtype=a.dtype).softmax(0).tolist(), kept, strict=True):
            out[n] += weight * channel
    return out.clamp(min=0)


# gradients


def gradient(case, image=None):
    rows, numbers = batch(case.image if image is None else image)
    rows = rows.clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(case.score(rows, numbers).sum(), rows)[0][: len(case.image)]


def input_x_gradient(case):
    return case.image * gradient(case)


def integrated_gradients(case):
    """From 0, by Gauss-Legendre quadrature, one point at a time."""
    points, weights = np.polynomial.legendre.leggauss(STEPS)
    total = sum(w / 2 * gradient(case, (p + 1) / 2 * case.image) for p, w in zip(points, weights, strict=True))
    return case.image * total


def by_rule(case, rule):
    """The gradient of a twin whose rectifiers send signals back by guided backprop's or DeconvNet's rule."""
    twin = copy.deepcopy(case)
    for part in twin.net.modules():
        if isinstance(part, fuzz_blocks.Activation):
            part.rule = rule
    return gradient(twin)


def guided_backprop(case):
    return by_rule(case, "guided")


def deconvnet(case):
    return by_rule(case, "deconvnet")


# perturbations


def without_gradient(case, image, numbers=None):
    with torch.no_grad():
        return case.score(image, numbers)


def occlusion(case):
    """Windows from every multiple of the stride until the picture is covered, cut off at the edge, filled with 0."""
    score = without_gradient(case, case.image)
    tops, lefts = (_starts(n, w, s) for n, w, s in zip(case.image.shape[2:], WINDOW, STRIDE, strict=True))
    drops = torch.zeros(len(score), len(tops), len(lefts), dtype=score.dtype)
    for (i, top), (j, left) in itertools.product(enumerate(tops), enumerate(lefts)):
        hidden = case.image.clone()
        hidden[:, :, top : top + WINDOW[0], left : left + WINDOW[1]] = 0
        drops[:, i, j] = score - without_gradient(case, hidden)
    return drops


def _starts(length, window, stride):
    found = [0]
    while found[-1] + window < length:
        found.append(found[-1] + stride)
    return found


def spread(case, drops):
    """Each pixel's mean over the windows that cover it."""
    rows, columns = case.image.shape[2:]
    tops, lefts = (_starts(n, w, s) for n, w, s in zip((rows, columns), WINDOW, STRIDE, strict=True))
    total, count = torch.zeros(len(drops), rows, columns, dtype=drops.dtype), torch.zeros(rows, columns)
    for (i, top), (j, left) in itertools.product(enumerate(tops), enumerate(lefts)):
        total[:, top : top + WINDOW[0], left : left + WINDOW[1]] += drops[:, i, j, None, None]
        count[top : top + WINDOW[0], left : left + WINDOW[1]] += 1
    return total / count


def regions(case):
    """The label of each pixel in a grid of cells whose sides differ by one pixel at most."""
    rows, columns = (
        torch.tensor([k * cells // length for k in range(length)])
        for length, cells in zip(case.image.shape[2:], REGIONS, strict=True)
    )
    return rows[:, None] * REGIONS[1] + columns


def feature_ablation(case):
    labels, score = regions(case), without_gradient(case, case.image)
    out = torch.zeros(len(score), *labels.shape, dtype=score.dtype)
    for region in range(int(labels.max()) + 1):
        lost = score - without_gradient(case, case.image * (labels != region))
        out += lost[:, None, None] * (labels == region)
    return out


def shapley(case):
    """Shapley values of the regions from all their sets."""
    labels, players = regions(case), range(REGIONS[0] * REGIONS[1])
    worth = {}
    for many in range(len(players) + 1):
        for shown in itertools.combinations(players, many):
            seen = torch.isin(labels, torch.tensor(shown, dtype=labels.dtype))
            worth[frozenset(shown)] = without_gradient(case, case.image * seen)
    out = torch.zeros(len(case.image), *labels.shape, dtype=case.image.dtype)
    for player in players:
        for shown in (s for s in worth if player not in s):
            share = math.factorial(len(shown)) * math.factorial(len(players) - len(shown) - 1)
            gain = share / math.factorial(len(players)) * (worth[shown | {player}] - worth[shown])
            out += gain[:, None, None] * (labels == player)
    return out


REFERENCES = {
    "grad-cam": grad_cam,
    "hires-cam": hires_cam,
    "layer-cam": layer_cam,
    "grad-cam++": grad_cam_plus_plus,
    "xgrad-cam": xgrad_cam,
    "eigen-cam": eigen_cam,
    "ablation-cam": ablation_cam,
    "score-cam": score_cam,
    "saliency": gradient,
    "input-x-gradient": input_x_gradient,
    "integrated-gradients": integrated_gradients,
    "guided-backprop": guided_backprop,
    "deconvnet": deconvnet,
    "occlusion": occlusion,
    "feature-ablation": feature_ablation,
    "kernel-shap": shapley,
}
AT_LAYER = tuple(REFERENCES)[:8]
OPTIONS = {
    "integrated-gradients": {"steps": STEPS},
    "occlusion": {"window": WINDOW, "stride": STRIDE},
    "feature-ablation": {"regions": "{}x{}".format(*REGIONS)},
    "kernel-shap": {"regions": "{}x{}".format(*REGIONS), "samples": 2 ** (REGIONS[0] * REGIONS[1])},
}
