"""The registry, and the facts that every method's record must state."""

import inspect
import re
from types import SimpleNamespace

import pytest

import pellucid
from pellucid.contracts import Method
from pellucid.contracts.method import RESERVED
from pellucid.errors import BadOption, UnknownName
from pellucid.registry import DEFAULT_METHODS, fill_options, find_method, methods, parse_option

ALL = list(methods().values())
OCCLUSION, GRAD_CAM, SMOOTHGRAD = find_method("occlusion"), find_method("grad-cam"), find_method("smoothgrad")


def test_found_by_looking():
    assert pellucid.methods() is methods()
    assert list(methods()) == sorted(methods())
    assert {"grad-cam", "saliency", "occlusion"} <= set(methods())
    assert set(DEFAULT_METHODS) <= set(methods())
    with pytest.raises(TypeError):
        methods()["new"] = GRAD_CAM


def test_two_methods_of_one_name(monkeypatch):
    twins = [SimpleNamespace(name="saliency"), SimpleNamespace(name="saliency")]
    monkeypatch.setattr("pellucid.registry.pkgutil.iter_modules", lambda path: twins)
    with pytest.raises(RuntimeError, match="two methods are called 'saliency'"):
        methods.__wrapped__()


def test_near_names():
    with pytest.raises(
        UnknownName, match=r"There is no method 'gradcam'. Did you mean .*'grad-cam'.*`pellucid methods`"
    ):
        find_method("gradcam")
    with pytest.raises(UnknownName, match=r"There is no method 'zzz'. `pellucid methods` lists all"):
        find_method("zzz")


@pytest.mark.parametrize("method", ALL, ids=[m.id for m in ALL])
class TestRecord:
    def test_names(self, method: Method):
        assert re.fullmatch(r"[a-z][a-z0-9+-]*", method.id)
        assert method.title
        module = method.function.__module__.removeprefix("pellucid.methods.")
        assert module == method.function.__name__ == method.id.replace("++", "-plus-plus").replace("-", "_")

    def test_parameters(self, method: Method):
        for name, parameter in inspect.signature(method.function).parameters.items():
            if name in RESERVED:
                assert parameter.default is inspect.Parameter.empty
                assert parameter.kind is not inspect.Parameter.KEYWORD_ONLY
            else:
                assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
                assert parameter.default is not inspect.Parameter.empty
        assert set(method.options).isdisjoint(RESERVED)
        assert method.needs

    def test_the_reference_says_where(self, method: Method):
        assert re.search(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d+/\S+", method.reference.where)
        assert method.reference.equation
        assert str(method.reference) == f"{method.reference.where}, {method.reference.equation}"

    def test_the_caveat_is_one_sentence(self, method: Method):
        assert re.fullmatch(r"[A-Z][^\n]*\.", method.caveat)
        assert not re.search(r"\. [A-Z]", method.caveat)

    def test_the_docstring(self, method: Method):
        text = inspect.getdoc(method.function)
        assert method.summary == text.partition("\n")[0]
        assert method.summary.endswith(".")
        for name in inspect.signature(method.function).parameters:
            assert re.search(rf"^    {name}: ", text, re.MULTILINE), f"{name} is not explained"
        assert "Returns:" in text

    def test_defaults_are_their_own_values(self, method: Method):
        assert fill_options(method, {}) == dict(method.options)
        for name, default in method.options.items():
            assert parse_option(method, name, str(default)) == default

    def test_reduction(self, method: Method):
        wants_input = "image_gradient" in method.needs
        assert method.reduce in ("", "sum", "max-abs", "of")
        assert (
            not wants_input or method.reduce or {"collected", "probe"} & method.needs
        )  # which make a map of their own
        assert (
            (method.rule == "plain") or wants_input or {"relevance", "collected", "uncovered", "probe"} & method.needs
        )
        assert (method.reduce != "of") or "of" in method.options


def test_options_are_filled():
    filled = fill_options(OCCLUSION, {"window": 8, "fill": 1})
    rest = {"stride": None, "shape": "square", "precision": "exact", "by_channel": False}
    assert filled == {"window": 8, "fill": 1.0, **rest}
    assert isinstance(filled["fill"], float)
    assert fill_options(OCCLUSION, {"fill": "mean"})["fill"] == "mean"


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        (OCCLUSION, {"size": 3}, "'occlusion' has no option 'size'. Its options: window, stride, fill"),
        (find_method("saliency"), {"size": 3}, "'saliency' has no option 'size'. Its options: none"),
        (OCCLUSION, {"window": 8.5}, r"or None for the option 'window' of 'occlusion', got 8.5"),
        (OCCLUSION, {"window": True}, r"or None for the option 'window' of 'occlusion', got True"),
        (OCCLUSION, {"window": "8"}, r"or None for the option 'window' of 'occlusion', got '8'"),
        (OCCLUSION, {"fill": [1]}, r"Expected a number, text or a tensor for the option 'fill'.*got \[1\]"),
        (GRAD_CAM, {"rectify": 1}, r"Expected True or False for the option 'rectify' of 'grad-cam', got 1"),
        (SMOOTHGRAD, {"noise": True}, r"Expected a number for the option 'noise' of 'smoothgrad', got True"),
        (SMOOTHGRAD, {"of": 3}, r"Expected text for the option 'of' of 'smoothgrad', got 3"),
    ],
)
def test_options_are_refused(method, given, message):
    with pytest.raises(BadOption, match=message):
        fill_options(method, given)


@pytest.mark.parametrize("name", ["shape", "fill"])
def test_none_is_no_value(name):
    with pytest.raises(BadOption, match=f"for the option '{name}' of 'occlusion', got None"):
        fill_options(OCCLUSION, {name: None})


@pytest.mark.parametrize(
    ("method", "name", "text", "value"),
    [
        (OCCLUSION, "window", "8", 8),
        (OCCLUSION, "window", "8x4", (8, 4)),
        (OCCLUSION, "window", "none", None),
        (OCCLUSION, "fill", "mean", "mean"),
        (OCCLUSION, "fill", "-0.5", -0.5),
        (OCCLUSION, "fill", "2", 2.0),
        (GRAD_CAM, "rectify", "no", False),
        (GRAD_CAM, "rectify", "True", True),
        (SMOOTHGRAD, "noise", "1e-1", 0.1),
        (SMOOTHGRAD, "of", "grad-cam", "grad-cam"),
    ],
)
def test_options_are_parsed(method, name, text, value):
    found = parse_option(method, name, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("method", "name", "text", "message"),
    [
        (
            OCCLUSION,
            "window",
            "wide",
            "Expected a whole number, rows x columns such as 8x4 or none for --occlusion.window, got 'wide'",
        ),
        (OCCLUSION, "window", "8.5", "such as 8x4 or none for --occlusion.window, got '8.5'"),
        (GRAD_CAM, "rectify", "maybe", r"Expected yes or no for --grad-cam.rectify, got 'maybe'"),
        (SMOOTHGRAD, "noise", "", r"Expected a number for --smoothgrad.noise, got ''"),
        (OCCLUSION, "size", "3", "'occlusion' has no option 'size'"),
    ],
)
def test_options_are_not_parsed(method, name, text, message):
    with pytest.raises(BadOption, match=message):
        parse_option(method, name, text)
