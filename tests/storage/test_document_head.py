"""The head of documents, the JSON of any value, and what values of the vocabulary can do."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from torch import nn

from pellucid.contracts import Classes, Cost, Model, Picture, Preprocess, Site
from pellucid.storage.plain_json import as_file, as_json, plain
from pellucid.storage.provenance import head, input_record

GREY = Preprocess((4, 6), None, mean=(0.25,), std=(0.5,))


@dataclass(frozen=True)
class Pair:
    first: object
    second: object


def test_every_value_becomes_json_that_every_parser_reads():
    value = {
        1: math.nan, "list": (1, -math.inf, True), "path": Path("a") / "b", "tensor": torch.tensor([[1.5, math.nan]]),
        "half": torch.tensor(0.5, dtype=torch.bfloat16), "number": np.float32(0.5), "array": np.array([1, 2]),
        "layer": Site("a.b", 1), "pair": Pair(Path("c"), None), "set": {"b", "a"}, "type": torch.float32,
    }  # fmt: skip
    assert json.loads(as_json(value)) == {
        "1": None, "list": [1, None, True], "path": str(Path("a") / "b"), "tensor": [[1.5, None]], "half": 0.5,
        "number": 0.5, "array": [1, 2], "layer": "a.b:1", "pair": {"first": "c", "second": None}, "set": ["a", "b"],
        "type": "torch.float32",
    }  # fmt: skip
    assert plain(np.float64("inf")) is None


def test_names_that_are_no_text_survive_a_file():
    assert json.loads(as_file({"name": "caf\udce9 ä"})) == {"name": "caf\udce9 ä"}
    assert as_json({"name": "ä"}, ascii_only=True).isascii()


def test_the_head_says_what_was_made_of_what():
    model = Model(nn.Linear(2, 1), "net", preprocess=GREY)
    picture = Picture("cat", PIL.Image.new("L", (6, 4)), torch.zeros(1, 4, 6), (0.0, 1.0, 6.0, 4.0), ("turned",))
    made = head(created="2026-01-02T03:04:05+00:00", command="pellucid x", model=model, inputs=[input_record(picture)])
    assert list(made) == ["schema_version", "created", "command", "versions", "model", "inputs"]
    assert made["model"] == {
        "name": "net", "source": None, "fingerprint": model.fingerprint, "computation": model.computation,
        "device": "cpu",
    }  # fmt: skip
    assert made["inputs"] == [
        {"name": "cat", "source": None, "size": {"rows": 4, "columns": 6}, "box": [0.0, 1.0, 6.0, 4.0],
         "notes": ["turned"]}
    ]  # fmt: skip
    assert made["versions"]["torch"] == torch.__version__
    assert made["versions"]["numpy"] == np.__version__
    assert made["versions"]["pillow"] == PIL.__version__


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalising_and_back(dtype):
    three = Preprocess(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    black, white = torch.zeros(2, 3, 1, 1, dtype=dtype), torch.ones(3, 1, 1, dtype=dtype)
    assert three.normalise(black).dtype == dtype
    assert three.normalise(black)[1].flatten().tolist() == [-1.0, -1.0, 0.0] == list(three.value_range[0])
    assert three.normalise(white).flatten().tolist() == [1.0, 3.0, 0.5] == list(three.value_range[1])
    assert three.denormalise(torch.tensor([2.0, -4.0, 0.25], dtype=dtype)[:, None, None]).flatten().tolist() == [
        1.5, -0.75, 0.5,
    ]  # fmt: skip
    assert (GREY.channels, three.channels) == (1, 3)


def test_costs_add_up():
    assert Cost(1.5, 2, 3) + Cost(0.25, 10, 0) == Cost(1.75, 12, 3)


def test_where_weights_are_and_of_what_type():
    assert Model(nn.Linear(2, 1, device="meta", dtype=torch.float64)).device == torch.device("meta")
    assert Model(nn.Linear(2, 1, dtype=torch.float64)).dtype == torch.float64
    assert (Model(nn.ReLU()).device, Model(nn.ReLU()).dtype) == (torch.device("cpu"), torch.float32)
    buffers = nn.BatchNorm1d(2, affine=False).double()
    assert Model(buffers).dtype == torch.float64


def test_a_computation_is_its_weights_its_preprocessing_and_its_reading():
    net = nn.Linear(2, 1)
    model = Model(net, "a", preprocess=GREY, classes=Classes(("x",)))
    same = [replace(model, name="b", source="c"), Model(net, "a", preprocess=GREY, classes=Classes(("x",)))]
    assert {each.computation for each in same} == {model.computation}
    others = [
        replace(model, preprocess=replace(GREY, interpolation="nearest")),
        replace(model, classes=Classes(("y",))),
        replace(model, output=lambda out: out[0]),
        replace(model, output=lambda out: out[1]),
        replace(model, answers="binary"),
        replace(model, site=Site("")),
        replace(model, module=nn.Linear(2, 1)),
    ]
    assert len({each.computation for each in (model, *others)}) == 8
    assert replace(GREY, std=(0.4,)).fingerprint != GREY.fingerprint == replace(GREY).fingerprint
