"""Who may write what, the people's side: adding, removing, editing and running jobs, and what is done with lost runs.

The other half of the record's table, in the same form as `transitions.py`: pure functions from the record found to the record to be
written; `None` when the comparison fails.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal

from .record import ParkedReason, Plan, Record, Run, Transition, Written, is_hidden, is_over
from .transitions import capped, end_if_parked_for_loss, next_attempt, seal, unblocked, with_runs

KEEP: Final[Any] = object()
"""For a payload that an edit does not change."""

MAX_ASKED_FOR: Final = 100
"""So many runs that were asked for may wait in one record."""


# -- add and remove ----------------------------------------------------------------------------------------------


def add(existing: Record | None, new: Record, stamp: str) -> Record | Literal[Written.DELETED] | None:
    """Add a job. None: the id is taken.

    A job that is over does not stand in the way (a one-off may add its own id again while it still runs). Its open runs, none of which
    waits, move along under their old incarnation: they are counted and reported if lost, and never run again.
    """
    if existing is not None:
        if not is_over(existing):
            return None
        runs = tuple(
            run if run.incarnation is not None else replace(run, incarnation=existing.incarnation)
            for run in existing.runs
        )
        new = capped(replace(new, runs=runs + new.runs, forgotten=existing.forgotten))
    return seal(new, stamp)


def remove(record: Record, incarnation: int | None) -> Transition:
    """Remove a job with its open runs; `incarnation` is that of the caller's handle, None when it names only the id."""
    if is_hidden(record) or (incarnation is not None and incarnation != record.incarnation):
        return None
    return Written.DELETED


# -- what people do with runs ---------------------------------------------------------------------------------------


def run_now(record: Record, run: Run, stamp: str) -> Transition:
    """One more waiting run, due at once; the schedule is untouched.

    It frees a job that was parked because its only run was lost, or has failed. One that is parked for anything else may have fire times
    left, and stays parked beside its run until somebody resumes it: to end it here would delete it behind its owner's back.
    """
    if (
        is_hidden(record)
        or sum(run.kind == "now" and run.state == "waiting" for run in record.runs) >= MAX_ASKED_FOR
    ):
        return None
    after = with_runs(record, (*record.runs, run))
    if record.state == "parked" and (record.reason or "").startswith(
        (ParkedReason.LOST, ParkedReason.FAILED)
    ):
        after = replace(after, state="ended", reason=None)
    return seal(after, stamp)


def rerun_lost(record: Record, run: int, *, new_run: int, now: int, stamp: str) -> Transition:
    """A lost run is run again after all: it waits, with the next attempt number. A run of an earlier incarnation cannot."""
    lost = _lost(record, run)
    if lost is None or lost.incarnation is not None:
        return None
    again = next_attempt(lost, run=new_run, kind="rerun", due=now, more=False)
    runs = tuple(again if entry is lost else entry for entry in record.runs)
    return seal(end_if_parked_for_loss(with_runs(record, unblocked(runs, record.state))), stamp)


def dismiss_lost(record: Record, run: int, stamp: str) -> Transition:
    """A lost run is no longer listed. A job that was parked only for it ends."""
    lost = _lost(record, run)
    if lost is None:
        return None
    return seal(
        end_if_parked_for_loss(with_runs(record, tuple(entry for entry in record.runs if entry is not lost))),
        stamp,
    )


# -- edits ----------------------------------------------------------------------------------------------------------


def edit_definition(
    record: Record, seen: Record, *, payload: Any, executor: str, revision: int, unblock: bool, stamp: str
) -> Transition:
    """What the job is (payload, options, executor) and not when it runs. Compares the revision only.

    So a claim in between disturbs it as little as it disturbs the claim: the schedule's fields stay as they are found.
    """
    if record.revision != seen.revision or record.incarnation != seen.incarnation or is_hidden(record):
        return None
    runs = unblocked(record.runs, record.state) if unblock else record.runs
    return seal(replace(record, payload=payload, executor=executor, revision=revision, runs=runs), stamp)


def edit_schedule(
    record: Record,
    seen: Record,
    plan: Plan,
    *,
    revision: int,
    stamp: str,
    payload: Any = KEEP,
    executor: str | None = None,
) -> Transition:
    """When the job runs: pause, resume, reschedule, another trigger, another next run time. Compares revision and stamp.

    The plan was made from the schedule that was seen; a claim in between has moved it, so the plan is made again. Of the runs it
    changes the `blocked` marks only.
    """
    if (
        record.revision != seen.revision
        or record.incarnation != seen.incarnation
        or record.stamp != seen.stamp
    ):
        return None
    if is_hidden(record):
        return None
    runs = tuple(replace(run, more=False) if run.more else run for run in unblocked(record.runs, plan.state))
    return seal(
        replace(
            record,
            payload=record.payload if payload is KEEP else payload,
            executor=executor or record.executor,
            next_run_time=plan.next_run_time,
            fire_time=plan.fire_time,
            state=plan.state,
            reason=plan.reason,
            runs=runs,
            revision=revision,
        ),
        stamp,
    )


# -- parts -----------------------------------------------------------------------------------------------------------


def _lost(record: Record, run: int) -> Run | None:
    if record.state == "importing":
        return None
    return next((entry for entry in record.runs if entry.run == run and entry.state == "lost"), None)
