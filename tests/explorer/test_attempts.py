"""Runs that are tried again, asked for or kept waiting: each of their rules is needed, or the explorer would not miss it."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from mainspring.jobstores import edits, transitions
from mainspring.jobstores.policy import RunPolicy
from mainspring.jobstores.record import Decision, Outcome, Plan, Record, Run, Transition
from mainspring.scheduler import decision, planning
from mainspring.scheduler.ticket import Ticket

from tests.explorer.rules import Patch, is_needed
from tests.explorer.world import Scenario


def the_next_attempt_has_the_same_number(patch: pytest.MonkeyPatch) -> None:
    with_next_attempt(patch, attempt=1)


def retries_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    with_next_attempt(patch, retried=0)


def the_next_attempt_is_another_run(patch: pytest.MonkeyPatch) -> None:
    with_next_attempt(patch, root=None)


def all_fire_times_are_tried_again(patch: pytest.MonkeyPatch) -> None:
    failed = Ticket.failed

    def changed(ticket: Ticket, place: int, error: BaseException) -> Any:
        for other in range(place):
            failed(ticket, other, error)
        return failed(ticket, place, error)

    patch.setattr(Ticket, "failed", changed)


def each_exception_is_worth_another_attempt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunPolicy, "retries_after", lambda policy, retried, classes: retried < policy.max_retries)


def a_run_that_found_no_room_is_another_one(patch: pytest.MonkeyPatch) -> None:
    same_attempt = Ticket._same_attempt
    patch.setattr(Ticket, "_same_attempt", lambda *how: replace(same_attempt(*how), root=None))


def a_claim_forgets_which_run_it_is(patch: pytest.MonkeyPatch) -> None:
    with_decided_runs(patch, root=None)


def a_run_that_may_leave_something_behind_is_not_marked(patch: pytest.MonkeyPatch) -> None:
    with_decided_runs(patch, keeps=False)


def a_pause_holds_nothing_back(patch: pytest.MonkeyPatch) -> None:
    waiting_runs, unblocked = decision._waiting_runs, transitions.unblocked

    def changed(record: Record, *how: Any) -> Any:
        return waiting_runs(replace(record, state="active") if record.state == "paused" else record, *how)

    patch.setattr(decision, "_waiting_runs", changed)
    for module in (transitions, edits):
        patch.setattr(module, "unblocked", lambda runs, state: unblocked(runs, "active"))


def a_job_that_waits_for_its_next_attempt_is_gone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(edits, "is_over", lambda record: record.state == "ended")


def a_job_that_failed_for_good_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    with_outcomes(patch, lambda record, outcome: replace(outcome, parked=None))


def a_job_with_fire_times_left_is_parked_for_a_failure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transitions, "_schedule_is_over", lambda record: True)


def a_job_that_is_parked_for_a_loss_is_not_kept_for_its_failure(patch: pytest.MonkeyPatch) -> None:

    def changed(record: Record, outcome: Outcome) -> Outcome:
        return replace(outcome, parked=None) if record.state == "parked" else outcome

    with_outcomes(patch, changed)


def a_parked_job_still_holds_its_runs_back(patch: pytest.MonkeyPatch) -> None:
    parked = transitions._parked
    patch.setattr(
        transitions,
        "_parked",
        lambda record, reason, run: replace(parked(record, reason, run), runs=record.runs),
    )


def a_paused_job_stays_when_its_last_run_has_ended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transitions, "SCHEDULE_OVER", "none")


def a_loss_leaves_a_paused_job_without_further_runs_paused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transitions, "_schedule_is_over", lambda record: record.state == "ended")


def a_job_without_further_runs_is_paused_like_others(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        planning,
        "paused",
        lambda record: (
            None if record.state in ("paused", "parked") else Plan(None, record.fire_time, "paused")
        ),
    )


def run_now_leaves_a_job_parked_that_has_failed(patch: pytest.MonkeyPatch) -> None:
    run_now = edits.run_now

    def changed(record: Record, run: Run, stamp: str) -> Transition:
        after = run_now(record, run, stamp)
        assert isinstance(after, Record)
        return replace(after, state=record.state, reason=record.reason)

    patch.setattr(edits, "run_now", changed)


def run_now_waits_for_a_resume(patch: pytest.MonkeyPatch) -> None:
    unblocked = transitions.unblocked

    def changed(runs: Sequence[Run], state: str) -> tuple[Run, ...]:
        kinds = {run.run: run.kind for run in runs}
        runs = unblocked([replace(run, kind="retry") for run in runs], state)
        return tuple(replace(run, kind=kinds[run.run]) for run in runs)

    for module in (transitions, edits):
        patch.setattr(module, "unblocked", changed)


def each_fire_time_waits_for_room(patch: pytest.MonkeyPatch) -> None:

    def changed(
        runs: tuple[Run, ...], fire_time: int, run_times: tuple[int, ...], random: Random
    ) -> tuple[tuple[Run, ...], tuple[int, ...]]:
        queued = Run(random.getrandbits(63), "queued", (fire_time,), run_times[-1], "waiting", blocked=True)
        return (*runs, queued), run_times[:-1]

    patch.setattr(decision, "_queued", changed)


def the_fire_time_that_gives_way_is_not_reported(patch: pytest.MonkeyPatch) -> None:
    queued = decision._queued
    patch.setattr(decision, "_queued", lambda runs, *how: (queued(runs, *how)[0], ()))


def a_fire_time_that_waits_stays_blocked(patch: pytest.MonkeyPatch) -> None:
    for module in (transitions, edits):
        patch.setattr(module, "unblocked", lambda runs, state: tuple(runs))


FAILS = ("fails", "fails for good")
PAUSES = ("pause", "resume")

RULES: list[tuple[Patch, Scenario]] = [
    (the_next_attempt_has_the_same_number, Scenario("", max_retries=2, failures=2)),
    (retries_are_not_counted, Scenario("", max_retries=1, failures=3)),
    (the_next_attempt_is_another_run, Scenario("", max_retries=1, failures=1)),
    (
        all_fire_times_are_tried_again,
        Scenario("", kind="every", coalesce=False, max_retries=1, failures=1, failing=("fails in part",)),
    ),
    (each_exception_is_worth_another_attempt, Scenario("", max_retries=1, failures=1, failing=FAILS)),
    (
        a_run_that_found_no_room_is_another_one,
        Scenario("", max_retries=1, failures=2, failing=("fails", "finds no room")),
    ),
    (a_claim_forgets_which_run_it_is, Scenario("", max_retries=1, failures=1)),
    (
        a_run_that_may_leave_something_behind_is_not_marked,
        Scenario("", max_retries=1, failures=1, acts=("add",)),
    ),
    (a_pause_holds_nothing_back, Scenario("", max_retries=1, failures=1, edits=("pause",))),
    (a_job_that_waits_for_its_next_attempt_is_gone, Scenario("", max_retries=1, failures=1, acts=("add",))),
    (a_job_that_failed_for_good_is_not_kept, Scenario("", keep_failed=True, failures=1)),
    (
        a_job_with_fire_times_left_is_parked_for_a_failure,
        Scenario("", kind="every", keep_failed=True, failures=1),
    ),
    (
        a_job_that_is_parked_for_a_loss_is_not_kept_for_its_failure,
        Scenario("", keep_failed=True, max_instances=2, failures=1, acts=("now",)),
    ),
    (
        a_parked_job_still_holds_its_runs_back,
        Scenario("", keep_failed=True, failures=1, acts=("now",), edits=("pause",), horizon=0),
    ),
    (
        a_paused_job_stays_when_its_last_run_has_ended,
        Scenario("", max_retries=1, edits=("pause",)),
    ),
    (
        a_loss_leaves_a_paused_job_without_further_runs_paused,
        Scenario("", max_retries=1, edits=("pause",)),
    ),
    (
        a_job_without_further_runs_is_paused_like_others,
        Scenario("", max_retries=1, edits=PAUSES, edit_budget=2),
    ),
    (
        run_now_leaves_a_job_parked_that_has_failed,
        Scenario("", keep_failed=True, failures=1, acts=("now",)),
    ),
    (run_now_waits_for_a_resume, Scenario("", acts=("now",), edits=("pause",))),
    (each_fire_time_waits_for_room, Scenario("", kind="every", while_running="queue", horizon=4)),
    (
        the_fire_time_that_gives_way_is_not_reported,
        Scenario("", kind="every", while_running="queue", horizon=4),
    ),
    (a_fire_time_that_waits_stays_blocked, Scenario("", kind="every", while_running="queue")),
]


@pytest.mark.parametrize(("rule", "scenario"), RULES, ids=lambda value: getattr(value, "__name__", ""))
def test_without_the_rule_a_promise_is_broken(
    rule: Patch, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_needed(rule, scenario, monkeypatch)


# -- parts ---------------------------------------------------------------------------------------------------------


def with_next_attempt(patch: pytest.MonkeyPatch, **changes: Any) -> None:
    """The next attempt is written with these fields."""
    next_attempt = Ticket._next_attempt
    patch.setattr(Ticket, "_next_attempt", lambda *how: replace(next_attempt(*how), **changes))


def with_decided_runs(patch: pytest.MonkeyPatch, **changes: Any) -> None:
    """What `decide` starts is written with these fields."""
    decide = decision.decide

    def changed(record: Record, *how: Any) -> Decision:
        found = decide(record, *how)
        old = {run.run for run in record.runs}
        runs = tuple(replace(run, **changes) if run.run not in old else run for run in found.runs)
        return replace(found, runs=runs)

    patch.setattr(decision, "decide", changed)


def with_outcomes(patch: pytest.MonkeyPatch, change: Any) -> None:
    """The ends of runs are written with another outcome."""
    finish = transitions.finish
    patch.setattr(
        transitions, "finish", lambda record, outcome, stamp: finish(record, change(record, outcome), stamp)
    )
