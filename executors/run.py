"""Running a job: the same few steps for functions, for coroutines, and for what third parties call `run_job`."""

import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import partial
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, isasyncgenfunction, isawaitable, iscoroutinefunction
from types import CoroutineType, FunctionType, MethodType
from typing import Any, NoReturn

from ..events import Clock, JobExecutionEvent, SystemClock
from .context import running
from .errors import CoroutineFunctionError, JobTimeoutError
from .limits import TimeLimit, watch
from .submission import RunnableJob, Submission, Surroundings, time_limit_error

_SYSTEM_CLOCK = SystemClock()
_AWAITED = CO_COROUTINE | CO_ASYNC_GENERATOR


def run_job(
    job: RunnableJob,
    jobstore_alias: str,
    run_times: Sequence[datetime],
    logger_name: str,
    *,
    clock: Clock | None = None,
    claimed_at: int | None = None,
    wants: Callable[[int], Any] | None = None,
) -> list[JobExecutionEvent]:
    """Run `job` once for each of `run_times`, here and now, and return what came of it: an event for each.

    A run that starts more than the job's `misfire_grace_time` late is not run (EVENT_JOB_MISSED). What the job raises is
    logged and becomes EVENT_JOB_ERROR, SystemExit and KeyboardInterrupt too. A run that takes longer than the job's
    `timeout` goes on, but that is logged when the limit passes, and becomes EVENT_JOB_TIMEOUT. `clock` defaults to that of the job's
    scheduler; `claimed_at` (microseconds since the epoch) lets the events say how long the run was queued; only events
    for which `wants(code)` is true are built (default: all).
    """
    submission = _submission(job, jobstore_alias, run_times, logger_name, clock, claimed_at, wants)
    perform(submission)
    return list(submission.outcome()[0])


async def run_coroutine_job(
    job: RunnableJob,
    jobstore_alias: str,
    run_times: Sequence[datetime],
    logger_name: str,
    *,
    clock: Clock | None = None,
    claimed_at: int | None = None,
    wants: Callable[[int], Any] | None = None,
) -> list[JobExecutionEvent]:
    """`run_job` for a coroutine function, awaited in the running event loop; plain functions are called in it, too."""
    submission = _submission(job, jobstore_alias, run_times, logger_name, clock, claimed_at, wants)
    await perform_coroutine(submission)
    return list(submission.outcome()[0])


def perform(submission: Submission) -> None:
    """Run all run times of `submission`, one after the other, in this thread. Raises nothing; see `Submission`."""
    job = submission.job
    func = job.func
    # A plain function, as most are, is looked at without a call: there is one for each run.
    plain = type(func) is FunctionType and not func.__code__.co_flags & _AWAITED
    if not plain and (refused := refusal(func)):
        submission.fail(refused)
        return
    clock = submission.where.clock
    timeout = submission.timeout
    token = running.set(submission)
    try:
        for run_time in submission.run_times:
            if not submission.begin(run_time, clock.now()):
                continue
            if timeout is not None:
                _perform_within(timeout, submission)
                continue
            try:
                retval = func(*job.args, **job.kwargs)
                if retval.__class__ is CoroutineType:
                    reject_coroutine(func, retval)
            except BaseException as exc:  # sys.exit() in a job ends the run, not the worker
                submission.failed(exc)
            else:
                submission.executed(retval)
    finally:
        running.reset(token)


def _perform_within(seconds: float, submission: Submission) -> None:
    """What `perform` does for one run time, with a limit."""
    job = submission.job
    limit = TimeLimit(submission, seconds)
    try:
        retval = job.func(*job.args, **job.kwargs)
        if retval.__class__ is CoroutineType:
            reject_coroutine(job.func, retval)
    except BaseException as exc:
        if limit.in_time(exc):
            submission.failed(exc)
    else:
        if limit.in_time():
            submission.executed(retval)


async def perform_coroutine(submission: Submission) -> None:
    """`perform` in an event loop: what the function returns is awaited, if it can be; over its limit it is cancelled.

    A run that is cancelled by others has failed, and so have the run times after it: they are not begun any more.
    """
    # Not above: asyncio takes long to import, and who has no loop does without it.
    from asyncio import CancelledError

    job = submission.job
    clock = submission.where.clock
    timeout = submission.timeout
    token = running.set(submission)
    try:
        for run_time in submission.run_times:
            if not submission.begin(run_time, clock.now()):
                continue
            limit = None if timeout is None else _Scope(submission, timeout)
            try:
                retval = job.func(*job.args, **job.kwargs)
                if isawaitable(retval):
                    if limit is None:
                        retval = await retval
                    else:
                        async with limit.scope:
                            retval = await retval
            except CancelledError as exc:
                submission.failed(exc)
                submission.fail(exc, first=submission.place + 1)
                return
            except BaseException as exc:
                if limit is None or limit.in_time():  # a TimeoutError may be the job's own
                    submission.failed(exc)
                else:
                    submission.timed_out(limit.error())
            else:
                if limit is None or limit.in_time():
                    submission.executed(retval)
                else:
                    submission.timed_out(limit.error())
            finally:
                if limit is not None:
                    limit.close()
    finally:
        try:
            running.reset(token)
        except ValueError:
            pass  # it is not going on any more, but thrown away by the garbage collector, somewhere else


class _Scope:
    """The time limit of one run of a coroutine function."""

    def __init__(self, submission: Submission, seconds: float) -> None:
        from asyncio import get_running_loop
        from asyncio import timeout as cancel_after

        self._submission = submission
        self._clock = clock = submission.where.clock
        self._loop = get_running_loop()
        self._deadline = clock.monotonic() + seconds
        submission.limited(self._deadline)
        self.scope = cancel_after(seconds if clock.is_real else None)
        # By a clock that is moved by hand, time passes when it is moved.
        self._watch = None if clock.is_real else watch(clock, self._deadline, self._passed)

    def in_time(self) -> bool:
        """Whether what has come of the run counts. It does not if it came too late, though nobody could cancel it."""
        return not self.scope.expired() and self._clock.monotonic() < self._deadline

    def error(self) -> JobTimeoutError:
        what = (
            "it was cancelled"
            if self.scope.expired()
            else "it was not to be cancelled, its result is dropped"
        )
        return time_limit_error(self._submission, what)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()

    def _passed(self) -> None:
        """The clock was moved to the deadline. Any thread."""
        try:
            self._loop.call_soon_threadsafe(self._expire)
        except RuntimeError:
            pass  # the loop is closed: nothing runs in it

    def _expire(self) -> None:
        try:
            self.scope.reschedule(self._loop.time())
        except RuntimeError:
            pass  # not begun, or over already


def refusal(func: Any) -> CoroutineFunctionError | None:
    """The error that a coroutine function meets in an executor which calls functions; None for other callables."""
    plain = func
    while (kind := type(plain)) is not FunctionType:
        if kind is MethodType:
            plain = plain.__func__
        elif kind is partial:
            plain = plain.func
        else:
            break
    if kind is FunctionType:
        awaited = plain.__code__.co_flags & _AWAITED
    else:
        call = getattr(kind, "__call__", None)  # noqa: B004  # an object may have an async __call__
        awaited = any(iscoroutinefunction(f) or isasyncgenfunction(f) for f in (plain, call))
    return _coroutine_error(func) if awaited else None


def reject_coroutine(func: Any, coroutine: Coroutine[Any, Any, Any]) -> NoReturn:
    """A plain function returned a coroutine (it wraps a coroutine function), which nobody here would await."""
    coroutine.close()
    raise _coroutine_error(func)


def _coroutine_error(func: Any) -> CoroutineFunctionError:
    name = getattr(func, "__qualname__", None) or repr(func)
    return CoroutineFunctionError(
        f"{name} is a coroutine function (or returns a coroutine), and this executor only calls functions, it awaits nothing; "
        "give the job a function that calls asyncio.run(...), or an executor that has an event loop"
    )


def _submission(
    job: RunnableJob,
    jobstore: str,
    run_times: Sequence[datetime],
    logger_name: str,
    clock: Clock | None,
    claimed_at: int | None,
    wants: Callable[[int], Any] | None,
) -> Submission:
    if clock is None:
        # An executor that third parties wrote passes none, and must still judge by its scheduler's time.
        clock = clock_of(getattr(job, "_scheduler", None))
    where = Surroundings(logging.getLogger(logger_name), clock, wants or wants_all)
    submission = Submission(where, job, jobstore, run_times)
    submission.claimed_at = claimed_at
    return submission


def clock_of(scheduler: Any) -> Clock:
    """The scheduler's clock; the system's, if it has none."""
    clock = getattr(scheduler, "clock", None)
    return clock if isinstance(clock, Clock) else _SYSTEM_CLOCK


def wants_all(code: int) -> bool:
    """Where it is not known who listens: build every event."""
    return True
