"""What long work takes is said before it begins: RISE on photographs was stopped after ten minutes of silence."""

import json

import pytest
import torch
from torch import nn

import pellucid
from pellucid.cli import forecast, main
from pellucid.cli.forecast import Forecast
from pellucid.engine.cost import cost_of
from pellucid.engine.planned import planned_methods
from pellucid.evaluation import cost_of_trust, judge_trust

NET = """
import torch
from torch import nn
from pellucid import wrap

class Net(nn.Sequential):
    passes = []
    def forward(self, x):
        self.passes.append(len(x))
        return super().forward(x)

def model():
    net = Net(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    return wrap(net, name="small", size=8, resize=None)
"""


@pytest.mark.parametrize(
    ("method", "option", "count"),
    [
        ("rise", "masks", 40),
        ("lime", "samples", 100),
        ("integrated-gradients", "steps", 30),
        ("smoothgrad", "samples", 30),
    ],
)
def test_the_passes_that_are_planned_are_those_that_are_made(method, option, count):
    """Beside what the attribution itself counted, one backwards as two; a few more for references and the picture."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    given = {"options": {method: {option: count}}}
    planned = pellucid.plan(net, torch.rand(1, 3, 8, 8), method, **given).cost
    cost = pellucid.explain(net, torch.rand(1, 3, 8, 8), method, **given)[method].cost
    assert planned.passes == pytest.approx(cost.forward + 2 * cost.backward, rel=0.25)


def test_it_is_said_before_the_first_method_begins(tmp_path, monkeypatch, capsys):
    """4,000 masks of one second each, which three targets share, for two pictures: 8,000 s, 133 minutes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.setattr(forecast, "_seconds", lambda *_: 1.0)
    said = []

    def explain(*_, **__):
        said.append(capsys.readouterr().err)
        raise KeyboardInterrupt

    monkeypatch.setattr("pellucid.cli.explain_job.explain", explain)
    command = [
        "explain",
        "sample:cat",
        "sample:rocket",
        "--model",
        "net.py",
        "-m",
        "rise",
        "--target",
        "top3",
        "--json",
    ]
    assert main(command) == 130
    assert "About 4,000 passes of small for each of 2 pictures: about 2 hours in all." in said[0]
    document = json.loads(capsys.readouterr().out)
    assert document["plan"] == {"passes_per_picture": 4000, "seconds_per_picture": 4000.0, "not_counted": []}


def test_a_pass_is_measured_where_there_will_be_many_and_short_work_says_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    line = ["explain", "sample:cat", "--model", "net.py", "-m", "rise", "--json"]
    found = []
    for masks in ("20", "500"):
        assert main([*line, "--rise.masks", masks]) == 0
        captured = capsys.readouterr()
        assert "passes of small" not in captured.err
        found.append(json.loads(captured.out)["plan"])
    assert found[0] == {"passes_per_picture": 20, "seconds_per_picture": None, "not_counted": []}
    assert found[1]["passes_per_picture"] == 500
    assert 0 < found[1]["seconds_per_picture"] < 60


def test_the_passes_of_judging_that_are_planned_are_those_that_are_made():
    """Two targets, so that those of the maps that know nothing are shared; the network has six parts with weights."""
    torch.manual_seed(0)
    layers = [layer for _ in range(5) for layer in (nn.Conv2d(3, 3, 1), nn.Tanh())]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    found = pellucid.explain(net, torch.rand(1, 3, 8, 8), "saliency", "top2")
    made = cost_of(((step, 1) for step in planned_methods(["saliency"], {})), 1)
    planned, scores = cost_of_trust(made, 1, 2), list(judge_trust(found))
    assert len({score.metric.id for score in scores}) == 4
    controls = sum(control.cost.forward for control in scores[0].controls.values())
    assert planned.forward == sum(score.cost.forward for score in scores) + 2 * controls, "of deletion and insertion"
    assert planned.backward == sum(score.cost.backward for score in scores) == 2 * (6 + 5)


def test_judging_in_its_limit_is_named():
    assert Forecast(4000, 50.0).said("net", 1, judged=True) == ""
    said = Forecast(4000, 80.0).said("net", 1, judged=True)
    assert said == "About 4,000 passes of net: about 1 minute, and at most a minute a picture of judging."
    said = Forecast(4000, 80.0, ("sobol",)).said("net", 1, judged=False)
    assert said.startswith("At least 4,000 passes of net")
    assert said.endswith("Not counted: what sobol finds out on the way.")
