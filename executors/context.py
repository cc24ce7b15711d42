"""`current_run()`: what a job function may learn of the run that it is, and whether it is wanted any longer."""

import os
import threading
from contextvars import ContextVar
from datetime import datetime
from typing import Final

from ..events import Clock, SystemClock

_elapsed = SystemClock().monotonic

LONGEST: Final = 86_400.0
"""Seconds for which `wait` waits at a time: there are systems that refuse much longer ones."""

HEAR_OF_THE_LIMIT_EVERY: Final = 1.0
"""Seconds for which `wait` waits at a time where there is a time limit: time that the machine has slept is seen then."""


class CurrentRun:
    """The run that calls `current_run()`. Its methods may be called from any thread, and after the run, too.

    `job_id`, `jobstore` (alias), `scheduled_run_time` (aware); `attempt`: from 1 on, the next one each time that the run
    is tried again; `run_id`: what identifies it through all attempts (None where it was not claimed from a store).
    """

    __slots__ = (
        "_clock",
        "_deadline",
        "_reason",
        "_told",
        "attempt",
        "job_id",
        "jobstore",
        "run_id",
        "scheduled_run_time",
    )

    def __init__(
        self,
        job_id: str,
        jobstore: str,
        scheduled_run_time: datetime,
        attempt: int,
        run_id: int | None,
        clock: Clock,
        deadline: float | None,
    ) -> None:
        self.job_id = job_id
        self.jobstore = jobstore
        self.scheduled_run_time = scheduled_run_time
        self.attempt = attempt
        self.run_id = run_id
        self._clock = clock
        self._deadline = deadline  # by clock.monotonic()
        self._reason: str | None = None
        self._told = threading.Event()

    @property
    def time_left(self) -> float | None:
        """Seconds until the run's time limit, 0 behind it; None without a limit."""
        return None if self._deadline is None else max(0.0, self._deadline - self._clock.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether the run should come to an end. Nobody ends it: it is for the function to look here now and then."""
        return self.cancel_reason is not None

    @property
    def cancel_reason(self) -> str | None:
        """Why `cancelled`: "timeout" (over its time limit), "shutdown" (of its executor), "lost" (recovered by another
        scheduler, or its job was removed)."""
        if self._reason is None and self.time_left == 0:
            self.cancel("timeout")
        return self._reason

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until `cancelled`, at most so many seconds (None: for ever). Whether it is. To be used in place of time.sleep.

        It holds up its thread, so not in a coroutine, which is cancelled by its executor.
        """
        end = None if seconds is None else _elapsed() + seconds
        while not self.cancelled:
            left = [LONGEST if end is None else min(LONGEST, end - _elapsed())]
            if left[0] <= 0:
                break
            if self._deadline is not None:
                left.append(HEAR_OF_THE_LIMIT_EVERY)
                if self._clock.is_real:
                    left.append(self._deadline - self._clock.monotonic())
            self._told.wait(min(left))
        return self.cancelled

    def cancel(self, reason: str) -> None:
        """Have `cancelled` be true, here; the first reason counts. Executors do that with `BaseExecutor.cancel`."""
        if self._reason is None:
            self._reason = reason
        self._told.set()

    def __repr__(self) -> str:
        return f"<CurrentRun of {self.job_id!r} (attempt {self.attempt}, scheduled at {self.scheduled_run_time})>"


class Running:
    """What the context variable holds while a run goes on; a `CurrentRun` is made of it only when somebody asks."""

    __slots__ = ("cancelled", "run")
    cancelled: str | None
    """Why all of its run times that are left should come to an end."""
    run: CurrentRun | None
    """The present run time, if somebody has asked."""

    def describe(self, deadline: float | None = None) -> CurrentRun:
        """The present run time as its function gets to see it."""
        raise TypeError(f"{type(self).__name__} describes no run")

    def why_cancelled(self) -> str | None:
        """The reason, if it should come to an end."""
        return self.cancelled

    def current(self) -> CurrentRun:
        """The present run time, the same object each time."""
        with _asking:
            run = self.run
            if run is None:
                run = self.run = self.describe()
        self._pass_on(run)
        return run

    def limited(self, deadline: float) -> CurrentRun:
        """The present run time has a limit, and ends at `deadline` (by the clock's `monotonic`)."""
        run = self.run = self.describe(deadline)
        self._pass_on(run)
        return run

    def cancel(self, reason: str) -> None:
        """Have its function learn that it should come to an end. Any thread."""
        # The reason first, then the run; who makes the run looks at the reason afterwards. So one of both sees the other.
        if self.cancelled is None:
            self.cancelled = reason
        run = self.run
        if run is not None:
            run.cancel(reason)

    def _pass_on(self, run: CurrentRun) -> None:
        reason = self.why_cancelled()
        if reason is not None:
            run.cancel(reason)


running: ContextVar[Running | None] = ContextVar("mainspring_running", default=None)


def current_run() -> CurrentRun | None:
    """The run that the calling function belongs to; None outside of a run.

    It is a context variable's: in tasks that a coroutine function starts, and in `contextvars.copy_context().run(...)`,
    it is known as well; in threads that a function starts itself, it is not, unless they are given the context.
    """
    run = running.get()
    return None if run is None else run.current()


_asking = threading.RLock()  # a finalizer of the job's may ask, too, in the middle of it


def _forget_after_fork() -> None:
    global _asking
    _asking = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
