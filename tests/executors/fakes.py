"""A scheduler, a job and a ticket as far as an executor sees them, and the functions that the jobs call."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mainspring.events import (
    EVENT_ALL,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_TIMEOUT,
    Clock,
    JobExecutionEvent,
    ListenerRegistry,
    ManualClock,
    SchedulerEvent,
    SystemClock,
)
from mainspring.executors import current_run

TIMEOUT = 30.0  # seconds; on a loaded machine a worker process takes a while to start
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OUTCOMES = EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_TIMEOUT


class FakeScheduler:
    """Keeps every event, and offers the outcomes one by one."""

    def __init__(self, clock: Clock | None = None, mask: int = EVENT_ALL) -> None:
        self.clock: Clock = clock or SystemClock()
        self.listeners = ListenerRegistry()
        self.events: list[Any] = []
        self.outcomes: SimpleQueue[JobExecutionEvent] = SimpleQueue()
        self.listeners.add(self._keep, mask)

    def _wants(self, code: int) -> bool:
        return self.listeners.wants(code)

    def _dispatch_event(self, event: SchedulerEvent) -> None:
        self.listeners.publish(event)

    def _keep(self, event: Any) -> None:
        self.events.append(event)
        if event.code & OUTCOMES:
            self.outcomes.put(event)

    def outcome(self) -> JobExecutionEvent:
        return self.outcomes.get(timeout=TIMEOUT)

    def codes(self) -> list[int]:
        return [event.code for event in self.events]


@dataclass
class FakeJob:
    func: Callable[..., Any]
    args: Sequence[Any] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    id: str = "job"
    misfire_grace_time: float | None = None
    max_instances: int = 1_000_000
    _jobstore_alias: str = "default"
    timeout: float | None = None

    @property
    def name(self) -> str:
        return self.id

    def __str__(self) -> str:
        return self.id


class FakeTicket:
    """Keeps what it is told, all of it in `told`; a failure is followed by another attempt at `retry_at`."""

    def __init__(
        self,
        claimed_at: int = 0,
        leased: bool = True,
        attempt: int = 1,
        run_id: int | None = None,
        retry_at: datetime | None = None,
    ) -> None:
        self.claimed_at = claimed_at
        self.leased = leased
        self.attempt = attempt
        self.run_id = run_id
        self.retry_at = retry_at
        self.errors: list[BaseException | None] = []
        self.told: list[tuple[Any, ...]] = []
        self.at_failure: Callable[[], object] = lambda: None
        self.at_end: Callable[[], object] = lambda: None

    def may_start(self) -> bool:
        return self.leased

    def failed(self, place: int, error: BaseException) -> datetime | None:
        self.told.append(("failed", place, error))
        self.at_failure()
        return self.retry_at

    def missed(self, place: int, late: timedelta) -> None:
        self.told.append(("missed", place, late))
        self.at_failure()

    def ended(self, error: BaseException | None) -> None:
        self.told.append(("ended", error))
        self.errors.append(error)
        self.at_end()


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def now() -> list[datetime]:
    """Run times: one, due now by the system's clock."""
    return [SystemClock().now()]


def noon_clock(late: float = 0) -> ManualClock:
    return ManualClock(NOON + timedelta(seconds=late))


# Jobs. Worker processes import them from here.


def nothing() -> None:
    pass


def add(a: int, b: int = 0) -> int:
    return a + b


def pid() -> int:
    return os.getpid()


def this_run() -> tuple[Any, ...] | None:
    """What the job knows of its run."""
    run = current_run()
    if run is None:
        return None
    assert run is current_run()
    return (run.job_id, run.jobstore, run.scheduled_run_time, run.attempt, run.run_id, run.cancelled)


def until_cancelled() -> str | None:
    """Run until this run is cancelled, and tell why."""
    run = current_run()
    assert run is not None
    assert run.wait(TIMEOUT)
    return run.cancel_reason


def touch_until_cancelled(path: str) -> str | None:
    touch(path)
    return until_cancelled()


def until_cancelled_at(moment: datetime) -> bool:
    """Only the run scheduled then takes until it is cancelled."""
    run = current_run()
    assert run is not None
    return run.scheduled_run_time == moment and run.wait(TIMEOUT)


def pid_or_hang(moments: Sequence[datetime]) -> int:
    """Only runs scheduled at one of `moments` hang."""
    run = current_run()
    assert run is not None
    if run.scheduled_run_time in moments:
        work_or_hang(0)
    return os.getpid()


def hang_at_or_until_cancelled(path: str, moment: datetime) -> str | None:
    touch(path)
    pid_or_hang([moment])
    return until_cancelled()


def seconds_left() -> float | None:
    run = current_run()
    assert run is not None
    return run.time_left


def own_timeout_error() -> None:
    raise TimeoutError("the mail server does not answer")


def work_or_hang(fate: int) -> int:
    """One of many short runs: some hang, some die, some raise, most return."""
    if fate == 0:
        while True:
            signal.pause()
    if fate == 1:
        while True:  # not only at rest, but busy, too
            pass
    return exit_or_not(fate - 2)


def thread_name() -> str:
    return threading.current_thread().name


def boom(text: str = "boom") -> None:
    raise ValueError(text)


def leave() -> None:
    sys.exit(5)


def interrupt() -> None:
    raise KeyboardInterrupt


def die(code: int) -> None:
    os._exit(code)


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def coroutine() -> int:
    return 1


def disguised_coroutine() -> Any:
    return coroutine()


def unpicklable_result() -> Any:
    return lambda: 1


class OddError(Exception):
    """Pickles, but cannot be restored: `args` does not fit `__init__`."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def raise_odd() -> None:
    raise OddError(1, 2)


class Poison:
    """Kills the process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


class Unloadable:
    """Pickles, but raises where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return boom, ("cannot be loaded",)


def result_that_cannot_be_restored() -> Any:
    return Unloadable()


def touch(path: str) -> None:
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")


def touch_and_wait(path: str, until: str) -> str:
    """Tell by the file `path` that the run goes on, and let it go on until somebody has opened the named pipe `until` and closed it."""
    touch(path)
    with open(until) as pipe:
        pipe.read()
    return "done"


def sleep_for_ever(path: str) -> None:
    touch(path)
    while True:
        signal.pause()


def sigterm_oneself() -> int:
    """Send SIGTERM to this process, which goes on; then to a forked one. Returns the signal that ended that."""
    os.kill(os.getpid(), signal.SIGTERM)
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) * -1


def sigint_disposition() -> tuple[bool, bool]:
    """Whether SIGINT is ignored here, and whether it is blocked."""
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN, blocked


SETTING: list[Any] = []


def take(seconds: float) -> None:
    threading.Event().wait(seconds)


def set_up(value: Any) -> None:
    SETTING.append(value)


def setting() -> list[Any]:
    return SETTING


def close_the_pipe() -> None:
    os.closerange(3, 64)


def fork_a_sleeper(path: str) -> None:
    """Leave a forked process behind that holds the worker's end of the pipe, and die."""
    if os.fork() == 0:
        touch(path)
        signal.alarm(int(TIMEOUT))  # ends it if nobody does
        signal.pause()
        os._exit(0)
    os._exit(4)


def fork_a_sleeper_and_hang(path: str) -> None:
    """The same, and do not die."""
    if os.fork() == 0:
        fork_a_sleeper(path)
    signal.pause()


def exit_or_not(fate: int) -> int:
    """One of many short runs: some die, in one way or another, some raise, most return."""
    if fate == 0:
        os._exit(7)
    if fate == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if fate < 10:
        raise ValueError(fate)
    return fate


def pid_in(path: Path) -> int:
    """The pid that a job has written into `path`, as its first word; waits until it has."""
    for _ in range(int(TIMEOUT * 100)):
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return int(text.split()[0])
        threading.Event().wait(0.01)
    raise AssertionError(f"no {path.name} after {TIMEOUT} s")
