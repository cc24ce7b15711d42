"""`Look`: a pass over one store whose steps are carried out aside."""

from collections.abc import Generator
from typing import Any

import pytest
from mainspring.jobstores.base import JobStoreError
from mainspring.scheduler.look import Look

from tests.scheduler.watching import within_time


def steps(told: list[Any]) -> Generator[str, Any, None]:
    for name in ("first", "second"):
        try:
            told.append((yield name))
        except ValueError as exc:
            told.append(exc)


def test_answers_and_errors_come_back_where_they_are_waited_for() -> None:
    told: list[Any] = []
    look, error, woken = Look(steps(told)), ValueError("no"), []

    def fail() -> None:
        raise error

    assert look.advance() == "first"
    step = look.aside(lambda: 5, lambda: woken.append(look.waits))
    assert look.waits
    within_time(step)
    assert not look.waits
    assert look.advance() == "second"
    within_time(look.aside(fail, lambda: woken.append(look.waits)))
    assert look.advance() is None
    assert told == [5, error]
    assert look.over
    assert woken == [False, False]  # the answer is there when the loop is woken


def test_what_a_pass_raises_ends_it() -> None:
    look = Look(steps([]))
    look.advance()

    def fail() -> None:
        raise KeyError("x")

    within_time(look.aside(fail, lambda: None))
    with pytest.raises(KeyError):
        look.advance()
    assert look.over


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt()])
def test_the_end_of_a_thread_is_not_the_end_of_the_program(error: BaseException) -> None:
    """A driver's code that calls `sys.exit()` ends its thread, and not the main thread in which the loop may go on with it."""
    look = Look(steps([]))
    look.advance()

    def leave() -> None:
        raise error

    within_time(look.aside(leave, lambda: None))
    with pytest.raises(JobStoreError, match="the step was interrupted"):
        look.advance()


def test_ctrl_c_in_the_main_thread_is() -> None:
    """As under virtual time, where the step is carried out at once."""
    look = Look(steps([]))
    look.advance()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look.aside(interrupt, lambda: None)()
    assert not look.waits
    with pytest.raises(JobStoreError, match="the step was interrupted"):
        look.advance()
