"""Scores side by side: a verdict rests on differences picture by picture, and its digits are to be seen."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid
from pellucid.comparison.page import page, sentence
from pellucid.contracts import Cost, Score
from pellucid.evaluation import Trust, column_of
from pellucid.evaluation.bootstrap import mean_and_interval
from pellucid.evaluation.digits import number
from pellucid.evaluation.lead import closest, lead

METRICS = pellucid.metrics()
CONTROLS = ("random", "centre", "edges")


def score(name, values, metric="deletion", controls=()):
    """A score of these numbers, one for each picture, without any network."""
    values = torch.tensor(values, dtype=torch.float64)
    mean, interval = mean_and_interval(values, 0)
    return Score(
        METRICS[metric], name, None, ("cat",) * len(values), values, mean, interval, {}, (), {}, 0, Cost(0.0, 0, 0), (),
        {each.subject: each for each in controls},
    )  # fmt: skip


def beside(name, own, others, metric="deletion"):
    """A score and controls, which are called as they always are."""
    return score(name, own, metric, [score(c, v, metric) for c, v in zip(CONTROLS, others, strict=True)])


LEVEL = [0.1301, 0.1313, 0.1306, 0.1322, 0.1297, 0.1311]
"""Deletion of one map on six pictures; the controls differ by less than two decimals show."""


def test_equal_digits_never_carry_a_verdict():
    """Each control is 0.0007, 0.0009 and 0.0012 worse on every picture, so all differences are that, without spread."""
    won = beside("a", LEVEL, [[x + d for x in LEVEL] for d in (0.0007, 0.0009, 0.0012)])
    found = closest(won)
    assert (found.over, found.verdict, found.won, found.lost, found.count) == ("random", "better", 6, 0, 6)
    assert found.gain == pytest.approx(0.0007, abs=1e-9)
    assert found.interval == pytest.approx((0.0007, 0.0007), abs=1e-9)
    assert found.text == "better than random by 0.00070 (0.00070 to 0.00070), better on 6 of 6"
    column = column_of([won])
    assert len({column.number(each.mean) for each in (won, *won.controls.values())}) == 4
    assert column.number(won.mean) == "0.1308"  # the mean is 0.13083; 0.1308, 0.1315, 0.1317, 0.1320 differ


def test_a_difference_of_rounding_is_a_tie():
    """float32 passes in other batches differ by about 1e-6 of a score: on one picture that decided a verdict."""
    for own in ([0.13], LEVEL):
        tied = beside("a", own, [[x * (1 + 2e-6) for x in own]] * 3)
        assert closest(tied).verdict == "tie"
        assert closest(tied).text == "a tie with random, the difference is no larger than rounding"
        assert not tied.better_than(tied.controls["random"])
        assert column_of([tied]).number(tied.mean) == "0.13"


def test_a_tie_of_pictures_is_called_one():
    """Now better and now worse by the same amount: the mean is 0, and two of four are won."""
    found = lead(score("a", [0.3, 0.5, 0.3, 0.5]), score("b", [0.4, 0.4, 0.4, 0.4]))
    assert (found.verdict, found.won, found.lost) == ("tie", 2, 2)
    assert found.text.startswith("a tie with b: 0.00 (-0.")
    assert found.text.endswith("better on 2 of 4")


def test_of_one_picture_there_is_no_interval():
    found = lead(score("a", [0.40]), score("b", [0.43]))
    assert (found.verdict, found.interval, found.text) == ("better", None, "better than b by 0.030")
    assert lead(score("b", [0.43]), score("a", [0.40])).text == "worse than a by 0.030"
    assert lead(score("a", [math.nan]), score("b", [0.4])).verdict == "unknown"


def test_trust_shows_what_its_words_rest_on():
    hidden = beside("a", [0.13], [[0.13], [0.2], [0.3]])
    shown = beside("a", [0.9], [[0.5], [0.6], [0.7]], "insertion")
    found = Trust({"deletion": hidden, "insertion": shown}, {})
    assert found.level == "mixed"
    assert found.sentence.endswith("sooner than with a random map (a tie).")
    said = (
        "deletion: a tie with random, the difference is no larger than rounding; insertion: better than edges by 0.20"
    )
    assert found.comparison == said
    assert found.known(0)["leads"]["insertion"]["verdict"] == "better"


@given(
    st.lists(st.tuples(st.floats(0.1, 1), st.floats(-0.05, 0.05)), min_size=1, max_size=5),
    st.sampled_from(["deletion", "insertion"]),
)
@settings(max_examples=25, deadline=None)
def test_verdict_digits_and_words_agree(rows, metric):
    """Of any two rows: what is told apart is written apart, mirrored for the other, and counted as by hand."""
    mine, other = score("a", [x for x, _ in rows], metric), score("b", [x + d for x, d in rows], metric)
    found, mirrored = lead(mine, other), lead(other, mine)
    sign = 1 if metric == "insertion" else -1
    gains = [sign * (x - (x + d)) for x, d in rows]
    beyond = [g for g, (x, d) in zip(gains, rows, strict=True) if abs(g) > 1e-4 * max(x, x + d)]
    assert (found.won, found.lost) == (sum(g > 0 for g in beyond), sum(g < 0 for g in beyond))
    assert found.gain == pytest.approx(sum(beyond) / len(rows), abs=1e-12)
    opposite = {"better": "worse", "worse": "better", "tie": "tie"}
    assert mirrored.verdict == opposite[found.verdict]
    if found.verdict != "tie":
        column = column_of([mine, other])
        assert column.number(mine.mean) != column.number(other.mean)
        assert found.verdict in found.text


@pytest.fixture(scope="module")
def compared():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(75, 3))
    x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    options = {"deletion": {"steps": 2}}
    return pellucid.compare(net, x, ["saliency", "input-x-gradient"], "deletion", options=options, sanity=False)


def test_the_page_says_it_too(compared):
    """Means 0.13 in every row to two decimals; the first is ahead of the second by 0.0010 on each of two pictures."""
    rows = {"saliency": [0.1300, 0.1310], "input-x-gradient": [0.1310, 0.1320]}
    weak = [[0.1320, 0.1330]] * 3
    made = replace(compared)
    scores = tuple(beside(name, values, weak) for name, values in rows.items())
    made.__dict__["evaluation"] = replace(compared.evaluation, scores=scores)
    said = sentence(made)
    assert "ahead by the metric, on 2 pictures, of Input x gradient (deletion: better by 0.0010" in said
    assert "better on 2 of 2" in said
    assert said.endswith("better than all maps that know nothing of the network by deletion.")
    html = page(made, created="now")
    for shown in ("0.1305", "0.1315", "0.1325", "better than random by 0.0020", "better than random by 0.0010"):
        assert shown in html
    tied = replace(compared)
    scores = tuple(beside(name, [0.13, 0.14], [[0.13, 0.14]] * 3) for name in rows)
    tied.__dict__["evaluation"] = replace(compared.evaluation, scores=scores)
    assert sentence(tied).startswith("No method is better than maps that know nothing of the network")


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [(0.13, 2, "0.13"), (-1e-9, 2, "0.00"), (3.2e-9, 10, "3.2e-09"), (1234.4, 0, "1234"), (0.0, 2, "0.00")],
)
def test_numbers(value, places, text):
    assert number(value, places) == text
