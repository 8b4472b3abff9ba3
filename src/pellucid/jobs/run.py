"""The loop over inputs: each is worked on alone, so that a bad one never stops the others, whatever it raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pellucid.capture.running import blamed
from pellucid.errors import BadSample, OutOfMemory, PellucidError, TraceLeft, Unexpected, exit_code, said

Input = TypeVar("Input")
Result = TypeVar("Result")

_ALIKE = 2
"""Inputs that fail by the same misuse, word for word, before any succeeds: then it is not the inputs' fault."""


@dataclass(frozen=True, eq=False)
class Failure(Generic[Input]):
    """An input that nothing came of.

    Attributes:
        input: as it was given.
        error: why; its `__cause__` is what was raised, if that was no error of Pellucid's own.
    """

    input: Input
    error: PellucidError


@dataclass(eq=False)
class Outcome(Generic[Input, Result]):
    """What came of all inputs.

    Attributes:
        done: results, in the order of the inputs.
        failed: inputs that failed, likewise.
        interrupted: Ctrl-C, or a wish to stop with what was finished of the input at hand; None if all were reached.
        planned: how many inputs there were.
    """

    done: list[Result] = field(default_factory=list)
    failed: list[Failure[Input]] = field(default_factory=list)
    interrupted: KeyboardInterrupt | None = None
    planned: int = 0

    @property
    def exit_code(self) -> int:
        """Of the process: interrupted, or the gravest failure, or 0."""
        return exit_code((failure.error for failure in self.failed), interrupted=self.interrupted is not None)


def over(
    inputs: Iterable[Input],
    work: Callable[[Input], Result],
    *,
    name: Callable[[Input], str] = str,
    each: Callable[[Result | Failure[Input]], None] | None = None,
) -> Outcome[Input, Result]:
    """Do the same work with each input.

    What `work` writes, it writes whole before it returns: then everything that is in `Outcome.done` is on disk,
    whatever happens next.

    Args:
        inputs: what to work on, in this order.
        work: gives the result of one; may raise anything.
        name: of an input for people, in the sentence about an error that nobody foresaw.
        each: function that is called with each result or failure as soon as it is there.

    Returns:
        The outcome. Ctrl-C ends it early, and is in `interrupted`; everything else that an input raises, `sys.exit` of
        a network's own code included, is a `Failure` of this input.

    Raises:
        TraceLeft: the network was changed for good, so that all further answers would be another network's.
        PellucidError: the first inputs fail by the same misuse, word for word, and none has succeeded.
    """
    listed = list(inputs)
    outcome: Outcome[Input, Result] = Outcome(planned=len(listed))
    try:
        for one in listed:
            found: Result | Failure[Input]
            try:
                found = work(one)
                outcome.done.append(found)
            except (KeyboardInterrupt, TraceLeft):
                raise
            except BaseException as error:  # noqa: BLE001 - nothing that one input raises may stop the others
                found = Failure(one, in_words(error, name(one)))
                outcome.failed.append(found)
                if _is_misuse(outcome):
                    raise outcome.failed[0].error from None
            if each is not None:
                each(found)
    except KeyboardInterrupt as stop:
        outcome.interrupted = stop
    return outcome


def in_words(error: BaseException, name: str) -> PellucidError:
    """An error as one of Pellucid's own, which says what it was about."""
    cause, error = error, blamed(error) or error
    if isinstance(error, Unexpected):
        named = Unexpected(f"{name}: {error}")
        named.__cause__ = error.__cause__ or cause
        return named
    if isinstance(error, PellucidError):
        return error
    ended = "its code ended the program, " if isinstance(error, SystemExit) else ""
    wrapped = Unexpected(f"{name}: {ended}{said(error)}. This is a bug in the model's own code, or in Pellucid.")
    wrapped.__cause__ = error
    return wrapped


def _is_misuse(outcome: Outcome[Input, Result]) -> bool:
    """Whether what failed so far says that the call is wrong, not its inputs."""
    errors = [failure.error for failure in outcome.failed]
    if outcome.done or len(errors) != _ALIKE or isinstance(errors[0], BadSample | OutOfMemory | Unexpected):
        return False
    return len({(type(error), str(error)) for error in errors}) == 1
