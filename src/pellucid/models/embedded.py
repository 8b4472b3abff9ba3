"""The model that comes with Pellucid, ready without a download."""

from __future__ import annotations

from pathlib import Path

from pellucid.contracts import Model, Preprocess, Site
from pellucid.models.efficientnet_lite import EfficientNetLite0, trained
from pellucid.models.labels import imagenet_classes
from pellucid.models.weights import load_weights

NAME = "efficientnet-lite0"
PREPROCESS = Preprocess(size=(224, 224), resize=256, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)


def embedded(weights: Path | None = None) -> Model:
    """EfficientNet-Lite0 for the 1000 ImageNet classes, on the CPU, in evaluation mode.

    Args:
        weights: a weights file of your own for the same architecture; None takes the trained ImageNet weights.

    Raises:
        BadModel: the weights are missing, damaged or do not fit.
    """
    usual = imagenet_classes()
    if weights:
        plain = EfficientNetLite0()
        module = load_weights(plain, weights, made=EfficientNetLite0, classes=len(usual.names)).eval()
    else:
        plain = module = trained()
    return Model(
        module,
        name=NAME,
        source=NAME + (f":{weights}" if weights else ""),
        preprocess=PREPROCESS,
        classes=usual if module is plain else None,
        site=Site("head"),
    )
