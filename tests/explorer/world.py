"""The explorer's states: one record, two schedulers with what they hold, and what an observer remembers of every fire time.

A state is a value without chance in it: ids, revisions and stamps, which the library draws at random, are the smallest numbers that
nothing in the state uses any more, renamed in the order in which they appear. So states that differ in names only are one, and
the state space closes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC
from functools import cache
from random import Random
from typing import NamedTuple

from mainspring.jobstores.job import Job
from mainspring.jobstores.record import Due, Plan, Record, Run, RunKey
from mainspring.triggers import BaseTrigger, DateTrigger, IntervalTrigger
from mainspring.triggers.instants import from_micros

UNIT = 5_000_000
"""One step of time in µs: the margin of recovery, and the length of a lease."""
LEASE = 1
"""A lease in units."""
PERIOD = 2
"""Units between the fire times of the interval job."""
RETRY_DELAY = 1
"""Units from a failed attempt to the next one."""
START = 1_800_000_000_000_000


def at(units: int) -> int:
    return START + units * UNIT


@dataclass(frozen=True)
class Scenario:
    """What is explored together, and how far."""

    name: str
    kind: str = "once"
    """The job's trigger: "once", "twice", "every", or "user" (every, by a class of a user's: decided outside the store's step)."""
    recovery: str = "skip"
    max_instances: int = 1
    coalesce: bool = True
    claims: str = "lock"
    """"lock": a claim reads and writes in one step, at a time read before it; "compare": it reads, then writes if the stamp still is."""
    horizon: int = 3
    """The last unit of time."""
    edits: tuple[str, ...] = ()
    edit_budget: int = 1
    acts: tuple[str, ...] = ()
    """What people do besides edits: remove, add, now, dismiss, again."""
    act_budget: int = 1
    crashes: int = 0
    same_host: bool = False
    """Whether a scheduler can see that another one's process is gone."""
    offsets: tuple[int, ...] = ()
    """The units by which the second scheduler's clock may be moved away from the first one's, at any step."""
    shifts: int = 1
    max_recoveries: int = 1
    batch: int = 1_000
    """So many fire times go into one claim; the rest of a backlog waits behind it."""
    failures: int = 0
    """So many runs fail: in the ways of `failing`."""
    failing: tuple[str, ...] = ("fails",)
    """"fails", "fails in part" (the last of several fire times), "fails for good" (with what is none of `retry_on`), "times out" (in a
    thread, which goes on and keeps its slot), "finds no room" (in its executor, having waited)."""
    max_retries: int = 0
    keep_failed: bool = False
    while_running: str = "skip"

    @property
    def clocks_agree(self) -> bool:
        """Whether the clocks stay within the margin, for which losses are promised to be true."""
        return all(abs(offset) <= 1 for offset in self.offsets)


class Definition(NamedTuple):
    """The payload: what an edit of the definition writes."""

    name: int
    kind: str
    phase: int
    """µs by which a rescheduled trigger's grid differs from all earlier ones, so that no two have a fire time in common."""
    recovery: str
    max_instances: int
    coalesce: bool
    max_recoveries: int
    max_retries: int = 0
    keep_failed: bool = False
    while_running: str = "skip"


class Failure(NamedTuple):
    """That a run has failed, which is told before its end is written: long before, where a thread goes on behind its time limit."""

    places: tuple[int, ...]
    """Of the fire times that have failed; none: it was not started, and waits again."""
    at: int
    """When, by the process's clock."""
    hopeless: bool
    """With an exception that is not worth another attempt."""


class Held(NamedTuple):
    """A run in the hands of the scheduler that claimed it: in its executor's queue, running, or ended and not yet written."""

    key: RunKey
    run: Run
    """As it was claimed, without the times of the claim."""
    care: tuple[int, bool]
    """`max_retries` and `keep_failed` of its job, as they were when it was claimed."""
    phase: str
    """"queued", "running", "overtime", "ended"."""
    deadline: int
    """Until when it may be started without a look at the record, by a clock that nobody moves."""
    failure: Failure | None = None

    @property
    def fire_times(self) -> tuple[int, ...]:
        return self.run.fire_times


class Look(NamedTuple):
    """A claim between its reading of the clock (and of the record) and its write."""

    now: int
    since: int
    seen: Record | None
    due: Due | None = None


class Edit(NamedTuple):
    """An edit between its reading of the record and its write."""

    kind: str
    seen: Record
    definition: Definition
    executor: str
    plan: Plan | None


class Process(NamedTuple):
    """A scheduler. One that is frozen needs no mark: it takes no step while others do."""

    name: str
    boot: int = 1
    alive: bool = True
    offset: int = 0
    look: Look | None = None
    edit: Edit | None = None
    held: tuple[Held, ...] = ()

    @property
    def owner(self) -> str:
        return f"{self.name}{self.boot}"


class Fate(NamedTuple):
    """What happened to one fire time of one incarnation."""

    incarnation: int
    fire_time: int
    started: int = 0
    """The attempts that were started, each a bit."""
    allowed: int = 1
    """How often it may be started under "skip": once more for each retry, and for each time that a person asked for it."""
    done: bool = False
    excused: bool = False
    """Its job was removed, or its loss dismissed: nobody needs to account for it."""
    taken_at: int = 0
    """When it was first claimed; kept only where backlogs are looked at."""


class Expected(NamedTuple):
    """What the edits that were reported successful have said."""

    incarnation: int
    definition: Definition
    executor: str
    paused: bool = False
    over: bool = False
    """Resumed without a further fire time."""


class World(NamedTuple):
    time: int
    record: Record | None
    processes: tuple[Process, ...]
    fates: tuple[Fate, ...] = ()
    expected: Expected | None = None
    born: int = 1
    """How many incarnations there were."""
    edits: int = 0
    acts: int = 0
    crashes: int = 0
    shifts: int = 0
    failures: int = 0

    def wall(self, process: Process) -> int:
        """What the process's clock says."""
        return at(self.time + process.offset)

    def put(self, process: Process) -> World:
        processes = tuple(process if old.name == process.name else old for old in self.processes)
        return self._replace(processes=processes)

    def live_owners(self) -> set[str]:
        return {process.owner for process in self.processes if process.alive}


# -- names ---------------------------------------------------------------------------------------------------------


class Names(Random):
    """The random numbers of one step: the smallest that nothing in the world is called. Jitter is none."""

    def __init__(self, world: World) -> None:
        super().__init__(0)
        self._used: set[int | None] = {record.revision for record in records_of(world)}
        for run in runs_of(world):
            self._used |= {run.run, run.root}

    def getrandbits(self, k: int, /) -> int:
        number = 1
        while number in self._used:
            number += 1
        self._used.add(number)
        return number

    def random(self) -> float:
        return 0.0


NEW_STAMP = "new"
"""The stamp of every write until `canonical` renames it: there is one write in a step."""


def records_of(world: World) -> Iterator[Record]:
    """The record and the snapshots of it, in a fixed order."""
    if world.record is not None:
        yield world.record
    for process in world.processes:
        if process.look is not None and process.look.seen is not None:
            yield process.look.seen
        if process.edit is not None:
            yield process.edit.seen


def runs_of(world: World) -> Iterator[Run]:
    """The runs in the record, in the snapshots of it, and in the hands of schedulers, in a fixed order."""
    for record in records_of(world):
        yield from record.runs
    for process in world.processes:
        for held in process.held:
            yield held.run


def canonical(world: World) -> World:
    """The world with its names in the order of their appearance, and without what nobody reads (`claimed_at`)."""
    runs: dict[int, int] = {}
    stamps: dict[str, str] = {}
    revisions: dict[int, int] = {}
    for record in records_of(world):
        stamps.setdefault(record.stamp, str(len(stamps)))
        revisions.setdefault(record.revision, len(revisions))
    for run in runs_of(world):
        runs.setdefault(run.run, 100 + len(runs))
        if run.root is not None:
            runs.setdefault(run.root, 100 + len(runs))

    def renamed_run(run: Run) -> Run:
        number, root = runs[run.run], None if run.root is None else runs[run.root]
        if number == run.run and root == run.root and not run.claimed_at:
            return run
        return replace(run, run=number, root=root, claimed_at=None if run.claimed_at is None else 0)

    def renamed(record: Record) -> Record:
        return replace(
            record,
            stamp=stamps[record.stamp],
            revision=revisions[record.revision],
            runs=tuple(map(renamed_run, record.runs)),
        )

    def renamed_held(held: Held) -> Held:
        run = renamed_run(held.run)
        return held if run is held.run else held._replace(key=replace(held.key, run=run.run), run=run)

    processes = []
    for process in world.processes:
        look, edit = process.look, process.edit
        if look is not None and look.seen is not None:
            look = look._replace(seen=renamed(look.seen))
        if edit is not None:
            edit = edit._replace(seen=renamed(edit.seen))
        mine = tuple(sorted(map(renamed_held, process.held), key=lambda held: held.key.run))
        processes.append(process._replace(look=look, edit=edit, held=mine))
    current = None if world.record is None else renamed(world.record)
    return world._replace(record=current, processes=tuple(processes))


# -- jobs ----------------------------------------------------------------------------------------------------------


class UserTrigger(BaseTrigger):
    """An interval, as somebody else's class: the engine cannot know what it does, and decides it outside of the store."""

    def __init__(self, grid: IntervalTrigger) -> None:
        self._grid = grid

    def get_next_fire_time(self, previous_fire_time: object, now: object) -> object:  # type: ignore[override]
        return self._grid.get_next_fire_time(previous_fire_time, now)  # type: ignore[arg-type]


@cache
def trigger_of(definition: Definition) -> BaseTrigger:
    first = from_micros(START + definition.phase, UTC)
    if definition.kind == "once":
        return DateTrigger(first, timezone="UTC")
    last = from_micros(START + definition.phase + PERIOD * UNIT, UTC) if definition.kind == "twice" else None
    grid = IntervalTrigger(
        seconds=PERIOD * UNIT // 1_000_000, start_date=first, end_date=last, timezone="UTC"
    )
    return UserTrigger(grid) if definition.kind == "user" else grid


@cache
def job_of(definition: Definition) -> Job:
    return Job(
        None,
        id="job",
        func=print,
        trigger=trigger_of(definition),
        max_instances=definition.max_instances,
        coalesce=definition.coalesce,
        recovery=definition.recovery,
        max_recoveries=definition.max_recoveries,
        max_retries=definition.max_retries,
        retry_delay=RETRY_DELAY * UNIT / 1_000_000,
        keep_failed=definition.keep_failed,
        while_running=definition.while_running,
    )
