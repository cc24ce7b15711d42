"""The process pool: each of its threads has a process of its own, and hands it one run at a time.

So a process that dies takes one run along, its thread sees the pipe end, accounts for the run, and starts another
process for the next one. (In the standard library's pool all processes share two queues: one that is killed may have
held their locks, so the whole pool counts as broken, and every run in flight with it.)
"""

import atexit
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Mapping
from multiprocessing import connection as pipes
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext
from multiprocessing.spawn import get_executable
from typing import Any, NoReturn

from ..events import Clock, ManualClock
from . import child
from .errors import JobTimeoutError, UnpicklableError, WorkerDiedError, WorkerStartError
from .portable import BEGUN, Message, packed_request, replay, unpack_error
from .run import clock_of, refusal
from .submission import Submission, time_limit_error
from .threads import WorkerPool, positive_integer

ATTEMPTS = 3
"""How many processes are tried for a run that none of them began: a process may be killed while it is idle."""

PATIENCE = 5.0
"""Seconds that a process which was told to end is given (threads that its jobs left behind may keep it alive)."""

GLANCE = 0.05
"""Seconds between two looks at whether a process has ended that was told to, or was killed."""

HEARTBEAT = 1.0
"""Seconds between two looks at whether a process still lives, should nothing else tell."""


class ProcessPoolExecutor(WorkerPool):
    """Runs jobs in processes, one run at a time in each.

    Functions and arguments travel pickled, functions by their name; a script's own functions work as with
    `multiprocessing`: the script needs its `if __name__ == "__main__":`. A process that dies ends the run that went on in
    it (WorkerDiedError), and is replaced. Processes ignore Ctrl-C, and die with the process that started them.

    A run that reaches its time limit ends: its process is killed, without a chance to clean up, and replaced; other runs
    do not notice. (Programs that the job has started, or processes that it has forked, are not killed.)

    :param max_workers: how many processes there are, at most; they are started when they are needed
    :param pool_kwargs: `mp_context`: a multiprocessing context, or the name of its start method (default "spawn");
        `initializer` and `initargs`: called first in each process (if it raises, the run ends in an error);
        `max_tasks_per_child`: after so many submissions a process is replaced
    """

    _options = ("mp_context", "initializer", "initargs", "max_tasks_per_child")

    def __init__(self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None) -> None:
        super().__init__(max_workers, pool_kwargs)
        context = self._pool_kwargs.get("mp_context") or "spawn"
        self._context: Any = multiprocessing.get_context(context) if isinstance(context, str) else context
        if not isinstance(self._context, BaseContext):
            raise TypeError(
                f"mp_context must be a multiprocessing context or the name of a start method, got {context!r}"
            )
        tasks = self._pool_kwargs.get("max_tasks_per_child")
        self._tasks = None if tasks is None else positive_integer("max_tasks_per_child", tasks)

    def start(self, scheduler: Any, alias: str) -> None:
        """Raises RuntimeError where its processes could not work: with a manual clock, and in a process being started."""
        if isinstance(clock_of(scheduler), ManualClock):
            raise RuntimeError(
                "a process pool cannot run by a ManualClock, which its processes do not see; use a DebugExecutor or a "
                "ThreadPoolExecutor there"
            )
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            # A script without the guard comes by here again in each process that its pool starts, and would be a second
            # scheduler there.
            raise RuntimeError(
                "a process pool was started while its own worker process imports the main program; put what the program does "
                'below `if __name__ == "__main__":`'
            )
        super().start(scheduler, alias)

    def _prepare(self) -> None:
        super()._prepare()
        self._workers: set[_ProcessWorker] = set()

    def _cancel_submission(self, submission: Submission, reason: str) -> None:
        super()._cancel_submission(submission, reason)
        for worker in tuple(self._workers):
            worker.pass_on_cancellation(submission)

    def _make_worker(self, name: str) -> "_ProcessWorker":
        worker = _ProcessWorker(self, name)
        self._workers.add(worker)
        return worker


class _ProcessWorker:
    """One of the pool's workers: a thread that calls these methods, and its process, if it has one just now."""

    def __init__(self, pool: ProcessPoolExecutor, name: str) -> None:
        self._pool = pool
        self._name = name
        self._process: _Process | None = None

    def perform(self, submission: Submission) -> None:
        if refused := refusal(submission.job.func):
            submission.fail(refused)
            return
        place = 0
        while place < len(submission.run_times):
            try:
                process, first = self._hand_over(packed_request(submission, place), submission)
            except (UnpicklableError, WorkerDiedError) as exc:
                # It says all; our own frames say nothing.
                submission.fail(exc.with_traceback(None), first=place)
                return
            place = self._follow(process, first, submission, place)
            if process.tasks == self._pool._tasks:
                process.dismiss()

    @staticmethod
    def _follow(process: "_Process", first: Message, submission: Submission, place: int) -> int:
        """Account for what the process tells; see `replay`."""
        clock = submission.where.clock
        messages = [first]
        try:
            return replay(
                submission,
                lambda deadline: messages.pop() if messages else process.receive(deadline, clock),
                place,
            )
        finally:
            process.serving = None

    def _hand_over(self, request: bytes, submission: Submission) -> tuple["_Process", Message]:
        """Give `request` to a process. Returns it with its first message, before which the run has not begun.

        Until then nothing of the run has happened, so that another process may have it if this one dies.
        """
        attempt = 1
        while True:
            try:
                process = self._live_process()
                process.send(request, submission)
                return process, process.receive()
            except WorkerStartError:
                raise
            except WorkerDiedError:
                if attempt == ATTEMPTS:
                    raise
                attempt += 1

    def _live_process(self) -> "_Process":
        if self._process is None or not self._process.alive():
            self._end_process()
            self._process = _Process(self._pool, self._name)
        return self._process

    def pass_on_cancellation(self, submission: Submission) -> None:
        """Tell the process, if it is this submission that it runs. Any thread."""
        process = self._process
        if process is not None:
            process.pass_on_cancellation(submission)

    def close(self) -> None:
        """End the process, if there is one."""
        self._pool._workers.discard(self)
        self._end_process()

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None


class _Process:
    """A worker process and this end of its pipe. Used by one thread, except for `kill` and `pass_on_cancellation`."""

    def __init__(self, pool: ProcessPoolExecutor, name: str) -> None:
        self.tasks = 0
        self._ready = self._begun = self._dismissed = False
        self._job = ""
        self._sending = threading.Lock()  # held while something is written to the pipe, or the pipe is closed
        self.serving: Submission | None = None
        self._cancelled = False  # whether the process knows that the run is cancelled
        options = pool._pool_kwargs
        args = (options.get("initializer"), options.get("initargs", ()))
        with _starting:
            if _exiting.is_set():
                _stop_here()
            try:
                _block_signals()
                self._pipe, theirs = pool._context.Pipe()
                self._process = pool._context.Process(target=child.main, args=(theirs, *args), name=name)
                self._process.start()
            except Exception as exc:  # no process to be had, or an initializer that cannot be pickled
                raise WorkerStartError(f"a worker process could not be started: {exc!r}") from exc
            theirs.close()
            _alive.add(self)

    def alive(self) -> bool:
        """Whether it can take another request, as far as one can see from here."""
        return self in _alive and not self._dismissed and bool(self._process.is_alive())

    def send(self, request: bytes, submission: Submission) -> None:
        """Hand a request over. WorkerDiedError if nobody is there to take it."""
        self.tasks += 1
        self._begun = False
        self._job = submission.job.name
        try:
            with self._sending:
                self.serving = submission
                self._cancelled = False
                self._pipe.send_bytes(request)
        except OSError:
            raise self._death() from None
        self.pass_on_cancellation(submission)

    def pass_on_cancellation(self, submission: Submission) -> None:
        """Tell the process of it if the run that it has is cancelled. Any thread; does not wait for others that send.

        It need not: a submission is cancelled first, and passed on then, and who sends a request looks after that whether
        it is cancelled; so either the one or the other sees it. The pipe keeps the order, so that the word cannot reach
        another run than this one.
        """
        reason = submission.why_cancelled()
        if reason is None or not self._sending.acquire(blocking=False):
            return
        try:
            if self.serving is submission and not self._cancelled:
                self._cancelled = True
                self._pipe.send(reason)
        except OSError:
            pass  # it is gone: its thread sees that, too
        finally:
            self._sending.release()

    def receive(self, deadline: float | None = None, clock: Clock | None = None) -> Message:
        """The next message on the run. WorkerDiedError if the process ends instead, WorkerStartError if it is unfit.

        JobTimeoutError if there is none at the deadline (by the clock's `monotonic`): the process is gone then.
        """
        while True:
            try:
                kind, value = pickle.loads(self._next_bytes(deadline, clock))
            except JobTimeoutError:
                raise  # an OSError, too, but none of the pipe's
            except (EOFError, OSError):
                raise self._death() from None
            if kind == child.READY:
                self._ready = True
            elif kind == child.UNFIT:
                self.end()
                cause, _ = unpack_error(value)
                error = WorkerStartError(f"the initializer of the worker processes raised {cause!r}")
                raise error from cause
            else:
                self._begun = kind == BEGUN
                return kind, value

    def _next_bytes(self, deadline: float | None, clock: Clock | None) -> bytes:
        """One message as it came. EOFError or OSError when there will be none."""
        while True:
            # Not all of the time that is left at once, either: it goes on while the machine sleeps, the wait does not.
            left = HEARTBEAT if deadline is None or clock is None else deadline - clock.monotonic()
            ready = pipes.wait([self._pipe, self._process.sentinel], max(0.0, min(left, HEARTBEAT)))
            if self._pipe in ready or self._pipe.poll():
                data: bytes = self._pipe.recv_bytes()
                return data
            # A process that the job has forked may hold the pipe open for long: it is the worker's end that counts.
            if ready or self._process.exitcode is not None:
                raise EOFError
            if left <= 0:
                self._end_over_limit()

    def _end_over_limit(self) -> NoReturn:
        """The run has had its time. What it may still have sent is not looked at any more."""
        submission = self.serving
        pid = self._process.pid
        self.kill()
        self._ends()
        self._exit_code()
        self._forget()
        if _exiting.is_set() or submission is None:
            _stop_here()
        raise time_limit_error(submission, f"its worker process {pid} was killed")

    def end(self) -> None:
        """Have the process end when it is idle, as it is when its thread calls this; kill it if it does not."""
        if self not in _alive:
            return
        self.dismiss()
        if not self._ends():
            self._process.kill()
        self._exit_code()
        self._forget()

    def _ends(self) -> bool:
        """Wait for the process to end, for some time. Whether it has.

        Also by its exit code: a process that the job has forked has the other end of the sentinel, too, and may keep it open for long.
        """
        for _ in range(round(PATIENCE / GLANCE)):
            if pipes.wait([self._process.sentinel], GLANCE) or self._process.exitcode is not None:
                return True
        return False

    def dismiss(self) -> None:
        """Tell the process to end when it is idle. Does not wait for that: the outcome of its last run comes first."""
        self._dismissed = True
        try:
            with self._sending:
                self._pipe.send(None)
        except OSError:
            pass  # it is gone already

    def kill(self) -> None:
        try:
            self._process.kill()
        except ValueError:
            pass  # its thread has just seen it end

    def _death(self) -> WorkerDiedError:
        """What to say of a process whose pipe has ended."""
        pid = self._process.pid
        code = self._exit_code()
        self._forget()
        if _exiting.is_set():
            _stop_here()
        how = "ended" if code is None else f"exited with code {code}"
        if code is not None and code < 0:
            how = f"was killed by signal {-code} ({_signal_name(-code)})"
        if self._begun:
            return WorkerDiedError(f'worker process {pid} {how} while it ran job "{self._job}"', pid, code)
        if self._ready:
            return WorkerDiedError(f'worker process {pid} {how} before it began job "{self._job}"', pid, code)
        advice = 'if the program is a script, what it does must stand below `if __name__ == "__main__":`, since its worker processes import it'
        executable = os.fsdecode(get_executable() or "")
        if "python" not in os.path.basename(executable).lower():
            # A server that embeds the interpreter (uWSGI) is what would be started.
            advice = f"it was started as {executable!r}, which seems to be no Python: name one with multiprocessing.set_executable(...)"
        return WorkerDiedError(f"worker process {pid} {how} while it was starting; {advice}", pid, code)

    def _exit_code(self) -> int | None:
        """Wait for the process to be gone. None if somebody else has taken its exit code (a SIGCHLD handler, say)."""
        for attempt in range(200):
            code: int | None = self._process.exitcode
            if code is not None:
                return code
            if attempt == 100:  # it lives, but has closed its pipe: no run of ours can end in it
                self._process.kill()
            _nap.wait(0.001 if attempt < 10 else 0.02)
        return None

    def _forget(self) -> None:
        _alive.discard(self)
        with self._sending:
            self.serving = None
            self._pipe.close()
        if self._process.exitcode is not None:
            self._process.close()


_nap = threading.Event()  # never set: its wait() is a pause
_starting = threading.Lock()  # a process forked meanwhile would inherit the other end of this one's pipe
_alive: set[_Process] = set()
_exiting = threading.Event()


def _block_signals() -> None:
    """Have this thread, and so the processes that it starts, not see SIGINT and SIGTERM; the main thread does. See child.main."""
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # else the first process would start it, which unblocks the signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


def _stop_here() -> NoReturn:
    """The interpreter exits: what goes on in this daemon thread ends here, and is lost as in any other daemon thread.

    To report the runs that `_end_all` kills as failed would be wrong: their recovery decides what becomes of them.
    """
    while True:
        threading.Event().wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _end_all() -> None:
    """At the interpreter's exit: end the processes, as daemon threads end. multiprocessing would wait for them, maybe for ever."""
    _exiting.set()
    for process in tuple(_alive):
        process.kill()


def _forget_after_fork() -> None:
    """A forked child has nothing to do with these processes; its copies of the pipes would keep them from seeing us end."""
    global _starting
    _starting = threading.Lock()
    for process in tuple(_alive):
        process._pipe.close()
    _alive.clear()


# multiprocessing.util registers its own exit function when it is imported, so before this one, which thus runs first.
atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
