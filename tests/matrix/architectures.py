"""Every kind of vision network that the matrix is about: real architectures, random weights, small inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision import models as tv
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.maxvit import MaxVit
from torchvision.models.vgg import cfgs, make_layers

CLASSES = 10
RELU, SMOOTH, TOKENS = (
    "Convolutions and ReLU",
    "Convolutions with gates, smooth activations or per-sample norms",
    "Attention and token mixers",
)


_QUARTER = "a quarter as wide"


@dataclass(frozen=True)
class Network:
    """One column of the table.

    Attributes:
        name: as its library calls it.
        library: `torchvision` or `timm`.
        kind: heading of the table that it stands in.
        pixels: side of the input, about the smallest that leaves a grid of 2 x 2 cells in the last layers.
        make: builds it.
        note: how it is narrower than the library's; depth and operations are the same.
    """

    name: str
    library: str
    kind: str
    pixels: int
    make: Callable[[], nn.Module]
    note: str = ""

    @property
    def spec(self) -> str:
        """As `pellucid.load` takes it."""
        return f"{self.library}:{self.name}"

    def images(self, count: int = 2) -> Tensor:
        """Noise `[count, 3, pixels, pixels]` in float64, the same in every process."""
        return _noise(count, self.pixels, seed=3)


def _torchvision(name: str, kind: str, pixels: int, **options: Any) -> Network:
    return Network(name, "torchvision", kind, pixels, lambda: tv.get_model(name, num_classes=CLASSES, **options))


def _timm(name: str, kind: str, pixels: int, *, note: str = "", **options: Any) -> Network:
    def make() -> nn.Module:
        return timm.create_model(name, num_classes=CLASSES, **options)

    return Network(name, "timm", kind, pixels, make, note)


def _vgg16_bn() -> nn.Module:
    layers = [width if isinstance(width, str) else width // 4 for width in cfgs["D"]]
    net = tv.VGG(make_layers(layers, batch_norm=True), num_classes=CLASSES)
    net.avgpool = nn.AdaptiveAvgPool2d(2)
    net.classifier[0], net.classifier[3] = nn.Linear(128 * 4, 256), nn.Linear(256, 256)
    net.classifier[6] = nn.Linear(256, CLASSES)
    return net


def _alexnet() -> nn.Module:
    net = tv.alexnet(num_classes=CLASSES)
    net.avgpool = nn.AdaptiveAvgPool2d(2)
    net.classifier[1], net.classifier[4] = nn.Linear(256 * 4, 256), nn.Linear(256, 256)
    net.classifier[6] = nn.Linear(256, CLASSES)
    return net


def _convnext_tiny() -> nn.Module:
    widths = (24, 48, 96, 192, None)
    blocks = [CNBlockConfig(width, widths[k + 1], (3, 3, 9, 3)[k]) for k, width in enumerate(widths[:-1])]
    return tv.ConvNeXt(blocks, num_classes=CLASSES)


def _vit_b_16() -> nn.Module:
    return tv.VisionTransformer(48, 16, 12, num_heads=12, hidden_dim=192, mlp_dim=768, num_classes=CLASSES)


def _swin_t() -> nn.Module:
    return tv.SwinTransformer([4, 4], 24, [2, 2, 6, 2], [3, 6, 12, 24], [7, 7], num_classes=CLASSES)


def _maxvit_t() -> nn.Module:
    """With the windows that fit 64 pixels; its own fit 224 only."""
    return MaxVit(
        input_size=(64, 64),
        stem_channels=16,
        partition_size=2,
        block_channels=[16, 32, 64, 128],
        block_layers=[2, 2, 5, 2],
        head_dim=8,
        stochastic_depth_prob=0.2,
        num_classes=CLASSES,
    )


NETWORKS = {
    network.name: network
    for network in (
        _torchvision("resnet18", RELU, 40),
        _torchvision("resnet50", RELU, 40),
        Network("vgg16_bn", "torchvision", RELU, 32, _vgg16_bn, _QUARTER),
        Network("alexnet", "torchvision", RELU, 64, _alexnet, "narrow head"),
        _torchvision("inception_v3", RELU, 107, init_weights=False),
        _torchvision("densenet121", RELU, 64),
        _torchvision("shufflenet_v2_x0_5", RELU, 40),
        _torchvision("squeezenet1_1", RELU, 64),
        _timm("resnetv2_50", RELU, 40, channels=(64, 128, 256, 512), note=_QUARTER),
        _timm("resnetv2_50x1_bit", SMOOTH, 40, channels=(128, 256, 512, 1024), note="half as wide"),
        _torchvision("mobilenet_v3_large", SMOOTH, 40),
        _torchvision("efficientnet_b0", SMOOTH, 40),
        _torchvision("regnet_y_400mf", SMOOTH, 40),
        Network("convnext_tiny", "torchvision", SMOOTH, 64, _convnext_tiny, _QUARTER),
        _timm("convnext_atto", SMOOTH, 64, dims=(20, 40, 80, 160), note="half as wide"),
        _timm("nfnet_l0", SMOOTH, 40, channels=(64, 128, 384, 384), group_size=16, note=_QUARTER),
        Network("vit_b_16", "torchvision", TOKENS, 48, _vit_b_16, _QUARTER),
        _timm("vit_small_patch16_224", TOKENS, 48, img_size=48, embed_dim=96, note=_QUARTER),
        _timm("deit_tiny_distilled_patch16_224", TOKENS, 48, img_size=48),
        _timm("vit_little_patch16_reg4_gap_256", TOKENS, 48, img_size=48, embed_dim=80, note=_QUARTER),
        Network("swin_t", "torchvision", TOKENS, 64, _swin_t, _QUARTER),
        Network("maxvit_t", "torchvision", TOKENS, 64, _maxvit_t, _QUARTER),
        _timm("efficientformer_l1", TOKENS, 224, embed_dims=(12, 24, 56, 112), note=_QUARTER),
        _timm("mixer_s32_224", TOKENS, 64, img_size=64),
    )
}

SAMPLE = ("resnet18", "squeezenet1_1", "mobilenet_v3_large", "convnext_atto", "deit_tiny_distilled_patch16_224")
"""Quick ones of every kind, with skips, concatenations, gates, smooth activations and attention, for `make test`."""


@lru_cache(maxsize=1)
def build(name: str) -> nn.Module:
    """The network in evaluation mode and float64, with random weights under which nothing fades or explodes."""
    network = NETWORKS[name]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        net = network.make().double().eval()
        for path, parameter in net.named_parameters():
            _draw(path, parameter)
        _calibrate(net, _noise(4, network.pixels, seed=4))
    return net


def _draw(path: str, parameter: Tensor) -> None:
    """Libraries begin with zero biases, unit scales and zero heads, which would hide mistakes."""
    if path.endswith("bias"):
        parameter.normal_(0, 0.1)
    elif parameter.ndim > 1:
        parameter.normal_(0, (1.6 / parameter[0].numel()) ** 0.5)
    else:
        parameter.uniform_(0.5, 1.5)


def _calibrate(net: nn.Module, image: Tensor) -> None:
    """Give batch norms the statistics of noise, as training gives them those of pictures."""
    norms = [part for part in net.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    momenta = [part.momentum for part in norms]
    for part in norms:
        part.momentum = 1.0
        part.train()
    net(image)
    for part, momentum in zip(norms, momenta, strict=True):
        part.momentum = momentum
        part.eval()


def _noise(count: int, pixels: int, seed: int) -> Tensor:
    return torch.randn(count, 3, pixels, pixels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
