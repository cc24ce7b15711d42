"""The world of one simulation: its scenario carried out, and the log of what really happened, which no scheduler sees."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from traceback import format_exception
from typing import Any, Final
from unittest.mock import patch

from mainspring.events import (
    EVENT_CLOCK_OFFSET,
    EVENT_JOB_FOUND,
    EVENT_JOB_LOST,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_PARKED,
    EVENT_JOB_QUARANTINED,
    EVENT_JOB_SUBMIT_FAILED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
)
from mainspring.jobstores import recordstore, sharedstore
from mainspring.jobstores.errors import ConflictingIdError, JobStoreError, StoreUnreachableError
from mainspring.jobstores.record import Run

from tests.simulation.care import NONE, Course, course, delay, is_retried
from tests.simulation.catalog import Catalog
from tests.simulation.machine import Boot
from tests.simulation.people import Edit, People
from tests.simulation.scenario import MARGIN, OF_ONE, START, Fault, Scenario, shown
from tests.simulation.server import Link, Server, Weather
from tests.simulation.store import SimulatedJobStore
from tests.simulation.timeline import MILLISECOND, SECOND, Task, Timeline

SETTLING: Final = 300 * SECOND
"""µs behind the last fault, edit and fire time, and the last start of a run, after which nothing may be left to do, beside some leases."""

SETTLING_AT_MOST: Final = 7200 * SECOND
"""µs: longer than any backlog takes whose runs go on one after the other."""


@dataclass(slots=True)
class Start:
    """A run that was really started."""

    time: int
    boot: str
    job_id: str
    incarnation: int
    run: int
    fire_time: int
    checked_at: int
    """When its scheduler was last sure that it may start."""
    definition: int
    open_run: Run
    """As it was claimed."""
    ended_at: int | None = None
    failed: bool = False
    follows: tuple[int, int] | None = None
    """It has failed and is to be tried again: how many µs later, at least and at most."""
    clock: int = 0
    """When it ended, or its failure was known, by the clock of its machine."""
    last_clock: int = 0
    """When it ended."""
    keeps: bool = False
    """It has failed, and the job is to be kept for that if this was the last of it."""

    @property
    def attempt(self) -> int:
        return self.open_run.attempt

    @property
    def root(self) -> int:
        """What identifies the run through all its attempts."""
        return self.open_run.run_id


@dataclass(slots=True)
class Trouble:
    """A time in which somebody (None: the server, for everybody) could not work as usual."""

    machine: str | None
    kind: str
    begin: int
    end: int


@dataclass(slots=True)
class World:
    """Everything there is in one simulation."""

    scenario: Scenario
    tracing: bool = False
    reads_back: bool = True
    """False is a fault that the simulation must find: a write whose answer got lost counts as not written."""
    timeline: Timeline = field(init=False)
    server: Server = field(init=False)
    people: People = field(init=False)
    boots: list[Boot] = field(default_factory=list)
    """The present one of each machine."""
    catalog: Catalog = field(default_factory=Catalog)
    starts: list[Start] = field(default_factory=list)
    misses: set[tuple[str, int, int]] = field(default_factory=set)
    events: list[tuple[int, str, Any]] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    full: list[tuple[str, int, int]] = field(default_factory=list)
    """When which process had no idle worker, from when to when."""
    offsets: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Since when each machine's clock was ahead by how much (µs)."""
    edits: list[Edit] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What must never happen, and did: a task that raised, an error in the log."""
    trace: list[tuple[int, str, str]] = field(default_factory=list)
    events_of_interest: int = (
        EVENT_JOB_LOST
        | EVENT_JOB_FOUND
        | EVENT_JOB_PARKED
        | EVENT_JOB_MAX_INSTANCES
        | EVENT_JOB_MISSED
        | EVENT_JOB_SUBMIT_FAILED
        | EVENT_JOB_QUARANTINED
        | EVENT_JOBSTORE_FAILED
        | EVENT_JOBSTORE_RECOVERED
        | EVENT_CLOCK_OFFSET
    )
    tasks_at_the_end: list[list[str]] = field(default_factory=list)
    """What each machine was still doing then."""
    _random: Random = field(init=False)
    _luck: Random = field(init=False)
    begun: list[tuple[int, str]] = field(default_factory=list)
    """When which process has started its scheduler."""
    died: dict[str, int] = field(default_factory=dict)
    """When processes died."""

    def __post_init__(self) -> None:
        scenario = self.scenario
        self.timeline = Timeline(START)
        self._random = Random(f"world {scenario.seed}")
        self._luck = Random(f"luck {scenario.seed}")
        weather = Weather(scenario.latency, scenario.loss, silent=scenario.silent)
        self.server = Server(
            self.timeline,
            Random(f"server {scenario.seed}"),
            weather,
            pushes=scenario.push,
        )
        self.people = People(self)

    def run(self) -> None:
        """Carry out the scenario to its end."""
        with _surroundings(self):
            for place in range(len(self.scenario.machines)):
                self._boot(place)
            self.people.come()
            for fault in self.scenario.faults:
                self.timeline.at(fault.time, lambda fault=fault: self._befall(fault))  # type: ignore[misc]
            self.timeline.at(self.scenario.end + 1, self._all_is_well)
            self._settle()
            for boot in self.boots:
                boot.executor.no_longer_full()
            self.tasks_at_the_end = [sorted(task.name for task in boot.tasks) for boot in self.boots]

    def close(self) -> None:
        """Let go of everything that is still about."""
        for boot in self.boots:
            boot.die()

    def _settle(self) -> None:
        """Let time pass to the end, and behind it until nothing is left to do, or too long."""
        self.timeline.run_until(self.scenario.end + SECOND)
        begin, patience = self.timeline.now, SETTLING + int(3 * self.scenario.lease * SECOND)
        while self.timeline.now < begin + SETTLING_AT_MOST and self._is_busy():
            since = max(begin, self.starts[-1].time) if self.starts else begin
            if self.timeline.now >= since + patience:
                break
            self.timeline.run_until(self.timeline.now + SECOND)

    def _is_busy(self) -> bool:
        if any(sorted(task.name for task in boot.tasks) != ["keeper", "loop"] for boot in self.boots):
            return True
        if any(port.tickets or port.outage for boot in self.boots for port in boot.ports()):
            return True
        return any(
            record.wake_at is not None or any(run.state == "claimed" for run in record.runs)
            for record in self.server.records.values()
        )

    # -- schedulers ------------------------------------------------------------------------------------------------

    def _boot(self, place: int) -> None:
        """Start a machine's scheduler, in a new process."""
        spec = self.scenario.machines[place]
        if place < len(self.boots):
            offset, number = self.boots[place].clock.offset, self.boots[place].number + 1
        else:
            offset, number = int(spec.offset * SECOND), 1
        boot = Boot(self, spec.name, number, offset, spec.workers)
        self.offsets.setdefault(spec.name, []).append((self.timeline.now, offset))
        self.boots[place:] = [boot, *self.boots[place + 1 :]]
        self.tell(boot.name, "boots", offset, "µs ahead")
        boot.spawn("start", lambda: self._start(boot, spec.paused))

    def _start(self, boot: Boot, paused: bool) -> None:
        while not boot.scheduler.running:
            try:
                boot.scheduler.start(paused=paused)
            except ConflictingIdError as exc:
                # Somebody has added a job here in the middle of a shutdown, and somebody else elsewhere.
                boot.scheduler.remove_job(exc.job_id)
            except StoreUnreachableError:
                raise  # that keeps no scheduler from its start
            except JobStoreError as exc:
                # A store that refuses a pending job does: whoever runs the program starts it again.
                self.tell(boot.name, f"cannot be started: {exc}")
                boot.sleep(SECOND)

    def _restart(self, boot: Boot, trouble: Trouble, duration: int, wait: bool, paused: bool) -> None:
        if not boot.scheduler.running:
            return
        trouble.end = 1 << 62
        self.tell(boot.name, "is shut down", "and waited for" if wait else "without waiting")
        boot.scheduler.shutdown(wait)
        self.tell(boot.name, "has been shut down")
        boot.sleep(duration)
        self._start(boot, paused)
        trouble.end = self.timeline.now

    def new_store(self, link: Link) -> SimulatedJobStore:
        scenario = self.scenario
        return SimulatedJobStore(link, self.catalog, scenario.mode, scenario.poll, reads_back=self.reads_back)

    def owner_of(self, boot: Boot) -> str:
        """The name in which a boot's next engine owns runs."""
        return f"{boot.machine}/{boot.number}/0/{boot.name}.{boot.starts}"

    def is_gone(self, owner: str) -> bool:
        """Whether the process of an owner is known to be gone: only where all schedulers are on one host."""
        machine, number, _, _ = owner.split("/")
        return self.scenario.same_host and f"{machine}.{number}" in self.died

    # -- faults ----------------------------------------------------------------------------------------------------

    def _befall(self, fault: Fault) -> None:
        boot, spec = self.boots[fault.machine], self.scenario.machines[fault.machine]
        if not boot.alive and fault.kind in OF_ONE:
            return
        trouble = Trouble(boot.machine if fault.kind in OF_ONE else None, fault.kind, fault.time, fault.until)
        self.troubles.append(trouble)
        whom = boot.name if fault.kind in OF_ONE else "server"
        self.tell(whom, f"{fault.kind} for {fault.duration / SECOND:.3f} s", fault.amount or "")
        weather, timeline = self.server.weather, self.timeline

        def later(action: Callable[[], object]) -> None:
            timeline.at(fault.until, action)

        match fault.kind:
            case "crash":
                boot.die()
                self.died[boot.name] = self.timeline.now
                later(lambda: self._boot(fault.machine))
            case "freeze":
                boot.freeze(fault.until)
            case "cut":
                boot.link.cuts += 1
                later(lambda: boot.link.mend())
            case "restart":
                wait = fault.amount > 0
                restart = partial(self._restart, boot, trouble, fault.duration, wait, spec.paused)
                boot.spawn("restart", restart)
            case "clock":
                self._set_clock(fault.machine, fault.amount)
                later(lambda: self._set_clock(fault.machine, spec.offset))
            case "outage":
                weather.outages += 1
                later(weather.end_outage)
            case "slow":
                weather.slow = int(fault.amount)
                later(lambda: setattr(weather, "slow", 1))
            case "read only":
                weather.read_only += 1
                later(weather.end_read_only)
            case "losses":
                weather.lost = fault.amount
                later(lambda: setattr(weather, "lost", self.scenario.loss))

    def _set_clock(self, place: int, offset: float) -> None:
        boot = self.boots[place]
        boot.clock.offset = int(offset * SECOND)
        self.offsets[boot.machine].append((self.timeline.now, boot.clock.offset))
        self.tell(boot.name, "its clock is", offset, "s ahead")

    def _all_is_well(self) -> None:
        """No fault lasts beyond this; clocks that are far off are set right."""
        self.tell("world", "all is well from here on")
        self.server.weather.lost = 0.0
        for place, spec in enumerate(self.scenario.machines):
            if abs(spec.offset) > MARGIN:
                self._set_clock(place, 0.0)

    # -- what is noted ---------------------------------------------------------------------------------------------

    def tell(self, who: str, *what: object) -> None:
        """A line of the trace."""
        if self.tracing:
            self.trace.append((self.timeline.now, who, " ".join(map(str, what))))

    def started(self, boot: Boot, job: Any, ticket: Any, fire_time: int, checked_at: int) -> Start:
        """A job's function would have been called now."""
        start = Start(
            self.timeline.now,
            boot.name,
            ticket.job_id,
            ticket.incarnation,
            ticket.run,
            fire_time,
            checked_at,
            job.args[0],
            ticket.open_run,
        )
        self.starts.append(start)
        if self.tracing:
            self.tell(
                boot.name,
                f"STARTS {job.id} of {shown(fire_time)}, run {ticket.run % 10**6}, attempt {start.attempt}",
            )
        return start

    def course(self, boot: Boot, job: Any) -> Course:
        """How a run of a job goes. Now and then it kills its process instead."""
        care, took = self.people.specs[job.id].care, self.duration(job.id)
        if care is NONE:
            return Course(took)
        if self._luck.random() < care.kills and self.timeline.now < self.scenario.end:
            place = next(place for place, other in enumerate(self.boots) if other is boot)
            crash = Fault("crash", self.timeline.now, self._luck.randrange(5 * SECOND), place)
            self.timeline.at(self.timeline.now, lambda: self._befall(crash))
        return course(self._luck, care, took, job.timeout)

    def failed(self, boot: Boot, job: Any, start: Start, error: BaseException) -> None:
        """A run has failed: note what is to follow."""
        run = start.open_run
        start.failed, start.keeps = True, job.keep_failed
        if is_retried(job, run.retried, error):
            start.follows = delay(job, run.retried)
        self.tell(boot.name, f"FAILS {job.id} of {shown(start.fire_time)}, attempt {run.attempt}: {error!r}")

    def missed(self, boot: Boot, job: Any, ticket: Any, fire_time: int) -> None:
        """A run was too late for its job's misfire grace."""
        self.misses.add((ticket.job_id, ticket.incarnation, fire_time))
        self.tell(boot.name, f"misses {job.id} of {shown(fire_time)}")

    def duration(self, job_id: str) -> int:
        """µs that a run of a job takes."""
        longest = self.people.specs[job_id].duration
        return int(longest * SECOND * self._random.uniform(0.2, 1))

    def pause(self) -> int:
        """µs that a process takes between two of its steps: usually nothing to speak of, now and then long."""
        luck = self._random.random()
        if luck > 0.1:
            return 0
        return int(self._random.random() * (500 if luck < 0.02 else 5) * MILLISECOND)

    def heard(self, boot: Boot, event: Any) -> None:
        self.events.append((self.timeline.now, boot.name, event))
        if self.tracing:
            self.tell(boot.name, f"says {event}")

    def logged(self, boot: Boot, record: logging.LogRecord) -> None:
        if not boot.alive:
            return
        message = record.getMessage()
        if record.levelno >= logging.ERROR and not _EXPECTED.search(message):
            self.failures.append(f"{boot.name} logs: {message} ({record.exc_info and record.exc_info[1]!r})")
        self.tell(boot.name, f"logs: {message}")

    def task_failed(self, boot: Boot, task: Task, exc: BaseException) -> None:
        where = "".join(format_exception(exc)[-6:])
        self.failures.append(f"the task {task.name!r} of {boot.name} has ended with {exc!r}\n{where}")


_EXPECTED: Final = re.compile(r"job store|was lost|parked|LOST|failed, and was the last", re.IGNORECASE)
"""Errors that a scheduler reports of what befell it."""


@contextmanager
def _surroundings(world: World) -> Iterator[None]:
    """What the library asks the machine for, it asks the world; what it logs by itself, nobody reads."""
    library = logging.getLogger("mainspring")
    level = library.level
    library.setLevel(logging.CRITICAL + 1)
    with (
        patch.object(recordstore, "is_gone", world.is_gone),
        patch.object(sharedstore, "is_gone", world.is_gone),
    ):
        try:
            yield
        finally:
            library.setLevel(level)
