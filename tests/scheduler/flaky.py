"""Jobs that fail as often as a test says, and then go well."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, EVENT_JOB_TIMEOUT
from mainspring.scheduler.virtual import VirtualScheduler

from tests.jobstores.options import Trouble
from tests.scheduler.watching import at

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
ENDS = EVENT_JOB_ERROR | EVENT_JOB_TIMEOUT | EVENT_JOB_EXECUTED | EVENT_JOB_MISSED
ONCE: dict[str, Any] = {"trigger": "date", "run_date": at(60)}
EACH_MINUTE: dict[str, Any] = {"trigger": "interval", "minutes": 1}

OUTCOMES: dict[str, list[Any]] = {}
"""What the calls of a job by this name come to, one after the other: an exception is raised, anything else returned."""

CALLS: list[str] = []
"""Who was called, in order."""


def fails(name: str, *outcomes: Any) -> None:
    """Say what the next calls come to."""
    OUTCOMES[name] = list(outcomes)


def flaky(name: str = "x") -> Any:
    """A job. What nobody has said anything of goes well."""
    CALLS.append(name)
    outcome = OUTCOMES[name].pop(0) if OUTCOMES.get(name) else "done"
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def other_flaky(name: str = "x") -> Any:
    """Another job, which does the same."""
    CALLS.append(f"other {name}")
    return "other"


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """For tests that have such jobs: nothing has been said, and nobody was called."""
    OUTCOMES.clear()
    CALLS.clear()
    yield
    OUTCOMES.clear()
    CALLS.clear()


class Ends:
    """When the runs of a job ended, in seconds after the start, and how."""

    def __init__(self, scheduler: VirtualScheduler) -> None:
        self.seconds: list[float] = []
        self.events: list[Any] = []
        self._scheduler = scheduler
        scheduler.add_listener(self, ENDS)

    def __call__(self, event: Any) -> None:
        self.seconds.append((self._scheduler.now - at(0)).total_seconds())
        self.events.append(event)

    def told(self, *names: str) -> list[Any]:
        """One value, or several, of each event."""
        values = [tuple(getattr(event, name) for name in names) for event in self.events]
        return [value[0] for value in values] if len(names) == 1 else values


def trouble(count: int) -> list[Trouble]:
    return [Trouble(f"no. {number}") for number in range(1, count + 1)]
