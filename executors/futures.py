"""Any `concurrent.futures.Executor` as an executor: the standard library's pools, and those of Dask, Ray, MPI and others."""

import os
import threading
from concurrent.futures import Executor
from uuid import uuid4

from ..events import ManualClock, SystemClock
from .portable import REFUSED, Message, Request, pack_error, replay, request_of, serve
from .run import perform, refusal
from .shutdown import acting_for
from .submission import Submission
from .threads import WorkerPool, positive_integer


class FuturesExecutor(WorkerPool):
    """Runs jobs in `pool`, which remains the caller's: it is not shut down with the scheduler.

    `max_workers` is how many runs are given to it at a time; the rest wait here, where a lease can be checked and a run
    taken back. By default it is the pool's own number of workers, if it tells, else 10. Each takes a thread that waits.

    In a pool of threads a run is as in ThreadPoolExecutor. Elsewhere function, arguments and result travel as that pool
    pickles its own, lateness is judged by the system's clock over there, and mainspring must be installed there. A run
    over there that reaches its time limit cannot be ended, and is not heard of: when it returns, its result is dropped,
    and it has timed out (its function can see that coming: `current_run()`).
    """

    def __init__(self, pool: Executor, max_workers: int | None = None) -> None:
        if not callable(getattr(pool, "submit", None)):
            raise TypeError(
                f"pool must be a concurrent.futures.Executor (with a submit method), got {pool!r}"
            )
        if max_workers is None:
            own = getattr(pool, "_max_workers", None)
            max_workers = own if isinstance(own, int) and own > 0 else 10
        super().__init__(positive_integer("max_workers", max_workers))
        self._pool = pool

    def _make_worker(self, name: str) -> "_Waiter":
        return _Waiter(self._pool)


class _Waiter:
    """Gives one run at a time to the pool, and waits for it."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def perform(self, submission: Submission) -> None:
        if refused := refusal(submission.job.func):
            submission.fail(refused)
            return
        key = uuid4().hex
        _open_here[key] = (os.getpid(), threading.get_ident(), submission)
        manual = isinstance(submission.where.clock, ManualClock)
        try:
            messages = self._pool.submit(run_there, key, request_of(submission), manual).result()
        except (
            BaseException
        ) as exc:  # the pool is broken or shut down, the run cancelled, its result unpicklable
            submission.fail(exc)
            return
        finally:
            del _open_here[key]
        if messages is not None:
            told = iter(messages)
            replay(submission, lambda deadline: next(told))

    def close(self) -> None:
        pass


_open_here: dict[
    str, tuple[int, int, Submission]
] = {}  # key of a run -> process, worker thread, and all of it


def run_there(key: str, request: Request, manual: bool) -> list[Message] | None:
    """Called by the pool, wherever its workers are: the messages of `portable.serve`; None if that is this process."""
    pid, ident, submission = _open_here.get(key, (0, 0, None))
    if submission is not None and pid == os.getpid():  # not a forked copy of it
        with acting_for(ident):
            perform(submission)
        return None
    if manual:
        error = RuntimeError("a pool of other processes cannot run by a ManualClock, which they do not see")
        return [(REFUSED, pack_error(error))]
    messages: list[Message] = []
    serve(request, SystemClock(), messages.append)
    return messages
