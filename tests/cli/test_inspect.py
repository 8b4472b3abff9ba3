"""`pellucid inspect`."""

import json


def test_the_table(run):
    answer = run("inspect", "nets.py")
    assert answer.code == 0, answer.err
    (line,) = [line for line in answer.out.splitlines() if line.strip().startswith("second")]
    assert line.split()[:7] == ["second", "Conv2d", "3", "1", "1", "1", "1"]
    assert "8x8x8" in line
    assert "tiny, input 3x16x16, output 4" in answer.out
    assert f"{6 * 28 + 8 * 55 + 36:,} parameters" in answer.out


def test_json_and_files(run, folder):
    found = json.loads(run("inspect", "nets.py", "--size", "12", "--out", "seen", "--json").out)
    assert found["input"] == [1, 3, 12, 12]
    assert found["multiply_adds"] == sum(m["multiply_adds"] for m in found["modules"][1:])
    names = ["filters", "graph.svg", "inspection.html", "inspection.json", "result.npz", "structure.csv"]
    assert sorted(p.name for p in (folder / "seen").iterdir()) == names


def test_a_picture(run, draw):
    assert json.loads(run("inspect", "nets.py", "--picture", draw(), "--json").out)["picture"] == "photo.png"


def test_deep_modules_wait_for_all(run):
    short, whole = run("inspect", "efficientnet-lite0").out, run("inspect", "efficientnet-lite0", "--all").out
    assert "blocks.3.project.conv" not in short
    assert "--all lists them" in short
    assert "blocks.3.project.conv" in whole
    assert "4,652,008 parameters; 385,187,552 multiply-adds" in short


def test_a_shape_instead_of_a_size(run, folder):
    (folder / "sound.py").write_text("from torch import nn\ndef model():\n    return nn.Conv1d(2, 4, 9, stride=4)\n")
    answer = run("inspect", "sound.py", "--input", "2x160")
    assert answer.code == 0, answer.err
    assert "4x38" in answer.out
    assert run("inspect", "sound.py").code == 2
    assert "such as 1x16000" in run("inspect", "sound.py", "--input", "2xmany").err
    assert "Conv1d cannot take an input of shape [1, 3, 160]" in run("inspect", "sound.py", "--input", "3x160").err
