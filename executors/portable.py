"""A run in another process: what travels there and back, the run itself over there, and the account of it here.

The other side calls `serve`, which tells what happens as plain messages; this side passes them to `replay`, which does
with them what `perform` does with a run in this process. So the misfire is judged over there, when the run really
starts, while log and events stay here, where the program's logging and listeners are.
"""

import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.reduction import ForkingPickler
from traceback import format_exception
from types import CoroutineType
from typing import Any, NamedTuple, TypeAlias

from ..events import Clock
from .context import CurrentRun, Running, running
from .errors import JobTimeoutError, UnpicklableError, WorkerDiedError, error_classes
from .run import reject_coroutine
from .submission import RunnableJob, Submission, is_missed, time_limit_error

REFUSED, BEGUN, RETURNED, RAISED, LATE = "refused", "begun", "returned", "raised", "late"

Message: TypeAlias = tuple[str, Any]
"""REFUSED and an error: nothing was begun. Then for each run time: BEGUN and the moment, and, unless that is too late,
RETURNED and the packed result, or RAISED and an error, or, if the function came back behind its time limit, LATE and for
how many seconds it ran. Errors travel as `PackedError`."""


class Request(NamedTuple):
    """A submission, as it travels."""

    job_id: str
    jobstore: str
    attempt: int
    run_id: int | None
    name: str
    run_times: tuple[datetime, ...]
    grace: float | None
    timeout: float | None
    call: Any
    """(function, args, kwargs); pickled apart from the rest, where this library pickles: loading it imports the user's
    modules, which may fail."""


class PackedError(NamedTuple):
    """An exception, as it travels: pickled if it can be, and as text in any case."""

    pickled: bytes | None
    summary: str
    traceback: str
    classes: tuple[str, ...]


class RemoteTraceback(Exception):  # it is no error, it only shows where one came from
    """The traceback of an exception in another process, as text: the cause of that exception here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def request_of(submission: Submission, first: int = 0) -> Request:
    """What another process needs to know to run `submission`, from the run time at the place `first` on."""
    job = submission.job
    jobstore, job_id = submission.key
    attempt, run_id = submission.identity
    run_times = tuple(
        time.astimezone(UTC) for time in submission.run_times[first:]
    )  # not every tzinfo can travel
    call = (job.func, tuple(job.args), dict(job.kwargs))
    return Request(
        job_id,
        jobstore,
        attempt,
        run_id,
        str(job.name),
        run_times,
        submission.grace,
        submission.timeout,
        call,
    )


def packed_request(submission: Submission, first: int = 0) -> bytes:
    """`request_of(...)` pickled. UnpicklableError if that cannot be: it names the part, and what to do."""
    request = request_of(submission, first)
    try:
        call = dumps(request.call)
    except Exception as exc:
        raise _culprit(submission.job, exc) from exc
    return dumps(request._replace(call=call))


def _culprit(job: RunnableJob, exc: Exception) -> UnpicklableError:
    """The error that names what of the call cannot be pickled, and what to do."""
    parts = [("its function", job.func)]
    parts += [(f"args[{index}]", value) for index, value in enumerate(job.args)]
    parts += [(f"kwargs[{key!r}]", value) for key, value in job.kwargs.items()]
    for where, value in parts:
        try:
            dumps(value)
        except Exception as reason:
            advice = (
                "a worker process imports the function by its name: give it a function at the top level of a module, not a "
                "lambda or a nested function"
                if value is job.func
                else "give it something that can be pickled, or what the job can make it from"
            )
            return UnpicklableError(
                f'job "{job.name}" cannot be sent to a worker process: {where} ({type(value).__name__}) cannot be pickled: '
                f"{reason}; {advice}, or run the job in a ThreadPoolExecutor"
            )
    return UnpicklableError(f'job "{job.name}" cannot be sent to a worker process: {exc}')


class Served(Running):
    """A request while it is run, as `current_run` sees it."""

    __slots__ = ("_clock", "_request", "run_time")
    run_time: datetime

    def __init__(self, request: Request, clock: Clock) -> None:
        self.cancelled = None
        self.run = None
        self._request = request
        self._clock = clock

    def begin(self, run_time: datetime) -> float | None:
        """The run scheduled at `run_time` begins. Until when it may take, by the clock's `monotonic`."""
        self.run_time = run_time
        self.run = None
        timeout = self._request.timeout
        if timeout is None:
            return None
        deadline = self._clock.monotonic() + timeout
        self.limited(deadline)
        return deadline

    def describe(self, deadline: float | None = None) -> CurrentRun:
        request = self._request
        return CurrentRun(
            request.job_id,
            request.jobstore,
            self.run_time,
            request.attempt,
            request.run_id,
            self._clock,
            deadline,
        )


def serve(
    request: Request, clock: Clock, tell: Callable[[Message], object], served: Served | None = None
) -> None:
    """Run what `request` asks for, here; `tell` is called with each message. Raises nothing but what `tell` does."""
    served = served or Served(request, clock)
    try:
        call = pickle.loads(request.call) if isinstance(request.call, bytes) else request.call
        func, args, kwargs = call
    except BaseException as exc:
        error = UnpicklableError(
            f'job "{request.name}" cannot be restored in its worker process: {exc!r}; the process must be able to import the '
            "module of its function and of its arguments"
        )
        tell((REFUSED, pack_error(error.with_traceback(exc.__traceback__))))
        return
    token = running.set(served)
    try:
        for run_time in request.run_times:
            now = clock.now()
            tell((BEGUN, now))
            if not is_missed(now - run_time, request.grace):
                deadline = served.begin(run_time)
                try:
                    retval = func(*args, **kwargs)
                    if retval.__class__ is CoroutineType:
                        reject_coroutine(func, retval)
                    message: Message = (RETURNED, _pack_result(request.name, retval))
                    del retval
                except BaseException as exc:  # as in `perform`
                    message = (RAISED, pack_error(exc))
                if deadline is not None and (late := clock.monotonic() - deadline) >= 0:
                    message = (LATE, late + (request.timeout or 0))
                tell(message)
    finally:
        running.reset(token)


def _pack_result(name: str, retval: Any) -> bytes:
    try:
        return dumps(retval)
    except Exception as exc:
        raise UnpicklableError(
            f'job "{name}" has run, but its result ({type(retval).__name__}) cannot be sent back from the worker process: '
            f"{exc}; let it return something that can be pickled, or nothing"
        ) from exc


def replay(submission: Submission, receive: Callable[[float | None], Message], first: int = 0) -> int:
    """Account in `submission` for what `receive` tells, message by message; from the run time at the place `first` on.

    `receive` gets the deadline of the run that goes on (by the clock's `monotonic`; None: there is none). It may raise
    JobTimeoutError, when it has ended that run: then what is left must be handed over again. And WorkerDiedError: that is
    the outcome of the run that was going on, and of those that were to follow it. Answers the place of the run time from
    which on there is still something to do: behind the last one, if all are accounted for.
    """
    run_times = submission.run_times
    timeout = submission.timeout
    monotonic = submission.where.clock.monotonic
    for place in range(first, len(run_times)):
        begun = False
        try:
            kind, value = receive(None)
            if kind == REFUSED:
                submission.fail(*unpack_error(value), first=place)
                break
            begun = submission.begin(run_times[place], value)
            if not begun:  # too late: the other side has judged it by the same rule
                continue
            kind, value = receive(None if timeout is None else monotonic() + timeout)
        except JobTimeoutError as exc:
            submission.timed_out(exc)
            return place + 1
        except WorkerDiedError as exc:
            exc.__traceback__ = None  # our own frames, which say nothing
            if begun:
                submission.failed(exc)
            submission.fail(exc, first=place + begun)
            break
        if kind == RAISED:
            submission.failed(*unpack_error(value))
        elif kind == LATE:
            submission.timed_out(
                time_limit_error(submission, f"it took {value:.3f} s, and its result is dropped")
            )
        else:
            _account_result(submission, value)
    return len(run_times)


def _account_result(submission: Submission, packed: bytes) -> None:
    try:
        retval = pickle.loads(packed)
    except Exception as exc:
        name = submission.job.name
        error = UnpicklableError(f'job "{name}" has run, but its result cannot be restored here: {exc!r}')
        error.__cause__ = exc
        submission.failed(error)
    else:
        submission.executed(retval)


def pack_error(exc: BaseException) -> PackedError:
    """`exc` ready to travel. Pickled only if it can be restored, which many exceptions with arguments of their own cannot."""
    traceback = exc.__traceback__
    if traceback is not None:
        exc.__traceback__ = traceback.tb_next  # without the frame of ours that caught it
    pickled: bytes | None
    try:
        pickled = dumps(exc)
        pickle.loads(pickled)
    except Exception:
        pickled = None
    return PackedError(pickled, _summary(exc), "".join(format_exception(exc)), error_classes(exc))


def _summary(exc: BaseException) -> str:
    try:
        return f"{type(exc).__qualname__}: {exc}"
    except Exception:  # its __str__ is the job's code
        return type(exc).__qualname__


def unpack_error(packed: PackedError) -> tuple[BaseException, str]:
    """The exception, with the traceback from over there as its cause, and that traceback."""
    error: BaseException
    try:
        if packed.pickled is None:
            raise ValueError
        error = pickle.loads(packed.pickled)
    except Exception:
        error = UnpicklableError(
            f"{packed.summary} (as text: this exception cannot travel between processes)", packed.classes
        )
    error.__cause__ = RemoteTraceback(packed.traceback)
    return error, packed.traceback


def dumps(value: Any) -> bytes:
    """`value` pickled; what multiprocessing knows to pickle (locks of a manager, connections) included."""
    return bytes(ForkingPickler.dumps(value))
