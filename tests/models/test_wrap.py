"""Wrapping a module, its preprocessing values, class lists and fingerprints."""

import copy

import pytest
import torch
from torch import nn

from pellucid.contracts import Classes, Preprocess, Site
from pellucid.contracts.fingerprint import fingerprint
from pellucid.errors import BadModel, BadOption
from pellucid.models import wrap
from pellucid.models.labels import read_classes


def test_the_module_stays_as_it_is():
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    module[0].weight.requires_grad_(False)
    model = wrap(module)
    assert model.module is module
    assert module.training
    assert not module[0].weight.requires_grad
    assert (model.name, model.preprocess, model.classes, model.site) == ("Sequential", None, None, None)


def test_a_model_comes_back_or_is_copied_with_changes():
    model = wrap(nn.Linear(2, 2), size=8)
    assert wrap(model) is model
    named = wrap(model, name="mine", classes=["a", "b"])
    assert (named.name, named.classes.names, named.module) == ("mine", ("a", "b"), model.module)
    assert named.preprocess == model.preprocess


def test_a_compiled_module_is_replaced_by_its_original():
    module = nn.Linear(2, 2)
    assert wrap(torch.compile(module, backend="eager")).module is module


def test_the_rest_is_kept():
    model = wrap(nn.Identity(), site="layer4@input", output=len)
    assert model.site == Site("layer4", port="input")
    assert model.output is len


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ("resnet50", r"Expected a torch.nn.Module, got a str.*pellucid.load"),
        (nn.Linear, r"got the class Linear. Make one: Linear\(...\)"),
        (None, "got a NoneType"),
    ],
)
def test_other_things_are_refused(thing, message):
    with pytest.raises(BadModel, match=message):
        wrap(thing)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"size": 224}, Preprocess((224, 224), 256, "bicubic", (0.0,) * 3, (1.0,) * 3)),
        ({"size": (8, 16)}, Preprocess((8, 16), None, "bicubic", (0.0,) * 3, (1.0,) * 3)),
        (
            {"size": 28, "resize": None, "interpolation": "nearest", "mean": [0.1], "std": [0.3]},
            Preprocess((28, 28), None, "nearest", (0.1,), (0.3,)),
        ),
        ({"preprocess": Preprocess(), "size": 448}, Preprocess((448, 448), 512)),
        ({"preprocess": Preprocess(resize=None), "size": 32}, Preprocess((32, 32), None)),
        ({"preprocess": Preprocess(), "resize": 300}, Preprocess(resize=300)),
    ],
)
def test_preprocessing_from_values(given, expected):
    assert wrap(nn.Identity(), **given).preprocess == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mean": (0.5,) * 3}, "Got mean but no size"),
        ({"resize": 20}, "Got resize but no size"),
        ({"size": 0}, r"one or two positive numbers of pixels, got \(0, 0\)"),
        ({"size": (1, 2, 3)}, "one or two positive numbers"),
        ({"size": 8, "resize": 0}, "resized side is a positive number of pixels, got 0"),
        ({"size": 8, "interpolation": "area"}, "one of bicubic, bilinear, lanczos, nearest; got 'area'"),
        ({"size": 8, "mean": (0.5,), "std": (0.5,) * 3}, "one number per channel, 1 or 3 each; got 1 and 3"),
        ({"size": 8, "std": (1, 0, 1)}, r"Every std is above 0, got \(1, 0, 1\)"),
    ],
)
def test_bad_preprocessing_values(given, message):
    with pytest.raises(BadOption, match=message):
        wrap(nn.Identity(), **given)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("cat\ndog\n\n", Classes(("cat", "dog"))),
        ("\ufeffcat, tabby\r\ndog\r\n", Classes(("cat, tabby", "dog"))),
        ("n02123045 tabby\nn02391049: zebra", Classes(("tabby", "zebra"), ("n02123045", "n02391049"))),
        ("n02123045 tabby\nzebra", Classes(("n02123045 tabby", "zebra"))),
        ("caf\u00e9", Classes(("caf\u00e9",))),
    ],
)
def test_class_files(tmp_path, content, expected):
    path = tmp_path / "labels.txt"
    path.write_bytes(content.encode())
    assert read_classes(path) == read_classes(str(path)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "labels.txt is empty"),
        (b" \n\n", "labels.txt is empty"),
        (b"\x89PNG\r\n\x1a\n\x00", "labels.txt is not text"),
        (b"cat\x00dog", "labels.txt is not text"),
        (b"cat\n\ndog", "Line 2 of the class list labels.txt is blank"),
    ],
)
def test_bad_class_files(tmp_path, content, message):
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(BadModel, match=message):
        read_classes(path)


def test_bad_class_lists(tmp_path):
    with pytest.raises(BadModel, match=r"class list .*gone.txt cannot be read: No such file"):
        read_classes(tmp_path / "gone.txt")
    with pytest.raises(BadOption, match="at least one class name"):
        read_classes([])
    with pytest.raises(BadOption, match=r"Class names are text, got 3 \(int\)"):
        read_classes(["a", 3])


def test_equal_weights_have_equal_fingerprints():
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    twin = copy.deepcopy(module)
    assert fingerprint(module) == fingerprint(twin)
    with torch.no_grad():
        twin[0].bias[1] += 1e-6
    assert fingerprint(module) != fingerprint(twin)


def test_a_fingerprint_sees_names_types_shapes_and_buffers():
    base = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(base.weight)

    def variant(change):
        module = copy.deepcopy(base)
        change(module)
        return fingerprint(module)

    variants = [
        variant(lambda m: None),
        variant(lambda m: m.half()),
        variant(lambda m: m.bfloat16()),
        variant(lambda m: setattr(m, "weight", nn.Parameter(torch.zeros(4, 1)))),
        variant(lambda m: m.register_buffer("scale", torch.tensor(1.0))),
        variant(lambda m: m.register_buffer("scale", torch.tensor(2.0))),
        fingerprint(nn.Sequential(base)),
    ]
    assert len(set(variants)) == len(variants)


def test_a_fingerprint_does_not_depend_on_memory_layout():
    module = nn.Conv2d(3, 4, 3)
    before = fingerprint(module)
    assert fingerprint(module.to(memory_format=torch.channels_last)) == before


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(0, 3),
        torch.zeros(2, dtype=torch.bool),
        torch.zeros(2, dtype=torch.complex64).conj(),
        torch.zeros(2, dtype=torch.float8_e4m3fn),
        torch.eye(2).to_sparse(),
        torch.zeros(2, device="meta"),
    ],
    ids=["empty", "bool", "complex", "float8", "sparse", "meta"],
)
def test_unusual_tensors_have_fingerprints(value):
    module = nn.Identity()
    module.register_buffer("value", value)
    assert len(fingerprint(module)) == 16


def test_lazy_modules_have_fingerprints():
    assert len(fingerprint(nn.LazyLinear(3))) == 16
