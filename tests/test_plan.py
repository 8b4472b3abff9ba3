"""A plan is a value: what will be done, who chose it, and what it costs; it makes no map."""

import json
from dataclasses import FrozenInstanceError

import pytest

import pellucid
import tiny
from pellucid.cli import main
from pellucid.contracts import Choice

OPTIONS = {"rise": {"masks": 20}, "smoothgrad": {"samples": 7}, "integrated-gradients": {"steps": 5}}


def test_every_choice_says_who_made_it():
    net, image = tiny.build(tiny.Pooled), tiny.images(1)
    named = pellucid.plan(net, image, ["grad-cam", "saliency"], 2, ["features.3", "features.5"], fuse="max").chosen
    assert {name: choice.by for name, choice in named.items()} == dict.fromkeys(named, "user")
    assert [str(site) for site in named["layer"].value] == ["features.3", "features.5"]
    assert named["fuse"] == Choice("max", "user")
    left = pellucid.plan(net, image).chosen
    assert {name: choice.by for name, choice in left.items()} == dict.fromkeys(left, "default")
    assert pellucid.plan(net, image, "grad-cam", layer="auto").chosen["layer"].by == "trial"


def test_it_can_not_be_changed_and_says_the_maps_to_come():
    net, image = tiny.build(tiny.Pooled), tiny.images(1)
    made = pellucid.plan(net, image, ["grad-cam", "saliency", "refine-cam"], [1], ["features.3", "features.5"])
    maps = pellucid.explain(net, image, ["grad-cam", "saliency", "refine-cam"], [1], ["features.3", "features.5"])
    assert [(job.step.method.id, job.places) for job in made.jobs] == [
        (a.method.id, a.site.sites if a.site else ()) for a in maps
    ]
    assert "Map of refine-cam at features.3 + features.5 (product): 6 passes" in str(made)
    assert (maps["refine-cam"].cost.forward, maps["refine-cam"].cost.backward) == (2, 2)
    with pytest.raises(FrozenInstanceError):
        made.seed = 1


@pytest.mark.parametrize("target", [1, "top3"])
def test_its_cost_is_what_the_maps_take(target):
    """Rows that the network is given, for methods whose passes all targets share and for those that differentiate."""
    net, image = tiny.build(tiny.Plain), tiny.images(1)
    made = pellucid.plan(net, image, list(OPTIONS), target, options=OPTIONS)
    found = pellucid.explain(net, image, list(OPTIONS), target, options=OPTIONS)
    assert len(made.targets) == len(found) / len(OPTIONS)
    shared, targets = 20, len(made.targets)
    assert (made.cost.forward, made.cost.backward) == (shared + 12 * targets, 12 * targets)
    for job in made.jobs:
        each = [a.cost for a in found if a.method is job.step.method]
        assert (
            sum(cost.backward for cost in each)
            == {"rise": 0, "smoothgrad": 7, "integrated-gradients": 5}[job.step.method.id] * targets
        )


def test_its_cost_counts_the_passes_in_which_layers_are_tried():
    rows, image = [], tiny.images(2)

    class Counting(tiny.Pooled):
        def forward(self, x):
            rows.append(len(x))
            return super().forward(x)

    model = pellucid.wrap(tiny.build(Counting))
    taken = {}
    for layer in (None, "auto", None, "auto"):  # the first of each also finds out what is remembered for the network
        rows.clear()
        made = pellucid.plan(model, image, "grad-cam", 1, layer=layer)
        taken[layer] = sum(rows), made.cost, made.layers.cost
    tried = taken["auto"][2]
    assert 2 * tried.forward == taken["auto"][0] - taken[None][0] > 0
    assert tried.backward == 3, "of Grad-CAM for the best three classes"
    assert taken["auto"][1].passes == taken[None][1].passes + tried.forward + 2 * 3
    assert f"Trial of layers: {tried.passes} passes" in made.lines


def test_a_dry_run_says_the_plan_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        "from torch import nn\nfrom pellucid import wrap\n\n\ndef model():\n"
        "    trunk = nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()\n"
        "    net = nn.Sequential(*trunk, nn.Linear(2, 3))\n"
        "    return wrap(net, name='small', size=8, resize=None)\n"
    )
    monkeypatch.setattr("pellucid.engine.run.run_shared_pass", lambda *_: pytest.fail("a map was begun"))
    line = ["explain", "sample:cat", "sample:rocket", "--model", "net.py", "-m", "rise,grad-cam", "--dry-run"]
    assert main([*line, "--target", "top3"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Plan for cat, the first of 2 pictures" in said
    assert "Class: top3 (chosen by you)" in said
    assert "Layer: 1 (the last layer with a grid that the score depends on)" in said
    assert (
        "Map of rise for each of 3 targets: 4,000 passes Map of grad-cam at 1 for each of 3 targets: 7 passes" in said
    )
    assert main([*line, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["choices"]["layer"] == {
        "value": ["1"], "by": "default", "why": "the last layer with a grid that the score depends on",
    }  # fmt: skip
    assert plan["cost"] == {"passes": 4003, "forward": 4001, "backward": 1, "open": []}
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["net.py"]
