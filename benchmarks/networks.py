"""The networks of the bench, with random weights except the embedded one: speed does not depend on them."""

from __future__ import annotations

from torch import nn

import pellucid

SITES = {"resnet50": "layer4", "vgg16": "features.29", "efficientnet-lite0": "head"}


def network(name: str) -> nn.Module:
    if name == "efficientnet-lite0":
        return pellucid.load().module
    import torchvision

    more = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    return torchvision.models.get_model(name, weights=None, **more).eval()
