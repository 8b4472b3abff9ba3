"""Former import paths give what stands there now, and say so once, with the place as it is called now."""

import importlib
import sys
import warnings

import pytest

from pellucid.moved import MODULES, NAMES, place_now


def former(monkeypatch, path):
    """A module under its former path, imported as for the first time, and what was said."""
    for name in [name for name in sys.modules if name == path or name.startswith(f"{path}.")]:
        monkeypatch.delitem(sys.modules, name)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        return importlib.import_module(path), [str(warning.message) for warning in said]


@pytest.mark.parametrize("path", sorted(MODULES))
def test_every_former_path_is_found(path, monkeypatch):
    module, said = former(monkeypatch, f"pellucid.{path}")
    assert f"pellucid.{path} is called pellucid.{place_now(path)} now" in said
    there = importlib.import_module(f"pellucid.{place_now(path)}")
    assert all(getattr(module, name) is getattr(there, name) for name in dir(there) if not name.startswith("_"))


@pytest.mark.parametrize(
    ("path", "name", "now"),
    [
        ("dreaming", "Dream", "feature_visualisation.Visualisation"),
        ("dreaming.dream", "Dream", "feature_visualisation.visualisation.Visualisation"),
        ("dreaming.dream", "Renderer", "feature_visualisation.renderer.Renderer"),
        ("dreaming.catalogue", "Channel", "feature_visualisation.objectives.Channel"),
        ("dreaming.keeping", "Keeping", "feature_visualisation.checkpoint.CheckpointFolder"),
        ("dreaming.objectives", "parse", "feature_visualisation.parse"),
        ("fooling.attack", "fool", "adversarial.fool"),
        ("types", "Judgement", "contracts.MetricResult"),
        ("comparing.film", "film", "comparison.curve_frames.curve_frames"),
        ("report.subjects", "subjects", "report.views.picture_views"),
        ("cli.show", "console", "cli.console.terminal"),
    ],
)
def test_modules_below_and_former_names(path, name, now, monkeypatch):
    module, said = former(monkeypatch, f"pellucid.{path}")
    assert any(f"pellucid.{path} is called pellucid.{place_now(path)} now" == line for line in said)
    home, _, new = now.rpartition(".")
    with warnings.catch_warnings(record=True) as named:
        warnings.simplefilter("always")
        assert getattr(module, name) is getattr(importlib.import_module(f"pellucid.{home}"), new)
    assert [str(warning.message) for warning in named] == ([f"{name} is called {new} now"] if name in NAMES else [])


def test_what_never_was_there_is_still_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("pellucid.dreamers")
