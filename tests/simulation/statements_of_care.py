"""What must hold of runs that fail, are asked for or wait for room: each failure has what follows it, attempts have no gaps, limits hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mainspring.jobstores.record import SCHEDULE_OVER, ParkedReason, Record, Run

from tests.simulation.history import ClaimedRun, History
from tests.simulation.people import Edit
from tests.simulation.scenario import shown
from tests.simulation.statements_of_edits import covers, named

if TYPE_CHECKING:
    from tests.simulation.world import Start, World


def attempts_have_no_gaps(world: World, history: History) -> Iterator[str]:
    """A run's attempts are numbered 1, 2, 3 …, each with its reason: a failure, a recovery, or somebody who asked for it."""
    last: dict[int, int] = {}
    for commit in world.server.history:
        before = set() if commit.before is None else {*_numbers(commit.before)}
        for run in () if commit.after is None else commit.after.runs:
            if (run.run_id, run.attempt, run.retried, run.recovered) in before:
                continue
            number = last.get(run.run_id, 0)
            if run.attempt not in (number, number + 1):
                yield f"{commit.job_id}: attempt {run.attempt} of run {run.run_id} came behind attempt {number} at {shown(commit.time)}"
            last[run.run_id] = max(number, run.attempt)
            asked = run.attempt - 1 - run.retried - run.recovered
            if asked and not (asked > 0 and _may_be_asked(world, commit.job_id)):
                yield f"{commit.job_id}: {run} is written at {shown(commit.time)}, an attempt without a reason"
            spec = world.people.specs[commit.job_id]
            if run.recovered > (spec.max_recoveries if spec.recovery == "rerun" else 0):
                yield f"{commit.job_id}: {run} is written at {shown(commit.time)}, and was recovered too often"


def failures_are_followed(world: World, history: History) -> Iterator[str]:
    """A run that has failed is followed by its next attempt, if there is to be one, for the fire times that failed, and then when it is due;
    else by none, and a job that keeps failures is parked if that was its last run."""
    starts: defaultdict[int, list[Start]] = defaultdict(list)
    for start in world.starts:
        starts[start.run].append(start)
    for claimed in history.runs.values():
        if claimed.ending not in ("finished", "retried"):
            continue
        again = [start for start in starts[claimed.run.run] if start.follows is not None]
        where = f"{claimed.job_id} of {shown(claimed.run.due)}, attempt {claimed.run.attempt},"
        if claimed.retry is None:
            if again:
                yield f"{where} failed at {shown(again[0].ended_at)}, and no attempt follows"
            elif any(start.keeps for start in starts[claimed.run.run]):
                yield from _is_parked(claimed, where)
            continue
        if not again:
            yield f"{where} is followed by another one, and did not fail, or for the last time"
            continue
        retry, run = claimed.retry, claimed.run
        if retry.fire_times != tuple(start.fire_time for start in again):
            yield f"{where} failed for {[shown(start.fire_time) for start in again]}, and is tried again for others: {retry}"
        if (retry.attempt, retry.retried, retry.recovered) != (
            run.attempt + 1,
            run.retried + 1,
            run.recovered,
        ):
            yield f"{where} is followed by {retry}"
        # What failed is told of when the last of several run times has ended; what takes too long and cannot be ended, at once.
        clocks = [*(start.clock for start in again), starts[run.run][-1].last_clock]
        least, most = again[0].follows or (0, 0)
        if not min(clocks) + least <= retry.due <= max(clocks) + most:
            yield f"{where} failed at {[*map(shown, clocks)]}, and is tried again at {shown(retry.due)}"


def limits_hold(world: World, history: History) -> Iterator[str]:
    """No claim lets more runs of a job go on than its max_instances, whatever kind they are of; and one waits for room at most."""
    for commit in world.server.history:
        after = commit.after
        if after is None:
            continue
        queued = sum(run.kind == "queued" and run.state == "waiting" for run in after.runs)
        if queued > 1 and commit.is_claim:
            yield f"{commit.job_id}: {queued} runs wait for room at {shown(commit.time)}"
        if commit.is_claim and commit.before is not None:
            was, now = _claimed(commit.before), _claimed(after)
            limit = world.catalog[commit.payload].max_instances
            if now > was and now > limit:
                yield f"{commit.job_id}: {now} runs are claimed at {shown(commit.time)}, where {limit} may go on"


def what_waits_is_run(world: World, history: History) -> Iterator[str]:
    """A run that has waited (for its next attempt, for room, or since somebody asked for it) is not given up when it is claimed."""
    started = {start.run for start in world.starts}
    for claimed in history.runs.values():
        if claimed.run.kind != "schedule" and claimed.ending == "finished" and claimed.run.run not in started:
            yield f"{claimed.job_id}: {claimed.run} was given up at {shown(claimed.ended_at)}, and was not run"


def runs_are_of_the_job_as_it_is(world: World, history: History) -> Iterator[str]:
    """What is started is the job as it was when the run was claimed; a job that was removed, or added anew, has no further attempt."""
    for start in world.starts:
        claimed = history.runs.get(start.run)
        if claimed is not None and world.catalog[claimed.payload].number != start.definition:
            yield f"{start.job_id} was started at {shown(start.time)} as it was before an edit: {start.definition}"
    present: dict[str, int] = {}
    for commit in world.server.history:
        if commit.after is None:
            present.pop(commit.job_id, None)
            continue
        present[commit.job_id] = commit.after.incarnation
        known = set() if commit.before is None else {run.run for run in commit.before.runs}
        for run in commit.after.runs:
            if run.run not in known and run.incarnation is not None:
                yield f"{commit.job_id}: {run} is new at {shown(commit.time)}, of a job that is gone"


def what_was_asked_for_is_there(world: World, history: History) -> Iterator[str]:
    """Each call for a run that succeeded has made one, and no run is there that nobody asked for."""
    calls = [edit for edit in world.edits if edit.kind == "run now"]
    answered = {edit.mark: edit for edit in calls if edit.mark is not None}
    for edit in calls:
        if edit.outcome == "done" and edit.mark not in history.asked:
            yield f"{named(edit)} succeeded, and there is no such run"
    open_calls: Counter[str] = Counter(edit.job_id for edit in calls if edit.outcome == "unknown")
    for number, (job_id, _) in history.asked.items():
        if number not in answered:
            open_calls[job_id] -= 1
            if open_calls[job_id] < 0:
                yield f"{job_id} was asked to run, and by nobody"
    for commit in world.server.history:
        if commit.after is None:
            continue
        known = set() if commit.before is None else {run.run for run in commit.before.runs}
        for run in commit.after.runs:
            if run.run in history.asked and run.run not in known:
                by = answered.get(run.run)
                if not any(covers(edit, commit) for edit in _those(calls, by, commit.job_id)):
                    yield f"{commit.job_id} was asked to run at {shown(commit.time)} by {commit.writer}, outside of all calls"


STATEMENTS: Final = (
    attempts_have_no_gaps,
    failures_are_followed,
    limits_hold,
    what_waits_is_run,
    runs_are_of_the_job_as_it_is,
    what_was_asked_for_is_there,
)


# -- parts ---------------------------------------------------------------------------------------------------------


def _numbers(record: Record) -> Iterator[tuple[int, int, int, int]]:
    for run in record.runs:
        yield run.run_id, run.attempt, run.retried, run.recovered


def _claimed(record: Record) -> int:
    return sum(run.state == "claimed" for run in record.runs)


def _those(calls: list[Edit], by: Edit | None, job_id: str) -> list[Edit]:
    """The calls that may have made a run."""
    return [by] if by is not None else [edit for edit in calls if edit.job_id == job_id]


def _may_be_asked(world: World, job_id: str) -> bool:
    """Whether somebody has asked for another attempt of a lost run."""
    return any(edit.kind == "rerun" and edit.job_id == job_id for edit in world.edits)


def _is_parked(claimed: ClaimedRun, where: str) -> Iterator[str]:
    """A run of a job without further ones has failed for the last time, and the job keeps failures."""
    commit = claimed.ended_in
    assert commit is not None
    before, after = commit.before, commit.after
    assert before is not None
    run: Run = next(run for run in before.runs if run.run == claimed.run.run)
    if run.incarnation is not None or (before.state != "ended" and before.reason != SCHEDULE_OVER):
        return
    if after is None or after.state != "parked" or not (after.reason or "").startswith(ParkedReason.FAILED):
        state = "gone" if after is None else f"{after.state} ({after.reason})"
        yield f"{where} failed for the last time at {shown(commit.time)}, and its job, which keeps failures, is {state}"
