"""The same questions put to the peers, each in its usual way."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pellucid.contracts import LocalPerturbation


def grad_cam(net: nn.Module, site: str, image: Tensor) -> Callable[[], object]:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = GradCAM(net, [net.get_submodule(site)])
    targets = [ClassifierOutputTarget(3)] * len(image)
    return lambda: cam(image, targets)


def grad_cam_ablation(net: nn.Module, site: str, image: Tensor) -> Callable[[], object]:
    from pytorch_grad_cam import AblationCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = AblationCAM(net, [net.get_submodule(site)])
    return lambda: cam(image, [ClassifierOutputTarget(3)] * len(image))


def grad_cam_score(net: nn.Module, site: str, image: Tensor) -> Callable[[], object]:
    os.environ["TQDM_DISABLE"] = "1"  # its progress bar cannot be turned off otherwise
    from pytorch_grad_cam import ScoreCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = ScoreCAM(net, [net.get_submodule(site)])
    return lambda: cam(image, [ClassifierOutputTarget(3)] * len(image))


def torchcam(net: nn.Module, site: str, image: Tensor) -> Callable[[], object]:
    from torchcam.methods import GradCAM

    def run() -> object:
        with GradCAM(net, site) as extractor:
            scores = net(image)
            return extractor([3] * len(image), scores)

    return run


def captum_grad_cam(net: nn.Module, site: str, image: Tensor) -> Callable[[], object]:
    from captum.attr import LayerAttribution, LayerGradCam

    method = LayerGradCam(net, net.get_submodule(site))

    def run() -> object:
        low = method.attribute(image, target=3, relu_attributions=True)
        return LayerAttribution.interpolate(low, tuple(image.shape[2:]), "bilinear")

    return run


def captum_saliency(net: nn.Module, image: Tensor) -> Callable[[], object]:
    from captum.attr import Saliency

    method = Saliency(net)
    return lambda: method.attribute(image.clone().requires_grad_(), target=3)


def captum_guided(net: nn.Module, image: Tensor) -> Callable[[], object]:
    from captum.attr import GuidedBackprop

    method = GuidedBackprop(net)

    def run() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return method.attribute(image.clone().requires_grad_(), target=3)

    return run


def captum_occlusion(net: nn.Module, image: Tensor, window: int, stride: int, at_once: int) -> Callable[[], object]:
    from captum.attr import Occlusion

    method, channels = Occlusion(net), image.shape[1]

    def run() -> object:
        with torch.no_grad():
            return method.attribute(
                image,
                sliding_window_shapes=(channels, window, window),
                strides=(channels, stride, stride),
                target=3,
                perturbations_per_eval=at_once,
            )

    return run


def zennit_epsilon_plus(net: nn.Module, image: Tensor, *, resnet: bool) -> Callable[[], object]:
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus
    from zennit.torchvision import ResNetCanonizer, VGGCanonizer

    composite = EpsilonPlus(canonizers=[ResNetCanonizer() if resnet else VGGCanonizer()])
    start = torch.eye(1000)[[3] * len(image)].to(image)

    def run() -> object:
        with Gradient(model=net, composite=composite) as attributor:
            return attributor(image.clone(), start)

    return run


def plain_windows(net: nn.Module, image: Tensor, change: LocalPerturbation, target: int, batch: int) -> Tensor:
    """The scores of one input with each window changed, by whole passes over batches."""
    found, numbers = [], torch.arange(len(change.boxes), device=image.device)
    with torch.inference_mode():
        for part in numbers.split(batch):
            rows = image.repeat(len(part), *[1] * (image.ndim - 1))
            found.append(net(change(rows, torch.zeros_like(part), part))[:, target])
    return torch.cat(found)


def has_monai() -> bool:
    from importlib.util import find_spec

    return find_spec("monai") is not None


def monai_occlusion(net: nn.Module, image: Tensor, side: int, batch: int) -> Callable[[], object]:
    """Windows that do not overlap, filled with 0."""
    from monai.visualize import OcclusionSensitivity

    method = OcclusionSensitivity(net, side, batch, verbose=False, mode=0.0, overlap=0.0, activate=False)
    return lambda: method(image)


def plain_rise(net: nn.Module, image: Tensor, masks: Tensor, batch: int) -> Callable[[], object]:
    """RISE as a loop over batches of masks that are all made beforehand, at no cost."""

    def run() -> object:
        total = torch.zeros_like(masks[0])
        with torch.inference_mode():
            for part in masks.split(batch):
                score = net(image * part[:, None])[:, 3]
                total += torch.tensordot(score, part, 1)
        return total / masks.sum(0)

    return run


def plain_score_cam(net: nn.Module, site: str, image: Tensor, target: int) -> Tensor:
    """Score-CAM as its paper's algorithm 1 reads, in batches of 32, without constant channels: the raw map."""
    seen: list[Tensor] = []
    handle = net.get_submodule(site).register_forward_hook(lambda *args: seen.append(args[2]))
    with torch.inference_mode():
        net(image)
        handle.remove()
        maps = seen[0][0]
        maps = maps[maps.amax((1, 2)) > maps.amin((1, 2))]
        masks = nn.functional.interpolate(maps[None], image.shape[2:], mode="bilinear")[0]
        low, high = masks.amin((1, 2), keepdim=True), masks.amax((1, 2), keepdim=True)
        masks = (masks - low) / (high - low)
        scores = torch.cat([net(image * part[:, None])[:, target] for part in masks.split(32)])
        return (scores.softmax(0)[:, None, None] * maps).sum(0).relu()[None]


def plain_gradients(net: nn.Module, points: Tensor, target: int, batch: int) -> Callable[[], object]:
    """The gradient of a class at many points, in batches."""

    def run() -> object:
        found = []
        for part in points.split(batch):
            leaf = part.detach().requires_grad_()
            found.append(torch.autograd.grad(net(leaf)[:, target].sum(), leaf)[0])
        return torch.cat(found)

    return run


def has_quantus() -> bool:
    from importlib.util import find_spec

    return find_spec("quantus") is not None


def quantus_metric(
    name: str, settings: dict[str, object], net: nn.Module, image: Tensor, maps: list[Tensor], classes: list[int]
) -> Callable[[], object]:
    import numpy as np
    import quantus

    made = getattr(quantus, name)(**{"normalise": False, "abs": False, "disable_warnings": True, **settings})
    device, pictures, labels = str(image.device), image.cpu().numpy(), np.array(classes)
    rows = [values[:, None].cpu().numpy() for values in maps]

    def run() -> object:
        given = {"model": net, "x_batch": pictures, "y_batch": labels, "device": device, "softmax": True}
        return [made(**given, a_batch=each) for each in rows]

    return run
