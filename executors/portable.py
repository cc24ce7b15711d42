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
from .errors import UnpicklableError, WorkerDiedError, error_classes
from .run import reject_coroutine
from .submission import RunnableJob, Submission, is_missed

REFUSED, BEGUN, RETURNED, RAISED = "refused", "begun", "returned", "raised"

Message: TypeAlias = tuple[str, Any]
"""REFUSED and an error: nothing was begun. Then for each run time: BEGUN and the moment, and, unless that is too late,
RETURNED and the packed result, or RAISED and an error. Errors travel as `PackedError`."""


class Request(NamedTuple):
    """A submission, as it travels."""

    name: str
    run_times: tuple[datetime, ...]
    grace: float | None
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


def request_of(submission: Submission) -> Request:
    """What another process needs to know to run `submission`."""
    job = submission.job
    run_times = tuple(time.astimezone(UTC) for time in submission.run_times)  # not every tzinfo can travel
    return Request(str(job.name), run_times, submission.grace, (job.func, tuple(job.args), dict(job.kwargs)))


def packed_request(submission: Submission) -> bytes:
    """`request_of(submission)` pickled. UnpicklableError if that cannot be: it names the part, and what to do."""
    request = request_of(submission)
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


def serve(request: Request, clock: Clock, tell: Callable[[Message], object]) -> None:
    """Run what `request` asks for, here; `tell` is called with each message. Raises nothing but what `tell` does."""
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
    for run_time in request.run_times:
        now = clock.now()
        tell((BEGUN, now))
        if not is_missed(now - run_time, request.grace):
            try:
                retval = func(*args, **kwargs)
                if retval.__class__ is CoroutineType:
                    reject_coroutine(func, retval)
                message: Message = (RETURNED, _pack_result(request.name, retval))
                del retval
            except BaseException as exc:  # as in `perform`
                message = (RAISED, pack_error(exc))
            tell(message)


def _pack_result(name: str, retval: Any) -> bytes:
    try:
        return dumps(retval)
    except Exception as exc:
        raise UnpicklableError(
            f'job "{name}" has run, but its result ({type(retval).__name__}) cannot be sent back from the worker process: '
            f"{exc}; let it return something that can be pickled, or nothing"
        ) from exc


def replay(submission: Submission, receive: Callable[[], Message]) -> None:
    """Account in `submission` for what `receive` tells, message by message.

    It may raise WorkerDiedError: that is the outcome of the run that was going on, and of those that were to follow it.
    """
    for place, run_time in enumerate(submission.run_times):
        begun = False
        try:
            kind, value = receive()
            if kind == REFUSED:
                submission.fail(*unpack_error(value))
                return
            begun = submission.begin(run_time, value)
            if not begun:  # too late: the other side has judged it by the same rule
                continue
            kind, value = receive()
        except WorkerDiedError as exc:
            exc.__traceback__ = None  # our own frames, which say nothing
            if begun:
                submission.failed(exc)
            submission.fail(exc, first=place + begun)
            return
        if kind == RAISED:
            submission.failed(*unpack_error(value))
        else:
            _account_result(submission, value)


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
