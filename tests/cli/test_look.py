"""`pellucid look`."""

import json

from PIL import Image


def test_the_numbers(run, draw):
    answer = run("look", draw(), "--model", "nets.py", "--layer", "second", "--unit", "3", "--at", "2,5")
    assert answer.code == 0, answer.err
    assert "54 products add up to" in answer.out
    assert "relu(" in answer.out


def test_json_and_a_picture(run, draw, folder):
    given = ("look", draw(), "--model", "nets.py", "--layer", "pool", "--unit", "1", "--at", "0,0", "--out", "seen.png")
    found = json.loads(run(*given, "--json").out)
    assert found["kind"] == "maximum"
    assert sum(sum(row) for row in found["backward"][0]) == 1
    assert found["stages"][0]["worked"] == found["value"]
    with Image.open(folder / "seen.png") as image:
        assert image.width > 400
    assert "to the winner alone" in run(*given).out


def test_misuse(run, draw):
    common = ("look", draw(), "--model", "nets.py")
    assert "units 0 to 7" in run(*common, "--layer", "second", "--unit", "8", "--at", "0,0").err
    assert "such as 5,7" in run(*common, "--layer", "second", "--unit", "1", "--at", "here").err
    assert run(*common, "--layer", "secnd", "--unit", "1").code == 2
    flat = run(*common, "--layer", "head", "--unit", "1", "--out", "no.png")
    assert flat.code == 0
    assert "no window" in flat.err


def test_a_drawing_that_cannot_be_written(run, draw, folder):
    (folder / "file").write_text("")
    given = ("--model", "nets.py", "--layer", "pool", "--unit", "1", "--at", "0,0", "--out", "file/value.png")
    answer = run("look", draw(), *given)
    assert answer.code == 2
    assert "Cannot write to" in answer.err
