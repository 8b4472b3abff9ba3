"""Loading by name: every family, overrides, devices and each error."""

import re
import sys
import textwrap

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pellucid.contracts import Preprocess, Site
from pellucid.errors import BadModel, BadOption, MissingExtra, UnknownName
from pellucid.models import available, load
from pellucid.models.load import pick_device

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
FACTORIES = """
    import torch
    from torch import nn
    from beside import WIDTH

    def model():
        return nn.Linear(WIDTH, 3)

    class Net(nn.Linear):
        def __init__(self):
            super().__init__(2, 4)

    shared = nn.Linear(2, 2)
    number = 3

    def text():
        return "resnet"

    def broken():
        raise KeyError("depth")

    def needs(depth):
        return nn.Linear(depth, 1)

    def ready():
        import pellucid.models
        return pellucid.models.wrap(nn.Linear(2, 2), name="ready", size=8)
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "beside.py").write_text("WIDTH = 2\n")
    path = tmp_path / "nets.py"
    path.write_text(textwrap.dedent(FACTORIES))
    yield path
    sys.modules.pop("beside", None)
    sys.modules.pop("nets", None)


@pytest.mark.parametrize("spec", ["efficientnet-lite0", "embedded:efficientnet-lite0"])
def test_the_embedded_model(spec):
    model = load(spec)
    assert (model.source, model.site) == ("efficientnet-lite0", Site("head"))
    assert load(model.source).fingerprint == model.fingerprint


def test_values_replace_the_models_own():
    model = load(size=448, mean=(0, 0, 0), classes=["a"], site="blocks.3", output=len)
    assert model.preprocess == Preprocess((448, 448), 512, mean=(0, 0, 0))
    assert (model.classes.names, model.site, model.output) == (("a",), Site("blocks.3"), len)
    other = Preprocess(size=(32, 32), resize=None)
    assert load(preprocess=other).preprocess == other


def test_a_file_with_its_default_factory(file):
    path_before = list(sys.path)
    model = load(file)
    assert isinstance(model.module, nn.Linear)
    assert not model.module.training
    assert (model.name, model.source, model.preprocess) == ("Linear", str(file), None)
    assert sys.path == path_before


def test_factories_may_be_classes_modules_and_models(file):
    assert load(f"{file}:Net").module.out_features == 4
    shared = load(f"{file}:shared").module
    assert not shared.training
    ready = load(f"{file}:ready")
    assert (ready.name, ready.preprocess.size) == ("ready", (8, 8))
    assert ready.source == f"{file}:ready"


def test_an_importable_factory(file, monkeypatch):
    monkeypatch.syspath_prepend(file.parent)
    assert load("python:nets").module.out_features == 3
    assert load("python:nets:Net").source == "python:nets:Net"
    load("python:nets:shared")
    assert sys.modules["nets"].shared.training


def test_weights_are_fitted(file, tmp_path):
    state = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}
    save_file(state, tmp_path / "w.safetensors")
    module = load(file, weights=tmp_path / "w.safetensors").module
    assert torch.equal(module.weight, state["weight"])
    with pytest.raises(BadModel, match="do not fit Net: 2 of another shape"):
        load(f"{file}:Net", weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("factory", "error", "message"),
    [
        ("modle", UnknownName, r"There is no factory 'modle'. Did you mean 'model'\?.*in nets.py that returns"),
        ("text", BadModel, "nets.py:text returned a str, expected a torch.nn.Module"),
        ("broken", BadModel, r"nets.py:broken failed: KeyError: 'depth' \(nets.py, line \d+\)"),
        ("needs", BadModel, "nets.py:needs failed: TypeError: .*missing 1 required positional argument"),
        ("number", BadModel, "nets.py:number failed: TypeError: 'int' object is not callable"),
    ],
)
def test_factories_that_do_not_work(file, factory, error, message):
    with pytest.raises(error, match=message):
        load(f"{file}:{factory}")


def test_files_and_packages_that_do_not_work(tmp_path):
    with pytest.raises(BadModel, match=r"There is no Python file '.*gone.py'"):
        load(tmp_path / "gone.py")
    bad = tmp_path / "bad.py"
    bad.write_text("x = 1\n1 / 0\n")
    modules_before = set(sys.modules)
    with pytest.raises(BadModel, match=r"bad.py failed: ZeroDivisionError: division by zero \(bad.py, line 2\)"):
        load(bad)
    assert set(sys.modules) == modules_before
    with pytest.raises(BadModel, match=r"no_such.thing cannot be imported: No module named 'no_such'.*PYTHONPATH"):
        load("python:no_such.thing:build")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("efficientnet-lite", r"no model 'efficientnet-lite'. Did you mean 'efficientnet-lite0'\?"),
        ("resnet50", r"no model 'resnet50'.*Expected efficientnet-lite0, torchvision:NAME, timm:NAME"),
        ("torchvision:", "no model 'torchvision:'"),
        ("embedded:resnet", "no model 'resnet'.*Expected efficientnet-lite0"),
        ("", "no model ''"),
    ],
)
def test_unknown_models(spec, message):
    with pytest.raises(UnknownName, match=message):
        load(spec)


def test_a_module_is_not_a_name():
    with pytest.raises(BadModel, match=r"name as text, got a Linear. Use pellucid.wrap"):
        load(nn.Linear(1, 1))


def test_two_weights_files_are_one_too_many(tmp_path):
    with pytest.raises(BadOption, match=r"Two weights files were given: 'a.pth' .* and 'b.pth'"):
        load("torchvision:resnet18:a.pth", weights="b.pth")
    with pytest.raises(BadOption, match=r"Both torchvision's 'DEFAULT' and the weights file 'b.pth' were given"):
        load("torchvision:resnet18:DEFAULT", weights="b.pth")


def test_torchvision_says_that_weights_are_random_and_takes_its_own_preprocessing():
    pytest.importorskip("torchvision")
    with pytest.warns(
        UserWarning, match="torchvision:resnet50 has random weights.*IMAGENET1K_V1, IMAGENET1K_V2"
    ) as got:
        model = load("torchvision:resnet50")
    assert got[0].filename == __file__
    assert model.preprocess == Preprocess((224, 224), 232, "bilinear", **IMAGENET)
    assert (model.name, model.source) == ("resnet50", "torchvision:resnet50")
    assert model.classes.find("zebra") == 340
    assert not model.module.training


def test_torchvision_with_a_weights_file(tmp_path):
    models = pytest.importorskip("torchvision.models")
    path = tmp_path / "w.pth"
    source = models.squeezenet1_1()
    torch.save(source.state_dict(), path)
    model = load(f"torchvision:squeezenet1_1:{path}")
    assert model.source == f"torchvision:squeezenet1_1:{path}"
    assert load(model.source).fingerprint == load("torchvision:squeezenet1_1", weights=path).fingerprint
    assert torch.equal(model.module.features[0].weight, source.features[0].weight)


def test_torchvision_models_with_their_own_normalisation(tmp_path):
    models = pytest.importorskip("torchvision.models")
    path = tmp_path / "w.pth"
    torch.save(models.googlenet(init_weights=False).state_dict(), path)
    assert load("torchvision:googlenet", weights=path).module.transform_input


def test_torchvision_segmentation_has_its_own_classes():
    pytest.importorskip("torchvision")
    with pytest.warns(UserWarning, match="random"):
        model = load("torchvision:lraspp_mobilenet_v3_large")
    assert (model.preprocess.size, model.preprocess.resize) == (None, 520)
    assert (len(model.classes.names), model.classes.find("cat")) == (21, 8)


def test_torchvision_names_that_do_not_exist():
    pytest.importorskip("torchvision")
    with pytest.raises(UnknownName, match=r"no torchvision model 'resnet5'. Did you mean 'resnet"):
        load("torchvision:resnet5")
    with pytest.raises(UnknownName, match=r"no set of weights of torchvision:resnet18 'V9'.*It has IMAGENET1K_V1"):
        load("torchvision:resnet18:V9")


def test_torchvision_downloads_only_when_asked(monkeypatch):
    models = pytest.importorskip("torchvision.models")

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(models._api.WeightsEnum, "get_state_dict", offline)
    with pytest.raises(BadModel, match=r"could not download .*IMAGENET1K_V1: no network"):
        load("torchvision:squeezenet1_1:IMAGENET1K_V1")


def test_timm_takes_its_own_preprocessing(tmp_path):
    timm = pytest.importorskip("timm")
    with pytest.warns(UserWarning, match=r"timm:mobilenetv3_small_050 has random weights.*downloads none"):
        model = load("timm:mobilenetv3_small_050")
    assert model.preprocess == Preprocess((224, 224), 256, "bicubic", **IMAGENET)
    assert model.classes.find("zebra") == 340
    path = tmp_path / "w.safetensors"
    save_file(timm.create_model("mobilenetv3_small_050").state_dict(), path)
    assert load(f"timm:mobilenetv3_small_050:{path}").fingerprint != model.fingerprint


def test_timm_names_that_do_not_exist():
    pytest.importorskip("timm")
    with pytest.raises(UnknownName, match=r"no timm model 'convnext_tinny'. Did you mean 'convnext_tiny'"):
        load("timm:convnext_tinny")
    with pytest.raises(BadModel, match=r"weights file .* after timm:convnext_tiny:, got 'DEFAULT'"):
        load("timm:convnext_tiny:DEFAULT")
    with pytest.raises(BadModel, match=r"timm cannot make 'resnet18.no_such_tag'"), pytest.warns(UserWarning):
        load("timm:resnet18.no_such_tag")


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_missing_libraries_are_named(monkeypatch, library):
    for name in [n for n in sys.modules if n.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        MissingExtra, match=re.escape(f"{library} models need {library}") + ".*" + r"pellucid\[models\]"
    ):
        load(f"{library}:resnet18")


def test_available_imports_nothing(monkeypatch):
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    listed = available()
    assert listed[0] == ("efficientnet-lite0", "EfficientNet-Lite0, ImageNet, 1000 classes; comes with Pellucid", True)
    assert [item.spec.partition(":")[0] for item in listed[1:]] == [
        "torchvision",
        "timm",
        "zoo",
        "FILE.safetensors",
        "python",
        "PATH/FILE.py",
    ]
    assert "timm" not in sys.modules


def test_devices():
    assert load(device="auto").module.classifier.weight.device.type == pick_device().type
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(BadOption, match=r"Expected a device such as cpu, .* got 'gpu'"):
        pick_device("gpu")
    with pytest.raises(BadOption, match=r"Device 'cuda:99' is not there: torch sees \d+ of type cuda"):
        pick_device("cuda:99")
