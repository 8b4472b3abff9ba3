"""Heads of another size than usual, and networks that show no layers."""

import warnings

import pytest
import torch
from torch import nn

import pellucid
from pellucid.cli import main
from pellucid.errors import BadModel, BadSite, UnknownName


def saved(module, path):
    torch.save(module.state_dict(), path)
    return str(path)


def of_five(family, name):
    """A network as somebody trained it for classes of their own."""
    if family == "timm":
        import timm

        return timm.create_model(name, pretrained=False, num_classes=5)
    from torchvision import models

    backbone = {"weights_backbone": None} if name.startswith(("lraspp", "ssdlite")) else {}
    return models.get_model(name, weights=None, num_classes=5, **backbone)


@pytest.mark.parametrize(
    "spec",
    [  # one linear layer; a convolution as head; every pixel; a detector, whose head has a multiple at each place
        "torchvision:shufflenet_v2_x0_5", "torchvision:squeezenet1_1", "torchvision:lraspp_mobilenet_v3_large",
        "torchvision:ssdlite320_mobilenet_v3_large", "timm:test_resnet",
    ],
)  # fmt: skip
def test_newcomer_16_the_head_is_as_large_as_the_files(spec, tmp_path):
    trained = of_five(*spec.split(":"))
    with pytest.warns(UserWarning, match="w.pt are of 5 classes, so the network was made with 5 in place of"):
        model = pellucid.load(spec, weights=saved(trained, tmp_path / "w.pt"))
    assert model.classes is None  # ImageNet's names would be wrong
    kept = model.module.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in trained.state_dict().items())


def test_newcomer_16_the_network_that_comes_along_too(tmp_path, capsys):
    from pellucid.models.efficientnet_lite import EfficientNetLite0

    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    weights = saved(EfficientNetLite0(3), tmp_path / "w.pt")
    given = ["--weights", weights, "--classes", str(tmp_path / "names.txt"), "--size", "32", "--json"]
    assert main(["layers", "efficientnet-lite0", *given]) == 0
    assert "are of 3 classes, so the network was made with 3 in place of 1000" in capsys.readouterr().err


OF_NINE = """
from torch import nn

def model():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 9))
"""


def test_newcomer_16_both_numbers_where_nobody_can_make_it_anew(tmp_path):
    weights = saved(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 5)), tmp_path / "w.pt")
    (tmp_path / "net.py").write_text(OF_NINE)
    with pytest.raises(BadModel, match="the file is of 5 classes and the network of 9"):
        pellucid.load(f"{tmp_path / 'net.py'}:model", weights=weights)


def test_a_file_of_another_network_says_nothing_of_classes(tmp_path):
    weights = saved(nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(6, 5)), tmp_path / "w.pt")
    (tmp_path / "net.py").write_text(OF_NINE)
    with pytest.raises(BadModel) as caught:
        pellucid.load(f"{tmp_path / 'net.py'}:model", weights=weights)
    assert "of another shape" in str(caught.value)
    assert "looks as if" not in str(caught.value)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class Half(Net):
    """A part of it is TorchScript."""

    def __init__(self):
        super().__init__()
        self.features = torch.jit.script(self.features)


IMAGE = torch.ones(1, 3, 8, 8)


@pytest.fixture(scope="module")
def closed():
    """Networks that show no layers, by what is said of them; and what the exported one is to be replaced by."""
    net = Net().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says of TorchScript that it is of yesterday
        traced, half = torch.jit.trace(net, IMAGE), Half().eval()
    program = torch.export.export(net, (IMAGE,))
    return {
        "It is TorchScript": traced,
        "Its part 'features' is TorchScript": half,
        "It is an exported program": program.module(),
        "": torch.export.unflatten(program),
    }


@pytest.mark.parametrize(
    "why", ["It is TorchScript", "Its part 'features' is TorchScript", "It is an exported program"]
)
def test_newcomer_16_why_there_are_no_layers(why, closed):
    model = pellucid.wrap(closed[why], size=8)
    found = pellucid.layers(model)
    assert len(found) == 0
    assert why in found.reason
    assert "--model FILE.py:FACTORY" in found.reason
    for layer in (None, "auto"):
        with pytest.raises(BadSite, match=why):
            pellucid.explain(model, IMAGE, "grad-cam", layer=layer)
    with pytest.raises(BadSite if why != "It is TorchScript" else (BadSite, UnknownName), match="features"):
        pellucid.explain(model, IMAGE, "grad-cam", layer="features.0")
    assert pellucid.explain(model, IMAGE, "saliency")["saliency"].values.shape == (1, 8, 8)


def test_newcomer_16_what_is_said_to_do_works(closed):
    model = pellucid.wrap(closed[""], size=8)
    assert "features" in [str(layer.site) for layer in pellucid.layers(model)]
    pellucid.explain(model, IMAGE, "grad-cam", layer="features")
