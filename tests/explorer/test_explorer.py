"""The record's rules hold in every order of events; and each rule is needed: without it the explorer finds what goes wrong."""

from dataclasses import replace
from typing import Any

import pytest
from mainspring.jobstores import edits, transitions
from mainspring.jobstores.record import (
    Outcome,
    ParkedReason,
    Plan,
    Record,
    Run,
    Transition,
    Written,
    wake_time,
)
from mainspring.scheduler import planning

from tests.explorer import steps
from tests.explorer.explorer import explore
from tests.explorer.rules import Patch, is_needed, with_arguments, with_runs_changed
from tests.explorer.scenarios import QUICK, QUICK_STATES
from tests.explorer.world import Scenario

PAUSES = ("pause", "resume")


@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: scenario.name)
def test_what_is_promised_holds(scenario: Scenario) -> None:
    found = explore(scenario, QUICK_STATES)
    assert found.violation is None, f"\n{found}"
    assert found.states > 1_000


# -- rules taken out -----------------------------------------------------------------------------------------------


def a_claim_does_not_compare_the_stamp(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(steps, "same_stamp", lambda record, seen: True)


def a_deferred_decision_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transitions, "still_holds", lambda record, prepared: True)


def a_run_is_recovered_before_its_lease_has_ended(patch: pytest.MonkeyPatch) -> None:
    with_arguments(patch, transitions, "recover", is_gone=lambda owner: True)


def a_run_is_recovered_without_a_margin(patch: pytest.MonkeyPatch) -> None:
    with_arguments(patch, transitions, "recover", patience=0)


def a_run_is_recovered_by_its_own_boot(patch: pytest.MonkeyPatch) -> None:
    with_arguments(patch, transitions, "recover", boot_owner="")


def a_lost_run_is_run_again_under_skip(patch: pytest.MonkeyPatch) -> None:
    with_runs_changed(patch, transitions, "recover", recovery="rerun")


def a_run_is_run_again_without_a_limit(patch: pytest.MonkeyPatch) -> None:
    with_runs_changed(patch, transitions, "recover", max_recoveries=99)


def a_lost_one_off_is_not_parked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transitions, "_parked", lambda record, reason, run: record)


def a_parked_job_keeps_the_fire_time_of_the_run_that_failed_only(patch: pytest.MonkeyPatch) -> None:
    parked = transitions._parked
    patch.setattr(
        transitions,
        "_parked",
        lambda record, reason, run: replace(parked(record, reason, run), fire_time=run.fire_times[-1]),
    )


def a_claim_writes_no_lease(patch: pytest.MonkeyPatch) -> None:
    with_arguments(patch, transitions, "claim", lease_until=None)


def a_run_is_started_without_a_look_at_its_lease(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(steps, "lease_holds", lambda held, world: True)


def the_lease_counts_from_after_the_write(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(steps, "lease_deadline", lambda look, world: world.time + 1)


def a_finish_matches_any_run_of_the_job(patch: pytest.MonkeyPatch) -> None:
    finish = transitions.finish

    def changed(record: Record, outcome: Outcome, stamp: str) -> tuple[Transition, Run | None]:
        claimed = next((run for run in record.runs if run.state == "claimed"), None)
        if claimed is not None:
            outcome = replace(outcome, run=claimed.run, owner=claimed.owner or "")
        return finish(record, outcome, stamp)

    patch.setattr(transitions, "finish", changed)


def a_finish_does_not_find_a_lost_run(patch: pytest.MonkeyPatch) -> None:
    finish = transitions.finish

    def changed(record: Record, outcome: Outcome, stamp: str) -> tuple[Transition, Run | None]:
        lost = any(run.run == outcome.run and run.state == "lost" for run in record.runs)
        return (None, None) if lost else finish(record, outcome, stamp)

    patch.setattr(transitions, "finish", changed)


def waiting_runs_stay_blocked(patch: pytest.MonkeyPatch) -> None:
    for module in (transitions, edits):
        patch.setattr(module, "unblocked", lambda runs, state: tuple(runs))


def wake_at_ignores_leases(patch: pytest.MonkeyPatch) -> None:

    def changed(state: Any, next_run_time: int | None, runs: tuple[Run, ...]) -> int | None:
        return wake_time(state, next_run_time, [run for run in runs if run.state != "claimed"])

    patch.setattr(transitions, "wake_time", changed)


def an_ended_record_stays(patch: pytest.MonkeyPatch) -> None:
    sealed = transitions._sealed

    def changed(record: Record, *fields: Any) -> Any:
        after = sealed(record, *fields)
        return (
            replace(record, state="ended", runs=(), stamp=fields[-1]) if after is Written.DELETED else after
        )

    patch.setattr(transitions, "_sealed", changed)


def an_edit_of_the_schedule_does_not_compare_the_stamp(patch: pytest.MonkeyPatch) -> None:
    edit_schedule = edits.edit_schedule
    patch.setattr(
        edits,
        "edit_schedule",
        lambda record, seen, plan, **how: edit_schedule(
            record, replace(seen, stamp=record.stamp), plan, **how
        ),
    )


def an_edit_does_not_compare_the_revision(patch: pytest.MonkeyPatch) -> None:
    edit_definition = edits.edit_definition
    patch.setattr(
        edits,
        "edit_definition",
        lambda record, seen, **how: edit_definition(record, replace(seen, revision=record.revision), **how),
    )


def an_edit_does_not_compare_the_incarnation(patch: pytest.MonkeyPatch) -> None:
    edit_definition = edits.edit_definition

    def changed(record: Record, seen: Record, **how: Any) -> Transition:
        seen = replace(seen, incarnation=record.incarnation, revision=record.revision)
        return edit_definition(record, seen, **how)

    patch.setattr(edits, "edit_definition", changed)


def an_edit_writes_the_whole_record(patch: pytest.MonkeyPatch) -> None:
    edit_definition = edits.edit_definition

    def changed(record: Record, seen: Record, **how: Any) -> Transition:
        whole = replace(record, next_run_time=seen.next_run_time, fire_time=seen.fire_time, state=seen.state)
        return edit_definition(whole, seen, **how)

    patch.setattr(edits, "edit_definition", changed)


def a_pause_loses_the_fire_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        planning, "paused", lambda record: Plan(None, None, "paused") if record.state == "active" else None
    )


def a_resume_counts_from_now(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        planning,
        "resumed",
        lambda record, trigger, now, random: planning.added(trigger, now, random),
    )


def an_added_job_drops_the_runs_of_the_old_one(patch: pytest.MonkeyPatch) -> None:
    add = edits.add
    patch.setattr(
        edits,
        "add",
        lambda existing, new, stamp: add(
            None if existing is not None and existing.state == "ended" else existing, new, stamp
        ),
    )


def a_run_of_an_earlier_incarnation_is_retried(patch: pytest.MonkeyPatch) -> None:
    finish = transitions.finish

    def changed(record: Record, outcome: Outcome, stamp: str) -> tuple[Transition, Run | None]:
        runs = tuple(replace(run, incarnation=None) for run in record.runs)
        return finish(replace(record, runs=runs), replace(outcome, incarnation=record.incarnation), stamp)

    patch.setattr(transitions, "finish", changed)


def a_claim_creates_the_record(patch: pytest.MonkeyPatch) -> None:
    write_claim = steps.write_claim

    def changed(world: Any, scenario: Scenario, process: Any, look: Any) -> Any:
        return write_claim(
            world if world.record else world._replace(record=look.seen), scenario, process, look
        )

    patch.setattr(steps, "write_claim", changed)


def run_now_ends_a_parked_job(patch: pytest.MonkeyPatch) -> None:
    run_now = edits.run_now

    def changed(record: Record, run: Run, stamp: str) -> Transition:
        if record.state == "parked":
            record = replace(record, reason=ParkedReason.LOST)
        return run_now(record, run, stamp)

    patch.setattr(edits, "run_now", changed)


RULES: list[tuple[Patch, Scenario]] = [
    (a_claim_does_not_compare_the_stamp, Scenario("", claims="compare")),
    (a_deferred_decision_is_not_compared, Scenario("", kind="user", coalesce=False)),
    (a_run_is_recovered_before_its_lease_has_ended, Scenario("")),
    (a_run_is_recovered_without_a_margin, Scenario("", recovery="rerun", offsets=(1,))),
    (a_run_is_recovered_by_its_own_boot, Scenario("")),
    (a_lost_run_is_run_again_under_skip, Scenario("", crashes=1)),
    (
        a_run_is_run_again_without_a_limit,
        Scenario("", recovery="rerun", max_recoveries=0, crashes=1),
    ),
    (a_lost_one_off_is_not_parked, Scenario("", crashes=1)),
    (
        a_parked_job_keeps_the_fire_time_of_the_run_that_failed_only,
        Scenario(
            "",
            kind="every",
            recovery="rerun",
            max_recoveries=0,
            max_instances=2,
            crashes=1,
            edits=("resume",),
        ),
    ),
    (a_claim_writes_no_lease, Scenario("", crashes=1)),
    (a_run_is_started_without_a_look_at_its_lease, Scenario("")),
    (the_lease_counts_from_after_the_write, Scenario("")),
    (a_finish_matches_any_run_of_the_job, Scenario("", kind="every", max_instances=2, horizon=2)),
    (a_finish_does_not_find_a_lost_run, Scenario("")),
    (waiting_runs_stay_blocked, Scenario("", kind="every", acts=("now",))),
    (wake_at_ignores_leases, Scenario("", crashes=1)),
    (an_ended_record_stays, Scenario("")),
    (
        an_edit_of_the_schedule_does_not_compare_the_stamp,
        Scenario("", kind="every", max_instances=2, edits=PAUSES, edit_budget=2, horizon=0),
    ),
    (an_edit_does_not_compare_the_revision, Scenario("", edits=("rename", "more room"), edit_budget=2)),
    (
        an_edit_does_not_compare_the_incarnation,
        Scenario("", acts=("remove", "add"), act_budget=2, edits=("rename",)),
    ),
    (an_edit_writes_the_whole_record, Scenario("", kind="every", edits=("rename",))),
    (
        a_pause_loses_the_fire_time,
        Scenario("", kind="every", max_instances=2, edits=PAUSES, edit_budget=2, horizon=0),
    ),
    (
        a_resume_counts_from_now,
        Scenario("", kind="every", max_instances=2, edits=PAUSES, edit_budget=2, horizon=0),
    ),
    (an_added_job_drops_the_runs_of_the_old_one, Scenario("", acts=("add",))),
    (
        a_run_of_an_earlier_incarnation_is_retried,
        Scenario("", acts=("now", "add"), act_budget=2, max_retries=1, failures=1, offsets=(3,), horizon=0),
    ),
    (a_claim_creates_the_record, Scenario("", claims="compare", acts=("remove",))),
    (
        run_now_ends_a_parked_job,
        Scenario("", kind="every", recovery="rerun", max_recoveries=0, crashes=1, acts=("now",)),
    ),
]


@pytest.mark.parametrize(("rule", "scenario"), RULES, ids=lambda value: getattr(value, "__name__", ""))
def test_without_the_rule_a_promise_is_broken(
    rule: Patch, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_needed(rule, scenario, monkeypatch)
