"""The documents tell the truth: their code runs and their tables are current."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

import pellucid
from pellucid import errors, registry
from pellucid.contracts import Metric
from pellucid.contracts.method import RESERVED

ROOT = Path(__file__).parent.parent


def code_blocks(path: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)


def run_code(path: str) -> dict:
    """What the page's code leaves behind, one block after the other."""
    space: dict = {}
    for block in code_blocks(path):
        exec(block, space)
    return space


@pytest.fixture(scope="module")
def generate():
    """`docs/generate.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_the_method(net, image):
    options = {"strongest-channel": {"power": 2.0}}
    result = pellucid.explain(net, image, ["strongest-channel", "grad-cam"], layer="1", options=options)
    assert result["strongest-channel"].values.shape == (2, 12, 12)
    assert result["strongest-channel"].options == {"power": 2.0}
    with pytest.raises(errors.BadOption, match="power >= 0"):
        pellucid.explain(net, image, "strongest-channel", layer="1", options={"strongest-channel": {"power": -1.0}})


def check_the_metric(net, image):
    score = pellucid.explain(net, image, "saliency")["saliency"].score("bright-share", quantile=0.8)
    assert 0 < score.mean < 1
    assert score.options == {"quantile": 0.8}
    assert float(score.extras["bright"][0]) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(("kind", "check"), [("method", check_the_method), ("metric", check_the_metric)])
def test_adding_one_works_as_written(kind, check, monkeypatch):
    space = run_code(f"docs/adding-a-{kind}.md")
    for name in [n for n in space if n.startswith("test_")]:
        space[name]()
    record = space[kind.upper()]
    known = dict(getattr(registry, f"{kind}s")())
    monkeypatch.setattr(registry, f"{kind}s", lambda: {**known, record.id: record})
    nn = torch.nn
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    check(net, torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(("kind", "reserved"), [("method", RESERVED), ("metric", Metric.reserved)])
def test_adding_one_names_every_reserved_parameter(kind, reserved):
    table = (ROOT / f"docs/adding-a-{kind}.md").read_text()
    assert all(f"| `{name}` |" in table for name in reserved)


@pytest.mark.long
def test_every_target_of_the_page_works_as_written():
    """Random networks at small sizes; that the numbers are right is the business of the targets' own tests."""
    with torch.random.fork_rng(devices=[]):
        space: dict = {}
        for block in code_blocks("docs/targets.md"):
            exec(block, space)
            if "result" in space:
                assert all(bool(a.values.isfinite().all()) and a.values.shape[1:] == (64, 96) for a in space["result"])
                assert any(bool((a.values != 0).any()) for a in space["result"])


def test_the_page_of_targets_names_every_form():
    from pellucid.targets import FORMS

    page = (ROOT / "docs/targets.md").read_text()
    shapes = ("top3", "rank2", " vs ", "probability:", "sigmoid:", "against:", "like:", "person@10,20,60,50")
    assert all(shape in page for shape in shapes)
    assert len(FORMS) == 10, "a new form needs its line in docs/targets.md"
    public = ("Region", "Detection", "Similarity", "Margin", "Probability", "Against", "Candidates")
    assert all(f"pellucid.{name}(" in page for name in public)


def test_readme_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_code("README.md")
    assert (tmp_path / "cat.png").exists()
    assert (tmp_path / "report.html").exists()


def test_the_page_of_localisation_works_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_code("docs/localisation.md")
    assert (tmp_path / "cat-box.png").exists()
    assert (tmp_path / "cat-found" / "localisation.json").exists()


def test_the_page_of_figures_works_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_code("docs/figures.md")
    assert b"/CIDFontType2" in (tmp_path / "cat.pdf").read_bytes()
    assert "Grad-CAM</text>" in (tmp_path / "cat.svg").read_text()
    assert (tmp_path / "both.png").exists()


def test_readme_table_is_current(generate):
    assert (ROOT / "README.md").read_text() == generate.readme(), "run `make docs`"


def test_the_page_of_metrics_is_current_and_runs(generate):
    assert (ROOT / "docs/metrics.md").read_text() == generate.metrics_page(), "run `make docs`"
    assert run_code("docs/metrics.md")["score"].judged == 2


def test_the_page_of_feature_visualisation_is_current(generate):
    page = (ROOT / "docs/feature-visualisation.md").read_text()
    assert page == generate.visualisation(), "run `make docs`"
    assert (ROOT / "docs/pictures/dreams.png").stat().st_size < 400_000
    with torch.random.fork_rng(devices=[]):
        assert run_code("docs/feature-visualisation.md")["made"].titles == (
            "100% of 1, 0% of 5",
            "50% of 1, 50% of 5",
            "0% of 1, 100% of 5",
        )


def test_changelog_names_every_method_and_metric():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert [name for name in (*pellucid.methods(), *pellucid.metrics()) if f"`{name}`" not in text] == []


def test_errors_page_lists_every_error():
    page = (ROOT / "docs/errors.md").read_text()
    tree = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.PellucidError)]
    assert [e.__name__ for e in tree if e is not errors.PellucidError and f"`{e.__name__}`" not in page] == []
    for line in [line for line in page.splitlines() if line.startswith("| `")]:
        name, base = re.match(r"\| `(\w+)` \| `(\w+)`", line).groups()
        assert issubclass(getattr(errors, name), __builtins__[base])


def test_make_help_lists_every_target():
    text = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split())
    assert named == set(re.findall(r"^(\w+):.*##", text, re.MULTILINE))
