"""Several targets of one picture against one: methods that mask share all passes, Grad-CAM the forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

import pellucid
from benchmarks.measure import Row, at_most, in_turn
from benchmarks.networks import network

_MASKING: dict[str, dict[str, Any]] = {
    "rise": {"masks": 400},
    "occlusion": {},
    "lime": {"samples": 400},
    "kernel-shap": {"samples": 400},
    "score-cam": {"channels": 128},
}


def several_targets(device: str) -> Iterator[Row]:
    """`top3` against the top class, and Grad-CAM for `top5` against it."""
    net, image = network("efficientnet-lite0").to(device), torch.randn(1, 3, 224, 224, device=device)
    model = pellucid.wrap(net)
    for method, options in _MASKING.items():
        run = partial(pellucid.explain, model, image, method, options={method: options})
        timed = in_turn(partial(run, "top3"), run, 3)
        yield at_most(f"{method}, top3", "efficientnet-lite0", 1, "one target", timed, 1.1)
    run = partial(pellucid.explain, model, image, "grad-cam")
    yield at_most("grad-cam, top5", "efficientnet-lite0", 1, "one target", in_turn(partial(run, "top5"), run), 1.3)


PARTS = (several_targets,)
