"""What can be made wrong on purpose in the care for runs: retries, waiting runs, limits, jobs that are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from mainspring.jobstores import edits, transitions
from mainspring.jobstores.policy import RunPolicy
from mainspring.jobstores.record import Record
from mainspring.scheduler import decision, ticket

if TYPE_CHECKING:
    from tests.simulation.world import World


@contextmanager
def retries_are_forgotten(world: World) -> Iterator[None]:
    """A failed run just ends."""
    real = ticket.Ticket.outcome
    with patch.object(ticket.Ticket, "outcome", lambda self: replace(real(self), retry=None)):
        yield


@contextmanager
def attempts_are_not_counted(world: World) -> Iterator[None]:
    """Each attempt has the number of the one before."""
    real = ticket.Ticket._next_attempt

    def next_attempt(self: Any, failure: Any) -> Any:
        return replace(real(self, failure), attempt=self.open_run.attempt)

    with patch.object(ticket.Ticket, "_next_attempt", next_attempt):
        yield


@contextmanager
def late_failures_are_tried_again(world: World) -> Iterator[None]:
    """A failure is followed by another attempt although the run has been recovered from its scheduler meanwhile."""
    real = transitions.finish

    def finish(record: Any, outcome: Any, stamp: str) -> Any:
        after, lost = real(record, outcome, stamp)
        if after is None and outcome.retry is not None and record.incarnation == outcome.incarnation:
            after = transitions.seal(transitions.with_runs(record, (*record.runs, outcome.retry)), stamp)
        return after, lost

    with patch.object(transitions, "finish", finish):
        yield


@contextmanager
def retried_at_once(world: World) -> Iterator[None]:
    """No delay."""
    with patch.object(RunPolicy, "delay", lambda self, retried, random: 0):
        yield


@contextmanager
def retried_too_often(world: World) -> Iterator[None]:
    """Once more than max_retries."""

    def retries_after(self: Any, retried: int, classes: Any) -> bool:
        return bool(self.max_retries) and retried <= self.max_retries

    with patch.object(RunPolicy, "retries_after", retries_after):
        yield


@contextmanager
def recovered_too_often(world: World) -> Iterator[None]:
    """Once more than max_recoveries."""
    real = transitions.recover

    def recover(record: Any, **options: Any) -> Any:
        runs = tuple(replace(run, max_recoveries=run.max_recoveries + 1) for run in record.runs)
        return real(replace(record, runs=runs), **options)

    with patch.object(transitions, "recover", recover):
        yield


@contextmanager
def waiting_runs_ignore_limits(world: World) -> Iterator[None]:
    """Waiting runs are claimed, room or not."""
    real = decision._waiting_runs

    def waiting(record: Any, job: Any, now: int, room: int, random: Any) -> Any:
        return real(record, job, now, 100, random)

    with patch.object(decision, "_waiting_runs", waiting):
        yield


@contextmanager
def ends_make_no_room(world: World) -> Iterator[None]:
    """What waits for room is not looked at when a run has ended."""
    with patch.object(transitions, "unblocked", lambda runs, state: tuple(runs)):
        yield


@contextmanager
def nothing_is_queued(world: World) -> Iterator[None]:
    """A fire time without room is skipped, whatever while_running says."""
    with patch.object(decision, "_queued", lambda runs, fire_time, run_times, random: (runs, run_times)):
        yield


@contextmanager
def failures_are_not_kept(world: World) -> Iterator[None]:
    """A job goes after its last failure, whatever keep_failed says."""
    real = ticket.Ticket.outcome
    with patch.object(ticket.Ticket, "outcome", lambda self: replace(real(self), parked=None)):
        yield


@contextmanager
def removed_jobs_are_tried_again(world: World) -> Iterator[None]:
    """The waiting runs of a job that is removed stay."""
    real = edits.remove

    def remove(record: Any, incarnation: int | None) -> Any:
        after = real(record, incarnation)
        waiting = tuple(run for run in record.runs if run.state == "waiting")
        if after is None or not waiting:
            return after
        ended = replace(record, state="ended", next_run_time=None, fire_time=None, reason=None, runs=waiting)
        return transitions.seal(ended, record.stamp + "+")

    with patch.object(edits, "remove", remove):
        yield


@contextmanager
def ids_are_free_between_attempts(world: World) -> Iterator[None]:
    """A job whose next attempt waits can be added anew."""

    def is_over(record: Record) -> bool:
        return record.state == "ended"

    with patch.object(edits, "is_over", is_over):
        yield


@contextmanager
def asked_runs_wait_for_the_schedule(world: World) -> Iterator[None]:
    """A run that is asked for is due when the job is, if it is at all."""
    real = edits.run_now

    def run_now(record: Any, run: Any, stamp: str) -> Any:
        return real(record, replace(run, due=record.next_run_time or run.due, blocked=True), stamp)

    with patch.object(edits, "run_now", run_now):
        yield


FLAWS: Final = (
    retries_are_forgotten,
    attempts_are_not_counted,
    late_failures_are_tried_again,
    retried_at_once,
    retried_too_often,
    recovered_too_often,
    waiting_runs_ignore_limits,
    ends_make_no_room,
    nothing_is_queued,
    failures_are_not_kept,
    removed_jobs_are_tried_again,
    ids_are_free_between_attempts,
    asked_runs_wait_for_the_schedule,
)
