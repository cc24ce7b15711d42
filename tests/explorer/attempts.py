"""What must hold of a run over all its attempts, of runs that wait, and of jobs whose schedule is over: checked at the steps of the explorer."""

from __future__ import annotations

from mainspring.jobstores.record import (
    SCHEDULE_OVER,
    Decision,
    Outcome,
    ParkedReason,
    Record,
    Run,
    Transition,
    Written,
)

from tests.explorer.violation import require
from tests.explorer.world import RETRY_DELAY, UNIT, Held, Scenario, World


def is_there(record: Record) -> bool:
    """Whether people find the job, from the words of `is_over`."""
    return record.state != "ended" or any(
        run.incarnation is None and (run.state == "waiting" or (run.state == "claimed" and run.keeps))
        for run in record.runs
    )


def schedule_is_over(record: Record) -> bool:
    """Whether there is no further fire time, and only runs (or a loss, or a failure) keep the job."""
    return (
        record.state == "ended" or record.reason == SCHEDULE_OVER or _is_parked_for(record, ParkedReason.LOST)
    )


def go_on(row: str, before: Record, after: Record) -> None:
    """Whatever is written, a run stays the same run; and its attempts are numbered without gaps."""
    known = {(_incarnation(before, run), time): run for run in before.runs for time in run.fire_times}
    for run in after.runs:
        for time in run.fire_times:
            was = known.get((_incarnation(after, run), time))
            if was is None:
                require(
                    (run.attempt, run.retried, run.recovered) == (1, 0, 0),
                    f"a new run begins with attempt {run.attempt}",
                )
                continue
            require(run.run_id == was.run_id, f"{row} makes another run of an attempt")
            counts = tuple(getattr(run, name) - getattr(was, name) for name in _COUNTS)
            require(
                counts in _expected(row, was, run), f"{row} changes attempt, retried, recovered by {counts}"
            )


_COUNTS = ("attempt", "retried", "recovered")


def _expected(row: str, was: Run, run: Run) -> list[tuple[int, int, int]]:
    if run.state == "waiting" and was.state != "waiting":
        if row == "recover":
            return [(1, 0, 1)]
        if row == "finish" and run.run != was.run:
            return [(1, 1, 0), (0, 0, 0)]  # which of them, says `finished`
        if row == "rerun":
            return [(1, 0, 0)]
    return [(0, 0, 0)]


def claimed(before: Record, found: Decision, new: list[Run]) -> None:
    """What a claim starts is the present job's, and nothing that a pause holds back."""
    for run in new:
        require(run.incarnation is None, "a run of a job that was removed is claimed")
        require(before.state != "paused" or run.kind == "now", f"a {run.kind} run of a paused job is claimed")
    queued = [run for run in found.runs if run.kind == "queued" and run.state == "waiting"]
    require(len(queued) <= 1, "more than one fire time waits for room")


def finished(before: Record | None, held: Held, outcome: Outcome, after: Transition) -> None:
    """What a run's end leaves behind: the next attempt, a job that is parked, or nothing."""
    run = None if before is None else _entry(before, held)
    if before is None or run is None:
        require(after is None, "the end of a run that is not listed changes something")
        return
    failure, (max_retries, keep_failed) = held.failure, held.care
    retries = _new(before, after)
    if failure is None or run.incarnation is not None:
        require(not retries, "a run is tried again that did not fail, or is an earlier job's")
    elif not failure.places:
        require(len(retries) == 1, "a run that found no room does not wait again")
        (again,) = retries
        same = (again.kind, again.fire_times, again.attempt) == (
            held.run.kind,
            held.fire_times,
            held.run.attempt,
        )
        require(same and again.due > failure.at, "a run that found no room is another one, or due at once")
    elif held.run.retried < max_retries and not failure.hopeless:
        times = tuple(held.fire_times[place] for place in failure.places)
        require(len(retries) == 1, "a run that failed is not tried again")
        (retry,) = retries
        require((retry.kind, retry.state) == ("retry", "waiting"), "the next attempt does not wait")
        require(retry.attempt == held.run.attempt + 1, "the next attempt has the number of this one")
        require(retry.fire_times == times, "the next attempt is not of the fire times that failed")
        require(retry.due == failure.at + RETRY_DELAY * UNIT, "the delay does not count from the failure")
    else:
        require(not retries, "a run is tried again more often than max_retries")
        kept = isinstance(after, Record) and _is_parked_for(after, ParkedReason.FAILED)
        if keep_failed and schedule_is_over(before):
            require(kept, "a job whose last attempt failed is not kept")
        require(keep_failed or not kept, "a job is kept that failed, and was not to be")
    others = [other for other in before.runs if other is not run]
    ends = failure is None or (failure.places and not keep_failed)
    if before.state == "ended" and not others and not retries and ends:
        require(after is Written.DELETED, "a job whose last run has ended does not go")
    if before.state == "active":
        require(
            isinstance(after, Record) and after.state == "active", "a job with fire times left is stopped"
        )


def asked_for(before: Record, after: Transition) -> None:
    """A run that is asked for waits, and frees a job that stands for a loss or a failure only."""
    assert isinstance(after, Record)
    require(len(_new(before, after)) == 1, "a run that was asked for does not wait")
    frees = before.state == "parked" and any(
        _is_parked_for(before, why) for why in (ParkedReason.LOST, ParkedReason.FAILED)
    )
    require(after.state == ("ended" if frees else before.state), f"run now makes the job {after.state}")


def replaced(world: World) -> None:
    """A job was added: it may take the place of one that is over, and of no other."""
    before = world.record
    if before is None:
        return
    require(not is_there(before), "a job that has a run to come is taken for gone")
    for held in (held for process in world.processes for held in process.held):
        run, (max_retries, keep_failed) = _entry(before, held), held.care
        if run is not None and run.state == "claimed" and run.incarnation is None:
            require(
                not keep_failed and held.run.retried >= max_retries,
                "a job that may have another attempt to come, or be kept, is taken for gone",
            )


def wait_for_something(record: Record, scenario: Scenario) -> None:
    """Of runs that wait: each can be started some day, and none has been tried again too often."""
    busy = any(run.state == "claimed" for run in record.runs)
    for run in record.runs:
        require(run.retried <= scenario.max_retries, f"a run is tried again {run.retried} times")
        if run.blocked and not busy:
            held_back = record.state == "paused" and run.kind != "now"
            require(
                held_back, f"a {run.kind} run of a job that is {record.state} waits for nothing, for ever"
            )
    if record.reason == SCHEDULE_OVER:
        require(record.state == "paused" and record.runs, "a job without further runs is left behind, paused")


# -- parts ---------------------------------------------------------------------------------------------------------


def _incarnation(record: Record, run: Run) -> int:
    return record.incarnation if run.incarnation is None else run.incarnation


def _is_parked_for(record: Record, why: str) -> bool:
    return record.state == "parked" and (record.reason or "").startswith(why)


def _entry(record: Record, held: Held) -> Run | None:
    """The run's own entry, found as its owner's."""
    for run in record.runs:
        if (run.run, run.owner) == (held.key.run, held.key.owner):
            return run if _incarnation(record, run) == held.key.incarnation else None
    return None


def _new(before: Record, after: Transition) -> list[Run]:
    known = {run.run for run in before.runs}
    return [run for run in after.runs if run.run not in known] if isinstance(after, Record) else []
