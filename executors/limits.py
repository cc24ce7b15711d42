"""Time limits where a run cannot be ended: a thread that watches deadlines, and who decides on the outcome of such a run.

Why a thread of its own: the thread of the run is held by the function, and nobody else of this room waits for anything.
"""

import os
import sys
import threading
from collections.abc import Callable
from contextvars import Context
from heapq import heapify, heappop, heappush
from itertools import count
from traceback import extract_stack, format_list
from typing import Final

from ..events import Clock, SystemClock
from .errors import JobTimeoutError
from .submission import Submission, time_limit_error

LOOK_EVERY: Final = 5.0
"""Seconds between two looks at the clock, at most: time that the machine has slept counts, and no wait sees it pass.

It is also how long a watcher that has nothing left to watch may linger.
"""

TIDY_FROM: Final = 1_000
"""From so many runs that ended in time on they are looked for among those that are watched, and dropped."""


class Watch:
    """A deadline that is watched. `close` it when it is of no interest any more."""

    __slots__ = ("_watcher", "deadline", "passed")

    def __init__(self, watcher: "_Watcher", deadline: float, passed: Callable[[], object]) -> None:
        self._watcher = watcher
        self.deadline = deadline
        self.passed: Callable[[], object] | None = passed  # None: closed, or called

    def close(self) -> None:
        """Watch no longer. `passed` may be called at this very moment all the same."""
        self._watcher.close(self)


def watch(clock: Clock, deadline: float, passed: Callable[[], object]) -> Watch:
    """Have `passed()` called when `deadline` (by `clock.monotonic()`) has passed, in a thread of its own.

    By a clock that only moves when somebody moves it, it is called by who does that, before he goes on.
    """
    with _lock:
        watcher = _watchers.get(_key(clock))
        if watcher is None:
            # It keeps the clock, and so its id, as long as it is there.
            watcher = _watchers[_key(clock)] = _Watcher(clock)
        return watcher.add(deadline, passed)


class _Watcher:
    """The deadlines by one clock, and the thread that waits for them. It goes when nothing is watched any more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Watch]] = []
        self._numbers = count()
        self._closed = (
            0  # so many of the heap are closed; they are dropped when they come up, or are too many
        )
        self._changed = threading.Condition(_lock)
        self._thread: threading.Thread | None = None
        clock.subscribe(self._moved)

    # The next three are called under the lock, and so is `_next`.

    def add(self, deadline: float, passed: Callable[[], object]) -> Watch:
        watch = Watch(self, deadline, passed)
        heappush(self._heap, (deadline, next(self._numbers), watch))
        if self._clock.is_real:
            if self._thread is None:
                self._start()
            elif self._heap[0][2] is watch:
                self._changed.notify()
        return watch

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="mainspring-limits", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # no more threads to be had: tried again with the next run; and who returns looks at the time
        self._thread = thread

    def _next(self) -> Watch | None:
        """The earliest deadline that is still watched."""
        heap = self._heap
        while heap:
            first = heap[0][2]
            if first.passed is not None:
                return first
            heappop(heap)
            self._closed -= 1
        return None

    def close(self, watch: Watch) -> None:
        with _lock:
            if watch.passed is None:
                return
            watch.passed = None
            self._closed += 1
            if self._closed >= TIDY_FROM and self._closed * 2 > len(self._heap):
                self._heap = [entry for entry in self._heap if entry[2].passed is not None]
                heapify(self._heap)
                self._closed = 0
            self._leave_if_idle()

    def _take_passed(self) -> list[Callable[[], object]]:
        """What is to be called now. Under the lock."""
        now = self._clock.monotonic()
        taken = []
        while (first := self._next()) is not None and first.deadline <= now:
            if first.passed is not None:
                taken.append(first.passed)
            first.passed = None
            self._closed += 1
        return taken

    def _moved(self) -> None:
        """The clock was moved by hand."""
        with _lock:
            taken = self._take_passed()
            self._leave_if_idle()
        for passed in taken:
            Context().run(passed)  # a job that moves the clock is no part of what is called

    def _leave_if_idle(self) -> None:
        """One with a thread is left to that. Under the lock."""
        if self._thread is None and self._next() is None and _watchers.get(_key(self._clock)) is self:
            del _watchers[_key(self._clock)]
            self._clock.unsubscribe(self._moved)

    def _run(self) -> None:
        while True:
            with _lock:
                taken = self._take_passed()
                if not taken:
                    first = self._next()
                    if first is None:
                        self._thread = None
                        self._leave_if_idle()
                        return
                    self._changed.wait(min(LOOK_EVERY, first.deadline - self._clock.monotonic()))
            for passed in taken:
                _aside(passed)


def _aside(passed: Callable[[], object]) -> None:
    """Call it in a thread of its own: it publishes an event, and a listener that takes long must not hold up other limits."""
    try:
        threading.Thread(target=passed, name="mainspring-limit", daemon=True).start()
    except RuntimeError:
        passed()


class TimeLimit:
    """The limit of one run that goes on in this thread, from now on.

    A run has exactly one outcome, whatever comes first. Two may decide on it: the thread that runs it, when the function
    has returned (`in_time`), and who watches the time (`_passed`). Both do it under `_lock`, and the one who finds it
    decided leaves it at that. The watcher keeps the lock until the ticket was told and the failure is noted in the
    submission; so the thread of the run, which needs the lock to go on, touches the submission only afterwards, and
    `ticket.failed` comes before `ticket.ended`.

    Who returns at or after the deadline is over the limit even if nobody has watched (a clock that was moved by the job
    itself, a machine too busy to wake the watcher): what counts is the time, not who is quicker.
    """

    __slots__ = (
        "_clock",
        "_deadline",
        "_decided",
        "_error",
        "_ident",
        "_lock",
        "_run",
        "_submission",
        "_watch",
    )

    def __init__(self, submission: Submission, seconds: float) -> None:
        self._submission = submission
        self._clock = submission.where.clock
        self._lock = threading.Lock()
        self._decided = False
        self._error: JobTimeoutError | None = None
        self._ident = threading.get_ident()
        self._deadline = self._clock.monotonic() + seconds
        self._run = submission.limited(self._deadline)
        self._watch = watch(self._clock, self._deadline, self._passed)

    def in_time(self, error: BaseException | None = None) -> bool:
        """The function has returned, or raised `error`: whether that is the outcome. If not, the outcome is accounted."""
        late = self._clock.monotonic() - self._deadline
        self._watch.close()
        with self._lock:
            decided, self._decided = self._decided, True
        submission = self._submission
        if not decided:
            if late < 0:
                return True
            what = "returned" if error is None else f"raised {type(error).__name__}"
            self._error = time_limit_error(
                submission, f"it {what} {late:.3f} s later, and what came of it is dropped"
            )
            submission.timed_out(self._error)
        elif error is None:
            submission.where.logger.warning(
                'Job "%s" has returned %.3f s after its time limit; its result is dropped',
                submission.job,
                late,
            )
        else:
            submission.where.logger.warning(
                'Job "%s" has raised %r %.3f s after its time limit, which is dropped',
                submission.job,
                error,
                late,
            )
        if isinstance(error, KeyboardInterrupt) and self._error is not None:
            self._error.__context__ = error  # so that an inline executor can raise it on
        return False

    def _passed(self) -> None:
        """The deadline has passed. Any thread."""
        self._run.cancel("timeout")
        submission = self._submission
        with self._lock:
            if self._decided:
                return
            self._error = time_limit_error(
                submission, "a thread cannot be ended: it keeps its slot until it returns"
            )
            place = _place_of(self._ident)
            self._decided = True  # only here: if something above fails, the thread of the run decides
            event = submission.time_out_at_once(self._error, place)
        if event is not None and submission.where.publish is not None:
            submission.where.publish(event)


def _place_of(ident: int) -> str:
    """Where the job in the thread `ident` is just now, as text."""
    frame = sys._current_frames().get(ident)
    try:
        stack = [] if frame is None else list(extract_stack(frame))
    except Exception as exc:  # it reads source files, through whatever loaders the program has
        return f"Where the job was cannot be shown: {exc!r}"
    for index in reversed(range(len(stack))):
        if stack[index].filename == _RUN:
            del stack[: index + 1]  # what called the job
            break
    return "The job was here:\n" + "".join(format_list(stack))


_RUN = os.path.join(os.path.dirname(__file__), "run.py")

_lock = threading.Lock()
_watchers: dict[
    int, "_Watcher"
] = {}  # who watches by which clock; guarded by the lock, as all of a watcher is


def _key(clock: Clock) -> int:
    """The same for clocks that tell the same time."""
    return 0 if type(clock) is SystemClock else id(clock)


def _forget_after_fork() -> None:
    """The runs that were watched go on in the parent."""
    global _lock
    _lock = threading.Lock()
    for watcher in _watchers.values():
        watcher._heap.clear()
    _watchers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
