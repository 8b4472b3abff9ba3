"""Every JSON document that leaves the program keeps to its schema in docs/schemas/."""

import json
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from referencing import Registry, Resource

from pellucid.cli import main, selftest

FOLDER = Path(__file__).parents[2] / "docs/schemas"
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
NET = """
import torch
from torch import nn
from pellucid.models import wrap
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                            nn.Linear(6, 3))
    return wrap(net, name="tiny", size=16, mean=[0.5] * 3, std=[0.5] * 3, classes=["red", "green", "blue"])
"""
OF_TINY = ["--model", "net.py"]
LINES = {  # schema: the command, besides --json
    "atlas": ["atlas", "photos", *OF_TINY, "--layer", "1", "--grid", "1", "--least", "1", "--places", "4",
              "--icon", "16", "--steps", "1", "--out", "a"],
    "compare": ["compare", "photos", *OF_TINY, "--method", "saliency,occlusion", "--metric", "deletion", "--out", "c"],
    "dissect": ["dissect", "photos", "--masks", "masks", *OF_TINY, "--layer", "1"],
    "doctor": ["doctor"],
    "dream": ["dream", "net.py", "--class", "1", "--steps", "1", "--size", "16", "--out", "d.png"],
    "error": ["explain", "photos/0.png", *OF_TINY, "--method", "no-such"],
    "explain": ["explain", "photos", *OF_TINY, "--method", "grad-cam,occlusion", "--out", "e"],
    "fool": ["fool", "photos/0.png", *OF_TINY, "--save", "g.png", "--out", "f.png"],
    "inspect": ["inspect", "net.py", "--picture", "photos/0.png", "--out", "i"],
    "layers": ["layers", "net.py", "--picture", "photos/0.png"],
    "locate": ["locate", "photos", *OF_TINY, "--out", "l"],
    "look": ["look", "photos/0.png", *OF_TINY, "--layer", "0", "--unit", "1", "--at", "3,4"],
    "method": ["methods", "occlusion"],
    "methods": ["methods"],
    "models": ["models"],
    "samples": ["samples", "s"],
    "spectrum": ["spectrum", "build", "photos", "--side", "16", "--out", "m.safetensors"],
    "top": ["top", "photos", *OF_TINY, "--layer", "1", "--most", "1", "--out", "t"],
    "train": ["train", "folder", "classes", "--arch", "small-resnet", "--head", "gap", "--size", "16",
              "--passes", "1", "--out", "w"],
}  # fmt: skip
FILES = {  # schema: a file that the commands have written
    "atlas-file": "a/atlas.json", "comparison": "c/comparison.json", "dream-file": "d.json",
    "manifest": "e/0/manifest.json", "inspection": "i/inspection.json", "localisation": "l/localisation.json",
    "localisation-manifest": "l/0/manifest.json", "top-file": "t/top.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each command prints, and the files that it writes, by the name of the schema."""
    place = tmp_path_factory.mktemp("documents")
    (place / "net.py").write_text(NET)
    draws = np.random.default_rng(0)
    for folder in ("photos", "masks/bright", "classes/a", "classes/b"):
        (place / folder).mkdir(parents=True)
        for k in range(2 if folder in ("photos", "masks/bright") else 8):
            shades = draws.integers(0, 255, (16, 20, 3), np.uint8)
            mask = (shades[..., 0] > 99).astype(np.uint8) * 255
            Image.fromarray(mask if folder == "masks/bright" else shades).save(place / folder / f"{k}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(selftest, "selftest", lambda: [selftest.TestResult("fast", "a test", None, "")])
        yield {**{name: printed([*line, "--json"], place) for name, line in LINES.items()},
               **{name: json.loads((place / file).read_text()) for name, file in FILES.items()}}  # fmt: skip


def printed(line, place):
    """The document on standard output."""
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(line)
    return json.loads(out.getvalue())


REGISTRY = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values())


def test_documents_keep_to_their_schemas(said):
    assert set(SCHEMAS) == {*said, "head"}
    wrong = {
        name: [f"{error.json_path}: {error.message[:200]}" for error in
               Draft202012Validator(SCHEMAS[name], registry=REGISTRY).iter_errors(document)]
        for name, document in said.items()
    }  # fmt: skip
    assert {name: errors for name, errors in wrong.items() if errors} == {}
    assert all(list(d)[:6] == list(SCHEMAS["head"]["properties"]) for name, d in said.items())


@pytest.mark.parametrize("change", [{"model": "tiny"}, {"created": "now"}, {"surprise": 1}, {"inputs": [{"seen": []}]}])
def test_a_document_that_breaks_its_schema_is_seen(said, change):
    validator = Draft202012Validator(SCHEMAS["layers"], registry=REGISTRY)
    assert validator.is_valid(said["layers"])
    assert not validator.is_valid({**said["layers"], **change})


def test_every_schema_is_one_and_is_listed():
    page = (FOLDER.parent / "documents.md").read_text()
    for name, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        assert f"schemas/{name}.json" in page
