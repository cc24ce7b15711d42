"""What the engine does with a store, one step at a time: for tests that need no loop, no threads and no executor."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.events import ManualClock
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.job import Job
from mainspring.jobstores.record import (
    Claim,
    ClaimResult,
    Decision,
    Due,
    FinishResult,
    Outcome,
    Plan,
    Record,
    Run,
    RunKey,
    State,
)
from mainspring.scheduler.decision import decide, due_times
from mainspring.triggers import BaseTrigger, DateTrigger, IntervalTrigger, calls_user_code
from mainspring.triggers.instants import to_micros

from tests.jobstores.samples import work

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = to_micros(START)
SECOND = 1_000_000
LEASE = 30 * SECOND


class StubScheduler:
    """As much of a scheduler as a store may ask for."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.timezone = UTC
        self.events: list[Any] = []

    def _dispatch_event(self, event: Any) -> None:
        self.events.append(event)

    def _wants(self, code: int) -> bool:
        return True

    def wakeup(self) -> None: ...


# -- jobs ----------------------------------------------------------------------------------------------------------


def at(seconds: float) -> datetime:
    """So many seconds after the start of every test."""
    return START + timedelta(seconds=seconds)


def micros(seconds: float) -> int:
    return to_micros(at(seconds))


def every(seconds: float = 60, first: float = 0) -> IntervalTrigger:
    return IntervalTrigger(seconds=seconds, start_date=at(first), timezone="UTC")


def once(seconds: float = 0) -> DateTrigger:
    return DateTrigger(at(seconds), timezone="UTC")


def new_job(
    job_id: str, due: float | None = None, trigger: BaseTrigger | None = None, **attributes: Any
) -> Job:
    """A job as `add_job` makes it, due so many seconds after the start; without a next run time for None."""
    attributes.setdefault("func", work)
    attributes.setdefault("misfire_grace_time", None)
    if trigger is None:
        trigger = every(first=due or 0)
    when = None if due is None else at(due)
    return Job(None, id=job_id, trigger=trigger, next_run_time=when, **attributes)


def plan_of(job: Job, state: State | None = None, reason: str | None = None) -> Plan:
    """The plan with which a job is inserted: its next run time, without jitter."""
    time = None if job.next_run_time is None else to_micros(job.next_run_time)
    return Plan(time, time, state or ("paused" if time is None else "active"), reason)


def insert(store: BaseJobStore, *jobs: Job) -> None:
    store.insert([(job, plan_of(job)) for job in jobs])


def record_of(store: BaseJobStore, job_id: str) -> Record:
    """The record, which must be there."""
    found = {record.id: record for record in store.read_all()}
    return found[job_id]


def ids_of(store: BaseJobStore) -> list[str]:
    return sorted(record.id for record in store.read_all())


# -- passes --------------------------------------------------------------------------------------------------------


def claim_once(
    store: BaseJobStore,
    now: int = NOW,
    wanted: Mapping[str, int] | None = None,
    decided: Sequence[tuple[Record, Due]] = (),
) -> ClaimResult:
    """One `claim_due`, with nothing done about what comes back deferred."""

    def chosen(record: Record, job: Job, due: Due | None) -> Decision:
        return decide(record, job, now, store.owner.random, due)

    return store.claim_due(now, {"default": 1_000} if wanted is None else wanted, chosen, decided)


def claim(
    store: BaseJobStore, now: int = NOW, wanted: Mapping[str, int] | None = None, rounds: int = 20
) -> ClaimResult:
    """Claim as the engine does, until nothing is deferred: restore and decide outside, and ask again. Answers all that came of it."""
    total = ClaimResult()
    decided: list[tuple[Record, Due]] = []
    left = dict(wanted or {"default": 1_000})
    for _ in range(rounds):
        result = claim_once(store, now, left, decided)
        for won in result.claims:
            left[won.job.executor] -= 1
        total.claims += result.claims
        total.parked += result.parked
        total.skipped += result.skipped
        total.removed += result.removed
        total.quarantined = sorted({*total.quarantined, *result.quarantined})
        total.wake_at, total.more = result.wake_at, result.more
        if not result.deferred:
            return total
        decided = prepared(store, result.deferred, now)
    raise AssertionError(f"something is deferred after {rounds} claims")


def prepared(store: BaseJobStore, deferred: Sequence[Record], now: int) -> list[tuple[Record, Due]]:
    """What the engine finds of deferred records, outside of every step."""
    decided = []
    for record, job in zip(deferred, store.restore(deferred), strict=True):
        if isinstance(job, Job) and calls_user_code(job.trigger):
            decided.append((record, due_times(record, job, now, store.owner.random)))
    return decided


def outcome_of(claim: Claim, **what: Any) -> Outcome:
    run = claim.run
    assert run.owner is not None
    return Outcome(claim.record.id, claim.record.incarnation, run.run, run.owner, **what)


def finish(store: BaseJobStore, *claims: Claim) -> FinishResult:
    return store.finish_runs([outcome_of(claim) for claim in claims])


def key_of(claim: Claim) -> RunKey:
    run = claim.run
    assert run.owner is not None
    return RunKey(claim.record.id, claim.record.incarnation, run.run, run.owner)


def waiting_run(run: int, due: int = NOW, kind: Any = "now") -> Run:
    return Run(run, kind, (due,), due, "waiting")
