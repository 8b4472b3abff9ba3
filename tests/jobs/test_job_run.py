"""The loop over inputs: whatever one raises, the others are reached, and what is done is said."""

import pytest

from pellucid.errors import BadOption, BadPicture, Cancelled, Refused, TraceLeft, Unexpected
from pellucid.jobs import over


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


ERRORS = [
    BadOption("no"), BadPicture("no"), Refused("no"), ValueError("no"), StopIteration(), RecursionError(),
    MemoryError(), SystemExit(0), SystemExit("bye"), GeneratorExit(), Mute(), AssertionError(), OSError(28, "full"),
    UnicodeEncodeError("utf-8", "\udcff", 0, 1, "no"), type("Strange", (BaseException,), {})("odd"),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", range(3))
def test_whatever_one_raises_the_others_are_reached(error, place):
    def work(number):
        if number == place:
            raise error
        return number * 10

    seen = []
    outcome = over(range(3), work, name=lambda number: f"{number}.png", each=seen.append)
    assert outcome.done == [10 * k for k in range(3) if k != place]
    (failure,) = outcome.failed
    assert failure.input == place
    assert seen == [*outcome.done[:place], failure, *outcome.done[place:]]
    assert (outcome.planned, outcome.interrupted) == (3, None)
    own = isinstance(error, BadOption | BadPicture | Refused)
    assert failure.error is error if own else failure.error.__cause__ is error
    if not own:
        assert isinstance(failure.error, Unexpected)
        assert f"{place}.png: " in str(failure.error)
        assert type(error).__name__ in str(failure.error)
        assert "test_job_run.py, line" in str(failure.error)
    assert outcome.exit_code == (failure.error.exit_code if own else 1)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Cancelled("stopped", "half")])
def test_an_interrupt_ends_it_and_what_was_done_is_there(place, stop):
    def work(number):
        if number == place:
            raise stop
        return number

    outcome = over(range(3), work)
    assert outcome.done == list(range(min(place, 3)))
    assert outcome.interrupted is (stop if place < 3 else None)
    assert outcome.exit_code == (130 if place < 3 else 0)


def test_an_interrupt_while_a_result_is_shown_does_not_lose_it():
    def stop(_):
        raise KeyboardInterrupt

    outcome = over(range(3), lambda number: number, each=stop)
    assert outcome.done == [0]
    assert outcome.interrupted is not None


def test_misuse_that_all_share_is_said_once_and_early():
    reached = []

    def work(number):
        reached.append(number)
        raise BadOption("no such layer")

    with pytest.raises(BadOption, match="no such layer"):
        over(range(100), work)
    assert reached == [0, 1]
    assert len(over(range(1), work).failed) == 1, "a single one may be at fault itself"


def test_misuse_of_the_first_inputs_that_differs_is_theirs():
    def work(number):
        if number < 2:
            raise BadOption(f"box outside of picture {number}")
        return number

    assert over(range(4), work).done == [2, 3]


def test_pictures_that_cannot_be_read_never_speak_for_the_others():
    def work(number):
        if number < 3:
            raise BadPicture("damaged")
        return number

    assert over(range(5), work).done == [3, 4]


def test_a_network_that_was_changed_for_good_ends_it():
    def work(number):
        raise TraceLeft("changed")

    with pytest.raises(TraceLeft):
        over(range(3), work)
