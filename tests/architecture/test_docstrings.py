"""What is described under `Args` and `Attributes` begins with a noun and its unit, never with a bare preposition."""

import inspect
import re

import pytest

import pellucid
from pellucid.feature_visualisation.recipes import recipes

NO_NOUN = {
    "as", "at", "by", "called", "draws", "for", "from", "gives", "how", "in", "its", "keep", "likewise", "makes", "of",
    "per", "that", "to", "when", "where", "whether", "which", "whose", "with",
}  # fmt: skip
"""First words after which a reader does not know yet what kind of value it is."""


def described(doc):
    """(name, description) of each entry under `Args` and `Attributes`."""
    section = False
    for line in (doc or "").splitlines():
        entry = re.match(r"^ {4}([\w*, ]+): (.*)", line)
        if re.match(r"^\S", line):
            section = line in ("Args:", "Attributes:")
        elif section and entry and not line.startswith("     "):
            yield entry.groups()


def public():
    """Everything that people call or read, by name: the face of the package, methods, metrics and recipes."""
    for name in pellucid.__all__:
        value = getattr(pellucid, name)
        own = vars(value) if inspect.isclass(value) or inspect.ismodule(value) else {}
        yield name, value
        yield from ((f"{name}.{each}", member) for each, member in own.items() if not each.startswith("_"))
    for registry in (pellucid.methods(), pellucid.metrics(), recipes()):
        yield from ((entry.id, entry.function) for entry in registry.values())


def without_noun(doc):
    return [f"{name}: {text}" for name, text in described(doc) if re.split(r"\W", text, maxsplit=1)[0] in NO_NOUN]


def test_descriptions_begin_with_a_noun():
    found = {name: without_noun(inspect.getdoc(value)) for name, value in public() if callable(value)}
    assert len(found) > 150
    assert {name: entries for name, entries in found.items() if entries} == {}


@pytest.mark.parametrize("text", ["of the first pictures", "whether it stops", "likewise."])
def test_the_rule_sees_what_it_should(text):
    doc = f"Do.\n\nArgs:\n    seed: integer that starts all random draws.\n    other: {text}\n        of two lines.\n"
    assert without_noun(doc) == [f"other: {text}"]
