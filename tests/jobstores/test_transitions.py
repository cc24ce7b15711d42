"""The table of the record: for each row, what it writes, what it compares and refuses, and which fields it leaves alone."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from mainspring.jobstores import edits, transitions
from mainspring.jobstores.record import (
    MAX_LOST_RUNS,
    SCHEDULE_OVER,
    Decision,
    Outcome,
    ParkedReason,
    Plan,
    Record,
    Run,
    RunKey,
    State,
    Transition,
    Written,
    lease_time,
    wake_time,
)
from mainspring.jobstores.transitions import RECOVERY_MARGIN

SECOND = 1_000_000
NOW = 1_000 * SECOND
LEASE = NOW + 30 * SECOND
ME, OTHER = "me", "other"


def new_record(*runs: Run, **changes: Any) -> Record:
    """Interval job, due in a minute, as its last writer left it: `wake_at` agrees with the rest."""
    given: dict[str, Any] = {
        "next_run_time": NOW + 60 * SECOND,
        "fire_time": NOW + 60 * SECOND,
        "state": "active",
        "revision": 5,
        "stamp": "before",
        "payload": "payload",
        **changes,
    }
    record = Record("a", 3, "default", None, runs=runs, **given)
    return replace(record, wake_at=wake_time(record.state, record.next_run_time, runs))


def ended(*runs: Run, **changes: Any) -> Record:
    return new_record(*runs, state="ended", next_run_time=None, fire_time=None, **changes)


def parked(reason: str, *runs: Run) -> Record:
    return new_record(*runs, state="parked", next_run_time=None, fire_time=NOW, reason=reason)


def paused(*runs: Run) -> Record:
    return new_record(*runs, state="paused", next_run_time=None)


def paused_at_the_end(*runs: Run) -> Record:
    """Paused when it had no further fire time, and runs were open."""
    return new_record(*runs, state="paused", next_run_time=None, fire_time=None, reason=SCHEDULE_OVER)


def claimed(run: int = 7, owner: str | None = ME, **changes: Any) -> Run:
    one = Run(run, "schedule", (NOW,), NOW, "claimed", owner=owner, lease_until=LEASE, claimed_at=NOW)
    return replace(one, **changes)


def lost(run: int = 7, owner: str | None = ME, **changes: Any) -> Run:
    return claimed(run, owner, state="lost", lease_until=None, **changes)


def waiting(run: int = 8, **changes: Any) -> Run:
    return replace(Run(run, "rerun", (NOW,), NOW, "waiting"), **changes)


def key(run: int = 7, owner: str = ME, incarnation: int = 3, job_id: str = "a") -> RunKey:
    return RunKey(job_id, incarnation, run, owner)


def outcome(run: int = 7, owner: str = ME, incarnation: int = 3, **what: Any) -> Outcome:
    return Outcome("a", incarnation, run, owner, **what)


def written(before: Record, after: Transition, *changed: str) -> Record:
    """The record that was written: these fields are others, and no more; the stamp is the write's, and `wake_at` agrees."""
    assert isinstance(after, Record)
    different = {f.name for f in fields(Record) if getattr(before, f.name) != getattr(after, f.name)}
    assert different - {"wake_at"} == {*changed, "stamp"}
    assert after.stamp == "after"
    assert after.wake_at == wake_time(after.state, after.next_run_time, after.runs)
    return after


# -- what every write ends with --------------------------------------------------------------------------------------

# state, next run time, runs -> wake_at
WAKES: dict[str, tuple[State, int | None, tuple[Run, ...], int | None]] = {
    "active": ("active", NOW, (), NOW),
    "paused": ("paused", None, (), None),
    "paused, whatever its next run time": ("paused", NOW, (), None),
    "parked, whatever its next run time": ("parked", NOW, (), None),
    "a waiting run": ("ended", None, (waiting(due=NOW + 5),), NOW + 5),
    "a waiting run of a parked job": ("parked", None, (waiting(),), NOW),
    "a blocked one": ("ended", None, (waiting(blocked=True),), None),
    "one that is not released": ("importing", None, (waiting(),), None),
    "a lease": ("ended", None, (claimed(),), LEASE),
    "no lease, in a store of one process": ("ended", None, (claimed(lease_until=None),), None),
    "a lost run": ("ended", None, (lost(),), None),
    "the earliest of all": (
        "active",
        NOW + 9,
        (waiting(1, due=NOW + 8), claimed(2, lease_until=NOW + 7), claimed(3)),
        NOW + 7,
    ),
    "the schedule first": ("active", NOW, (waiting(due=NOW + 8), claimed()), NOW),
    "behind the running batch of its backlog": ("active", NOW, (claimed(more=True),), LEASE),
    "behind a batch that waits": ("active", NOW, (waiting(due=NOW + 5, more=True),), NOW + 5),
    "a lost batch holds nothing up": ("active", NOW, (lost(more=True),), NOW),
}


@pytest.mark.parametrize("row", WAKES.values(), ids=WAKES)
def test_wake_at(row: tuple[State, int | None, tuple[Run, ...], int | None]) -> None:
    state, next_run_time, runs, wake_at = row
    assert wake_time(state, next_run_time, runs) == wake_at


def test_the_earliest_end_of_a_lease() -> None:
    assert lease_time((claimed(1), claimed(2, lease_until=NOW), waiting(), lost())) == NOW
    assert lease_time((claimed(lease_until=None), lost())) is None


def test_seal_lets_an_ended_record_without_open_runs_go() -> None:
    assert transitions.seal(ended(), "after") is Written.DELETED
    written(new_record(), transitions.seal(new_record(), "after"))
    for run in (claimed(), waiting(), lost()):
        written(ended(run), transitions.seal(ended(run), "after"))


# -- claim ---------------------------------------------------------------------------------------------------------


def claim(before: Record, decision: Decision) -> Transition:
    return transitions.claim(before, decision, owner=ME, now=NOW, lease_until=LEASE, stamp="after")


def test_claim_writes_the_schedule_and_the_runs_with_a_lease() -> None:
    before = new_record(claimed(1, OTHER), lost(2), waiting(3))
    fresh = Run(9, "schedule", (NOW,), NOW)
    again = replace(waiting(4), state="claimed")
    runs = (*before.runs[:2], again, fresh)
    decision = Decision(NOW + 120 * SECOND, NOW + 119 * SECOND, "active", runs, 2)
    after = written(before, claim(before, decision), "next_run_time", "fire_time", "runs")
    assert after.runs[:2] == before.runs[:2], "another's run is left as it is"
    assert after.runs[2:] == tuple(
        replace(run, owner=ME, lease_until=LEASE, claimed_at=NOW) for run in (again, fresh)
    )


def test_claim_parks_with_the_reason() -> None:
    before = new_record()
    decision = Decision(None, NOW, "parked", (Run(9, "schedule", (NOW,), NOW),), 1, (), "trigger: no idea")
    after = written(before, claim(before, decision), "next_run_time", "fire_time", "state", "reason", "runs")
    assert (after.reason, after.wake_at) == ("trigger: no idea", LEASE)


def test_claim_of_a_last_run_without_room_deletes() -> None:
    assert claim(new_record(), Decision(None, None, "ended", (), 0, (NOW,))) is Written.DELETED


def test_a_decision_that_changes_nothing() -> None:
    before = new_record(claimed())
    same = Decision(before.next_run_time, before.fire_time, before.state, before.runs)
    assert transitions.changes_nothing(before, same)
    for other in (
        replace(same, starts=1),
        replace(same, skipped=(NOW,)),
        replace(same, next_run_time=NOW),
        replace(same, state="ended"),
        replace(same, runs=()),
    ):
        assert not transitions.changes_nothing(before, other)


# -- finish --------------------------------------------------------------------------------------------------------


def test_finish_takes_the_run_away() -> None:
    for before in (new_record(claimed()), new_record(claimed(1), claimed())):
        after, found = transitions.finish(before, outcome(), "after")
        assert written(before, after, "runs").runs == before.runs[:-1]
        assert found is None


NOT_MINE = {
    "another run": outcome(run=6),
    "another owner": outcome(owner=OTHER),
    "another incarnation": outcome(incarnation=2),
}


@pytest.mark.parametrize("what", NOT_MINE.values(), ids=NOT_MINE)
@pytest.mark.parametrize("run", [claimed(), lost()], ids=["claimed", "lost"])
def test_finish_touches_no_run_that_is_not_its_own(run: Run, what: Outcome) -> None:
    assert transitions.finish(new_record(run), what, "after") == (None, None)


def test_finish_of_a_run_that_waits_to_be_run_again_comes_too_late() -> None:
    assert transitions.finish(new_record(waiting(7)), outcome(), "after") == (None, None)


def test_the_last_finish_of_an_ended_job_deletes() -> None:
    assert transitions.finish(ended(claimed()), outcome(), "after") == (Written.DELETED, None)
    before = ended(claimed(), claimed(8))
    after, _ = transitions.finish(before, outcome(), "after")
    assert written(before, after, "runs").runs == (claimed(8),)


def test_finish_makes_room() -> None:
    before = new_record(claimed(), waiting(blocked=True), waiting(9, kind="now", blocked=True))
    after, _ = transitions.finish(before, outcome(), "after")
    assert [run.blocked for run in written(before, after, "runs").runs] == [False, False]
    before = paused(*before.runs)
    after, _ = transitions.finish(before, outcome(), "after")
    assert [run.blocked for run in written(before, after, "runs").runs] == [True, False]


def test_finish_withdraws_a_loss() -> None:
    before = new_record(lost())
    after, found = transitions.finish(before, outcome(), "after")
    assert (written(before, after, "runs").runs, found) == ((), lost())


def test_finish_ends_a_job_that_was_parked_only_for_that_loss() -> None:
    reason = f"{ParkedReason.LOST}: its only run"
    assert transitions.finish(parked(reason, lost()), outcome(), "after") == (Written.DELETED, lost())
    before = parked(reason, lost(), lost(8))
    after, _ = transitions.finish(before, outcome(), "after")
    assert written(before, after, "runs").state == "parked", "another one is still lost"
    before = parked(reason, lost(), claimed(8))
    after, _ = transitions.finish(before, outcome(), "after")
    assert written(before, after, "runs", "state", "reason").state == "ended"
    before = parked(f"{ParkedReason.TRIGGER}: no idea", lost())
    after, _ = transitions.finish(before, outcome(), "after")
    assert written(before, after, "runs").state == "parked", "that was parked for something else"


def test_finish_puts_a_retry_in_the_run_s_place() -> None:
    retry = waiting(kind="retry", attempt=2)
    for before in (new_record(claimed()), ended(claimed()), new_record(lost())):
        after, _ = transitions.finish(before, outcome(retry=retry), "after")
        assert written(before, after, "runs").runs == (retry,)
    after, _ = transitions.finish(paused(claimed()), outcome(retry=retry), "after")
    assert written(paused(claimed()), after, "runs").runs == (replace(retry, blocked=True),)


PARKED = "failed: enough"


@pytest.mark.parametrize(
    "before", [ended(claimed()), paused_at_the_end(claimed())], ids=["ended", "ended, and paused"]
)
def test_finish_may_park_a_job_that_has_no_further_run(before: Record) -> None:
    after, _ = transitions.finish(before, outcome(parked=PARKED), "after")
    assert isinstance(after, Record)
    assert (after.state, after.reason, after.next_run_time, after.runs) == ("parked", PARKED, None, ())
    assert after.fire_time == NOW, "a resume needs a later fire time than the one that has failed"


@pytest.mark.parametrize("before", [new_record(claimed()), paused(claimed())], ids=["active", "paused"])
def test_finish_does_not_park_a_job_that_goes_on(before: Record) -> None:
    after, _ = transitions.finish(before, outcome(parked=PARKED), "after")
    assert written(before, after, "runs").runs == ()


def test_finish_of_an_earlier_incarnation_s_run_leaves_the_new_job_alone() -> None:
    before = new_record(claimed(incarnation=2))
    for what in (outcome(), outcome(retry=waiting(kind="retry", attempt=2)), outcome(parked="given up")):
        assert transitions.finish(before, what, "after") == (None, None), (
            "the new job's runs have its incarnation"
        )
        after, _ = transitions.finish(before, replace(what, incarnation=2), "after")
        assert written(before, after, "runs").runs == ()


# -- extend --------------------------------------------------------------------------------------------------------

UNTIL = LEASE + 10 * SECOND


def test_extend_moves_the_leases_of_its_runs() -> None:
    before = new_record(
        claimed(1), claimed(2, OTHER), claimed(3), lost(4), waiting(5), claimed(6, incarnation=2)
    )
    keys = [key(1), key(2), key(4), key(5), key(6, incarnation=2), key(99)]
    after = written(before, transitions.extend(before, keys, UNTIL, "after"), "runs")
    extended = [run.run for run in after.runs if run.lease_until == UNTIL]
    assert extended == [1, 6]
    assert [transitions.is_held(before, key) for key in keys] == [True, False, False, False, True, False]
    assert not transitions.is_held(None, key(1))


EXTENDS_NOTHING = {
    "not its own": (claimed(owner=OTHER), UNTIL),
    "lost": (lost(), UNTIL),
    "waiting": (waiting(7), UNTIL),
    "an earlier incarnation's": (claimed(incarnation=2), UNTIL),
    "never back": (claimed(), LEASE - 1),
    "without a lease": (claimed(lease_until=None), UNTIL),
}


@pytest.mark.parametrize("row", EXTENDS_NOTHING.values(), ids=EXTENDS_NOTHING)
def test_extend_refuses(row: tuple[Run, int]) -> None:
    run, until = row
    assert transitions.extend(new_record(run), [key()], until, "after") is None


# -- give back -----------------------------------------------------------------------------------------------------


def test_give_back_lets_the_run_wait_for_anybody() -> None:
    before = new_record(claimed(more=True, attempt=2), claimed(1), waiting(blocked=True))
    after = written(before, transitions.give_back(before, key(), "after"), "runs")
    again = claimed(state="waiting", owner=None, lease_until=None, claimed_at=None, more=True, attempt=2)
    assert after.runs == (again, claimed(1), waiting(blocked=False))
    assert after.wake_at == NOW


@pytest.mark.parametrize("run", [claimed(owner=OTHER), claimed(8), lost(), waiting(7)])
def test_give_back_refuses_what_it_does_not_hold(run: Run) -> None:
    assert transitions.give_back(new_record(run), key(), "after") is None


def test_give_back_to_a_paused_job_blocks_the_run() -> None:
    after = transitions.give_back(paused(claimed()), key(), "after")
    assert [run.blocked for run in written(paused(claimed()), after, "runs").runs] == [True]


def test_finish_of_an_earlier_incarnation_s_run_that_was_not_started_lists_it() -> None:
    before = new_record(claimed(incarnation=2))
    after, _ = transitions.finish(before, outcome(retry=waiting(), incarnation=2), "after")
    assert written(before, after, "runs").runs == (lost(incarnation=2),)


def test_give_back_of_an_earlier_incarnation_s_run_lists_it() -> None:
    before = new_record(claimed(incarnation=2))
    after = transitions.give_back(before, key(incarnation=2), "after")
    assert written(before, after, "runs").runs == (lost(incarnation=2),)


# -- recover -------------------------------------------------------------------------------------------------------

OVER = LEASE + RECOVERY_MARGIN


def recover(before: Record, now: int = OVER, gone: tuple[str, ...] = ()) -> tuple[Transition, list[Any]]:
    return transitions.recover(
        before, now=now, boot_owner=ME, is_gone=lambda owner: owner in gone, stamp="after"
    )


# the run, now, who is gone -> whether it is recovered
RECOVERS: dict[str, tuple[Run, int, tuple[str, ...], bool]] = {
    "the lease is over, and the margin": (claimed(owner=OTHER), OVER, (), True),
    "the margin is not over": (claimed(owner=OTHER), OVER - 1, (), False),
    "the owner is known to be gone": (claimed(owner=OTHER), NOW, (OTHER,), True),
    "somebody else is gone": (claimed(owner=OTHER), NOW, ("third",), False),
    "its own run, however late": (claimed(), OVER * 2, (ME,), False),
    "one that waits": (waiting(), OVER, (), False),
    "one that is lost": (lost(owner=OTHER), OVER, (), False),
    "one without a lease": (claimed(owner=OTHER, lease_until=None), OVER, (), False),
}


@pytest.mark.parametrize("row", RECOVERS.values(), ids=RECOVERS)
def test_who_recovers_what(row: tuple[Run, int, tuple[str, ...], bool]) -> None:
    run, now, gone, recovers = row
    before = new_record(run)
    after, found = recover(before, now, gone)
    if recovers:
        assert written(before, after, "runs").runs == (replace(run, state="lost", lease_until=None),)
        assert [entry.run for entry in found] == [replace(run, state="lost", lease_until=None)]
    else:
        assert (after, found) == (None, [])


# so often recovered before -> when it is due again
@pytest.mark.parametrize(
    ("recovered", "due"), [(0, OVER), (1, OVER + 7)], ids=["at once", "at its own moment"]
)
def test_a_run_to_be_run_again_waits_with_the_next_attempt(recovered: int, due: int) -> None:
    options: dict[str, Any] = {"recovery": "rerun", "max_recoveries": 2, "more": True}
    run = claimed(owner=OTHER, recovered=recovered, attempt=4, **options)
    again = waiting(7, due=due, recovered=recovered + 1, attempt=5, root=7, **options)
    for before in (new_record(run), ended(run)):
        after, found = recover(before)
        assert written(before, after, "runs").runs == (again,)
        assert [(entry.run, entry.parked) for entry in found] == [(again, False)]
    after, _ = recover(paused(run))
    assert [one.blocked for one in written(paused(run), after, "runs").runs] == [True]


def test_a_run_that_was_recovered_too_often_parks_the_job() -> None:
    run = claimed(owner=OTHER, recovery="rerun", max_recoveries=2, recovered=2)
    before = new_record(run)
    after, found = recover(before)
    record = written(before, after, "runs", "state", "reason", "next_run_time", "fire_time")
    assert (record.state, [run.state for run in record.runs]) == ("parked", ["lost"])
    assert (record.reason or "").startswith(ParkedReason.GIVEN_UP)
    assert [entry.parked for entry in found] == [True]
    # One whose schedule is at its end waits for a person because its only run is lost, as under "skip".
    after, found = recover(ended(run))
    assert isinstance(after, Record)
    assert (after.reason or "").startswith(ParkedReason.LOST)
    assert "2 times" in (after.reason or "")


def test_a_lost_one_off_is_parked_with_the_time_that_was_lost() -> None:
    before = ended(claimed(owner=OTHER))
    after, found = recover(before)
    record = written(before, after, "runs", "state", "reason", "fire_time")
    assert (record.state, record.fire_time) == ("parked", NOW)
    assert (record.reason or "").startswith(ParkedReason.LOST)
    assert [(entry.record, entry.parked) for entry in found] == [(record, True)]


def test_a_loss_makes_room() -> None:
    before = new_record(claimed(owner=OTHER), waiting(blocked=True))
    after, _ = recover(before)
    assert [run.blocked for run in written(before, after, "runs").runs] == [False, False]


def test_a_run_of_an_earlier_incarnation_is_listed_and_harms_nobody() -> None:
    run = claimed(owner=OTHER, incarnation=2, recovery="rerun")
    for before in (new_record(run), ended(run)):
        after, found = recover(before)
        record = written(before, after, "runs")
        assert record.runs == (replace(run, state="lost", lease_until=None),)
        assert [entry.parked for entry in found] == [False]


def test_the_last_lost_runs_are_listed_and_older_ones_counted() -> None:
    runs = [lost(number, OTHER) for number in range(MAX_LOST_RUNS)]
    before = new_record(*runs, claimed(98), claimed(99, OTHER), forgotten=4)
    after, _ = recover(before)
    record = written(before, after, "runs", "forgotten")
    assert [run.run for run in record.runs] == [*range(1, MAX_LOST_RUNS), 98, 99]
    assert record.forgotten == 5


# -- add and remove ------------------------------------------------------------------------------------------------


def test_add_writes_a_new_record() -> None:
    assert edits.add(None, new_record(), "after") == replace(new_record(), stamp="after")


@pytest.mark.parametrize(
    "existing", [new_record(), paused(), parked("lost: it"), new_record(state="importing")]
)
def test_add_refuses_an_id_that_is_taken(existing: Record) -> None:
    assert edits.add(existing, new_record(), "after") is None


def test_add_takes_the_open_runs_of_an_ended_job_along() -> None:
    existing = ended(claimed(1), lost(2), claimed(4, incarnation=1), forgotten=6)
    new = replace(new_record(), incarnation=9, revision=9)
    after = edits.add(existing, new, "after")
    assert isinstance(after, Record)
    assert (after.incarnation, after.revision, after.forgotten) == (9, 9, 6)
    assert after.runs == (
        claimed(1, incarnation=3),
        lost(2, incarnation=3),
        claimed(4, incarnation=1),
    )
    assert after.wake_at == LEASE


def test_remove() -> None:
    before = new_record(claimed(), waiting(), lost())
    assert edits.remove(before, None) is Written.DELETED
    assert edits.remove(before, 3) is Written.DELETED
    assert edits.remove(before, 4) is None, "a handle of another incarnation"
    assert edits.remove(ended(claimed()), None) is None, "it is removed as far as anybody can see"


# -- runs and people -----------------------------------------------------------------------------------------------


def test_run_now_is_one_more_run() -> None:
    now = waiting(9, kind="now")
    for before in (
        new_record(claimed()),
        paused(),
        parked("trigger: no idea"),
        parked("given up: enough", lost()),
    ):
        after = written(before, edits.run_now(before, now, "after"), "runs")
        assert after.runs == (*before.runs, now)
        assert after.wake_at == NOW
    assert edits.run_now(ended(claimed()), now, "after") is None


def test_run_now_frees_a_job_that_was_parked_for_a_loss() -> None:
    before = parked(f"{ParkedReason.LOST}: its only run", lost())
    after = written(before, edits.run_now(before, waiting(9, kind="now"), "after"), "runs", "state", "reason")
    assert after.state == "ended"


def rerun(before: Record, run: int = 7) -> Transition:
    return edits.rerun_lost(before, run, new_run=42, now=NOW + 9, stamp="after")


def test_a_lost_run_is_run_again() -> None:
    run = lost(attempt=2, recovered=3, more=True)
    before = new_record(claimed(1), run)
    after = written(before, rerun(before), "runs")
    again = replace(waiting(42), due=NOW + 9, attempt=3, recovered=3, root=7)
    assert after.runs == (claimed(1), again)
    freed = parked(f"{ParkedReason.LOST}: its only run", run)
    assert written(freed, rerun(freed), "runs", "state", "reason").state == "ended"
    assert written(paused(run), rerun(paused(run)), "runs").runs == (replace(again, blocked=True),)


@pytest.mark.parametrize("run", [claimed(), waiting(7), lost(8), lost(incarnation=2)])
def test_only_a_lost_run_of_this_job_is_run_again(run: Run) -> None:
    assert rerun(new_record(run)) is None


def test_a_lost_run_is_dismissed() -> None:
    before = new_record(lost(), lost(8))
    assert written(before, edits.dismiss_lost(before, 7, "after"), "runs").runs == (lost(8),)
    for run in (claimed(), waiting(7), lost(8)):
        assert edits.dismiss_lost(new_record(run), 7, "after") is None
    earlier = new_record(lost(incarnation=2))
    assert written(earlier, edits.dismiss_lost(earlier, 7, "after"), "runs").runs == ()
    reason = f"{ParkedReason.LOST}: its only run"
    assert edits.dismiss_lost(parked(reason, lost()), 7, "after") is Written.DELETED
    assert edits.dismiss_lost(ended(lost()), 7, "after") is Written.DELETED


# -- edits ---------------------------------------------------------------------------------------------------------

PLAN = Plan(NOW + 5, NOW + 4)


def edit_definition(before: Record, seen: Record, unblock: bool = False) -> Transition:
    return edits.edit_definition(
        before, seen, payload="new", executor="other", revision=6, unblock=unblock, stamp="after"
    )


def edit_schedule(before: Record, seen: Record, plan: Plan = PLAN, **also: Any) -> Transition:
    return edits.edit_schedule(before, seen, plan, revision=6, stamp="after", **also)


def test_an_edit_of_the_definition_writes_that_only() -> None:
    before = new_record(claimed(), waiting(blocked=True))
    # A claim and a finish in between move the stamp and the schedule: they do not disturb it, nor it them.
    seen = replace(before, stamp="earlier", next_run_time=NOW, fire_time=NOW, runs=())
    after = written(before, edit_definition(before, seen), "payload", "executor", "revision")
    assert (after.payload, after.executor, after.revision) == ("new", "other", 6)
    raised = written(before, edit_definition(before, seen, True), "payload", "executor", "revision", "runs")
    assert [run.blocked for run in raised.runs] == [False, False]


def test_an_edit_of_the_schedule_writes_that_and_the_marks() -> None:
    before = new_record(claimed(more=True), waiting(), waiting(9, kind="now"), lost(10))
    schedule = ("next_run_time", "fire_time", "revision", "runs")
    after = written(before, edit_schedule(before, before), *schedule)
    assert (after.next_run_time, after.fire_time) == (NOW + 5, NOW + 4)
    # The backlog that was planned is no more, so that nothing has to wait for it.
    assert after.runs == (claimed(), *before.runs[1:])
    pause = Plan(None, before.fire_time, "paused")
    stopped = written(
        before, edit_schedule(before, before, pause), "next_run_time", "state", "revision", "runs"
    )
    assert [run.blocked for run in stopped.runs] == [False, True, False, False]
    assert stopped.wake_at == NOW, "run-now goes on in a paused job"
    gone_on = edit_schedule(stopped, stopped, PLAN)
    assert isinstance(gone_on, Record)
    assert not any(run.blocked for run in gone_on.runs)


def test_an_edit_of_the_schedule_may_change_the_payload_too() -> None:
    before = parked("trigger: no idea")
    after = edit_schedule(before, before, payload="new", executor="other")
    record = written(
        before, after, "next_run_time", "fire_time", "state", "reason", "revision", "payload", "executor"
    )
    assert (record.state, record.reason, record.payload, record.executor) == ("active", None, "new", "other")


def test_an_edit_that_ends_the_schedule_deletes_unless_something_runs() -> None:
    end = Plan(None, None, "ended")
    assert edit_schedule(paused(), paused(), end) is Written.DELETED
    after = edit_schedule(paused(claimed()), paused(claimed()), end)
    assert isinstance(after, Record)
    assert (after.state, after.runs) == ("ended", (claimed(),))


# what somebody else did since the record was read -> whether an edit of the definition, of the schedule still holds
MEANWHILE: dict[str, tuple[Callable[[Record], Record], bool, bool]] = {
    "nothing": (lambda record: record, True, True),
    "a pass": (lambda record: replace(record, stamp="pass"), True, False),
    "an edit": (lambda record: replace(record, stamp="edit", revision=9), False, False),
    "removed and added": (
        lambda record: replace(record, incarnation=9, revision=9, stamp="add"),
        False,
        False,
    ),
    "its last run": (
        lambda record: replace(record, state="ended", runs=(claimed(),), stamp="pass"),
        False,
        False,
    ),
}


@pytest.mark.parametrize("row", MEANWHILE.values(), ids=MEANWHILE)
def test_what_edits_compare(row: tuple[Callable[[Record], Record], bool, bool]) -> None:
    somebody, definition_holds, schedule_holds = row
    seen = new_record()
    found = somebody(seen)
    assert (edit_definition(found, seen) is not None) == definition_holds
    assert (edit_schedule(found, seen) is not None) == schedule_holds


def test_an_ended_job_is_edited_no_more() -> None:
    record = ended(claimed())
    assert edit_definition(record, record) is None
    assert edit_schedule(record, record) is None
