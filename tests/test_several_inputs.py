"""Several inputs by name: maps, shares and budgets over all of them, from linear closed forms, captum and sums."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
from pellucid.cli import main
from pellucid.errors import BadOption, Refused

EXACT = {"lrp": {"composite": "epsilon", "epsilon": 1e-12}}


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 2), nn.Linear(3, 2, bias=False)

    def forward(self, left, right):
        return self.left(left) + self.right(right)


class Branches(nn.Module):
    """A picture, a table, a plain number and a category."""

    def __init__(self):
        super().__init__()
        self.conv, self.table = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(3, 4)
        self.kind, self.head = nn.Embedding(5, 4), nn.Linear(9, 3)
        self.first, self.second, self.last = nn.ReLU(), nn.ReLU(), nn.ReLU()  # captum needs each by itself

    def forward(self, picture, columns, age, kind):
        seen = self.first(self.conv(picture)).mean((2, 3)) + self.kind(kind)
        return self.head(self.last(torch.cat([seen, self.second(self.table(columns)), age[:, None]], 1)))


@pytest.fixture(scope="module")
def linear():
    torch.manual_seed(0)
    return Linear().double(), {"left": torch.randn(2, 4).double(), "right": torch.randn(2, 3).double()}


@pytest.fixture(scope="module")
def branches():
    torch.manual_seed(1)
    given = {
        "picture": torch.randn(2, 2, 6, 5).double(),
        "columns": torch.randn(2, 3).double(),
        "age": torch.rand(2).double(),
        "kind": torch.tensor([1, 4]),
    }
    return Branches().double(), given


def score(net, given, target):
    with torch.no_grad():
        return net(**given)[:, target]


def test_of_a_linear_network_every_method_of_a_budget_gives_weight_times_difference(linear):
    net, given = linear
    methods = ["integrated-gradients", "input-x-gradient", "deep-lift", "lrp", "kernel-shap", "shapley-sampling"]
    methods += ["feature-ablation", "partition-shap"]
    result = pellucid.explain(net, given, methods, target=1, options=EXACT)
    wanted = {
        "left": given["left"] * net.left.weight[1].detach(),
        "right": given["right"] * net.right.weight[1].detach(),
    }
    total = sum(each.sum(1) for each in wanted.values())
    most = sum(each.abs().sum(1) for each in wanted.values())
    for found in result:
        for name, each in wanted.items():
            near = 1e-6 if found.method.id == "lrp" else 1e-9  # the sum of both branches has a stabiliser of 1e-6
            torch.testing.assert_close(found.inputs[name].values, each, rtol=0, atol=near)
            torch.testing.assert_close(found.inputs[name].share.signed, each.sum(1) / total, rtol=0, atol=2 * near)
            torch.testing.assert_close(found.inputs[name].share.absolute, each.abs().sum(1) / most, rtol=0, atol=near)
        assert torch.equal(found.values, found.inputs["left"].values)
        assert torch.equal(found.raw, found.inputs["left"].raw)


def test_each_input_begins_at_its_own_baseline(linear):
    net, given = linear
    begins = {"left": torch.arange(4.0).double(), "right": 0.5}
    options = {name: {"baseline": begins} for name in ("integrated-gradients", "deep-lift")}
    options["shapley-sampling"] = {"fill": begins}
    result = pellucid.explain(net, given, list(options), target=0, options=options)
    for found in result:
        wanted = (given["left"] - begins["left"]) * net.left.weight[0].detach()
        torch.testing.assert_close(found.inputs["left"].values, wanted, rtol=0, atol=1e-12)
        wanted = (given["right"] - 0.5) * net.right.weight[0].detach()
        torch.testing.assert_close(found.inputs["right"].values, wanted, rtol=0, atol=1e-12)


def test_budgets_hold_over_a_picture_a_table_and_a_number_together(branches):
    net, given = branches
    kept = {name: tensor.clone() for name, tensor in given.items()}
    options = {"shapley-sampling": {"regions": "3x2", "permutations": 4}, "kernel-shap": {"regions": "2x2"}}
    methods = ["integrated-gradients", "deep-lift", *options, "deep-lift-shap", "expected-gradients", "gradient-shap"]
    options |= {"deep-lift-shap": {"baselines": 2}, "integrated-gradients": {"steps": 400}}
    result = pellucid.explain(net, given, methods, target=2, options=options)
    nothing = {n: torch.zeros_like(t) if t.is_floating_point() else t for n, t in given.items()}
    difference = score(net, given, 2) - score(net, nothing, 2)
    shapes = {"picture": (2, 6, 5), "columns": (2, 3), "age": (2, 1)}
    for found in result:
        assert {name: tuple(each.values.shape) for name, each in found.inputs.items()} == shapes
        for kind in ("signed", "absolute"):
            parts = torch.stack([getattr(each.share, kind) for each in found.inputs.values()])
            torch.testing.assert_close(parts.sum(0), torch.ones(2).double(), rtol=0, atol=1e-9)
    sums = {found.method.id: sum(m.raw.flatten(1).sum(1) for m in found.inputs.values()) for found in result}
    torch.testing.assert_close(sums["deep-lift"], difference, rtol=1e-5, atol=0)
    torch.testing.assert_close(sums["integrated-gradients"], difference, rtol=1e-3, atol=0)
    for method in ("shapley-sampling", "kernel-shap"):
        values = result[method].extras["values of regions"]
        torch.testing.assert_close(values.sum(1), difference, rtol=1e-9, atol=0)
        cells = result[method].inputs["picture"].values.flatten(1)
        columns = torch.cat([result[method].inputs[name].values for name in ("columns", "age")], 1)
        found = torch.stack([row.unique().sum() for row in cells]) + columns.sum(1)
        torch.testing.assert_close(found, difference, rtol=1e-9, atol=0)
    gap = result["deep-lift-shap"].extras["gap"]
    assert float(gap.abs().max()) < 1e-9
    assert all(torch.equal(given[name], kept[name]) for name in given)


def test_relevance_of_all_inputs_sums_to_the_score_without_biases(branches):
    net, given = branches
    result = pellucid.explain(net, given, "lrp", target=0, options={"lrp": {"bias": False, "composite": "epsilon"}})
    found = result["lrp"]
    total = sum(each.raw.flatten(1).sum(1) for each in found.inputs.values())
    torch.testing.assert_close(total + found.extras["gap"], score(net, given, 0), rtol=1e-9, atol=0)
    slope = pellucid.explain(net, given, "input-x-gradient", target=0)["input-x-gradient"]
    leaves = {n: t.clone().requires_grad_() if t.is_floating_point() else t for n, t in given.items()}
    net(**leaves)[:, 0].sum().backward()
    for name, each in slope.inputs.items():
        wanted = (leaves[name] * leaves[name].grad).detach()
        torch.testing.assert_close(each.raw.reshape(wanted.shape), wanted, rtol=1e-9, atol=1e-12)
    net.zero_grad()


@pytest.mark.filterwarnings("ignore:Input Tensor", "ignore:Setting forward")
def test_the_same_as_captum_of_two_inputs(branches):
    attr = pytest.importorskip("captum.attr")
    net, given = branches
    held = (given["age"], given["kind"])
    two = (given["picture"], given["columns"])
    result = pellucid.explain(
        net, given, ["integrated-gradients", "deep-lift"], target=1, explain=["picture", "columns"],
        options={"integrated-gradients": {"steps": 30}},
    )  # fmt: skip
    more = {"target": 1, "additional_forward_args": held}
    by_captum = {
        "integrated-gradients": attr.IntegratedGradients(net).attribute(two, n_steps=30, **more),
        "deep-lift": attr.DeepLift(net).attribute(two, **more),
    }
    for method, of_both in by_captum.items():
        for name, wanted in zip(("picture", "columns"), of_both, strict=True):
            raw = result[method].inputs[name].raw.reshape(wanted.shape)
            torch.testing.assert_close(raw, wanted, rtol=1e-6, atol=1e-9)  # captum's steps are in float32
    assert result.notes[0].startswith("The inputs age, kind were held")


def test_methods_of_one_input_look_at_each_with_the_others_held(branches):
    net, given = branches
    result = pellucid.explain(net, given, ["grad-cam", "saliency", "occlusion"], target=1, layer="conv")
    alone = {
        name: pellucid.explain(net, given, ["saliency", "occlusion"], target=1, explain=name)
        for name in ("picture", "columns")
    }
    for method in ("saliency", "occlusion"):
        assert list(result[method].inputs) == ["picture", "columns", "age"]
        for name, found in alone.items():
            assert torch.equal(result[method].inputs[name].raw, found[method].raw)
            assert result[method].inputs[name].share is None
    cam = result["grad-cam"]
    assert list(cam.inputs) == ["picture"]
    assert any(note.startswith("There is no map of columns: ") for note in cam.notes)
    with pytest.raises(Refused, match=r"grad-cam has no map of any input|conv"):
        pellucid.explain(net, given, "grad-cam", target=1, layer="conv", explain=["columns", "age"])


def test_a_single_explained_input_is_as_with_the_others_as_context(linear):
    net, given = linear
    by_name = pellucid.explain(net, given, "integrated-gradients", target=1, explain="right")["integrated-gradients"]
    assert list(by_name.inputs) == ["right"]
    assert torch.equal(by_name.inputs["right"].raw, by_name.raw)
    assert float(by_name.inputs["right"].share.signed[0]) == 1.0
    beside = pellucid.explain(net, given["left"], "lrp", target=1, inputs={"right": given["right"]}, options=EXACT)
    named = pellucid.explain(net, given, "lrp", target=1, explain="left", options=EXACT)
    assert torch.equal(beside["lrp"].raw, named["lrp"].raw)
    both = pellucid.explain(
        net, given["left"], "lrp", target=1, inputs={"right": given["right"]}, explain=["right", "left"], options=EXACT
    )
    assert list(both["lrp"].inputs) == ["right", "left"]


WRONG = [
    ({"other": 0}, {}, r"does not take 'other': it takes 'picture', 'columns', 'age', 'kind'"),
    ({"age": None}, {}, r"also needs 'age'"),
    ({}, {"explain": ["kind"]}, r"'kind' holds whole numbers.* explain=\['picture', 'columns', 'age'\]"),
    ({}, {"explain": ["colour"]}, r"no input 'colour' to explain; given were 'picture'"),
    ({"age": torch.rand(3).double()}, {}, r"as many rows in every input.*age has \[3\]"),
    ({"picture": torch.rand(2, 6, 5).double()}, {}, r"\[batch, channel, row, column\]"),
    ({"columns": torch.full((2, 3), torch.nan).double()}, {}, r"Of the input 'columns': Expected finite"),
    ({}, {"trust": True}, r"Metrics judge the maps of one input: add explain='picture'"),
    ({}, {"options": {"deep-lift": {"baseline": {"age": 0.0}}}}, r"for each explained input, got \['age'\]"),
]


@pytest.mark.parametrize(("changes", "more", "said"), WRONG)
def test_what_does_not_fit_is_said_in_a_sentence(branches, changes, more, said):
    net, given = branches
    wrong = {name: value for name, value in {**given, **changes}.items() if value is not None}
    with pytest.raises(BadOption, match=said):
        pellucid.explain(net, wrong, "deep-lift", target=0, **more)


def test_what_is_saved_is_read_back(linear, tmp_path):
    net, given = linear
    result = pellucid.explain(net, given, "integrated-gradients", target=1)
    result.save(tmp_path)
    back = pellucid.read(tmp_path)["integrated-gradients"]
    for name, each in result["integrated-gradients"].inputs.items():
        assert torch.equal(back.inputs[name].raw, each.raw)
        assert torch.equal(back.inputs[name].share.signed, each.share.signed)
        assert back.inputs[name].axes == each.axes


def test_the_command_line_takes_inputs_by_name_and_says_their_shares(tmp_path, capsys):
    (tmp_path / "net.py").write_text(NET)
    command = [
        "explain", "sample:cat", "--model", f"{tmp_path / 'net.py'}:Net", "--size", "8", "-m", "input-x-gradient",
        "--target", "1", "--input", "age=0.5", "--out", str(tmp_path / "out"), "--json",
    ]  # fmt: skip
    assert main(command) == 0
    (document,) = json.loads(capsys.readouterr().out)["pictures"]
    shares = document["attributions"][0]["shares"]
    assert list(shares) == ["picture", "age"]
    assert abs(sum(each["signed"] for each in shares.values()) - 1) < 1e-5
    manifest = json.loads((Path(document["folder"]) / "manifest.json").read_text())
    assert manifest["methods"][0]["shares"] == shares
    with np.load(Path(document["folder"]) / "maps.npz") as maps:
        assert all(name in maps for name in manifest["methods"][0]["arrays"])
        assert abs(float(maps["input-x-gradient/inputs/age/values"][0]) - 0.5) < 1e-6  # its weight is 1
    assert main([*command[:-1], "--explain", "picture", "--input", "years"]) == 2
    assert "Expected NAME=VALUE" in capsys.readouterr().err


NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3, 2)

    def forward(self, picture, age):
        return self.head(picture.mean((2, 3))) + torch.cat([-age, age], 1)
"""
