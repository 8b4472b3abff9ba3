"""Tables: rows of files under named columns; what is hidden has the mean of its column over the other rows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
from pellucid.cli import main
from pellucid.errors import BadOption, BadSample, UnknownName
from pellucid.modalities import parts_of, read_part

ROWS = [[1.0, 20.0, -3.0], [2.0, 10.0, 1.5], [4.0, 0.0, 3.0], [1.0, 4.0, 0.0]]


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double().eval()


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text('age,<b>pay</b>,"x, y"\n' + "\n".join(",".join(map(str, row)) for row in ROWS) + "\n")
    return path


def test_a_hidden_column_has_its_mean_over_the_other_rows(net, table):
    found = pellucid.explain(net, table, ["occlusion", "integrated-gradients", "saliency"], target=0, row=1)
    x, fill = torch.tensor(ROWS[1]).double(), torch.tensor([2.0, 8.0, 0.0]).double()
    hidden = x.repeat(3, 1)
    hidden[range(3), range(3)] = fill
    wanted = net(x[None])[0, 0] - net(hidden)[:, 0]
    torch.testing.assert_close(found["occlusion"].values[0], wanted.detach())
    whole = (net(x[None])[0, 0] - net(fill[None])[0, 0]).item()
    assert float(found["integrated-gradients"].values.sum()) == pytest.approx(whole, abs=1e-3)
    assert str(found.axes[0]) == "feature 3" and found.samples[0].name == "people row 1"


def test_tensors_and_files_give_the_same(net, table):
    by_file = pellucid.explain(net, table, "occlusion", target=0)
    by_tensor = pellucid.explain(net, torch.tensor(ROWS).double(), "occlusion", target=0, kind="table")
    assert torch.equal(by_file["occlusion"].values, by_tensor["occlusion"].values)
    back = pellucid.read(by_file.save(table.parent / "out"))
    assert back.samples[2].geometry["columns"] == ("age", "<b>pay</b>", "x, y")
    assert torch.equal(back["occlusion"].values, by_file["occlusion"].values)
    page = (table.parent / "out" / "people row 1".replace(" ", "-") / "report.html").read_text()
    assert "&lt;b&gt;pay" in page and "<b>pay" not in page


def test_a_lone_row_needs_a_stated_fill(net, tmp_path):
    (tmp_path / "one.csv").write_text("1,2,3\n")
    with pytest.raises(BadOption, match=r"lone row.*--occlusion.fill 0"):
        pellucid.explain(net, tmp_path / "one.csv", "occlusion")
    stated = pellucid.explain(net, tmp_path / "one.csv", "occlusion", options={"occlusion": {"fill": 0.0}}, target=0)
    plain = pellucid.explain(net, torch.tensor([[1.0, 2.0, 3.0]]).double(), "occlusion", target=0)
    assert torch.equal(stated["occlusion"].values, plain["occlusion"].values)


def test_rows_are_judged_by_hiding_columns_behind_their_means(net, table):
    found = pellucid.explain(net, table, "occlusion", target=0, row=1, trust=True)
    curve = found.evaluation["occlusion", "deletion"].extras["curve"][0]
    x, fill = torch.tensor(ROWS[1]).double(), torch.tensor([2.0, 8.0, 0.0]).double()
    ends = net(torch.stack([x, fill])).softmax(1)[:, 0].detach()
    assert len(curve) == 4
    torch.testing.assert_close(curve[[0, -1]].double(), ends)
    shown = found.evaluation["occlusion", "insertion"].extras["curve"][0]
    torch.testing.assert_close(shown[[-1, 0]].double(), ends)


def test_rows_and_columns_are_those_that_were_asked_for(table, tmp_path):
    (part,) = parts_of("table", [str(table)], {"row": 2, "columns": "x, y,age".replace("x, y,", "")})
    assert read_part(part).tensor.tolist() == [[4.0]]
    assert [each.name for each in parts_of("table", [str(table)], {})] == [f"people row {k}" for k in range(4)]
    for options, error, said in (
        ({"row": 4}, BadOption, r"has 4 rows, 0 to 3; got row 4"),
        ({"row": 0, "columns": "aeg"}, UnknownName, "Did you mean 'age'"),
    ):
        with pytest.raises(error, match=said):
            read_part(parts_of("table", [str(table)], options)[0])
    (tmp_path / "long.csv").write_text("1\n" * 33)
    with pytest.raises(BadOption, match=r"33 rows.*--row 17"):
        parts_of("table", [str(tmp_path / "long.csv")], {})


@pytest.mark.parametrize(("cell", "said"), [
    ("red", r"row 1 \(line 3\), column 'colour': expected a number, got 'red'. Turn categories"),
    ("nan", r"row 1, column 'colour' holds nan.*over the other rows"),
    ("", r"row 1 \(line 3\), column 'colour' has no value"),
])  # fmt: skip
def test_categories_and_missing_cells_are_refused_by_column(tmp_path, cell, said):
    (tmp_path / "t.csv").write_text(f"size,colour\n1,2\n3,{cell}\n")
    with pytest.raises(BadSample, match=said):
        read_part(parts_of("table", [str(tmp_path / "t.csv")], {"row": 0})[0])


def test_files_and_network_tell_the_kind(net, table, tmp_path, monkeypatch, capsys):
    net = net.float()
    assert pellucid.explain(net, table, "saliency").samples[0].kind == "table"
    signal = nn.Sequential(nn.Conv1d(3, 2, 1), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    assert pellucid.explain(signal, table, "saliency").samples[0].kind == "signal"
    with pytest.raises(BadOption, match=r"--kind signal or --kind table"):
        pellucid.explain(nn.Sequential(nn.Linear(5, 2)), table, "saliency")
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("from torch import nn\n\n\ndef model():\n    return nn.Linear(3, 2)\n")
    assert main(["explain", "people.csv", "--row", "1", "--model", "net.py:model", "-m", "occlusion"]) == 0
    assert "people row 1, a row of a table: feature 3" in capsys.readouterr().out
    assert np.load("pellucid-out/people-row-1/maps.npz")["occlusion/values"].shape == (3,)
