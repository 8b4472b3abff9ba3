"""What the command line says: documents with a version also on misuse, names nearly right, help that fits."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
from pellucid.cli import main
from pellucid.errors import BadModel, UnknownName
from pellucid.models.weights import load_weights, read_weights

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "photo.png")

    def call(*arguments):
        code = main(list(arguments))
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("explain", "photo.png", "--method", "grad-camm"), "UnknownName"),
        (("explain", "photo.png", "--size", "x"), "BadOption"),
        (("explain", "photo.png", "--wrong"), "UnknownName"),
        (("layers",), "MissingParameter"),
        (("top", "photo.png", "--layer", "1", "--most", "none"), "BadParameter"),
        (("fool",), "BadOption"),
        (("methods", "nothing"), "UnknownName"),
        (("locate", "photo.png", "--by", "luck"), "UnknownName"),
        (("atlas", "photo.png", "--layer", "1", "--model", "zoo:none"), "UnknownName"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value[0],
)
def test_newcomer_14_misuse_is_a_document_too(run, arguments, kind):
    code, out, err = run(*arguments, "--json")
    found = json.loads(out)
    assert code == found["exit_code"] == 2
    assert found["error"] == kind
    assert found["schema_version"] == 1
    assert "Error" in err
    assert run(*arguments)[1] == ""


@pytest.mark.parametrize("arguments", [("models",), ("methods",), ("methods", "lime"), ("layers", "zoo:lenet5")])
def test_newcomer_14_every_document_has_a_version(run, arguments):
    code, out, _ = run(*arguments, "--json")
    assert (code, json.loads(out)["schema_version"]) == (0, 2 if arguments[0] == "layers" else 1)


def test_newcomer_15_help_fits_and_has_no_marks(run):
    for command in ("explain", "compare", "locate"):
        _, out, _ = run(command, "--help")
        assert "\\b" not in out
        assert "\b" not in out
        assert "pellucid methods ID" in out.replace("\n", " ").replace("  ", " ")
    assert run("explain", "--help")[1].count("\n") < 120


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("checkpoint.pth", r"--model torchvision:resnet50 --weights checkpoint.pth"),
        ("runs/best.ckpt", r"--model FILE.py:FACTORY --weights runs/best.ckpt"),
        ("lenet5", "Did you mean zoo:lenet5"),
        ("resnet50", "Did you mean .*:resnet50"),
    ],
)
def test_newcomer_16_names_that_are_nearly_right(spec, match):
    with pytest.raises(UnknownName, match=match):
        pellucid.load(spec)


class Settings:
    """A class of the user's own, kept beside weights; made with a value that would be seen if it were run."""

    made = 0

    def __setstate__(self, state):
        type(self).made += 1


def test_newcomer_16_objects_beside_weights_are_left_alone(tmp_path):
    net = nn.Linear(3, 2)
    beside = {
        "args": argparse.Namespace(lr=0.1, data=Path("photos")), "best": np.float64(0.5), "settings": Settings()
    }  # fmt: skip
    beside["settings"].name = "a"
    torch.save({"state_dict": net.state_dict(), **beside}, tmp_path / "w.pth")
    other = load_weights(nn.Linear(3, 2), tmp_path / "w.pth")
    assert torch.equal(other.weight, net.weight)
    assert Settings.made == 0


class Acts:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_newcomer_16_what_would_run_code_is_refused_as_before(tmp_path):
    torch.save({"state_dict": nn.Linear(3, 2).state_dict(), "args": Acts(str(tmp_path / "made"))}, tmp_path / "w.pth")
    with pytest.raises(BadModel, match="could run code"):
        read_weights(tmp_path / "w.pth")
    torch.save({"state_dict": nn.Linear(3, 2), "epoch": 3}, tmp_path / "module.pth")
    with pytest.raises(BadModel):
        read_weights(tmp_path / "module.pth")
    assert not (tmp_path / "made").exists()


def test_newcomer_17_dissect_of_a_folder_that_is_not_there(run):
    code, _, err = run("dissect", "photo.png", "--masks", "nowhere", "--layer", "1")
    assert code == 2
    assert "There is no folder 'nowhere'" in err


def make(folder, version, *extra):
    """`make .venv/package` with a Python that says that it is of a version, and writes down what it is asked to do."""
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("pyproject.toml", "constraints.txt"):
        (folder / name).touch()
    fake = folder / "python"
    fake.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = -c ]; then exec {sys.executable} -c '
        f'"import sys; sys.version_info = {version}; exec(sys.argv.pop(1))" "$2" "$3"; fi\n'
        'echo "$@" >> asked\nexit 1\n'
    )
    fake.chmod(0o755)
    command = ["make", ".venv/package", "PYTHON=./python", *extra]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_newcomer_9_the_version_of_python_is_checked_first(tmp_path):
    found = make(tmp_path, (3, 9, 1))
    assert found.returncode
    assert "Pellucid needs Python 3.11 or newer, and ./python is 3.9" in found.stderr
    assert not (tmp_path / ".venv").exists()
    assert not (tmp_path / "asked").exists()


def test_newcomer_8_an_environment_without_pip_is_made_anew(tmp_path):
    broken = tmp_path / ".venv" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 1\n")  # what Ctrl-C leaves: python is there, pip is not
    broken.chmod(0o755)
    make(tmp_path, (3, 12, 1))
    assert (tmp_path / "asked").read_text() == "-m venv --clear .venv\n"
    assert not (tmp_path / ".venv" / "package").exists()
