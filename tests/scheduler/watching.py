"""What the tests of the scheduler watch it with: a listener that can be waited for, and jobs that say that they ran."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Condition, Thread
from typing import Any, TypeVar

from mainspring.events import EVENT_ALL, EVENT_JOB_EXECUTED, ManualClock
from mainspring.scheduler import SchedulerNotRunningError
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.base import BaseScheduler
from mainspring.scheduler.virtual import VirtualScheduler

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
TIMEOUT = 10.0  # seconds: what has not happened by then does not happen

S = TypeVar("S", bound=BaseScheduler)
T = TypeVar("T")


def at(seconds: float) -> datetime:
    """So many seconds after the start of the test."""
    return START + timedelta(seconds=seconds)


class Heard:
    """All that a scheduler has published, in order."""

    def __init__(self, scheduler: BaseScheduler, mask: int = EVENT_ALL) -> None:
        self.events: list[Any] = []
        self._changed = Condition()
        scheduler.add_listener(self, mask)

    def __call__(self, event: Any) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def of(self, codes: int, job_id: str | None = None) -> list[Any]:
        """The events with one of these codes, of one job if that is named."""
        with self._changed:
            return self._of(codes, job_id)

    def wait(self, codes: int, job_id: str | None = None, count: int = 1) -> Any:
        """The event that makes it so many of them, when it has come."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._of(codes, job_id)) >= count, TIMEOUT)
            assert came, f"waited for {count} of {codes} ({job_id}), and heard {self.events}"
            return self._of(codes, job_id)[count - 1]

    def codes(self, job_id: str | None = None) -> list[int]:
        """The codes of all events, of those of one job if that is named."""
        return [event.code for event in self.of(EVENT_ALL, job_id)]

    def seconds(self, job_id: str, codes: int = EVENT_JOB_EXECUTED) -> list[float]:
        """When the runs of a job were scheduled, in seconds after the start of the test."""
        return [(event.scheduled_run_time - START).total_seconds() for event in self.of(codes, job_id)]

    def _of(self, codes: int, job_id: str | None) -> list[Any]:
        return [
            event
            for event in self.events
            if event.code & codes and (job_id is None or getattr(event, "job_id", None) == job_id)
        ]


def virtual(**options: Any) -> VirtualScheduler:
    """A scheduler in virtual time, not started."""
    return VirtualScheduler(start=START, **options)


def background(**options: Any) -> tuple[BackgroundScheduler, ManualClock]:
    """A scheduler in a thread of its own, not started, and the clock by which it works."""
    clock = ManualClock(START)
    return BackgroundScheduler(clock=clock, timezone=UTC, **options), clock


@contextmanager
def started(scheduler: S, paused: bool = False) -> Iterator[S]:
    """The scheduler, running; it is shut down at the end, if it is not by then."""
    scheduler.start(paused=paused)
    try:
        yield scheduler
    finally:
        stop(scheduler)


def stop(scheduler: BaseScheduler) -> None:
    """Shut down, whatever state the test left it in; a scheduler that does not come to its end fails the test."""

    def shutdown() -> None:
        try:
            scheduler.shutdown()
        except SchedulerNotRunningError:
            pass

    within_time(shutdown)


def within_time(call: Callable[[], T]) -> T:
    """What a call in another thread answers, or raises; one that does not come back fails the test, and not the whole run."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as exc:
            errors.append(exc)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive(), f"{call} does not return"
    if errors:
        raise errors[0]
    return answers[0]


def nothing(*args: Any, **kwargs: Any) -> None:
    """A job."""


def other(*args: Any, **kwargs: Any) -> None:
    """Another job."""


def answer(value: Any) -> Any:
    """A job that returns something."""
    return value


def boom(text: str = "boom") -> None:
    """A job that raises."""
    raise ArithmeticError(text)
