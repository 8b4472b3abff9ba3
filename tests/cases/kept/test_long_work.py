"""Long work: judging has a limit and says what it left out, and what takes long is foretold."""

import json
from dataclasses import replace

import pytest

from pellucid.cli import explain_job, progress
from pellucid.evaluation import trust


@pytest.mark.parametrize(("words", "least"), [(["--trust"], 2), (["--trust", "full"], 4), ([], 0)])
def test_newcomer_28_trust_has_a_limit_and_says_what_it_left_out(command, monkeypatch, words, least):
    """Maps that take 1,000 seconds each: to make them anew takes thousands, hiding and showing pixels does not."""
    monkeypatch.setattr(trust._Limit, "affordable", lambda self, _, real=trust._Limit.affordable: real(self, 1000.0))
    code, out, _ = command(*words, "--json", pictures="photos/0.png")
    assert code == 0
    (picture,) = json.loads(out)["pictures"]
    for attribution in picture["attributions"]:
        judged = [] if attribution["trust"] is None else [score["metric"] for score in attribution["trust"]["scores"]]
        assert len(judged) == least
    said = [note for note in picture["notes"] if note.startswith("Left out of judging")]
    assert said == (
        ["Left out of judging, for the time that it would take: randomisation of saliency, grad-cam; "
         "max-sensitivity of saliency, grad-cam."] if words == ["--trust"] else []
    )  # fmt: skip


def test_newcomer_28_when_the_time_is_over_what_was_judged_stays(command, monkeypatch):
    """A clock that goes on by ten minutes each time someone looks at it."""
    hours = iter(range(0, 10**9, 600))
    monkeypatch.setattr(trust.time, "monotonic", lambda: next(hours))
    code, out, _ = command("--trust", "--json", pictures="photos/0.png")
    assert code == 0
    (picture,) = json.loads(out)["pictures"]
    assert all(attribution["trust"]["level"] == "unknown" for attribution in picture["attributions"])
    assert any("deletion of saliency, grad-cam; insertion of saliency, grad-cam" in note for note in picture["notes"])


def test_newcomer_28_long_work_is_foretold(command, monkeypatch, capsys):
    """A clock by which each look takes three seconds: RISE with 4,000 masks is long, its first chunk tells."""
    real, seconds = explain_job.explain, iter(range(0, 10**9, 3))
    with monkeypatch.context() as patch:
        patch.setattr(progress.time, "monotonic", lambda: next(seconds))
        bar = progress.Bar(1)
        for done in range(100, 4001, 100):
            bar.tick("rise", done, 4000)
    assert capsys.readouterr().err.count("rise takes about") == 1
    assert progress.minutes(61) == "1 minute"
    assert progress.minutes(3600 * 5) == "5 hours"

    def slow(*given, **more):
        return replace(real(*given, **more), seconds=100.0)

    monkeypatch.setattr(explain_job, "explain", slow)
    assert "The other 3 pictures take about 5 minutes." in command()[2]
