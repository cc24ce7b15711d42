"""The record: what a store keeps of a job and of its open runs, and the values that passes of the loop exchange with a store.

All times are integer microseconds since the epoch, UTC. Every class here is a value: an operation builds a new one
(`transitions.py`) and a store puts it in the old one's place under the comparison which the operation asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from .job import Job

FORMAT_VERSION = 1
"""The version of the record's format that this library writes; one that it does not know is passed over, not claimed."""

UNREADABLE = 2**31 - 1
"""The version that a store gives a record here which is damaged, and cannot be read as a whole: claims pass it over, it can be removed, and edited
if only its open runs are damaged. It is never written."""

MAX_LOST_RUNS = 16
"""So many lost runs are listed in a record; older ones are only counted (`Record.forgotten`)."""

State: TypeAlias = Literal["active", "paused", "parked", "ended", "importing"]
RunKind: TypeAlias = Literal["schedule", "retry", "rerun", "now", "queued"]
RunState: TypeAlias = Literal["claimed", "waiting", "lost"]
Recovery: TypeAlias = Literal["skip", "rerun"]

if TYPE_CHECKING:
    T = TypeVar("T")

    @dataclass_transform(frozen_default=True)
    def value(cls: type[T], /) -> type[T]: ...

else:
    # Frozen for the type checker, which is where an assignment would be found; at run time a frozen __init__ goes
    # through object.__setattr__ for every field and costs six times as much, and four of these are made for each run.
    value = dataclass(slots=True, unsafe_hash=True)


@value
class Run:
    """An open run: one submission, from its claim (or its wish to be claimed) until it is finished or dismissed."""

    run: int
    """63 random bits, drawn anew at each claim, so that nothing late can touch another's run."""
    kind: RunKind
    fire_times: tuple[int, ...]
    """The nominal times; several with `coalesce=False`."""
    due: int
    """When it is (or was) to be dispatched; for a scheduled run that is `next_run_time`, jitter included."""
    state: RunState = "claimed"
    attempt: int = 1
    recovered: int = 0
    """How often it was started again after a lease that ended."""
    blocked: bool = False
    """A waiting run that cannot be claimed now (no room, or the job is paused): it does not count in `wake_at`."""
    owner: str | None = None
    lease_until: int | None = None
    claimed_at: int | None = None
    recovery: Recovery = "skip"
    max_recoveries: int = 3
    more: bool = False
    """More fire times of the same backlog are due behind this run: until it has ended (given back or recovered, it has not) or
    is lost, they wait for it, instead of being skipped."""
    incarnation: int | None = None
    """Set when the run belongs to an earlier incarnation of the job's id: it is reported if lost, never run again."""
    retried: int = 0
    """How many attempts have failed before this one, and were followed by another."""
    keeps: bool = False
    """Claimed, its end may leave another attempt behind, or a parked job: until then its job is there, though its schedule may be over."""
    root: int | None = None
    """The number of its first claim (or of its wish to be claimed), which stays through all claims and attempts; None: `run` is that."""
    retry_at: int | None = None
    """It has failed, and goes on: a thread that is over its time limit. The next attempt is due then, when this one has ended, or its process has."""
    extra: tuple[tuple[str, Any], ...] = ()
    """Entries that a later version of the library wrote: kept, not understood."""

    @property
    def run_times(self) -> tuple[int, ...]:
        """The times it was scheduled for: the dispatch time of the first, and the nominal times of the others."""
        times = self.fire_times
        if self.kind != "schedule" or self.due == times[0]:
            return times
        return (self.due,) if len(times) == 1 else (self.due, *times[1:])

    @property
    def run_id(self) -> int:
        """What identifies the run to people: the same for all its attempts, whoever claims them."""
        return self.run if self.root is None else self.root


@value
class Record:
    """What a store keeps of a job: plain fields that passes of the loop read and write, and an opaque payload."""

    id: str
    incarnation: int
    executor: str
    wake_at: int | None
    next_run_time: int | None
    fire_time: int | None
    state: State
    runs: tuple[Run, ...]
    revision: int
    stamp: str
    payload: Any = None
    """As `pack()` of the store made it; None where a store reads records without their payload."""
    reason: str | None = None
    """Why a parked job is parked: a word of `ParkedReason`, a colon, and the rest in words."""
    forgotten: int = 0
    """How many lost runs are no longer listed."""
    version: int = FORMAT_VERSION


class ParkedReason:
    """The first words of `Record.reason`; transitions look at nothing else of it."""

    TRIGGER = "trigger"
    """Its trigger raised, or answered something that is no fire time."""
    LOST = "lost"
    """A one-off whose only run was lost."""
    GIVEN_UP = "given up"
    """A run was recovered too often."""
    FAILED = "failed"
    """A job without a further run, whose last attempt has failed, and which is to be kept then (`keep_failed`)."""


SCHEDULE_OVER = "its schedule is over"
"""The reason of a job that was paused while its last runs are open: when it is resumed it runs those, and ends."""


class Written(Enum):
    """What a transition may answer instead of a record."""

    DELETED = "deleted"
    """The record goes."""


Transition: TypeAlias = "Record | Literal[Written.DELETED] | None"
"""The answer of a transition: the new record, that it goes, or None: the comparison failed or nothing is to be done."""


@value
class Plan:
    """What is to become of a job's schedule: the fields that adding, resuming or rescheduling it decides."""

    next_run_time: int | None
    fire_time: int | None
    state: State = "active"
    reason: str | None = None
    runs: tuple[Run, ...] = ()
    """The open runs with which a job arrives from another store; a new job has none."""


@value
class Due:
    """What a trigger said of a record whose next run time has come; `decide` needs it, and asks the trigger if it is not given."""

    fire_time: int
    """The fire time it begins with. The answer holds while the record's revision and fire time are those it was made for."""
    kept: tuple[int, ...]
    """The fire times that are to be run: the last one with `coalesce`, else up to a thousand."""
    plan: Plan
    """The schedule behind them."""
    more: bool = False
    """More of the backlog is due behind them."""


@value
class Decision:
    """What `decide` found for one record: what is to be written, and what is to be started."""

    next_run_time: int | None
    fire_time: int | None
    state: State
    runs: tuple[Run, ...]
    """All runs that are open afterwards; those to be started are `claimed` and have no owner yet."""
    starts: int = 0
    """How many of them are to be started."""
    skipped: tuple[int, ...] = ()
    """The run times given up because `max_instances` was reached."""
    reason: str | None = None


@value
class Claim:
    """A run that this scheduler won: written with a lease, to be handed to the executor."""

    record: Record
    job: Job
    run: Run


@value
class Outcome:
    """What is to be written of a run that ended: it goes, and what takes its place."""

    job_id: str
    incarnation: int
    run: int
    owner: str
    retry: Run | None = None
    """It has failed, and is followed by this attempt; or it was not started, and waits again."""
    parked: str | None = None
    """It has failed for the last time: why its job is to be parked, if that has no further run."""


@value
class RunKey:
    """What identifies an open run of this scheduler: extend and give back match all of it."""

    job_id: str
    incarnation: int
    run: int
    owner: str


@dataclass(slots=True)
class ClaimResult:
    """What came of one claim."""

    claims: list[Claim] = field(default_factory=list)
    deferred: list[Record] = field(default_factory=list)
    """Due records which only code outside the library can decide (not restored yet, or a user's trigger)."""
    parked: list[tuple[Record, Job]] = field(default_factory=list)
    skipped: list[tuple[Record, Job, tuple[int, ...]]] = field(default_factory=list)
    """Run times given up because `max_instances` was reached."""
    quarantined: list[str] = field(default_factory=list)
    """Ids of due records that were passed over because this process cannot restore them."""
    removed: list[str] = field(default_factory=list)
    """Ids of the jobs that ended with this claim and had nothing left to run."""
    wake_at: int | None = None
    """The earliest time after now at which one of the executors asked for has something due."""
    more: bool = False
    """More is due than was asked for."""
    error: Exception | None = None
    """What the store could not do beside all this, which was written and has to be started."""


@value
class RecoveredRun:
    """A run whose lease ended unfinished, and what was written of it."""

    record: Record
    """The record as it was written."""
    run: Run
    """The run as it is kept now: `lost`, or `waiting` to be run again."""
    parked: bool = False
    """The job was parked for it."""


@dataclass(slots=True)
class FinishResult:
    """What came of writing outcomes."""

    removed: list[str] = field(default_factory=list)
    """Ids of ended jobs whose last run this was."""
    found: list[tuple[str, Run]] = field(default_factory=list)
    """Runs that had been listed as lost, and are not."""
    parked: list[tuple[str, str]] = field(default_factory=list)
    wake_at: int | None = None
    """When something is due that was not before: what waited for room, or the rest of a backlog. None if nothing is."""

    def moved(self, before: Record, after: Record) -> None:
        """Note when a record is to be looked at, if that is sooner than it was."""
        # Leases do not count: at the end of one that has lapsed it was looked at already, and nothing later was foreseen then.
        at = wake_time(after.state, after.next_run_time, after.runs, leases=False)
        old = wake_time(before.state, before.next_run_time, before.runs, leases=False)
        if is_sooner(at, old) and is_sooner(at, self.wake_at):
            self.wake_at = at


def is_over(record: Record) -> bool:
    """Whether a job is gone for people: no further fire time, and what is open leaves nothing behind when it ends.

    Its record is kept for the runs that go on. While a run of its own waits (a retry, one that was asked for), or goes on that may
    leave one behind, the job is still there: it can be paused, changed and removed.
    """
    if record.state != "ended":
        return False
    for run in record.runs:
        if run.incarnation is None and (run.state == "waiting" or (run.keeps and run.state == "claimed")):
            return False
    return True


def is_hidden(record: Record) -> bool:
    """Whether there is no such job for people: it is over, or it has arrived from another store and is not released yet.

    An id that is hidden because of that is taken all the same.
    """
    return record.state == "importing" or is_over(record)


def is_sooner(time: int | None, than: int | None) -> bool:
    """Whether a time comes before another; None is never."""
    return time is not None and (than is None or time < than)


def new_record(job: Job, plan: Plan, number: int, payload: Any = None) -> Record:
    """The record of a job that is added, still to be sealed; `number` is random, its incarnation and its first revision."""
    return Record(
        job.id,
        number,
        job.executor,
        None,
        plan.next_run_time,
        plan.fire_time,
        plan.state,
        plan.runs,
        number,
        "",
        payload,
        plan.reason,
    )


def wake_time(
    state: State, next_run_time: int | None, runs: Sequence[Run], leases: bool = True
) -> int | None:
    """When a scheduler must look at a record: **the** index of every store (record.md).

    The earliest of the next run time (if active, and not behind an open batch of its backlog), the due time of the waiting
    runs that are not blocked, and the ends of the leases. Without `leases`: when there is something to be claimed.
    """
    wake = next_run_time if state == "active" else None
    ends: int | None = None
    for run in runs:
        if run.more and run.state != "lost":
            wake = None
        if run.state == "claimed":
            at = run.lease_until if leases else None
        elif run.state == "waiting" and not run.blocked and state != "importing":
            at = run.due
        else:
            continue
        if at is not None and (ends is None or at < ends):
            ends = at
    if ends is None or wake is None:
        return ends if wake is None else wake
    return ends if ends < wake else wake


def lease_time(runs: Sequence[Run]) -> int | None:
    """The earliest end of a lease among the runs: what `recover` looks for."""
    ends = [run.lease_until for run in runs if run.state == "claimed" and run.lease_until is not None]
    return min(ends) if ends else None


Wanted: TypeAlias = Mapping[str, int]
"""An executor's alias to how many runs it can take."""

Decide: TypeAlias = "Callable[[Record, Job, Due | None], Decision | None]"
"""`decide` of the scheduler, with the time and the random source of the pass already in it. None: not yet, it stays due."""
