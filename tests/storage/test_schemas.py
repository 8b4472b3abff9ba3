"""Every JSON document that leaves the program keeps to its schema in docs/schemas/."""

import contextlib
import io
import json
import math
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from referencing import Registry, Resource

from pellucid.choices import BestMethod
from pellucid.cli import main, selftest
from pellucid.cli.app import program
from pellucid.comparison.best import remember
from pellucid.feature_visualisation.trust_panel import Natural, VisualisationTrust
from pellucid.feature_visualisation.trust_panel import Path as LikenessPath
from pellucid.models import load
from pellucid.storage.plain_json import as_json

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
    "camify": ["camify", "net.py", "--data", "classes", "--layer", "1", "--out", "h.safetensors"],
    "atlas": ["atlas", "photos", *OF_TINY, "--layer", "1", "--grid", "1", "--least", "1", "--places", "4",
              "--icon", "16", "--steps", "1", "--out", "a"],
    "compare": ["compare", "photos", *OF_TINY, "--method", "saliency,occlusion", "--metric", "deletion", "--out", "c"],
    "dissect": ["dissect", "photos", "--masks", "masks", *OF_TINY, "--layer", "1", "--out", "x"],
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
    "metric": ["metrics", "deletion"],
    "metrics": ["metrics"],
    "models": ["models"],
    "plan": ["explain", "photos", *OF_TINY, "--method", "saliency,occlusion", "--dry-run"],
    "read": ["read", "e/0"],
    "samples": ["samples", "s"],
    "scores": ["locate", "photos", *OF_TINY, "--annotations", "known.json", "--held-out", "0.5", "--out", "n"],
    "spectrum": ["spectrum", "build", "photos", "--side", "16", "--out", "m.safetensors"],
    "top": ["top", "photos", *OF_TINY, "--layer", "1", "--most", "1", "--out", "t"],
    "train": ["train", "folder", "classes", "--arch", "small-resnet", "--head", "gap", "--size", "16",
              "--passes", "1", "--out", "w"],
    "waves": ["train", "multilayer-perceptron", "--data", "waves", "--passes", "1", "--out", "v"],
}  # fmt: skip
RARE = [  # further shapes of some
    ("explain", ["explain", "photos/0.png", "none.png", *OF_TINY, "--method", "saliency", "--trust", "--out", "r"]),
    ("compare", ["compare", "photos", "none.png", *OF_TINY, "--method", "saliency,grad-cam", "--metric",
                 "gini-sparseness", "--best", "--out", "q"]),
    ("locate", ["locate", "photos/0.png", "none.png", *OF_TINY, "--out", "o"]),
    *[("read", ["read", saved]) for saved in ("c", "x", "l/0", "i", "d.png", "t")],
    ("top", ["top", "photos", "none.png", *OF_TINY, "--layer", "1", "--most", "1", "--out", "u"]),
]  # fmt: skip
KNOWN = {
    "images": [{"id": k, "file_name": f"{k}.png", "width": 20, "height": 16} for k in range(2)],
    "annotations": [{"id": k, "image_id": k, "category_id": 1, "bbox": [2, 2, 9, 9]} for k in range(2)],
    "categories": [{"id": 1, "name": "red"}],
}
FILES = {  # schema: a file that the commands have written
    "atlas-file": "a/atlas.json", "choice": "data/choices/choice.json", "comparison": "c/comparison.json",
    "dissection": "x/dissection.json", "dream-file": "d.json", "inspection": "i/inspection.json",
    "localisation": "l/localisation.json", "localisation-manifest": "l/0/manifest.json",
    "manifest": "e/0/manifest.json", "scores": "n/scores.json", "top-file": "t/top.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Every document as (schema, content): what commands print and what they write, the first of each schema first."""
    place = tmp_path_factory.mktemp("documents")
    (place / "net.py").write_text(NET)
    draws = np.random.default_rng(0)
    for folder in ("photos", "masks/bright", "classes/a", "classes/b"):
        (place / folder).mkdir(parents=True)
        for k in range(2 if folder in ("photos", "masks/bright") else 8):
            shades = draws.integers(0, 255, (16, 20, 3), np.uint8)
            mask = (shades[..., 0] > 99).astype(np.uint8) * 255
            Image.fromarray(mask if folder == "masks/bright" else shades).save(place / folder / f"{k}.png")
    (place / "known.json").write_text(json.dumps(KNOWN))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("PELLUCID_DATA", str(place / "data"))
        patch.setattr(selftest, "selftest", lambda: [selftest.TestResult("fast", "a test", None, "")])
        found = [(name, printed([*line, "--json"])) for name, line in (*LINES.items(), *RARE)]
        best = BestMethod("occlusion", {"window": (2, 2)}, "It was.", 3, "2026-01-02T03:04:05+00:00")
        remember(SimpleNamespace(model=load("net.py")), best).rename("data/choices/choice.json")
        written = {path.name for path in place.rglob("*.json")} - {"known.json", "instances_val.json"}  # COCO's own
        assert written == {Path(file).name for file in FILES.values()}
        return found + [(name, json.loads((place / file).read_text())) for name, file in FILES.items()]


def printed(line):
    """The document on standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(line)
    return json.loads(out.getvalue())


REGISTRY = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values())


PARTS = {"head", "parts"}
"""Schemas of what documents have in common."""


def errors(name, document, part=""):
    """What is wrong with a document by a schema, or by one of the parts that schemas are made of."""
    schema = {"$ref": f"parts.json#/$defs/{part}"} if part else SCHEMAS[name]
    found = Draft202012Validator(schema, registry=REGISTRY).iter_errors(document)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def test_documents_keep_to_their_schemas(said):
    assert set(SCHEMAS) == {name for name, _ in said} | PARTS
    wrong = [(name, errors(name, document)) for name, document in said]
    assert [(name, found) for name, found in wrong if found] == []
    assert all(list(document)[:6] == list(SCHEMAS["head"]["properties"]) for _, document in said)


def test_every_command_that_prints_json_is_among_them():
    commands = {**program.commands, **program.commands["spectrum"].commands}
    printing = {name for name, command in commands.items() if any(p.name == "as_json" for p in command.params)}
    assert printing - {line[0] for line in LINES.values()} - {"build", "sheet"} == set()  # sheet prints what dream does


def test_photographs_beside_a_dream_keep_to_their_schema():
    top = (Natural("a.png", 1.0, (0.0, 0.0, 4.0, 4.0)),)
    panel = VisualisationTrust("unit", 2.0, 1.0, 1.0, 3, top, -2.0, math.nan, (LikenessPath("0", 0.5, 0.75, 0.1),))
    made = json.loads(as_json(asdict(panel) | {"ratio": panel.ratio, "verdict": panel.verdict}))
    assert errors("", made, "panel") == []
    assert errors("", made | {"ratio": "two"}, "panel") != []


def untold(schema, path=""):
    """Places of a schema that say of a value only that it is an object, a list, or anything."""
    if isinstance(schema, list):
        return [each for k, item in enumerate(schema) for each in untold(item, f"{path}/{k}")]
    if not isinstance(schema, dict):
        return []
    kinds = {schema.get("type")} if isinstance(schema.get("type", ""), str) else set(schema["type"])
    bare = not schema or (
        ("object" in kinds and not {"properties", "additionalProperties", "$ref"} & set(schema))
        or ("array" in kinds and not {"items", "prefixItems"} & set(schema))
    )
    return [path] * bare + [each for name, item in schema.items() for each in untold(item, f"{path}/{name}")]


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_say_what_is_in_every_object_and_list(name):
    assert untold(SCHEMAS[name]) == []


@pytest.mark.parametrize("change", [{"model": "tiny"}, {"created": "now"}, {"surprise": 1}, {"inputs": [{"seen": []}]}])
def test_a_document_that_breaks_its_schema_is_seen(said, change):
    document = dict(said)["layers"]
    assert errors("layers", document) == []
    assert errors("layers", {**document, **change}) != []


def test_every_schema_is_one_and_is_listed():
    page = (FOLDER.parent / "documents.md").read_text()
    for name, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        assert f"schemas/{name}.json" in page
