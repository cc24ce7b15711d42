"""One scheduler of the simulation: the real one, with a clock, an executor and a keeper that take their turns on the timeline."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

from mainspring.events import Clock
from mainspring.executors.base import DirectExecutor, may_start
from mainspring.executors.errors import JobTimeoutError
from mainspring.executors.submission import Submission, Ticket
from mainspring.scheduler.base import BaseScheduler
from mainspring.scheduler.engine import Engine
from mainspring.scheduler.keeper import Keeper
from mainspring.scheduler.loop import Call, Loop, Wait
from mainspring.scheduler.port import Port
from mainspring.triggers.instants import from_micros, to_micros

from tests.simulation.care import Course
from tests.simulation.server import Link
from tests.simulation.timeline import MILLISECOND, SECOND, Flag, Process, Task

if TYPE_CHECKING:
    from tests.simulation.world import World


class Boot(Process):
    """One process that runs one scheduler."""

    def __init__(self, world: World, machine: str, number: int, offset: int, workers: int) -> None:
        super().__init__(world.timeline)
        self.world = world
        self.machine = machine
        self.number = number
        self.name = f"{machine}.{number}"
        self.random = Random(f"boot {world.scenario.seed} {machine} {number}")
        self.clock = OffsetClock(self, offset)
        self.link = Link(world.server, self)
        self.executor = SimulatedExecutor(self, workers)
        self.starts = 0
        store = world.new_store(self.link)
        scenario = world.scenario
        self.scheduler = SimulatedScheduler(
            self,
            logger=_logger(self),
            timezone=UTC,
            clock=self.clock,
            random=self.random,
            lease=scenario.lease,
            jobstore_retry_interval=2,
            executors={"default": self.executor},
            jobstores={"default": store},
        )
        self.scheduler.add_listener(self._heard, world.events_of_interest)

    def ports(self) -> tuple[Port, ...]:
        """The stores of its scheduler, if it runs."""
        engine = self.scheduler._engine
        return () if engine is None else engine.ports()

    def die(self) -> None:
        self.executor.no_longer_full()
        super().die()

    def task_failed(self, task: Task, exc: BaseException) -> None:
        self.world.task_failed(self, task, exc)

    def _heard(self, event: Any) -> None:
        self.world.heard(self, event)


class OffsetClock(Clock):
    """The time as one machine tells it; what lasts is measured right."""

    is_real = True
    """So that it is compared with the server's, as a machine's clock is."""

    def __init__(self, boot: Boot, offset: int) -> None:
        self._timeline = boot.timeline
        self.offset = offset

    def now(self) -> datetime:
        return from_micros(self.micros(), UTC)

    def micros(self) -> int:
        return self._timeline.now + self.offset

    def monotonic(self) -> float:
        return self._timeline.now / SECOND


class SimulatedScheduler(BaseScheduler):
    """The real scheduler, driven by a task."""

    def __init__(self, boot: Boot, **options: Any) -> None:
        self._boot = boot
        self._flag = self._over = Flag(boot)
        super().__init__(**options)

    def _new_engine(self, paused: bool) -> Engine:
        boot = self._boot
        self._flag, self._over = Flag(boot), Flag(boot)
        engine = super()._new_engine(paused)
        engine._wake = self._flag.set
        boot.starts += 1
        boot.world.begun.append((boot.timeline.now, boot.name))
        # The real ones come from the operating system, and would be others each time.
        engine.owner.boot = f"{boot.name}.{boot.starts}"
        engine.owner.name = boot.world.owner_of(boot)
        self._keeper = SimulatedKeeper(engine, boot)
        return engine

    def _run(self, loop: Loop) -> None:
        flag, over = self._flag, self._over

        def drive() -> None:
            self._drive(loop, flag)
            over.set()

        self._boot.spawn("loop", drive)

    def _drive(self, loop: Loop, flag: Flag) -> None:
        """Run the loop to its end; `drive` of the library, in simulated time."""
        boot = self._boot
        advance: Callable[[], Any] = lambda: next(loop)  # noqa: E731
        while True:
            try:
                command = advance()
            except StopIteration:
                return
            if isinstance(command, Wait):
                flag.wait(command.seconds)
                advance = lambda: loop.send(None)  # noqa: E731
            elif isinstance(command, Call):
                advance = _answer(loop, command.step)
                if pause := boot.world.pause():
                    boot.sleep(pause)
            else:
                boot.spawn("aside", command.step)
                advance = lambda: loop.send(None)  # noqa: E731

    def _wake(self) -> None:
        self._flag.set()

    def _join(self) -> None:
        self._over.wait(1e6)


def _answer(loop: Loop, step: Callable[[], Any]) -> Callable[[], Any]:
    """Run a step of the loop; answers what brings its outcome to the loop."""
    try:
        answer = step()
    except Exception as exc:
        failure = exc
        return lambda: loop.throw(failure)
    return lambda: loop.send(answer)


class SimulatedKeeper(Keeper):
    """The real keeper; its thread is a task."""

    def __init__(self, engine: Engine, boot: Boot) -> None:
        super().__init__(engine)
        self._boot = boot
        self._wakeup = Flag(boot)  # type: ignore[assignment]
        self._begun = False

    def start(self) -> None:
        if not self._begun:
            self._begun = True
            self._boot.spawn("keeper", self._run)


class SimulatedExecutor(DirectExecutor):
    """A pool of workers in simulated time. A run is an entry in the log, some time, and another entry."""

    def __init__(self, boot: Boot, workers: int) -> None:
        super().__init__()
        self._boot = boot
        self._queue: deque[Submission] = deque()
        self._workers = workers
        self._busy = 0
        self._full_since: int | None = None

    def free_slots(self) -> int:
        where = self._where
        return 0 if where is None else max(0, self._workers - len(where.open))

    def waiting(self) -> int:
        return len(self._queue)

    def withdraw(self) -> list[Ticket]:
        withdrawn = list(self._queue)
        self._queue.clear()
        for submission in withdrawn:
            self._give_back(submission)
        return [submission.ticket for submission in withdrawn if submission.ticket is not None]

    def shutdown(self, wait: bool = True) -> None:
        super().shutdown(wait)
        while wait and (self._busy or self._queue):
            self._boot.sleep(10 * MILLISECOND)

    def no_longer_full(self) -> None:
        """There is an idle worker again, or none at all any more: note how long there was none."""
        if self._full_since is not None:
            self._boot.world.full.append((self._boot.name, self._full_since, self._boot.timeline.now))
            self._full_since = None

    def _submit(self, submission: Submission) -> None:
        self._queue.append(submission)
        if self._busy < self._workers:
            self._busy += 1
            if self._busy == self._workers:
                self._full_since = self._boot.timeline.now
            self._boot.spawn("worker", self._work)

    def _work(self) -> None:
        while self._queue:
            self._run(self._queue.popleft())
        # Also what an earlier start of the scheduler has left running keeps a worker busy.
        self._busy -= 1
        self.no_longer_full()

    def _run(self, submission: Submission) -> None:
        boot, world, ticket = self._boot, self._boot.world, submission.ticket
        if pause := world.pause():
            boot.sleep(pause)
        if not may_start(submission):
            self._give_back(submission)
            return
        checked_at = boot.timeline.now
        # The freeze that no scheduler can exclude happens here.
        boot.sleep(1)
        for run_time in submission.run_times:
            if submission.begin(run_time, boot.clock.now()):
                start = world.started(boot, submission.job, ticket, to_micros(run_time), checked_at)
                course = world.course(boot, submission.job)
                boot.sleep(course.takes)
                start.clock = boot.clock.micros()
                if course.error is None:
                    submission.executed(None)
                else:
                    world.failed(boot, submission.job, start, course.error)
                    self._failed(submission, course)
                start.ended_at, start.last_clock = boot.timeline.now, boot.clock.micros()
            else:
                world.missed(boot, submission.job, ticket, to_micros(run_time))
        self._end(submission)

    def _failed(self, submission: Submission, course: Course) -> None:
        error = course.error
        if not isinstance(error, JobTimeoutError):
            assert error is not None
            submission.failed(error)
        elif not course.goes_on:
            submission.timed_out(error)
        else:
            submission.time_out_at_once(error, "")
            self._boot.sleep(course.goes_on)


class _Told(logging.Handler):
    """What a scheduler logs, as lines of the trace; its errors are checked."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(logging.WARNING)
        self._boot = boot

    def emit(self, record: logging.LogRecord) -> None:
        self._boot.world.logged(self._boot, record)


def _logger(boot: Boot) -> logging.Logger:
    logger = logging.Logger("simulation", logging.WARNING)
    logger.propagate = False
    logger.addHandler(_Told(boot))
    return logger
