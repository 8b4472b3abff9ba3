"""One network under every method: what is wrong, what was refused and should not have been."""

import copy
from dataclasses import dataclass, field

import fuzz_references as naive
import fuzz_relevance as relevance
import torch
from fuzz_blocks import CHOSEN, HIDDEN, OTHER, WRAPPED
from torch.nn import functional as F

import pellucid
from pellucid.errors import PellucidError

SAME = 1e-8
"""Of the largest value: two float64 computations of one formula, in another order."""
RECTIFIED = ("guided-backprop", "deconvnet")
WALKED = ("lrp", "deep-lift", "full-grad")
"""Methods that go through the network operation by operation, down to the picture."""
EXCITED = ("excitation-backprop", "contrastive-excitation-backprop")
CONSERVED = 1e-5
"""Of the scores: what stabilisers of 1e-9 of a layer's mean sums may absorb on the way."""
WORTH_NAMING = 0.02
"""Of the difference between the scores: what the path misses without a word, so far that a user would ask why."""


@dataclass
class Outcome:
    """What the methods did with one network.

    Attributes:
        faults: sentences; none is what should be.
        tried, refused, lost: methods that were asked, that refused, and whose own formula loses its digits here.
    """

    faults: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def same(self, what, got, wanted, tolerance=SAME):
        """Note a fault unless both agree."""
        if got.shape != wanted.shape:
            self.faults.append(f"{what} has shape {list(got.shape)}, must have {list(wanted.shape)}")
            return
        gap, size = float((got - wanted).abs().max()), float(wanted.abs().max())
        if not gap <= tolerance * size + 1e-12:
            self.faults.append(f"{what} is off by {gap:.3g}, its largest value is {size:.3g}")


def must_answer(case, method):
    """Whether the method has no reason to refuse this network."""
    if method in RECTIFIED:
        return not case.habits & {OTHER, HIDDEN}
    if method in WALKED:
        return not case.habits - {WRAPPED} - ({CHOSEN} if method != "deep-lift" else set())
    if method in EXCITED:
        return case.family == "plain"
    if method in naive.AT_LAYER:
        return WRAPPED not in case.habits
    return True


def explain(case, method, outcome, image=None, classes=None, **options):
    """The method's attribution, or None where it refused, which is a fault unless it may."""
    layer = case.layer if pellucid.methods()[method].at_site else None
    image, classes = case.image if image is None else image, case.classes if classes is None else classes
    try:
        return pellucid.explain(case.net, image, method, classes, layer=layer, options={method: options})[method]
    except PellucidError as error:
        if image is case.image:
            outcome.refused.append(method)
        if must_answer(case, method):
            outcome.faults.append(f"{method} refused: {error}")
        return None


def check_references(case, outcome):
    """Each method against the naive reference of its formula."""
    for method, reference in naive.REFERENCES.items():
        outcome.tried.append(method)
        got = explain(case, method, outcome, **naive.OPTIONS.get(method, {}))
        if got is None:
            continue
        if method in RECTIFIED and OTHER in case.habits:
            outcome.faults.append(f"{method} took activations for rectifiers that are none")
            continue
        wanted = reference(case)
        if wanted is None:
            outcome.lost.append(method)
            continue
        outcome.same(method, got.raw, wanted)
        check_values(case, method, got, wanted, outcome)


def check_relevance(case, outcome):
    """On plain chains each method layer by layer; on all networks the sums that it promises."""
    found = {}
    for name, (reference, options) in relevance.REFERENCES.items():
        method = name.split()[0]
        outcome.tried.append(name)
        found[name] = got = explain(case, method, outcome, **options)
        if got is not None and case.family == "plain":
            outcome.same(name, got.raw, reference(case))
    score, empty = (naive.without_gradient(case, image) for image in (case.image, torch.zeros_like(case.image)))
    if got := found["deep-lift"]:
        outcome.same("the sum of deep-lift", got.raw.sum((1, 2, 3)), score - empty, 1e-6)
    if got := found["full-grad"]:
        outcome.same("the sum of full-grad", got.extras["input_part"] + got.extras["bias_parts"].sum(1), score, 1e-6)
    if got := explain(case, "integrated-gradients", outcome, steps=naive.STEPS):
        outcome.same("sum and gap of integrated-gradients", got.raw.sum((1, 2, 3)) + got.extras["gap"], score - empty)
        missing = bool((got.extras["gap"].abs() > WORTH_NAMING * (score - empty).abs()).any())
        if HIDDEN in case.habits and missing and not any("gradient" in note for note in got.notes):
            outcome.faults.append("integrated-gradients does not say that a part is hidden from the gradient")
    if case.family in ("plain", "rectified"):
        check_conservation(case, outcome)


def check_conservation(case, outcome):
    """Without biases all of the score arrives under the epsilon rule."""
    bare = copy.deepcopy(case)
    for name, tensor in [*bare.net.named_parameters(), *bare.net.named_buffers()]:
        if name.endswith(("bias", "running_mean")):
            tensor.data.zero_()
    got = explain(bare, "lrp", outcome, composite="epsilon", epsilon=1e-9)
    if got is not None:
        scores = bare.net(bare.image).detach()
        own = naive.without_gradient(bare, bare.image)
        gap = (got.raw.sum((1, 2, 3)) - own).abs()
        if not bool((gap <= CONSERVED * scores.abs().amax(1)).all()):  # which is 0 where nothing is left without biases
            outcome.faults.append(f"lrp lost {gap.tolist()} of the score in a network without biases")


def check_values(case, method, got, wanted, outcome):
    """The map that is shown, from what the reference found."""
    if method in naive.AT_LAYER:
        shown = F.interpolate(wanted[:, None], case.image.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    elif method == "occlusion":
        shown = naive.spread(case, wanted)
    elif wanted.ndim == 3:
        shown = wanted
    else:
        shown = wanted.sum(1) if got.method.reduce == "sum" else wanted.abs().amax(1)
    outcome.same(f"the map of {method}", got.values, shown)


LAWFUL = {
    "grad-cam": {}, "ablation-cam": {}, "score-cam": {}, "saliency": {}, "integrated-gradients": {"steps": 3},
    "occlusion": {"window": 4, "stride": 3}, "feature-ablation": {"regions": "2x3"}, "lrp": {}, "deep-lift": {},
    "smoothgrad": {"samples": 2}, "rise": {"masks": 6, "cells": 3}, "lime": {"regions": "2x2", "samples": 12},
    "shapley-sampling": {"regions": "2x2", "permutations": 2}, "gradient-shap": {"samples": 2},
    "expected-gradients": {"samples": 2}, "vargrad": {"samples": 2}, "sensitivity": {"cells": 3},
}  # fmt: skip


def check_laws(case, outcome):
    """A batch gives what each picture gives alone; equal seeds give equal maps; both for a few methods by turns."""
    names = list(LAWFUL)
    for method in (names[(case.seed * 5 + k) % len(names)] for k in range(5)):
        together = quietly(case, method)
        if together is None:
            continue
        if not torch.equal(quietly(case, method).raw, together.raw):
            outcome.faults.append(f"{method} gives two maps for one seed")
        for k in range(len(case.image)) if len(case.image) > 1 else ():
            alone = quietly(case, method, case.image[k : k + 1], case.classes[k : k + 1])
            outcome.same(f"{method} of picture {k} alone", alone.raw[0], together.raw[k])


def quietly(case, method, image=None, classes=None):
    """The method's attribution; what it may refuse is asked elsewhere."""
    found = Outcome()
    return explain(case, method, found, image, classes, **LAWFUL[method])


def state(case):
    """All that a network is besides its code."""
    net = case.net
    return {
        "weights": {name: value.numpy().tobytes() for name, value in net.state_dict().items()},
        "gradients": [p.grad for p in net.parameters()],
        "flags": [(part.training, *sorted(vars(part))) for part in net.modules()],
        "needs gradients": [p.requires_grad for p in net.parameters()],
        "hooks": [
            (len(part._forward_hooks), len(part._forward_pre_hooks), len(part._backward_hooks))
            for part in net.modules()
        ],
        "picture": case.image.numpy().tobytes(),
        "random state": torch.random.get_rng_state().numpy().tobytes(),
    }


def check(case):
    """Everything; the outcome."""
    outcome, before = Outcome(), state(case)
    check_references(case, outcome)
    check_relevance(case, outcome)
    check_laws(case, outcome)
    after = state(case)
    outcome.faults += [f"{what} changed" for what in before if before[what] != after[what]]
    return outcome
