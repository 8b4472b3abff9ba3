"""What every method that switches regions must see in a photograph, with a network that knows it."""

import pytest
import torch

import pellucid

OPTIONS = {
    "feature-ablation": {},
    "kernel-shap": {"samples": 100},
    "lime": {"samples": 100},
    "partition-shap": {"samples": 100},
    "shapley-sampling": {"permutations": 4},
}


@pytest.fixture(scope="module")
def found():
    options = {name: {"regions": "5x5", **given} for name, given in OPTIONS.items()}
    return pellucid.explain(pellucid.load(size=128), "sample:coffee", list(OPTIONS), options=options)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_cup_makes_it_a_coffee(found, name):
    assert "espresso" in found.predictions[0][0].name
    values = found[name].extras["values of regions"][0].reshape(5, 5)
    cup = torch.zeros(5, 5, dtype=torch.bool)
    cup[:3, 1:4] = True
    assert values[cup].mean() > 0
    assert values[cup].mean() > 1.5 * values[~cup].mean()
