"""The best method: who is picked and why, that it is remembered by the weights, and used."""

import json
from dataclasses import replace

import pytest
import torch

import pellucid
import tiny
from pellucid.choices import choice_of, data_folder, file_of
from pellucid.comparison.best import best, remember
from pellucid.comparison.comparison import Place
from pellucid.errors import Refused, UnknownName

METHODS = ["saliency", "grad-cam"]
OPTIONS = {"deletion": {"steps": 4}, "grad-cam": {"rectify": False}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(scope="module")
def compared():
    net = tiny.build(tiny.Plain)
    return pellucid.compare(net, tiny.images(2), METHODS, "deletion", options=OPTIONS)


def standing(compared, ranks, sanity):
    pictures = tuple(replace(picture, sanity=sanity) for picture in compared.pictures)
    made = replace(compared, pictures=pictures)
    places = sorted((Place(name, rank, {"deletion": rank}) for name, rank in ranks.items()), key=lambda p: p.rank)
    made.__dict__["ranking"] = tuple(places)
    scores = [replace(s, controls={name: worse(c) for name, c in s.controls.items()}) for s in compared.evaluation]
    made.__dict__["evaluation"] = replace(compared.evaluation, scores=tuple(scores))
    return made


def worse(control):
    """A control that loses: all methods are better than it, as by deletion lower is better."""
    return replace(control, values=control.values + 10, mean=control.mean + 10)


def test_the_first_that_is_sane(compared):
    found = best(standing(compared, {"saliency": 1.0, "grad-cam": 2.0}, {"saliency": 0.2, "grad-cam": 0.1}))
    assert found.method == "saliency"
    assert found.pictures == 2
    for said in ("Best mean rank (1) of 2 methods by deletion on 2 pictures", "better than all maps that know nothing"):
        assert said in found.why
    found = best(standing(compared, {"saliency": 1.0, "grad-cam": 2.0}, {"saliency": 0.9, "grad-cam": 0.1}))
    assert found.method == "grad-cam"
    assert "saliency left out" in found.why
    assert found.options == {"rectify": False}
    with pytest.raises(Refused, match="all of them show the same with random weights"):
        best(standing(compared, {"saliency": 1.0, "grad-cam": 2.0}, {"saliency": 0.9, "grad-cam": 0.8}))


def test_a_choice_without_the_check_says_so(compared):
    said = "without a check that the maps change"
    assert said in best(standing(compared, {"saliency": 1.0, "grad-cam": 2.0}, None)).why
    assert said not in best(standing(compared, {"saliency": 1.0, "grad-cam": 2.0}, {"saliency": 0.2})).why


def test_of_equals_the_faster(compared, monkeypatch):
    made = standing(compared, {"saliency": 1.5, "grad-cam": 1.5}, {})
    seconds = {"saliency": 2.0, "grad-cam": 1.0}
    monkeypatch.setattr(type(made), "seconds_of", lambda self, method: seconds[method])
    assert best(made).method == "grad-cam"


def test_remembered_by_the_weights_and_used(compared, folder):
    choice = best(standing(compared, {"saliency": 2.0, "grad-cam": 1.0}, {}))
    file = remember(compared, choice)
    assert file == folder / "choices" / f"{compared.model.computation}.json"
    assert json.loads(file.read_text())["model"]["name"] == compared.model.name
    assert choice_of(compared.model) == choice
    found = pellucid.explain(compared.model, tiny.images(1), "auto")
    assert [(a.method.id, a.options["rectify"]) for a in found] == [("grad-cam", False)]
    assert found.choices["methods"] == f"found best for this model: {choice.why}"
    given = pellucid.explain(compared.model, tiny.images(1), "auto", options={"grad-cam": {"rectify": True}})
    assert given["grad-cam"].options["rectify"] is True
    other = tiny.build(tiny.Plain)
    with torch.no_grad():
        other.fc.bias += 1
    with pytest.raises(UnknownName, match="compare PICTURES --best"):
        pellucid.explain(other, tiny.images(1), "auto")


def test_a_broken_file_is_none(compared, folder):
    remember(compared, best(standing(compared, {"saliency": 1.0}, {})))
    file_of(compared.model).write_text("{")
    with pytest.raises(UnknownName, match="--best"):
        choice_of(compared.model)


def test_without_the_variable_it_is_the_users_own_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("PELLUCID_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert "pellucid" in data_folder().name.lower()
