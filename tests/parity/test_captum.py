"""captum, where it is right; see `test_peers_at_fault.py` for where it is not."""

import pytest
import torch
from captum.attr import (
    Deconvolution,
    FeatureAblation,
    GuidedBackprop,
    GuidedGradCam,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    Occlusion,
    Saliency,
    ShapleyValues,
)
from networks import CLASSES, agree, image, network

import pellucid

pytestmark = pytest.mark.filterwarnings("ignore")
IMAGE = image()


def ours(net, name, layer=None, **options):
    return pellucid.explain(net, IMAGE, name, CLASSES, layer, {name: options})[name]


@pytest.mark.parametrize("architecture", ["resnet18", "vgg11", "mobilenet_v2"])
def test_gradients(architecture):
    net = network(architecture)
    result = pellucid.explain(net, IMAGE, ["saliency", "input-x-gradient"], CLASSES)
    agree(result["saliency"].raw, Saliency(net).attribute(IMAGE, CLASSES, abs=False))
    agree(result["input-x-gradient"].raw, InputXGradient(net).attribute(IMAGE, CLASSES))


@pytest.mark.parametrize("architecture", ["resnet18", "vgg11"])  # one consumer of each ReLU's input; no ReLU6
def test_rectifier_rules(architecture):
    net = network(architecture)
    result = pellucid.explain(net, IMAGE, ["guided-backprop", "deconvnet"], CLASSES)
    agree(result["guided-backprop"].raw, GuidedBackprop(net).attribute(IMAGE, CLASSES))
    agree(result["deconvnet"].raw, Deconvolution(net).attribute(IMAGE, CLASSES))


@pytest.mark.parametrize(
    ("architecture", "layer"),
    [
        ("resnet18", "layer4"),
        ("resnet18", "layer2.0.bn2"),
        ("vgg11", "0.18"),
        ("vgg11", "0.8"),
        ("mobilenet_v2", "features.14"),
    ],
)
def test_grad_cam(architecture, layer):
    # 0.18, 0.8 and bn2 are followed by an in-place operation
    net = network(architecture)
    peer = LayerGradCam(net, net.get_submodule(layer))
    theirs = peer.attribute(IMAGE, target=CLASSES, relu_attributions=True)
    agree(ours(net, "grad-cam", layer).raw, theirs[:, 0])
    agree(ours(net, "grad-cam", layer, rectify=False).raw, peer.attribute(IMAGE, target=CLASSES)[:, 0])


def test_guided_grad_cam():
    net = network("vgg11")
    theirs = GuidedGradCam(net, net.get_submodule("0.19")).attribute(IMAGE, CLASSES, interpolate_mode="bilinear")
    agree(ours(net, "guided-grad-cam", "0.19").raw, theirs)


def test_integrated_gradients():
    net, baseline = network("resnet18"), 0.7
    theirs, delta = IntegratedGradients(net).attribute(
        IMAGE, baseline, CLASSES, n_steps=5, method="gausslegendre", return_convergence_delta=True
    )
    got = ours(net, "integrated-gradients", steps=5, baseline=baseline)
    agree(got.raw, theirs)
    agree(-got.extras["gap"], delta)


@pytest.mark.parametrize(("window", "stride", "fill"), [(32, 32, 0.0), (40, 12, 0.5), (40, 13, -1.0), (60, 60, 0.0)])
def test_occlusion(window, stride, fill):
    # 64 pixels: tiling; overlapping; overlapping and not dividing; a last window of 4 pixels
    net = network("resnet18")
    theirs = Occlusion(net).attribute(
        IMAGE, (3, window, window), (3, stride, stride), fill, CLASSES, perturbations_per_eval=4
    )
    got = ours(net, "occlusion", window=window, stride=stride, fill=fill)
    for channel in range(3):
        agree(got.values, theirs[:, channel])
    assert torch.isfinite(got.values).all()


def test_regions_hidden_one_by_one_and_in_every_order():
    net = network("resnet18")
    by_one = ours(net, "feature-ablation", regions="2x2", fill=0.25)
    mask = by_one.extras["regions"][:1, None]
    agree(by_one.raw, FeatureAblation(net).attribute(IMAGE, 0.25, CLASSES, feature_mask=mask)[:, 0])
    exact = ours(net, "kernel-shap", regions="2x2", fill=0.25, samples=14)
    agree(exact.raw, ShapleyValues(net).attribute(IMAGE, 0.25, CLASSES, feature_mask=mask)[:, 0])
