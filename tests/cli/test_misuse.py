"""Misuse ends with status 2, bad data with 3: one paragraph that says what to do."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("-m", "gradcam"), "Did you mean 'grad-cam'"),
        (("--target", "tigr cat"), "Did you mean 'tiger cat'"),
        (("--target", "fox"), "'fox' is ambiguous: 2 'red fox', 3 'grey fox'"),
        (("--target", "top99"), "top1 to top20"),
        (("--target", "9", "-m", "saliency"), "Class 9 is out of range"),
        (("--layer", "secnd"), "Did you mean 'second'"),
        (("--layer", "head"), "head"),
        (("--layer", "act:x"), "call number"),
        (("--occlusion.windw", "8"), "Did you mean '--occlusion.window'"),
        (("--oclusion.window", "8"), "Did you mean '--occlusion.window'"),
        (("--methd", "cam"), "Did you mean '--method'"),
        (("--occlusion.window", "wide"), "--occlusion.window, got 'wide'"),
        (("--occlusion.stride", "0"), "stride 0"),
        (("--grad-cam.rectify", "maybe"), "got 'maybe'"),
        (("--smoothgrad.samples", "3"), "Add --method smoothgrad"),
        (("--chunk", "0"), "0 is not in the range"),
        (("--seed", "x"), "'x' is not a valid integer"),
        (("--size", "big"), "--size, got 'big'"),
        (("--size", "0"), "positive"),
        (("--resize", "half"), "--resize, got 'half'"),
        (("--mean", "a,b,c"), "--mean, got 'a,b,c'"),
        (("--std", "0,0,0"), "above 0"),
        (("--interpolation", "cubic"), "bicubic"),
        (("--device", "tpu9"), "tpu9"),
        (("--out", "nets.py"), "'nets.py' is a file"),
    ],
)
def test_misuse(explain, draw, folder, arguments, near):
    answer = explain(draw(), *arguments)
    assert answer.code == 2, answer
    assert near in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == "" or answer.out.startswith("Model tiny")
    assert not (folder / "pellucid-out").exists()


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("explane", "a.png"), "Did you mean 'explain'"),
        (("explain",), "Missing argument 'PICTURE...'"),
        (("layers",), "Missing argument 'MODEL'"),
        (("methods", "occlude"), "Did you mean 'occlusion'"),
        (("layers", "efficientnet"), "Did you mean 'efficientnet-lite0'"),
        (("explain", "sample:cat", "--model", "resnet50"), "Expected efficientnet-lite0, torchvision:NAME"),
        (("explain", "photo.png", "--model", "nets.py:modle"), "Did you mean 'model'"),
        (("explain", "photo.png", "--model", "nets.py:bare"), "Add --size 224"),
        (("layers", "nets.py:bare"), "Add --size 224"),
    ],
)
def test_misuse_of_commands(run, draw, arguments, near):
    draw()
    answer = run(*arguments)
    assert answer.code == 2, answer
    assert near in answer.err


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("--model", "none.py"), "There is no Python file"),
        (("--classes", "none.txt"), "none.txt cannot be read"),
        (("--weights", "none.pth"), "none.pth"),
        (("--weights", "nets.py"), "nets.py"),
    ],
)
def test_bad_models(explain, run, draw, arguments, near):
    answer = run("explain", draw(), "--model", "nets.py", *arguments)
    assert answer.code == 3, answer
    assert near in answer.err


def test_an_error_is_one_paragraph(explain, draw):
    answer = explain(draw(), "-m", "gradcam")
    assert answer.err.startswith("Error: ")
    assert answer.err.count("\n") == 1


def test_a_named_method_that_would_be_wrong_is_refused(explain, draw):
    answer = explain(draw(), "-m", "guided-backprop", model="nets.py:gelu")
    assert answer.code == 2
    assert "gelu" in answer.err
    assert "--guided-backprop.other-activations plain" in answer.err


def test_a_folder_that_cannot_be_written(explain, draw, folder):
    (folder / "file").write_text("")
    answer = explain(draw(), "-m", "saliency", "--out", "file/inside")
    assert answer.code == 2
    assert "annot" in answer.err
    assert "file/inside" in answer.err


def test_a_bug_is_said_with_its_place(explain, draw):
    answer = explain(draw(), "-m", "saliency", model="nets.py:broken")
    assert answer.code == 1
    assert "photo.png: The code of _Broken failed: IndexError: list index out of range (nets.py, line " in answer.err
    assert "This is the model's own code" in answer.err


def test_a_warning_is_one_line_on_standard_error(explain, draw):
    answer = explain(draw(), "-m", "saliency", model="nets.py:noisy")
    assert answer.code == 0
    assert answer.err == "Warning: these weights are random\n"
