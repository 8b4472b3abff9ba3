"""torchvision's detectors: how they are run so that every candidate is seen before suppression.

Their own parts are called in the order of their own `forward`, up to where it begins to suppress. The pictures of a
batch share one shape, so they are padded together instead of being written into a plane one by one; the numbers are
the same, and every backward rule can follow them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pellucid.contracts import Canvas, Site
from pellucid.targets import Candidates, DetectedObjects


@dataclass(frozen=True)
class Manner:
    """How a detector is run, how it lays out pictures, and the last layer that every candidate depends on."""

    call: Callable[..., Candidates]
    canvas: Callable[[tuple[int, ...]], Canvas]
    site: Site | None


def manner_of(module: nn.Module) -> Manner | None:
    """How to run a detector of torchvision; None for anything else, also if its code is not all the library's own."""
    library = sys.modules.get("torchvision.models.detection")
    inner = getattr(module, "transform", None)
    if library is None or not _is(inner, library.transform.GeneralizedRCNNTransform):
        return None
    call: Callable[..., Candidates] | None = None
    if _is(module, library.generalized_rcnn.GeneralizedRCNN) and _is(module.roi_heads, library.roi_heads.RoIHeads):
        call = _two_stages
    for family, chances in (
        (library.retinanet.RetinaNet, _sigmoid),
        (library.ssd.SSD, _softmax),
        (library.fcos.FCOS, _centred),
    ):
        if _is(module, family):
            call = _one_stage_with(chances)
    return call and Manner(call, partial(_canvas, inner), _site(module.backbone))


def _is(part: Any, family: type[nn.Module]) -> bool:
    """Whether this is one of the library's own kind, run by the library's own code."""
    return isinstance(part, family) and type(part).forward is family.forward


def _site(backbone: Any) -> Site | None:
    """The end of the backbone proper: the pyramid and the heads behind it have a layer for each size of object."""
    body, features = getattr(backbone, "body", None), getattr(backbone, "features", None)
    if isinstance(body, nn.Module):
        return Site(f"backbone.body.{[name for name, _ in body.named_children()][-1]}")
    if isinstance(features, nn.Sequential):
        stages = isinstance(features[0], nn.Sequential)  # SSDlite; the first stage feeds all others
        return Site("backbone.features.0" if stages else "backbone.features")
    return None


def _canvas(transform: Any, size: tuple[int, ...]) -> Canvas:
    """The plane that a picture of this size is resized and padded to."""
    if transform.fixed_size is not None:
        part = (transform.fixed_size[1], transform.fixed_size[0])
    else:
        scale = min(transform.min_size[-1] / min(size), transform.max_size / max(size))
        part = (math.floor(size[0] * scale), math.floor(size[1] * scale))
    rows, columns = (math.ceil(n / transform.size_divisible) * transform.size_divisible for n in part)
    return Canvas((rows, columns), part)


@dataclass
class _Seen:
    """What a detector makes of a batch: its features, and the sizes that lead back to the pictures' own pixels."""

    features: dict[str, Tensor]
    images: Any
    before: tuple[int, int]

    @property
    def rows(self) -> int:
        """How many; the features of one picture may stand for several variants of it."""
        return len(self.images.image_sizes)

    def back(self, boxes: Tensor) -> Tensor:
        """Boxes `[..., 4]` in pixels of the pictures, cut off at their edges."""
        rows, columns = self.images.image_sizes[0]
        limits = boxes.new_tensor([columns, rows, columns, rows])
        factors = boxes.new_tensor([self.before[1] / columns, self.before[0] / rows])
        return torch.minimum(boxes.clamp(min=0), limits) * factors.repeat(2)


def _see(net: Any, rows: Tensor) -> _Seen:
    before = (rows.shape[2], rows.shape[3])
    resized = torch.stack([net.transform.resize(row)[0] for row in net.transform.normalize(rows)])
    size, whole = (resized.shape[2], resized.shape[3]), _canvas(net.transform, before).size
    padded = F.pad(resized, (0, whole[1] - size[1], 0, whole[0] - size[0]))
    features = net.backbone(padded)
    features = {"0": features} if isinstance(features, Tensor) else features
    count = max(len(level) for level in features.values())
    images = sys.modules["torchvision.models.detection.image_list"].ImageList(
        padded[:1].expand(count, *padded.shape[1:]), [size] * count
    )
    return _Seen(features, images, before)


def _two_stages(net: Any, rows: Tensor) -> Candidates:
    """Faster R-CNN and its relatives: the second stage's scores for every proposal of the first."""
    seen, heads = _see(net, rows), net.roi_heads
    proposals, _ = net.rpn(seen.images, seen.features)
    sizes = seen.images.image_sizes
    scores, deltas = heads.box_predictor(heads.box_head(heads.box_roi_pool(seen.features, proposals, sizes)))
    counts = [len(boxes) for boxes in proposals]
    with torch.no_grad():
        boxes = seen.back(heads.box_coder.decode(deltas, proposals))

    def report() -> list[DetectedObjects]:
        found = heads.postprocess_detections(scores.detach(), deltas.detach(), proposals, sizes)
        return [DetectedObjects(seen.back(b), labels, chances) for b, chances, labels in zip(*found, strict=True)]

    own, chances, places = (list(torch.split(t, counts)) for t in (scores, scores.softmax(1), boxes))
    return Candidates(own, chances, places, 0, report)


@cache
def _one_stage_with(chances: Callable[[dict[str, Tensor]], Tensor]) -> Callable[..., Candidates]:
    """One function for each way to read chances, as what is known of a network is known for one way to run it."""
    return partial(_one_stage, chances=chances)


def _one_stage(net: Any, rows: Tensor, *, chances: Callable[[dict[str, Tensor]], Tensor]) -> Candidates:
    """RetinaNet, SSD and FCOS: the scores of every anchor."""
    seen = _see(net, rows)
    features = list(seen.features.values())
    heads = net.head(features)
    anchors = net.anchor_generator(seen.images, features)
    decode = net.box_coder.decode if hasattr(heads, "keys") and "bbox_ctrness" in heads else net.box_coder.decode_single
    with torch.no_grad():
        boxes = [seen.back(decode(d, a)) for d, a in zip(heads["bbox_regression"], anchors, strict=True)]

    def report() -> list[DetectedObjects]:
        detached, sizes = {name: value.detach() for name, value in heads.items()}, seen.images.image_sizes
        if chances is _softmax:
            found = net.postprocess_detections(detached, anchors, sizes)
        else:
            places = [level.shape[2] * level.shape[3] for level in features]
            each = len(anchors[0]) // sum(places)
            counts = [n * each for n in places]
            split = {name: list(value.split(counts, dim=1)) for name, value in detached.items()}
            found = net.postprocess_detections(split, [list(a.split(counts)) for a in anchors], sizes)
        return [DetectedObjects(seen.back(entry["boxes"]), entry["labels"], entry["scores"]) for entry in found]

    background = 0 if chances is _softmax else None
    return Candidates(list(heads["cls_logits"]), list(chances(heads)), boxes, background, report)


def _sigmoid(heads: dict[str, Tensor]) -> Tensor:
    return heads["cls_logits"].sigmoid()


def _softmax(heads: dict[str, Tensor]) -> Tensor:
    return heads["cls_logits"].softmax(2)


def _centred(heads: dict[str, Tensor]) -> Tensor:
    return (heads["cls_logits"].sigmoid() * heads["bbox_ctrness"].sigmoid()).sqrt()
