"""Open runs in the table of the record: when a job is over for people, what an attempt hands on to the next, and how many may be asked for."""

from dataclasses import replace
from typing import Any

import pytest
from mainspring.jobstores import edits, transitions
from mainspring.jobstores.record import (
    SCHEDULE_OVER,
    Decision,
    ParkedReason,
    Plan,
    Record,
    Run,
    RunKind,
    Transition,
    Written,
    is_over,
)

from tests.jobstores.test_transitions import (
    NOW,
    OTHER,
    OVER,
    SECOND,
    claimed,
    ended,
    key,
    lost,
    new_record,
    outcome,
    parked,
    paused,
    paused_at_the_end,
    recover,
    waiting,
    written,
)

KINDS: tuple[RunKind, ...] = ("schedule", "retry", "rerun", "now", "queued")


def keeping(run: int = 7, **changes: Any) -> Run:
    """A run that goes on, and may leave something behind."""
    return claimed(run, keeps=True, **changes)


# -- is it over? ---------------------------------------------------------------------------------------------------

# record -> whether the job is gone for people
OVERS: dict[str, tuple[Record, bool]] = {
    "it has a schedule": (new_record(claimed()), False),
    "paused": (paused(claimed()), False),
    "paused when its schedule was over": (paused_at_the_end(claimed()), False),
    "parked": (parked("failed: x"), False),
    "its last run goes on": (ended(claimed()), True),
    "and may leave another one behind": (ended(keeping()), False),
    "of two, one may": (ended(claimed(), keeping(8)), False),
    "a run waits": (ended(waiting()), False),
    "a run waits for room": (ended(claimed(), waiting(blocked=True)), False),
    "it is lost": (ended(lost()), True),
    "what might have left something behind is lost": (ended(lost(keeps=True)), True),
    "it was an earlier incarnation's": (ended(keeping(incarnation=2), waiting(incarnation=2)), True),
}


@pytest.mark.parametrize("row", OVERS.values(), ids=OVERS)
def test_when_a_job_is_over(row: tuple[Record, bool]) -> None:
    """Everything that people can do with a job asks the same."""
    record, over = row
    assert is_over(record) == over
    asked = waiting(9, kind="now")
    plan = Plan(NOW + 5, NOW + 5)
    definition = edits.edit_definition(
        record, record, payload="new", executor="other", revision=6, unblock=False, stamp="after"
    )
    for after in (
        edits.remove(record, None),
        edits.remove(record, record.incarnation),
        edits.run_now(record, asked, "after"),
        definition,
        edits.edit_schedule(record, record, plan, revision=6, stamp="after"),
    ):
        assert (after is None) == over
    assert (edits.add(record, replace(new_record(), incarnation=9), "after") is not None) == over


@pytest.mark.parametrize("kind", KINDS)
def test_a_waiting_run_of_any_kind_keeps_the_job(kind: RunKind) -> None:
    assert not is_over(ended(waiting(kind=kind)))
    assert not is_over(ended(waiting(kind=kind, blocked=True)))


# -- from one attempt to the next ----------------------------------------------------------------------------------

RETRY = waiting(9, kind="retry", attempt=2, retried=1, due=NOW + 10 * SECOND, root=7)


def test_between_two_attempts_the_retry_is_what_is_due() -> None:
    after, _ = transitions.finish(ended(keeping()), outcome(retry=RETRY), "after")
    assert written(ended(keeping()), after, "runs").wake_at == NOW + 10 * SECOND
    after, _ = transitions.finish(paused_at_the_end(keeping()), outcome(retry=RETRY), "after")
    record = written(paused_at_the_end(keeping()), after, "runs")
    assert (record.wake_at, record.reason) == (None, SCHEDULE_OVER), "held, and still there"


def test_the_last_finish_of_a_job_that_was_paused_at_its_end_deletes() -> None:
    assert transitions.finish(paused_at_the_end(keeping()), outcome(), "after") == (Written.DELETED, None)
    before = paused_at_the_end(keeping(), waiting(blocked=True))
    after, _ = transitions.finish(before, outcome(), "after")
    assert written(before, after, "runs").state == "paused"


def test_a_failure_that_was_taken_for_lost_is_tried_again_after_all() -> None:
    """The owner was frozen, and reports when the job stands parked for the loss."""
    reason = f"{ParkedReason.LOST}: its only run"
    before = parked(reason, lost(keeps=True))
    after, found = transitions.finish(before, outcome(retry=RETRY), "after")
    record = written(before, after, "runs", "state", "reason")
    assert (record.state, record.runs, found) == ("ended", (RETRY,), lost(keeps=True))
    assert not is_over(record)


def test_a_retry_of_a_job_that_is_parked_for_something_else_waits_there() -> None:
    before = parked("trigger: no idea", claimed())
    after, _ = transitions.finish(before, outcome(retry=RETRY), "after")
    assert written(before, after, "runs").runs == (RETRY,)
    after, _ = transitions.finish(before, outcome(parked="failed: x"), "after")
    assert written(before, after, "runs").reason == "trigger: no idea", "that was there before"


def test_no_retry_after_the_run_was_recovered_or_the_job_was_removed() -> None:
    for before in (
        new_record(waiting(7, kind="rerun", attempt=2)),
        new_record(claimed(8, OTHER)),
        new_record(),
        replace(new_record(claimed()), incarnation=9),
    ):
        assert transitions.finish(before, outcome(retry=RETRY), "after") == (None, None)


def test_a_claim_hands_on_what_identifies_the_run() -> None:
    run = replace(RETRY, run=42, state="claimed", recovered=2, keeps=True, extra=(("later", 1),))
    after = transitions.claim(
        ended(RETRY),
        Decision(None, None, "ended", (run,), 1),
        owner="me",
        now=NOW,
        lease_until=NOW + 1,
        stamp="after",
    )
    assert isinstance(after, Record)
    assert after.runs == (replace(run, owner="me", lease_until=NOW + 1, claimed_at=NOW),)
    assert after.runs[0].run_id == 7


def test_a_run_that_is_given_back_is_the_same_attempt() -> None:
    going_on = claimed(attempt=3, retried=1, recovered=1, root=5, kind="retry")
    after = transitions.give_back(new_record(going_on), key(), "after")
    (run,) = written(new_record(going_on), after, "runs").runs
    assert (run.attempt, run.retried, run.recovered, run.run_id, run.kind) == (3, 1, 1, 5, "retry")
    first = transitions.give_back(new_record(claimed()), key(), "after")
    assert isinstance(first, Record)
    assert first.runs[0].run_id == 7


@pytest.mark.parametrize("root", [None, 5])
def test_a_run_that_is_recovered_keeps_its_retries_and_its_number(root: int | None) -> None:
    run = claimed(
        owner=OTHER, kind="retry", attempt=3, retried=2, recovery="rerun", root=root, keeps=True, recovered=0
    )
    before = ended(run)
    after, _ = recover(before, OVER)
    (again,) = written(before, after, "runs").runs
    assert (again.kind, again.attempt, again.retried, again.recovered) == ("rerun", 4, 2, 1)
    assert again.run_id == (root or 7)
    assert not is_over(after) if isinstance(after, Record) else False


@pytest.mark.parametrize("before", [ended, paused_at_the_end], ids=["ended", "paused at its end"])
@pytest.mark.parametrize("recovery", ["skip", "rerun"])
def test_a_job_at_its_end_is_parked_for_a_loss(before: Any, recovery: Any) -> None:
    record = before(claimed(owner=OTHER, keeps=True, recovery=recovery, max_recoveries=0))
    after, (found,) = recover(record, OVER)
    assert isinstance(after, Record)
    assert (after.state, (after.reason or "").split(":")[0], found.parked) == (
        "parked",
        ParkedReason.LOST,
        True,
    )
    assert edits.dismiss_lost(after, 7, "s") is Written.DELETED


# -- run now -------------------------------------------------------------------------------------------------------


def asked(count: int, **changes: Any) -> tuple[Run, ...]:
    return tuple(waiting(100 + number, kind="now", **changes) for number in range(count))


def run_now(before: Record) -> Transition:
    return edits.run_now(before, waiting(9, kind="now"), "after")


def test_a_hundred_runs_may_be_asked_for() -> None:
    nearly = new_record(*asked(99, blocked=True))
    full = run_now(nearly)
    assert isinstance(full, Record)
    assert len(full.runs) == 100
    assert run_now(full) is None
    # Those that go on are no longer waiting, and what waits for anything else was not asked for.
    for run in (claimed(1, kind="now"), waiting(1, kind="retry"), lost(1, kind="now")):
        assert isinstance(run_now(new_record(run, *asked(99))), Record)


# the state of a job -> what it is when it has been asked to run
FREED: dict[str, tuple[Record, str]] = {
    "active": (new_record(), "active"),
    "paused": (paused(), "paused"),
    "paused at its end": (paused_at_the_end(waiting(blocked=True)), "paused"),
    "between two attempts": (ended(waiting()), "ended"),
    "its last attempt goes on": (ended(keeping()), "ended"),
    "parked, since it has failed": (parked(f"{ParkedReason.FAILED}: x"), "ended"),
    "parked, since it was lost": (parked(f"{ParkedReason.LOST}: x", lost()), "ended"),
    "parked, since it was recovered too often": (parked(f"{ParkedReason.GIVEN_UP}: x"), "parked"),
    "parked for its trigger": (parked(f"{ParkedReason.TRIGGER}: x"), "parked"),
}


@pytest.mark.parametrize("row", FREED.values(), ids=FREED)
def test_run_now_leaves_a_job_what_it_is_or_frees_it(row: tuple[Record, str]) -> None:
    before, state = row
    after = run_now(before)
    assert isinstance(after, Record)
    assert (after.state, after.wake_at) == (state, NOW)
    assert after.runs == (*before.runs, waiting(9, kind="now"))
    assert (after.reason is None) == (state != "parked" and before.reason != SCHEDULE_OVER)
    assert (after.next_run_time, after.fire_time) == (before.next_run_time, before.fire_time)
    assert after.revision == before.revision, "no edit: nobody's handle becomes stale"


# -- a run that has failed, and goes on ------------------------------------------------------------------------------


def test_that_a_run_has_failed_is_noted_in_it() -> None:
    before = new_record(claimed(), waiting())
    after = transitions.note_failure(before, key(), NOW + SECOND, "after")
    assert written(before, after, "runs").runs == (claimed(retry_at=NOW + SECOND), waiting())


@pytest.mark.parametrize("other", [{"run": 9}, {"owner": OTHER}, {"incarnation": 9}])
def test_nothing_is_noted_in_another_s_run(other: dict[str, Any]) -> None:
    assert transitions.note_failure(new_record(claimed()), replace(key(), **other), NOW, "after") is None


def test_nothing_is_noted_in_a_run_that_was_lost() -> None:
    assert transitions.note_failure(new_record(lost()), key(), NOW, "after") is None


# recovery, whether its owner is known to be gone -> whether the next attempt follows
FOLLOWS = {("skip", True): True, ("skip", False): False, ("rerun", True): True, ("rerun", False): True}


@pytest.mark.parametrize(("how", "follows"), FOLLOWS.items(), ids=str)
@pytest.mark.parametrize("retry_at", [NOW, OVER + SECOND])
@pytest.mark.parametrize("state", ["active", "ended"])
def test_what_had_failed_is_tried_again_when_its_owner_dies(
    how: tuple[Any, bool], follows: bool, retry_at: int, state: Any
) -> None:
    run = claimed(
        owner=OTHER, recovery=how[0], retry_at=retry_at, attempt=2, retried=1, max_recoveries=0, keeps=True
    )
    before = ended(run) if state == "ended" else new_record(run)
    after, found = recover(before, OVER, (OTHER,) if how[1] else ())
    assert isinstance(after, Record)
    assert [one.run.state for one in found] == ["waiting" if follows else "lost"]
    if not follows:
        assert after.state == ("parked" if state == "ended" else state)
        return
    assert after.state == state
    (again,) = after.runs
    assert (again.kind, again.state, again.due) == ("retry", "waiting", max(OVER, retry_at))
    assert (again.attempt, again.retried, again.recovered, again.root) == (3, 2, 0, run.run)
    assert (again.owner, again.lease_until, again.retry_at) == (None, None, None)


def test_what_an_earlier_incarnation_failed_at_is_listed() -> None:
    before = new_record(claimed(owner=OTHER, incarnation=2, retry_at=NOW, recovery="rerun"))
    after, _ = recover(before, OVER, (OTHER,))
    assert isinstance(after, Record)
    assert [run.state for run in after.runs] == ["lost"]
