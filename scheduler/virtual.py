"""`VirtualScheduler`: the real engine in virtual time, for tests of schedules: a year passes in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from ..events import ManualClock
from ..jobstores.errors import ends_program
from ..triggers.instants import from_micros, to_micros
from .base import BaseScheduler
from .configuration import DEFAULT_PREFIX
from .engine import Engine
from .errors import SchedulerNotRunningError
from .keeper import Keeper
from .loop import Aside, Call, Loop


class VirtualScheduler(BaseScheduler):
    """A scheduler whose time passes when you say so, on the same engine, stores and triggers as the others.

    >>> scheduler = VirtualScheduler(start=datetime(2026, 1, 1, tzinfo=UTC))
    >>> scheduler.start()
    >>> job = scheduler.add_job(print, "interval", hours=6, args=["tick"])
    >>> scheduler.advance(timedelta(days=365))   # prints "tick" 1,460 times

    Jobs run inline, one after the other, in the thread that advances the time; every run on the way happens, in order, at its time exactly. Not
    to be advanced by two threads at once, nor by a job.
    """

    default_executor: ClassVar[str] = "debug"
    front_end_options: ClassVar[frozenset[str]] = frozenset({"start"})

    def __init__(
        self, gconfig: Mapping[str, Any] | None = None, start: datetime | None = None, **options: Any
    ) -> None:
        """`start` is the time at which the clock begins (the present, for None); a `ManualClock` may be given as `clock` instead."""
        if "clock" in options:
            if start is not None:
                raise TypeError("give either start or clock: a clock has its own time")
            self._manual_clock = options.pop("clock")
            if not isinstance(self._manual_clock, ManualClock):
                raise TypeError(f"a VirtualScheduler needs a ManualClock, got {self._manual_clock!r}")
        else:
            self._manual_clock = ManualClock(start)
        self._loop: Loop | None = None
        self._advancing = self._woken = False
        super().__init__(gconfig, **options)

    def configure(
        self, gconfig: Mapping[str, Any] | None = None, prefix: str | None = DEFAULT_PREFIX, **options: Any
    ) -> None:
        super().configure(gconfig, prefix, **{"timezone": UTC, **options, "clock": self._manual_clock})

    @property
    def now(self) -> datetime:
        """The present, in the scheduler's zone."""
        return from_micros(self._manual_clock.micros(), self.timezone)

    def advance(self, duration: timedelta) -> None:
        """Let time pass, and run everything that is due on the way, up to and including its end."""
        self.advance_to(self.now + duration)

    def advance_to(self, time: datetime) -> None:
        """Let time pass until `time` (naive: in the scheduler's zone). Raises ValueError if that has passed."""
        if time.tzinfo is None:
            time = time.replace(tzinfo=self.timezone)
        target = to_micros(time)
        if target < self._manual_clock.micros():
            raise ValueError(f"time does not run backwards: it is {self.now}, and was to be {time}")
        if self._advancing:
            raise RuntimeError("the time is being advanced already; a job or a listener cannot advance it")
        if self._loop is None or not self.running:
            raise SchedulerNotRunningError
        self._advancing = True
        try:
            while self._loop is not None and self._drive(self._loop, target):
                pass  # a job has shut the scheduler down; if it has started it again, that loop goes on
        finally:
            self._advancing = False
        if self._manual_clock.micros() < target:
            self._manual_clock.advance(timedelta(microseconds=target - self._manual_clock.micros()))

    def _drive(self, loop: Loop, target: int) -> bool:
        """Run the loop until it would wait beyond the target. True if it has ended before."""
        clock = self._manual_clock
        answer: Any = None
        failure: BaseException | None = None
        self._woken = False
        try:
            while True:
                # The first send goes on behind the wait at which the last advance ended.
                command = loop.send(answer) if failure is None else loop.throw(failure)
                answer = failure = None
                if isinstance(command, Call):
                    try:
                        answer = command.step()
                    except BaseException as exc:
                        if ends_program(exc):
                            raise
                        failure = exc
                elif isinstance(command, Aside):
                    command.step()  # at once: else what comes of it would depend on the machine
                elif self._woken:
                    self._woken = (
                        False  # a job or a listener changed something: look again, at the same moment
                    )
                else:
                    now = clock.micros()
                    until = now + round(command.seconds * 1_000_000)
                    clock.advance(timedelta(microseconds=min(until, target) - now))
                    if self._keeper is not None:
                        self._keeper.see_to_time()  # before anybody looks: no lease lapses, however far this step is
                    self._woken = False  # the clock has woken us, too, and we are awake
                    if until > target:
                        return False
        except StopIteration:
            if self._loop is loop:
                self._loop = None
            return True

    def _run(self, loop: Loop) -> None:
        # The first command is a wait of nothing: the loop begins when time is first advanced.
        self._loop = loop

    def _start_keeper(self, keeper: Keeper) -> None:
        # A thread of its own would come when the machine lets it: what has become of the leases by then would depend on that.
        pass

    def _new_engine(self, paused: bool) -> Engine:
        engine = super()._new_engine(paused)
        # Nobody sets this clock, and no other process works in this time: what is due next is known.
        engine.max_wait, engine.polls = 1e9, False
        return engine

    def _wake(self) -> None:
        self._woken = True

    def _join(self) -> None:
        self._loop = None
