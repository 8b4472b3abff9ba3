"""Every command that the README and docs/ print runs as printed, from top to bottom, in a folder with nothing in it.

Minutes to hours; `make acceptance` calls it, `make test` does not. What torchvision would download is random weights
here, so that nothing is fetched: what is tested is that the commands run, not what they find.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from printed import BROUGHT, PAGES, lines

SPEC = "torchvision:"
LONGEST = 3 * 3600
"""Seconds for one command: `--trust full` says itself that it takes long."""


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Runs lines one after the other, as a shell does that was opened in an empty folder."""
    home = tmp_path_factory.mktemp("home")
    place = {"cwd": tmp_path_factory.mktemp("empty")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PELLUCID_DATA": str(home / "data"), "TORCH_HOME": str(home / "torch")}

    def run(text):
        if text.startswith("cd "):
            place["cwd"] = place["cwd"] / text.split()[1]
            assert place["cwd"].is_dir()
            return
        for word in text.split():
            if word.startswith(SPEC) and word.count(":") == 2:
                stand_in(word.split(":")[1], home / "torch" / "hub" / "checkpoints")
        if any(name in text for name in BROUGHT):
            challenge(place["cwd"])
        ran = subprocess.run(
            ["bash", "-c", text], cwd=place["cwd"], env={**os.environ, **own}, timeout=LONGEST,
            capture_output=True, text=True,
        )  # fmt: skip
        assert ran.returncode == 0, f"{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}"

    return run


def stand_in(name, folder):
    """Random weights in the file that torchvision would download."""
    import torch
    from torchvision import models

    file = folder / Path(models.get_model_weights(name)["DEFAULT"].url).name
    if file.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    options = {"weights_backbone": None} if "retinanet" in name else {}
    options |= {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    module = models.get_model(name, weights=None, **options)
    if "retinanet" in name:  # an untrained one sees nothing anywhere, this one sees everything everywhere
        torch.nn.init.zeros_(module.head.classification_head.cls_logits.bias)
    torch.save(module.state_dict(), file)


def challenge(folder):
    """Pictures and boxes laid out as those of the challenge, made from the samples."""
    pictures, boxes = (folder / name for name in BROUGHT)
    if not pictures.exists():
        shutil.copytree(folder / "val", pictures)
        shutil.copytree(folder / "Annotations", boxes)
        for number, (name, synset) in enumerate(
            {"cat": "n02123159", "coffee": "n07920052", "rocket": "n03773504"}.items()
        ):
            new = f"ILSVRC2012_val_{number + 1:08d}"
            (pictures / f"{name}.jpg").rename(pictures / f"{new}.JPEG")
            text = (boxes / f"{name}.xml").read_text()
            (boxes / f"{name}.xml").unlink()
            named = text.replace(f"<name>{name}</name>", f"<name>{synset}</name>")
            (boxes / f"{new}.xml").write_text(named.replace(f"{name}.jpg", new))


@pytest.mark.parametrize("line", [line for page in PAGES for line in lines(page) if "make " not in line.text], ids=str)
def test_it_runs_as_printed(line, shell):
    shell(line.text)
