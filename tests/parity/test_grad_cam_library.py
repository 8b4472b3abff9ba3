"""grad-cam (pytorch_grad_cam), where it is right: low-resolution maps, before it stretches them from 0 to 1."""

import numpy as np
import pytest
import torch
from networks import CLASSES, agree, image, network
from pytorch_grad_cam import AblationCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

import pellucid

pytestmark = pytest.mark.filterwarnings("ignore")
IMAGE = image()
PEERS = {
    "grad-cam": GradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "xgrad-cam": XGradCAM,
    "layer-cam": LayerCAM,
    "hires-cam": HiResCAM,
}


def low_resolution(peer, net, layer, pictures=IMAGE, classes=CLASSES, **arguments):
    """The library's map on the layer's own grid, and its final map."""
    part, targets = net.get_submodule(layer), [ClassifierOutputTarget(c) for c in classes]
    with peer(net, [part], **arguments) as cam:
        final = cam(pictures.clone(), targets)
        kept = cam.activations_and_grads
        gradient = kept.gradients[0].numpy() if kept.gradients else None
        found = cam.get_cam_image(pictures, part, targets, kept.activations[0].numpy(), gradient, False)
    return np.maximum(found, 0), final


@pytest.mark.long
@pytest.mark.parametrize(
    ("architecture", "layer"),
    [("resnet18", "layer4"), ("resnet18", "layer3"), ("vgg11", "0.19"), ("mobilenet_v2", "features.18")],
)
def test_low_resolution_maps(architecture, layer):
    net = network(architecture)
    result = pellucid.explain(net, IMAGE, list(PEERS), CLASSES, layer)
    for name, peer in PEERS.items():
        agree(result[name].raw, low_resolution(peer, net, layer)[0])


def test_final_maps_differ_by_the_stretch_only():
    # it stretches from 0 to 1 before resizing, resizes with half-pixel centres as we do, and stretches again
    net = network("resnet18")
    _, final = low_resolution(GradCAM, net, "layer3")
    values = pellucid.explain(net, IMAGE, "grad-cam", CLASSES, "layer3")["grad-cam"].values
    low = values.amin((1, 2), keepdim=True)
    agree((values - low) / (values.amax((1, 2), keepdim=True) - low), final, tolerance=1e-4)


class Scored(nn.Module):
    """A small network with positive scores, where its Ablation-CAM is right."""

    def __init__(self, shift):
        super().__init__()
        torch.manual_seed(4)
        self.conv, self.relu, self.pool = nn.Conv2d(3, 6, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
        self.hidden, self.fc, self.shift = nn.Linear(24, 8), nn.Linear(8, 10), shift
        nn.init.normal_(self.fc.weight)
        self.double()

    def forward(self, x):
        return self.fc(self.hidden(self.pool(self.relu(self.conv(x))).flatten(1)).relu()) + self.shift


def test_ablation_cam():
    # its scores are rounded to float32
    net = Scored(shift=5.0)
    assert (net(IMAGE)[range(2), CLASSES] > 0).all()
    theirs, _ = low_resolution(AblationCAM, net, "relu", batch_size=4)
    agree(pellucid.explain(net, IMAGE, "ablation-cam", CLASSES, "relu")["ablation-cam"].raw, theirs, tolerance=1e-4)


def test_ablation_cam_on_resnet18():
    net, pictures = network("resnet18"), IMAGE[:1, :, :32, :32]
    with torch.no_grad():
        top = net(pictures).argmax(1).tolist()
    got = pellucid.explain(net, pictures, "ablation-cam", top, "layer1")["ablation-cam"].raw
    agree(got, low_resolution(AblationCAM, net, "layer1", pictures, top)[0], tolerance=1e-3)


def test_ablation_cam_turns_round_where_the_score_is_negative():
    net = Scored(shift=-50.0)
    theirs, _ = low_resolution(AblationCAM, net, "relu", batch_size=4)
    signed = pellucid.explain(net, IMAGE, "ablation-cam", CLASSES, "relu", {"ablation-cam": {"rectify": False}})
    raw = signed["ablation-cam"].raw
    # ours is the map of the shifted-back network but for its scale; theirs is the evidence against
    positive = pellucid.explain(
        Scored(shift=50.0), IMAGE, "ablation-cam", CLASSES, "relu", {"ablation-cam": {"rectify": False}}
    )["ablation-cam"].raw
    for mine, reference in zip(raw, positive, strict=True):
        agree(mine / mine.abs().max(), reference / reference.abs().max())
    agree((-raw).relu(), theirs, tolerance=1e-3)
