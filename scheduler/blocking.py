"""`BlockingScheduler`: runs in the thread that starts it, until it is shut down."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, ClassVar

from ..executors.shutdown import HEAR_SIGNALS_EVERY
from .base import BaseScheduler
from .configuration import Settings
from .drivers import drive
from .engine import Engine
from .errors import SchedulerNotRunningError
from .loop import Loop
from .wakeup import Wakeup


class ThreadDriven(BaseScheduler):
    """What the schedulers that are driven by a thread have in common."""

    _thread: threading.Thread | None = None

    def _prepare_process(self) -> None:
        super()._prepare_process()
        self._wakeup = Wakeup()
        self._thread = None

    def _new_engine(self, paused: bool) -> Engine:
        # One for each boot: the loop of an earlier one may be about still, behind a job that has shut down and started again in it,
        # and would take the wake-ups of this one.
        self._wakeup = Wakeup()
        engine = super()._new_engine(paused)
        engine._wake = self._wakeup.set
        return engine

    def _wake(self) -> None:
        self._wakeup.set()

    def _join(self) -> None:
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            while thread.is_alive():
                thread.join(HEAR_SIGNALS_EVERY)


class BlockingScheduler(ThreadDriven):
    """A scheduler that is the program's main job: `start()` returns when the scheduler has been shut down.

    In the main thread, Ctrl-C (SIGINT) and SIGTERM shut it down in order, unless the program has handlers of its own for them: no job is
    claimed any more, runs that go on are waited for, then `start()` returns. A second signal does not wait.

    What a handler of the program's own raises comes out of `start()`. The scheduler still counts as running then, and so do its jobs that
    have begun, until `shutdown()` is called, as in an `except` or `finally` around `start()`: with or without `wait`, as you like.
    """

    front_end_options: ClassVar[frozenset[str]] = frozenset({"daemon", "daemonic"})

    def _prepare_process(self) -> None:
        super()._prepare_process()
        self._over = threading.Event()

    def _settle_options(self, settings: Settings) -> None:
        """`daemon` means nothing here; it is accepted because programs change from one scheduler to the other."""

    def start(self, paused: bool = False) -> None:
        """Start, and run jobs in this thread until the scheduler is shut down; see `BaseScheduler.start`."""
        self._signalled: str | None = None
        with self._signals():
            super().start(paused)

    def shutdown(self, wait: bool = True) -> None:
        """Stop, see `BaseScheduler.shutdown`. `start()` returns when this is done, in whatever thread: often the program ends then."""
        over = self._over
        try:
            super().shutdown(wait)
        except SchedulerNotRunningError:
            raise  # it has ended, or another thread is at it
        except BaseException:
            over.set()
            raise
        over.set()

    def _new_engine(self, paused: bool) -> Engine:
        self._over = threading.Event()  # of this run: a listener of its shutdown may start the next one
        return super()._new_engine(paused)

    def _run(self, loop: Loop) -> None:
        self._ended = threading.Event()
        self._thread = threading.current_thread()
        if self._signalled and self._engine is not None:
            self._engine.stopping = True  # the signal came before there was an engine to be told
        try:
            drive(loop, self._wait)
        finally:
            self._thread = None
            self._ended.set()

    def _wait(self, seconds: float) -> None:
        # In slices: a signal that comes right before the main thread waits does not end its wait (seen about once in fifty signals that
        # came at that moment).
        wakeup, engine = self._wakeup, self._engine
        while seconds > HEAR_SIGNALS_EVERY and not wakeup.wait(HEAR_SIGNALS_EVERY):
            if engine is None or engine.stopping:
                return
            seconds -= HEAR_SIGNALS_EVERY
        if seconds <= HEAR_SIGNALS_EVERY:
            wakeup.wait(seconds)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the loop while this lasts; behind it, the scheduler is shut down if one has come."""
        previous: dict[int, Any] = {}

        def stop(number: int, frame: FrameType | None) -> None:
            # Only flags: this runs between any two steps of the main thread, in the middle of a claim maybe. A second signal
            # finds the handlers that were there before.
            self._signalled = signal.Signals(number).name
            for each, handler in previous.items():
                signal.signal(each, handler)
            engine = self._engine
            if engine is not None:
                engine.stopping = True
            self._wakeup.set()

        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    previous[number] = signal.signal(number, stop)
        try:
            yield
            if self._signalled:
                self._logger.info(
                    "Shutting down on %s; a second one does not wait for the runs that go on", self._signalled
                )
                with suppress(SchedulerNotRunningError):  # a job has called shutdown() at the same time
                    self.shutdown()
            _wait_for(self._closed)
            _wait_for(self._over)
        finally:
            if not self._signalled:
                for each, handler in previous.items():
                    signal.signal(each, handler)

    def _join(self) -> None:
        # None: the loop has not begun (a listener may shut down what has just started), or has ended.
        if self._thread not in (None, threading.current_thread()):
            _wait_for(self._ended)


def _wait_for(event: threading.Event) -> None:
    """Wait as long as it takes, in the main thread, too: Ctrl-C ends it."""
    while not event.wait(HEAR_SIGNALS_EVERY):
        pass
