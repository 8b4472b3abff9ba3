"""What is wrong with a document by its schema in docs/schemas."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

FOLDER = Path(__file__).parents[1] / "docs/schemas"


def wrong_with(document, name):
    """The errors of a document by the schema of this name; none where it keeps to it."""
    schemas = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    registry = Registry().with_resources((key, Resource.from_contents(each)) for key, each in schemas.items())
    found = Draft202012Validator(schemas[f"{name}.json"], registry=registry).iter_errors(document)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]
