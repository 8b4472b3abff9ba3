"""`methods`, `models`, `doctor`, help and version."""

import json
import platform
import subprocess
import sys

import pytest

import pellucid
from pellucid.cli import selftest
from pellucid.cli.options import described_arguments
from pellucid.registry import methods


def test_methods_lists_every_method(run):
    answer = run("methods")
    assert answer.code == 0
    for method in methods().values():
        assert method.id in answer.out


def test_methods_as_json(run):
    found = {m["id"]: m for m in json.loads(run("methods", "--json").out)["methods"]}
    assert set(found) == set(methods())
    assert found["occlusion"]["options"]["window"] == {
        "flag": "--occlusion.window",
        "kind": "whole number|RxC|none",
        "default": None,
        "help": "side of the square, in pixels of the model's input, or rows and columns, as in `8x4`; None is a "
        "seventh of each side of the picture (32 of 224), at least 1.",
    }
    assert found["grad-cam"]["looks_at"] == "a layer"
    assert found["saliency"]["looks_at"] == "the input"
    assert found["guided-grad-cam"]["looks_at"] == "a layer and the input"


def test_one_method_in_detail(run):
    answer = run("methods", "occlusion")
    assert "d_p = S(I) - S(I hidden at p)" in answer.out
    assert "Caveat: A hidden square" in answer.out
    assert "--occlusion.stride" in answer.out
    assert json.loads(run("methods", "occlusion", "--json").out)["id"] == "occlusion"


def test_every_option_is_described():
    for method in methods().values():
        assert set(method.options) <= set(described_arguments(method)), method.id


def test_models(run):
    assert "torchvision:NAME" in run("models").out
    assert json.loads(run("models", "--json").out)["models"][0] == {
        "spec": "efficientnet-lite0",
        "what": "EfficientNet-Lite0, ImageNet, 1000 classes; comes with Pellucid",
        "installed": True,
    }


def test_doctor(run):
    answer = run("doctor", "--json")
    found = json.loads(answer.out)
    assert answer.code == 0, found
    assert found["versions"]["pellucid"] == pellucid.__version__
    assert (
        found["devices"]["freed memory"] == "returned to the system"
    )  # main() with arguments leaves the process alone
    assert found["ok"] is True
    assert {t["ok"] for t in found["selftest"]} == {True, None}
    assert {t["promise"] for t in found["selftest"]} == {"never silently wrong", "leaves no trace", "honest", "fast"}


def test_doctor_reports_a_broken_promise(run, monkeypatch):
    def crash():
        raise RuntimeError("out of order")

    tests = [
        ("honest", "a lie", lambda: (False, "gap 3")),
        ("fast", "a crash", crash),
        ("fast", "fine", lambda: (True, "")),
    ]
    monkeypatch.setattr(selftest, "_TESTS", tests)
    answer = run("doctor")
    assert answer.code == 1
    assert answer.out.count("FAILED") == 2
    assert "RuntimeError: out of order" in answer.out
    assert "a promise does not hold" in answer.out


def test_the_self_test_would_notice(monkeypatch):
    from pellucid.capture.backward_rules import handwritten
    from pellucid.capture.backward_rules import relu as rules
    from pellucid.capture.operators import op

    monkeypatch.delitem(rules.RULES, op.RELU)
    monkeypatch.setattr(handwritten.Handwritten, "rectifier", lambda *_: None)  # which finds them by what they do
    (test,) = [t for t in selftest._TESTS if t[2] is selftest._functional_relu]
    assert selftest._run(*test).ok is False


def test_the_sanity_check_of_the_selftest_can_fail(monkeypatch):
    monkeypatch.setattr(selftest, "FAILS", 0.99)
    (test,) = [t for t in selftest._TESTS if t[2] is selftest._sanity]
    finding = selftest._run(*test)
    assert finding.ok is False
    assert "more than 0.99 fails" in finding.found


def test_options_of_a_method_are_told_with_the_method(run):
    assert "`pellucid methods ID` tells all of one" in " ".join(run("explain", "--help").out.split())
    for method in methods().values():
        shown = "".join(run("methods", method.id).out.split())
        assert all(f"--{method.id}.{name.replace('_', '-')}" in shown for name in method.options)
    told = run("methods", "occlusion").out
    assert "whole number|RxC|none" in "".join(told.split()).replace("wholenumber", "whole number")
    assert "a seventh of each side" in " ".join(told.split())


def test_help_and_version_do_not_import_torch():
    code = (
        "import gc, sys; from pellucid.cli import main; codes = [main([flag]) for flag in ('--help', '--version')]; "
        "sys.exit(codes != [0, 0] or not gc.isenabled() or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"version {pellucid.__version__}" in done.stdout
    for command in ("explain", "methods", "models", "layers", "doctor"):
        assert command in done.stdout


def test_the_command_prepares_its_own_process():
    code = (
        "import gc, sys; sys.argv = ['pellucid', 'doctor', '--json']; "
        "from pellucid.cli import main, process, selftest as s; s._TESTS = (); "
        "code = main(); process.settled(); sys.exit(code or not gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    kept = json.loads(done.stdout)["devices"]["freed memory"] == "kept in the process"
    assert kept == (sys.platform == "linux" and platform.libc_ver()[0] == "glibc")


@pytest.mark.parametrize("arguments", [("--help",), ("layers", "-h"), ("doctor", "--help")])
def test_help_ends_well(run, arguments):
    assert run(*arguments).code == 0
