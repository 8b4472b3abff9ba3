"""Small pictures, a fuse that stops a pass, and `explain` as it is typed."""

import numpy as np
import pytest
from bright import NET, Fuse
from PIL import Image
from torch.nn.modules.module import register_module_forward_pre_hook

from pellucid.cli import explain_job, main


@pytest.fixture(autouse=True)
def fuse():
    made = Fuse()
    handle = register_module_forward_pre_hook(made)
    yield made
    handle.remove()


@pytest.fixture
def photos(tmp_path):
    """Twenty pictures of 8 x 8 pixels, each of one colour."""
    folder = tmp_path / "photos"
    folder.mkdir()
    colours = np.random.default_rng(0).integers(0, 256, (20, 3))
    for k, colour in enumerate(colours):
        Image.new("RGB", (8, 8), tuple(map(int, colour))).save(folder / f"{k}.png")
    return folder


@pytest.fixture
def few(photos):
    """Four of the pictures."""
    for path in photos.iterdir():
        if int(path.stem) > 3:
            path.unlink()
    return photos


@pytest.fixture
def command(few, tmp_path, monkeypatch, capsys):
    """`pellucid explain` on four pictures; gives the exit status and what was written to both streams."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET.replace("raise ERROR", "pass"))

    def call(*more, pictures="photos"):
        code = main(["explain", pictures, "--model", "net.py", "-m", "saliency,grad-cam", *more])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def explained(monkeypatch):
    """Names of the pictures that go through `explain`; Ctrl-C before one of them, if it is named."""
    names, real = [], explain_job.explain

    def explain(model, picture, *rest, **more):
        if picture.name == names.stop:
            raise KeyboardInterrupt
        names.append(picture.name)
        return real(model, picture, *rest, **more)

    class Names(list):
        stop = None

    names = Names()
    monkeypatch.setattr(explain_job, "explain", explain)
    return names
