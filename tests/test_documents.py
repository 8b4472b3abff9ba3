"""The pages for people who read or change the source: what they name is there, and nothing is left out."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import pellucid
from pellucid.moved import MODULES, NAMES

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src/pellucid"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
HISTORY = "CHANGELOG.md"
"""It says what was called how when it was written."""


def links(text):
    """Where a page points to, code blocks left out: links and pictures, without those into the wide world."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [to for to in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", to)]


def headings(text):
    """The anchors of a page."""
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in found}


def leads_nowhere(page, to):
    file, _, anchor = to.partition("#")
    there = (ROOT / page).parent / file if file else ROOT / page
    return not there.exists() or (bool(anchor) and anchor not in headings(there.read_text()))


def test_every_link_leads_somewhere():
    assert [(page, to) for page, text in TEXT.items() for to in links(text) if leads_nowhere(page, to)] == []


@pytest.mark.parametrize("to", ["docs/no-such-page.md", "README.md#no-such-heading", "#nor-here"])
def test_a_link_that_leads_nowhere_would_be_seen(to):
    (found,) = links(f"see [there]({to}) and [the world](https://example.org)")
    assert leads_nowhere("README.md", found)


def test_the_readme_leads_to_every_page():
    reached, ahead = set(), {"README.md"}
    while ahead:
        page = ahead.pop()
        reached.add(page)
        named = {(ROOT / page).parent / to.partition("#")[0] for to in links(TEXT[page])}
        found = {p for there in named for p in ([there] if there.suffix == ".md" else there.glob("*.md"))}
        ahead |= ({p.resolve().relative_to(ROOT).as_posix() for p in found} & set(TEXT)) - reached
    assert set(TEXT) - reached - {HISTORY} == set()


def named_files(page):
    """Files and folders of the package, the tests and the pages that stand between backticks."""
    return [word for word in re.findall(r"`([\w./]+)`", TEXT[page]) if "/" in word or word.endswith((".py", ".md"))]


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md", "docs/adding-a-method.md"])
def test_files_that_the_pages_name_are_there(page):
    below = (ROOT, SOURCE)
    assert [name for name in named_files(page) if not any((root / name).exists() for root in below)] == []


def test_the_page_of_the_architecture_has_every_package():
    _, _, paragraphs = TEXT["docs/architecture.md"].partition("## A paragraph per package")
    paragraphs = paragraphs.partition("\n## ")[0]
    packages = [path.parent.name for path in SOURCE.glob("*/__init__.py")]
    assert [name for name in packages if f"**`{name}`**" not in paragraphs] == []
    rooms = [path.parent.name for path in (SOURCE / "capture").glob("*/__init__.py")]
    assert [name for name in rooms if f"`{name}`" not in paragraphs] == []


def test_the_life_of_one_call_has_eight_steps():
    _, _, steps = TEXT["docs/architecture.md"].partition("## The life of one call")
    assert re.findall(r"^(\d)\. \*\*", steps.partition("\n## ")[0], re.MULTILINE) == list("12345678")


def test_the_glossary_is_in_order_and_names_classes_where_they_are():
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.*) \|$", TEXT["docs/glossary.md"], re.MULTILINE)
    words = [word for word, _ in rows]
    assert len(words) > 50
    assert words == sorted(set(words))
    for word, meaning in rows:
        for name, file in re.findall(r"`(\w+)` in \[[^\]]*\]\(\.\./([^)]*)\)", meaning):
            path = ROOT / file
            path = path / "__init__.py" if path.is_dir() else path
            nodes = ast.walk(ast.parse(path.read_text()))
            known = {getattr(node, "name", getattr(node, "id", "")) for node in nodes}
            assert name in known, f"{word}: {name} is not in {file}"


def test_no_page_speaks_of_modules_and_classes_by_their_former_names():
    """In code and between backticks; the changelog and decisions speak of their own time."""
    now = {page: text for page, text in TEXT.items() if page != HISTORY and "decisions/" not in page}
    former = [rf"pellucid\.{name}\b" for name in MODULES] + [rf"`{name}(\.[A-Za-z]|/)" for name in MODULES]
    former += [rf"`{name}\b" for name in NAMES]
    assert [(page, word) for page, text in now.items() for word in former if re.search(word, text)] == []


def test_the_citation_is_valid_and_of_this_version():
    """By the schema of the Citation File Format 1.2.0: what it requires, and nothing that it does not know."""
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(found)
    assert set(found) <= {
        "abstract", "authors", "cff-version", "contact", "date-released", "doi", "identifiers", "keywords", "license",
        "message", "preferred-citation", "references", "repository-code", "title", "type", "url", "version",
    }  # fmt: skip
    assert (found["cff-version"], found["type"], found["authors"]) == (
        "1.2.0",
        "software",
        [{"name": "The Pellucid authors"}],
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (found["version"], found["license"]) == (project["version"], project["license"])
    assert pellucid.__version__ == project["version"]


def test_the_workflow_runs_what_the_makefile_calls_check():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert [step["run"].strip() for step in job["steps"] if "run" in step] == ["make check"]
    assert re.search(r"^check:", (ROOT / "Makefile").read_text(), re.MULTILINE)
