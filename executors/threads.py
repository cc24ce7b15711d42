"""The pool's machinery: workers, each in a thread of its own, that take submissions from one queue; and the thread pool.

Why not concurrent.futures: a future per run, with its lock and condition, costs more than all the rest of a run; its
threads are joined when the interpreter exits, so that one job that hangs keeps the program alive; and what is queued
cannot be taken back. Here the queue is a SimpleQueue (written in C, no Python code under its lock), and the threads
are daemons.
"""

import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from .base import DirectExecutor, Ticket, may_start
from .errors import WorkerStartError
from .run import perform
from .shutdown import something_ended, wait_until
from .submission import Submission


class Worker(Protocol):
    """What works in one of the pool's threads. Only that thread calls it."""

    def perform(self, submission: Submission) -> None:
        """Run `submission` and account for all its run times."""

    def close(self) -> None:
        """The thread ends."""


class Crew:
    """The threads between one start of a pool and the end of the last run that was submitted to it.

    After `shutdown(wait=False)` a crew goes on until its queue is empty, beside the next one if the pool is started again.
    """

    def __init__(self) -> None:
        self.queue: SimpleQueue[Submission | None] = SimpleQueue()  # None: one worker has to go
        self.threads: set[threading.Thread] = set()
        self.gone: list[threading.Thread] = []  # those that work no more, and are about to end
        self.closed = False
        self.submitted = 0
        self.tallies: list[
            list[int]
        ] = []  # what each thread is done with; each is written by its thread alone
        # All are guarded by the pool's lock, except that `queue` is its own master.

    def outstanding(self) -> int:
        """How many submissions wait or keep a thread busy: longer than their slot, since a thread publishes events, too."""
        return self.submitted - sum(tally[0] for tally in self.tallies)

    def rests(self, inside: Any) -> bool:
        """Whether no thread works any more, apart from those that are `inside` a shutdown."""
        return all(thread.ident in inside for thread in tuple(self.threads))

    def join(self) -> None:
        """Wait for the last instructions of the threads that are gone."""
        for thread in tuple(self.gone):
            thread.join()


class WorkerPool(DirectExecutor):
    """Runs jobs in up to `max_workers` workers, which are started when they are needed, and used again first.

    `pool_kwargs` are the options in `_options` below, as of the standard library's pools; others are refused.
    """

    _options: tuple[str, ...] = ()

    def __init__(self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None) -> None:
        self._max_workers = positive_integer("max_workers", max_workers)
        self._pool_kwargs = known_options(type(self).__name__, pool_kwargs, self._options)
        super().__init__()

    def _prepare(self) -> None:
        super()._prepare()
        self._crew = Crew()
        self._crew.closed = True  # until start
        self._crews: list[Crew] = []  # those whose threads have not all ended
        self._hired = 0

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        with self._lock:
            self._crew = Crew()
            self._hired = 0

    def shutdown(self, wait: bool = True) -> None:
        with self._lock:
            super().shutdown(wait)
            crew = self._crew
            if not crew.closed:
                crew.closed = True
                for _ in crew.threads:
                    crew.queue.put(None)
            crews = (crew, *self._crews)
        if wait:
            wait_until(lambda inside: all(crew.rests(inside) for crew in crews))
            for crew in crews:
                crew.join()

    def free_slots(self) -> int:
        """How many more runs would start at once; 0 while the pool is not running."""
        where = self._where
        return 0 if where is None else max(0, self._max_workers - len(where.open))

    def waiting(self) -> int:
        return 0 if self._where is None else self._crew.queue.qsize()

    def withdraw(self) -> list[Ticket]:
        withdrawn: list[Submission] = []
        with self._lock:
            for crew in (self._crew, *self._crews):
                withdrawn += self._drain(crew)
        for submission in withdrawn:
            self._give_back(submission)
        return [submission.ticket for submission in withdrawn if submission.ticket is not None]

    @staticmethod
    def _drain(crew: Crew) -> list[Submission]:
        drained: list[Submission] = []
        dismissals = 0
        while True:
            try:
                submission = crew.queue.get_nowait()
            except Empty:
                break
            if submission is None:
                dismissals += 1
            else:
                drained.append(submission)
        crew.submitted -= len(drained)
        for _ in range(dismissals):
            crew.queue.put(None)
        return drained

    def _submit(self, submission: Submission) -> None:
        crew = self._crew
        hired = True
        # Under the lock, or a submission could come to lie behind the dismissals of a shutdown.
        with self._lock:
            if crew.closed:
                self._not_running()
            crew.submitted += 1
            # If there are as many threads as submissions (this one too), one of them is idle.
            if len(crew.threads) < self._max_workers and len(crew.threads) < crew.outstanding():
                try:
                    hired = self._hire(crew)
                except BaseException:
                    crew.submitted -= 1
                    raise
            crew.queue.put(submission)
        if not hired:
            self._logger.warning("Could not start another worker; %d go on alone", len(crew.threads))

    def _hire(self, crew: Crew) -> bool:
        """Start one more thread. False if there are none to be had, but others of the crew go on; else that is raised."""
        name = self._thread_name(self._hired)
        thread = threading.Thread(target=self._work, args=(crew, name), name=name, daemon=True)
        if not crew.threads:
            self._crews.append(crew)
        crew.threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            crew.threads.remove(thread)
            if crew.threads:
                return False
            self._crews.remove(crew)
            raise
        self._hired += 1
        return True

    def _thread_name(self, number: int) -> str:
        return f"mainspring-{self._alias}-{number}"

    def _work(self, crew: Crew, name: str) -> None:
        """The life of a worker's thread."""
        worker = self._make_worker(name)
        work = worker.perform
        get = crew.queue.get
        tally = [0]
        crew.tallies.append(tally)
        try:
            while (submission := get()) is not None:
                try:
                    if may_start(submission):
                        work(submission)
                        self._end(submission)
                    else:
                        self._give_back(submission)
                except BaseException as exc:
                    # Not the job's, which `work` keeps in: the engine's, or raised through by a listener.
                    self._rescue(submission, exc)
                tally[0] += 1
                del submission  # an idle worker keeps nothing of its last run alive
        finally:
            worker.close()
            self._leave(crew)

    def _rescue(self, submission: Submission, exc: BaseException) -> None:
        """The worker goes on whatever happens, and so that the run has an outcome, if it has none yet."""
        self._logger.error("Error around a run of job %r", submission.key[1], exc_info=exc)
        if submission.held:
            try:
                submission.fail(exc)
                self._end(submission)
            except BaseException:
                self._give_back(submission)
                self._logger.exception("Error reporting the end of job %r", submission.key[1])

    def _leave(self, crew: Crew) -> None:
        with self._lock:
            crew.threads.discard(threading.current_thread())
            crew.gone.append(threading.current_thread())
            if not crew.threads and crew in self._crews:
                self._crews.remove(crew)
        something_ended()

    @abstractmethod
    def _make_worker(self, name: str) -> Worker:
        """Called in the worker's thread, once."""


class ThreadPoolExecutor(WorkerPool):
    """Runs jobs in threads.

    :param max_workers: how many runs go on at the same time, at most
    :param pool_kwargs: `thread_name_prefix`; `initializer` and `initargs`: called first in each new thread (if it
        raises, the run that the thread was started for ends in an error, and it is called again before the next one)
    """

    _options = ("thread_name_prefix", "initializer", "initargs")

    def _thread_name(self, number: int) -> str:
        prefix = self._pool_kwargs.get("thread_name_prefix")
        return f"{prefix}_{number}" if prefix else super()._thread_name(number)

    def _make_worker(self, name: str) -> Worker:
        options = self._pool_kwargs
        return _ThreadWorker(options.get("initializer"), options.get("initargs", ()))


class _ThreadWorker:
    """Runs jobs in the thread itself."""

    def __init__(self, initializer: Callable[..., Any] | None, initargs: Sequence[Any]) -> None:
        self._initializer = initializer
        self._initargs = initargs
        self.perform = perform if initializer is None else self._initialize_and_perform

    def _initialize_and_perform(self, submission: Submission) -> None:
        if self._initializer is not None:
            try:
                self._initializer(*self._initargs)
            except BaseException as exc:
                error = WorkerStartError(f"the initializer of the executor's threads raised {exc!r}")
                error.__cause__ = exc
                submission.fail(error)
                return
            self._initializer = None
        perform(submission)

    def close(self) -> None:
        pass


def positive_integer(name: str, value: Any) -> int:
    """`value` as a positive int; text is taken too, since configuration files have no other. ValueError or TypeError."""
    number = value
    if isinstance(value, str):
        try:
            number = int(value)
        except ValueError:
            number = 0
    elif isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a positive integer, got {type(value).__name__}: {value!r}")
    if number < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return int(number)


def known_options(owner: str, given: Mapping[str, Any] | None, known: Sequence[str]) -> dict[str, Any]:
    """A copy of `given`. TypeError for an option that is not `known`, with the nearest one that is."""
    options = dict(given or {})
    for name in options:
        if name not in known:
            nearest = get_close_matches(str(name), known, 1)
            hint = f"did you mean {nearest[0]!r}? It" if nearest else "it"
            raise TypeError(f"{owner}: pool_kwargs has no {name!r}: {hint} knows {', '.join(known)}")
    return options
