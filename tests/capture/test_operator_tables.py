"""Every transformation says what it does with every operator, and a new operator needs one record and its rules."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

import pellucid
from pellucid.capture.backward_rules import biases, deep_lift, lrp
from pellucid.capture.incremental import RULES as INCREMENTAL
from pellucid.capture.incremental import pointwise
from pellucid.capture.operators import computed_by, costs, every_operator, op
from pellucid.capture.operators.vocabulary import leave, operator
from pellucid.capture.receptive import rules as receptive
from pellucid.capture.tracing import decompose

ROOT = Path(__file__).parent.parent.parent
IMAGE = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def generate():
    """`docs/generate.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("generate_operators", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def logit():
    """A record of an operator that the vocabulary does not have."""
    made = operator("logit", "logit logit_", kind="tests", bind="input eps=None", traits="elementwise, activation")
    yield made
    leave(made)


def silent(generate):
    """Transformations and operators of which nothing is said."""
    columns = generate.transformations().items()
    return {(name, str(each)) for name, column in columns for each in every_operator() if column(each) is None}


def test_every_transformation_rules_or_declines_every_operator(generate):
    assert silent(generate) == set()


def test_an_operator_of_which_nothing_is_said_is_found(generate, logit):
    names = set(generate.transformations())
    assert silent(generate) == {(name, "logit") for name in names}


def test_the_page_of_operators_is_current(generate):
    assert generate.operators_page() == (ROOT / "docs" / "operators.md").read_text(), "run `make docs`"


def test_operators_that_share_an_aten_name_of_nobody_share_the_rule():
    for table in (costs.RULES, receptive.RULES, decompose.RULES):
        for each in table:
            owners = {owner for name in each.aten if (owner := computed_by(name)).name != name} - {each}
            beside = {other for other in owners if other.traits & {"moving", "joining", "constant"}}
            assert {table.get(other) for other in owners - beside} <= {table[each]}, each


class Logits(nn.Module):
    """An activation that no list knows, between a convolution and a mean."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return torch.logit(self.conv(x).sigmoid() * 0.5 + 0.25).mean((2, 3))


def test_arguments_are_found_by_whatever_name_a_spelling_gives_them():
    x = torch.arange(4.0)
    calls = {
        torch.split: "split_size_or_sections", torch.Tensor.split: "split_size", torch.chunk: "chunks",
        torch.Tensor.chunk: "chunks", torch.tensor_split: "sections", torch.split_with_sizes: "split_sizes",
    }  # fmt: skip
    for function, name in calls.items():
        parts = [1, 3] if name == "split_sizes" else 2
        for args, kwargs in (((x, parts, 0), {}), ((x, parts), {"axis": 0}), ((x,), {name: parts, "dim": 0})):
            assert [*op.SPLIT.bind(args, kwargs, function).values()] == [x, parts, 0]
        assert len(function(x, **{name: parts})) == 2, "torch has no such name"
    assert op.NORM.bind((x, 1), {"dim": 0}, torch.norm)["p"] == 1


def test_a_new_operator_is_one_record_and_its_rules(logit, monkeypatch):
    torch.manual_seed(0)
    net = Logits().double().eval()
    image = IMAGE.double()
    with pytest.raises(pellucid.errors.Refused, match="logit"):
        pellucid.explain(net, image, "deep-lift", 0)
    monkeypatch.setitem(deep_lift.RULES, logit, deep_lift._elementwise)
    monkeypatch.setitem(lrp.RULES, logit, lrp.Relevance._activation)
    monkeypatch.setitem(biases.RULES, logit, biases._implicit)
    monkeypatch.setitem(INCREMENTAL, logit, pointwise.activation)
    monkeypatch.setitem(receptive.RULES, logit, receptive._elementwise)
    monkeypatch.setitem(costs.RULES, logit, costs._nothing)
    found = pellucid.explain(net, image, ["deep-lift", "lrp", "full-grad"], 0)
    score, reference = (float(net(x)[0, 0].detach()) for x in (image, torch.zeros_like(image)))
    assert float(found["deep-lift"].raw.sum()) == pytest.approx(score - reference, rel=1e-9)
    assert float(found["lrp"].raw.sum()) != 0
