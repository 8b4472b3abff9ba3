"""Records of other packages: the worked example of docs/plugins.md, and packages that cannot be used."""

import json
import re
import shlex
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import pellucid
from pellucid import plugins, registry
from pellucid.cli import doctor, main
from pellucid.contracts import Evidence, Method, Metric, MetricResult, Reference
from pellucid.errors import BadModel, BadOption, Unexpected, UnknownName
from pellucid.evaluation.controls import CONTROLS
from pellucid.models.load import FAMILIES
from pellucid.models.recognisers import OWN, recognisers
from pellucid.plugins import entry_points

PAGE = (Path(__file__).parents[2] / "docs/plugins.md").read_text()
HEAD = "from pellucid.contracts import Method, Metric, Reference\nfrom pellucid.models import ModelRecogniser\n"


def forget():
    """As in a new process."""
    for remembered in (entry_points._scan, registry.methods, registry.metrics, recognisers):
        remembered.cache_clear()
    entry_points._problems.clear()
    entry_points._origins.clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package where pip would: its code, and beside it the folder that says what it is."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delenv("COLUMNS", raising=False)  # workers of the tests stand in a narrow terminal
    before = set(sys.modules)

    def put(name, code, points, version="1.0"):
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(code)
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        groups = {group: [f"{key} = {value}" for key, value in found.items()] for group, found in points.items()}
        (info / "entry_points.txt").write_text("\n".join(line for g, ls in groups.items() for line in (f"[{g}]", *ls)))
        forget()
        return info

    forget()
    yield put
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").is_relative_to(site):
            del sys.modules[name]
    forget()


@pytest.fixture
def example(install):
    """The package of the page."""
    project, code = (re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[1] for kind in ("toml", "python"))
    declared = tomllib.loads(project)
    assert declared["tool"]["setuptools"]["py-modules"] == ["pellucid_loudest"]
    project = declared["project"]
    install(project["name"], code, project["entry-points"], project["version"])


def run(capsys, *arguments):
    code = main(list(arguments))
    return code, *capsys.readouterr()


def lines_of(page):
    return [
        shlex.split(line, comments=True)[1:] for line in re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1].splitlines()
    ]


def test_the_page_runs_as_a_user_would_run_it(example, capsys):
    method, metric, models, explain, compare = lines_of(PAGE)
    code, out, err = run(capsys, *method)
    assert (code, err) == (0, "")
    assert "Package: pellucid-loudest 0.3.0" in out
    assert "--loudest-channel.power" in out
    assert "Package: pellucid-loudest 0.3.0" in run(capsys, *metric)[1]
    assert "stripes:NAME" in run(capsys, *models)[1]
    assert "pellucid-loudest" in run(capsys, "methods")[1]
    listed = {m["id"]: m["package"] for m in json.loads(run(capsys, "metrics", "--json")[1])["metrics"]}
    assert listed["spread"] == "pellucid-loudest 0.3.0"
    assert listed["deletion"] == f"pellucid {pellucid.__version__}"

    assert run(capsys, *explain)[0] == 0
    (manifest,) = map(json.loads, (p.read_text() for p in Path("pellucid-out").rglob("manifest.json")))
    assert manifest["versions"]["pellucid-loudest"] == "0.3.0"
    assert manifest["methods"][0]["options"] == {"power": 2.0}
    assert "Loudest channel" in next(Path("pellucid-out").rglob("report.html")).read_text()
    assert run(capsys, *compare, "--out", "compared")[0] == 0
    (document,) = map(json.loads, (p.read_text() for p in Path("compared").rglob("comparison.json")))
    assert "spread" in json.dumps(document["metrics"])


def test_the_example_is_right_by_hand(example):
    model = pellucid.load("stripes:plain")
    assert (model.source, model.classes.names) == ("stripes:plain", ("horizontal", "vertical"))
    stripes = torch.tensor([1.0, 1, 0, 0, 1, 1, 0, 0])[:, None].expand(1, 3, 8, 8)
    options = {"loudest-channel": {"power": 2}}
    result = pellucid.explain(model, stripes, "loudest-channel", options=options)
    # The first filter is 3 rows high: three channels of three columns, each 1 - 0 or 0 - 1; the second sees nothing.
    down = torch.tensor([81.0, 81, 0, 0, 81, 81])[:, None].expand(1, 6, 6)
    assert torch.equal(result["loudest-channel"].raw, down)
    score = result["loudest-channel"].score("spread")
    values = result["loudest-channel"].values
    assert score.mean == pytest.approx(float((values > values.max() / 2).double().mean()))
    with pytest.raises(BadOption, match="power > 0 for loudest-channel"):
        pellucid.explain(model, torch.rand(1, 3, 8, 8), "loudest-channel", options={"loudest-channel": {"power": 0}})
    with pytest.raises(BadOption, match=r"There is only stripes:plain"):
        pellucid.load("stripes:dotted")
    with pytest.raises(UnknownName, match="Installed packages add stripes:NAME"):
        pellucid.load("strips:plain")


def test_what_the_user_says_of_a_recognised_module_comes_first(example):
    from_package = pellucid.load("stripes:plain")
    told = pellucid.wrap(from_package.module, classes=["lying", "standing"])
    assert (told.classes.names, told.preprocess.size) == (("lying", "standing"), (32, 32))
    assert pellucid.wrap(nn.Conv2d(3, 2, 3)).preprocess is None


METHOD = (
    HEAD
    + """
def f({parameters}):
    "Nothing."
    return {returns}
RECORD = {kind}(f, id={id!r}, title="F", reference=Reference("here"){more})
"""
)


def coded(parameters="image", returns="image", kind="Method", id="f", more=""):
    return METHOD.format(parameters=parameters, returns=returns, kind=kind, id=id, more=more)


BROKEN = {
    "no module of its own": ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
    "the end of the program": ("raise SystemExit(7)", "SystemExit: 7"),
    "an error that spans lines": ("raise ValueError('one\\ntwo')", "ValueError: one two"),
    "no such name": ("OTHER = 1", "AttributeError: .*'RECORD'"),
    "a function": ("def RECORD(image): ...", "expected a pellucid.Method, got function"),
    "the other kind": (coded("values", kind="Metric"), "expected a pellucid.Method, got Metric"),
    "a class": ("from pellucid.contracts import Method as RECORD", "expected a pellucid.Method, got type"),
    "an id of Pellucid's": (coded(id="grad-cam"), "the id 'grad-cam' is taken"),
    "an id of a metric's": (coded(id="deletion"), "the id 'deletion' is taken"),
    "an id that means another thing": (coded(id="auto"), "the id 'auto' is taken"),
    "an id that no flag can have": (coded(id="Two Words"), "expected an id of small letters"),
    "a parameter that nobody fills in": (coded("image, pictures"), "'pictures' is no name that is filled in"),
    "any parameters": (coded("image, **more"), "'more' is no name that is filled in"),
    "nothing asked for": (coded("*, power: float = 1.0"), "asks for nothing"),
    "an option of a strange type": (coded("image, *, size: complex = 1j"), "'size' is of type complex"),
    "an option without a type": (coded("image, *, size=1"), "'size' is of type"),
    "a default of another type": (coded("image, *, size: int = 'x'"), "Expected a whole number for the option 'size'"),
    "an annotation of nothing": (coded("image, *, size: 'Nowhere' = 1"), "NameError"),
    "a word of no list": (coded(more=", reduce='mean'"), "expected one of '', 'sum', 'max-abs', 'of' as reduce"),
    "a field of another type": (coded(more=", caveat=None"), "expected str as caveat, got None"),
}


def test_what_cannot_be_used_is_left_out_and_said_in_one_line(install, capsys):
    for number, (code, _) in enumerate(BROKEN.values()):
        install(
            f"broken-{number:02}",
            f"print('noise on standard output')\n{code}",
            {"pellucid.methods": {"f": f"broken_{number:02}:RECORD"}},
        )
    install("sound", coded(id="sound"), {"pellucid.methods": {"f": "sound:RECORD"}})
    code, out, err = run(capsys, "methods", "--json")
    assert code == 0
    found = {m["id"] for m in json.loads(out)["methods"]}
    assert found == {*_own_methods(), "sound"}
    said = [line for line in err.splitlines() if line.startswith("Warning: ")]
    assert len(said) == len(BROKEN)
    for number, (name, (_, why)) in enumerate(BROKEN.items()):
        assert re.search(rf"The method 'f' of the package broken-{number:02} 1.0 is left out: .*{why}", said[number]), (
            name
        )
    assert run(capsys, "methods", "--json")[2] == "", "it is said once"
    listed = doctor._packages()
    assert {"package": "sound 1.0", "adds": "method sound", "state": "ok"} in listed
    assert len([each for each in listed if each["state"] != "ok"]) == len(BROKEN)


def _own_methods():
    folder = Path(pellucid.__file__).parent / "methods"
    return {p.stem.replace("_plus_plus", "++").replace("_", "-") for p in folder.glob("[!_]*.py")}


def test_the_first_of_two_packages_keeps_an_id_whatever_its_kind(install):
    install("b-pack", coded(id="twice"), {"pellucid.methods": {"x": "b_pack:RECORD"}})
    install("a-pack", coded(id="twice"), {"pellucid.methods": {"x": "a_pack:RECORD"}})
    install("c-pack", coded("values", kind="Metric", id="twice"), {"pellucid.metrics": {"x": "c_pack:RECORD"}})
    with pytest.warns(UserWarning, match="of the package b-pack 1.0 is left out: the package a-pack 1.0 has the id"):
        assert str(plugins.origin_of(registry.methods()["twice"])) == "a-pack 1.0"
    with pytest.warns(UserWarning, match="of the package c-pack 1.0 is left out: the id 'twice' is taken"):
        assert "twice" not in registry.metrics()


def test_an_installation_that_is_damaged_or_of_another_time(install):
    damaged = install("damaged", coded(), {"pellucid.methods": {"x": "damaged:RECORD"}})
    (damaged / "entry_points.txt").write_text("[pellucid.methods]\nno equals sign\n")
    (damaged / "METADATA").unlink()
    (install("not-ours", "", {}) / "entry_points.txt").write_bytes(b"\xff\xfe[x]")
    install("later", coded(), {"pellucid.views": {"x": "later:RECORD"}})
    forget()
    with pytest.warns(UserWarning) as said:
        assert set(registry.methods()) == _own_methods()
    texts = [str(each.message) for each in said]
    assert len(texts) == 2
    assert any("entry_points.txt cannot be read" in text for text in texts)
    assert any("there is no group 'pellucid.views', only pellucid.methods, pellucid.metrics" in t for t in texts)


def test_errors_made_of_warnings_do_not_cost_the_methods(install, capsys):
    install("broken", "1 / 0", {"pellucid.methods": {"x": "broken:RECORD"}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(registry.methods()) == _own_methods()
    assert "broken 1.0 is left out: ZeroDivisionError" in capsys.readouterr().err


def test_broken_recognisers(install):
    make = "RECORD = ModelRecogniser(id={!r}, title='T', load={}, recognise={})"
    cases = {
        "a": (make.format("zoo", "str", None), "the id 'zoo' is taken"),
        "b": (make.format("c", "str", None), "two or more small letters"),
        "c": (make.format("idle", None, None), "expected a function as load"),
        "d": (make.format("text", "str", None), ""),
        "e": (make.format("fails", "lambda name: 1 / 0", "lambda module: 1 / 0"), ""),
        "f": (make.format("wrong", None, "lambda module: {'sizes': 3}"), ""),
    }
    for name, (code, _) in cases.items():
        install(f"pack-{name}", HEAD + code, {"pellucid.models": {"x": f"pack_{name}:RECORD"}})
    with pytest.warns(UserWarning) as said:
        assert list(recognisers()) == ["text", "fails", "wrong"]
    assert [bool(re.search(why, str(w.message))) for (_, why), w in zip(cases.values(), said, strict=False)] == [
        True
    ] * 3
    with pytest.raises(BadModel, match=r"text:any is a str by the package pack-d 1\.0"):
        pellucid.load("text:any")
    with pytest.raises(BadModel, match=r"fails:any, which the package pack-e 1\.0 loads, failed: ZeroDivisionError"):
        pellucid.load("fails:any")
    with pytest.raises(BadModel, match="loads no models by name"):
        pellucid.load("wrong:any")
    with pytest.warns(UserWarning, match="What '(fails|wrong)' says of Flatten") as said:
        assert pellucid.wrap(nn.Flatten()).name == "Flatten"
    assert len(said) == 2


@pytest.mark.parametrize(
    ("record", "given", "result", "message"),
    [
        (Method, "image", lambda x: x.numpy(), "returned a ndarray, expected a float tensor"),
        (Method, "image", lambda x: x[0, 0], r"returned \[4, 5\] of torch.float32, expected .* with 2 rows"),
        (Method, "image", lambda x: x[:1, 0], r"returned \[1, 4, 5\]"),
        (Method, "image", lambda x: x[:, 0] > 0, "of torch.bool"),
        (Method, "image", lambda x: Evidence(x, values=x), r"expected .*values \[batch, row, column\]"),
        (Metric, "values", lambda x: x.mean(), r"returned \[\] of torch.float32, expected .*one number for each map"),
        (Metric, "values", lambda x: MetricResult(x.mean((1, 2, 3))[:1]), r"returned \[1\]"),
    ],
)
def test_what_another_package_returns_is_looked_at(record, given, result, message):
    space = {"result": result}
    exec(f"def f({given}):\n    return result({given})", space)
    made = record(space["f"], id="f", title="F", reference=Reference("here"))
    with pytest.raises(Unexpected, match=message):
        plugins.with_checked_result(made).function(**{given: torch.zeros(2, 3, 4, 5)})


def test_kept_work_is_not_that_of_another_version(install):
    point = {"pellucid.methods": {"x": "aging:RECORD"}}
    first = install("aging", coded(id="aging"), point)
    old = plugins.identity_of(registry.methods()["aging"])
    first.rename(first.with_name("aging-2.0.dist-info"))
    (first.with_name("aging-2.0.dist-info") / "METADATA").write_text("Name: aging\nVersion: 2.0\n")
    forget()
    assert (old[0], plugins.identity_of(registry.methods()["aging"])[0]) == ("aging 1.0", "aging 2.0")
    assert plugins.identity_of(registry.methods()["grad-cam"]) == ()


def test_names_that_are_kept_for_pellucid_itself():
    assert set(CONTROLS) <= registry.TAKEN
    assert set(FAMILIES) <= OWN


@pytest.mark.parametrize(
    ("kind", "parameters", "returns", "message"),
    [
        (
            "Method",
            "image",
            "image.nothing",
            r"The method 'f' of the package own 1\.0 failed: AttributeError.*own code",
        ),
        (
            "Method",
            "image, probe",
            "probe.score(2, lambda *_: 1 / 0)",
            r"'f' of the package own 1\.0.*division.*own code",
        ),
        (
            "Method",
            "image, probe",
            "probe.score('2', None)",
            r"'f' of the package own 1\.0.*in that package, or in Pell",
        ),
        (
            "Metric",
            "values",
            "values @ values",
            r"The metric 'f' of the package own 1\.0 failed.*that package's own code",
        ),
    ],
)
def test_an_error_inside_another_package_names_it(install, kind, parameters, returns, message):
    point = {f"pellucid.{kind.lower()}s": {"f": "own:RECORD"}}
    install("own", coded(parameters, returns, kind), point)
    net, image = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 3 * 4, 2)).eval(), torch.rand(1, 3, 5, 6)
    with pytest.raises(Unexpected, match=message):
        if kind == "Method":
            pellucid.explain(net, image, "f")
        else:
            pellucid.explain(net, image, "saliency")["saliency"].score("f")


def test_an_error_of_the_network_that_another_package_asks_is_the_networks(install):
    class Once(nn.Flatten):
        def forward(self, x):
            return super().forward(x) if float(x.max()) < 5 else x.nothing

    install(
        "own",
        coded("image, probe", "probe.score(1, lambda rows, *_: rows + 9)"),
        {"pellucid.methods": {"f": "own:RECORD"}},
    )
    with pytest.raises(Unexpected, match=r"The code of Sequential failed in '0'.*This is the model's own code"):
        pellucid.explain(nn.Sequential(Once(), nn.Linear(12, 2)).eval(), torch.rand(1, 3, 2, 2), "f")
