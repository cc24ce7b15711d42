"""Who may write what, the passes of the loop: each row of the record's table as a pure function from the record found to the record to be written.

A store brings the atomicity and nothing else: it reads the record, calls a transition and writes the answer in one step
(under a lock, in a transaction, or by compare-and-set on the stamp). Every transition compares what its row of the table
(docs/design.md) says it compares, touches only the fields of its row, and answers `None` when the comparison fails or there is
nothing to do. `seal` ends every write: it sets the stamp, recomputes `wake_at`, and lets an ended record without open runs go.
The other half, what people write, is `edits.py`. None of these functions reads a clock, draws a random number, takes a lock or calls anything of a user's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from .record import (
    FORMAT_VERSION,
    MAX_LOST_RUNS,
    SCHEDULE_OVER,
    Decision,
    Due,
    Outcome,
    ParkedReason,
    Record,
    RecoveredRun,
    Run,
    RunKey,
    State,
    Transition,
    Written,
    wake_time,
)

RECOVERY_MARGIN: Final = 5_000_000
"""µs after the end of a lease before anybody but the dead owner's own host recovers it: clocks differ that much."""

RERUN_SPREAD: Final = 1_000_000
"""µs over which runs are spread when they are recovered again; twice that the next time, and so on."""


def seal(record: Record, stamp: str) -> Record | Literal[Written.DELETED]:
    """The end of every write: the stamp, `wake_at`, and the rule that a record whose schedule is over goes with its last open run."""
    return _sealed(
        record, record.next_run_time, record.fire_time, record.state, record.runs, record.reason, stamp
    )


def _sealed(
    record: Record,
    next_run_time: int | None,
    fire_time: int | None,
    state: State,
    runs: tuple[Run, ...],
    reason: str | None,
    stamp: str,
) -> Record | Literal[Written.DELETED]:
    """The record with the fields that a pass writes, sealed. One construction: this is what each run costs twice."""
    if not runs and (state == "ended" or reason == SCHEDULE_OVER):
        return Written.DELETED
    return Record(
        record.id,
        record.incarnation,
        record.executor,
        wake_time(state, next_run_time, runs),
        next_run_time,
        fire_time,
        state,
        runs,
        record.revision,
        stamp,
        record.payload,
        reason,
        record.forgotten,
        record.version,
    )


# -- what passes of the loop write ---------------------------------------------------------------------------------


def claim(
    record: Record, decision: Decision, *, owner: str, now: int, lease_until: int | None, stamp: str
) -> Record | Literal[Written.DELETED]:
    """Write what `decide` found: the runs to be started get their owner and their lease before an executor sees them.

    Compares the stamp by its place: the store calls it on the record that `decide` was asked about, in the same step.
    """
    runs = decision.runs
    if decision.starts:
        if len(runs) == 1:
            runs = (_started(runs[0], owner, now, lease_until),)
        else:
            runs = tuple(
                [
                    run
                    if run.state != "claimed" or run.owner is not None
                    else _started(run, owner, now, lease_until)
                    for run in runs
                ]
            )
    return _sealed(
        record, decision.next_run_time, decision.fire_time, decision.state, runs, decision.reason, stamp
    )


def _started(run: Run, owner: str, now: int, lease_until: int | None) -> Run:
    return Run(
        run.run,
        run.kind,
        run.fire_times,
        run.due,
        "claimed",
        run.attempt,
        run.recovered,
        False,
        owner,
        lease_until,
        now,
        run.recovery,
        run.max_recoveries,
        run.more,
        run.incarnation,
        run.retried,
        run.keeps,
        run.root,
        None,
        run.extra,
    )


def _belongs(record: Record, run: Run, incarnation: int) -> bool:
    """Whether the run is one of this incarnation: its own, where it moved along from an earlier one."""
    return (record.incarnation if run.incarnation is None else run.incarnation) == incarnation


def finish(record: Record, outcome: Outcome, stamp: str) -> tuple[Transition, Run | None]:
    """A run ended: its entry goes, and what replaces it comes. Also answers the run when it had been listed as lost.

    Compares run and owner, and finds a lost entry too: its owner was frozen or cut off, and has completed it after all. A job
    that was parked only for that loss ends then. Only a job that has no further run is parked for a failure. A run of an earlier
    incarnation just goes: a retry would run the new job, which has another function, and the new job must not be parked for the old
    one's failure.
    """
    for place, run in enumerate(record.runs):  # noqa: B007 - used behind the loop
        if (
            run.run == outcome.run
            and run.owner == outcome.owner
            and _belongs(record, run, outcome.incarnation)
        ):
            break
    else:
        return None, None
    if run.incarnation is not None and outcome.retry is not None and outcome.retry.attempt == run.attempt:
        # It was not started, and its job is another one by now: it is listed, like a run that is given back.
        return give_back(record, RunKey(record.id, run.incarnation, run.run, outcome.owner), stamp), None
    if len(record.runs) == 1 and run.state == "claimed" and outcome.retry is None and outcome.parked is None:
        after = _sealed(
            record, record.next_run_time, record.fire_time, record.state, (), record.reason, stamp
        )
        return after, None
    was_lost = run.state == "lost"
    runs = record.runs[:place] + record.runs[place + 1 :]
    if outcome.retry is not None and run.incarnation is None:
        runs += (outcome.retry,)
    changed = with_runs(record, unblocked(runs, record.state))
    if was_lost:
        changed = end_if_parked_for_loss(changed)
    if outcome.parked is not None and run.incarnation is None:
        if _schedule_is_over(changed):
            changed = _parked(changed, outcome.parked, run)
        elif _is_parked_for_loss(changed):
            # It would go when that loss is dismissed: from now on it is kept for its failure.
            changed = replace(changed, reason=outcome.parked)
    return seal(changed, stamp), run if was_lost else None


def extend(record: Record, keys: Collection[RunKey], until: int, stamp: str) -> Transition:
    """Move the ends of leases to `until`, never back. Runs that are no longer claimed by that owner stay as they are.

    A run that was claimed without a lease (its store belongs to one process) gets none: nobody would ever recover it, and its
    record would look due for ever.
    """
    wanted = {(key.run, key.owner, key.incarnation) for key in keys}
    runs = tuple(
        replace(run, lease_until=until)
        if run.state == "claimed"
        and (run.run, run.owner, record.incarnation if run.incarnation is None else run.incarnation) in wanted
        and run.lease_until is not None
        and run.lease_until < until
        else run
        for run in record.runs
    )
    return None if runs == record.runs else seal(with_runs(record, runs), stamp)


def note_failure(record: Record, key: RunKey, retry_at: int, stamp: str) -> Transition:
    """A run has failed, and goes on (a thread over its time limit): if its process dies, the next attempt follows all the same.

    Compares run and owner, claimed.
    """
    if not is_held(record, key):
        return None
    runs = tuple(
        replace(run, retry_at=retry_at) if run.run == key.run and run.owner == key.owner else run
        for run in record.runs
    )
    return seal(with_runs(record, runs), stamp)


def is_held(record: Record | None, key: RunKey) -> bool:
    """Whether the run is still claimed by its owner."""
    return record is not None and any(
        run.run == key.run
        and run.owner == key.owner
        and run.state == "claimed"
        and _belongs(record, run, key.incarnation)
        for run in record.runs
    )


def give_back(record: Record, key: RunKey, stamp: str) -> Transition:
    """A run that was claimed and not started waits again, for any scheduler. Compares run and owner, claimed."""
    if not is_held(record, key):
        return None
    runs = []
    for run in record.runs:
        if run.run == key.run and run.owner == key.owner:
            if run.incarnation is not None:
                # Its job is another one by now (`add`): nobody may run the old one's run any more.
                run = replace(run, state="lost", lease_until=None)
            else:
                run = waits_again(run)
        runs.append(run)
    return seal(capped(with_runs(record, unblocked(runs, record.state))), stamp)


def recover(
    record: Record,
    *,
    now: int,
    boot_owner: str,
    is_gone: Callable[[str], bool],
    stamp: str,
    patience: int = RECOVERY_MARGIN,
    over_at: int | None = None,
) -> tuple[Transition, list[RecoveredRun]]:
    """Account for runs whose lease ended unfinished: `lost` under recovery "skip", `waiting` under "rerun", or if they had failed already.

    Not by the run's own boot (its keeper may still extend it), and only if `over_at` (`now` if that is None) is `patience` µs after the
    lease's end, unless the owner is known to be gone. What is done with a run stands in the run itself, copied there when it was
    claimed, so that it needs neither payload nor executor. A one-off that is lost is parked; so is a job whose run was recovered too often.
    A record of a later version is left to those who know what is right for its runs.
    """
    if record.version > FORMAT_VERSION:
        return None, []
    runs: list[Run] = []
    found: list[tuple[Run, bool]] = []
    given_up: Run | None = None
    over_at = now if over_at is None else over_at
    for run in record.runs:
        if run.state != "claimed" or run.owner is None or run.lease_until is None or run.owner == boot_owner:
            runs.append(run)
            continue
        if over_at < run.lease_until + patience and not is_gone(run.owner):
            runs.append(run)
            continue
        own = run.incarnation is None
        if run.retry_at is not None and own and (run.recovery == "rerun" or is_gone(run.owner)):
            # It had failed before. Under "skip" its owner must be known to be gone: a thread that goes on, in a process which is only cut
            # off, must not have the next attempt beside it.
            due = max(now, run.retry_at)
            run = next_attempt(run, kind="retry", due=due, retried=run.retried + 1)
        elif run.recovery == "rerun" and own and run.recovered < run.max_recoveries:
            run = next_attempt(run, kind="rerun", due=_again_at(run, now), recovered=run.recovered + 1)
        else:
            if run.recovery == "rerun" and own:
                given_up = run
            run = replace(run, state="lost", lease_until=None)
        runs.append(run)
        found.append((run, run.state == "lost" and run.incarnation is None))
    if not found:
        return None, []
    after = with_runs(record, unblocked(runs, record.state))
    parks = False
    if given_up is not None and after.state in ("active", "paused") and not _schedule_is_over(after):
        after = _parked(
            after,
            f"{ParkedReason.GIVEN_UP}: {_why_given_up(given_up)}",
            given_up,
        )
        parks = True
    elif _schedule_is_over(after) and any(lost for _, lost in found):
        lost_run = next(run for run, lost in found if lost)
        again = f" (it was run again {_times(lost_run.recovered)})" if lost_run.recovered else ""
        after = _parked(
            after, f"{ParkedReason.LOST}: its only run was lost, and its fate is unknown{again}", lost_run
        )
        parks = True
    written = seal(capped(after), stamp)
    reported = written if isinstance(written, Record) else after
    return written, [RecoveredRun(reported, run, parks and lost) for run, lost in found]


def _why_given_up(run: Run) -> str:
    if run.recovered == 0:
        return "a run's owner died, and max_recoveries is 0"
    return f"a run was recovered {_times(run.recovered)}, and its owner died again"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _again_at(run: Run, now: int) -> int:
    """When a run whose owner died is due again: at once, but the second time at a moment of its own (its id is random).

    One of the runs that a process left may be what has killed it, and will do so again. Those that were beside it must not start beside it
    each time, or they would be given up together.
    """
    return now + run.run % (RERUN_SPREAD * run.recovered) if run.recovered else now


def waits_again(run: Run, /, **changes: Any) -> Run:
    """A run that is nobody's any more, and waits for whoever claims it next: the same attempt."""
    return replace(
        run, state="waiting", owner=None, lease_until=None, claimed_at=None, retry_at=None, **changes
    )


def next_attempt(run: Run, /, **changes: Any) -> Run:
    """The attempt that follows a run: the same run to people."""
    return waits_again(run, attempt=run.attempt + 1, root=run.run_id, **changes)


# -- parts ----------------------------------------------------------------------------------------------------------


def unblocked(runs: Sequence[Run], state: str) -> tuple[Run, ...]:
    """The runs with their `blocked` marks set anew: of a paused job every waiting run is blocked except run-now, else none.

    A run that turns out to have no room is marked again by the next `decide`, which never costs more than one look.
    """
    paused = state == "paused"
    return tuple(
        replace(run, blocked=not run.blocked)
        if run.state == "waiting" and run.blocked != (paused and run.kind != "now")
        else run
        for run in runs
    )


def with_runs(record: Record, runs: tuple[Run, ...]) -> Record:
    return Record(
        record.id,
        record.incarnation,
        record.executor,
        None,
        record.next_run_time,
        record.fire_time,
        record.state,
        runs,
        record.revision,
        "",
        record.payload,
        record.reason,
        record.forgotten,
        record.version,
    )


def capped(record: Record) -> Record:
    """The last lost runs are listed, older ones counted: a job that loses every run must not grow without bound."""
    surplus = sum(run.state == "lost" for run in record.runs) - MAX_LOST_RUNS
    if surplus <= 0:
        return record
    runs = []
    left = surplus
    for run in record.runs:
        if run.state == "lost" and left:
            left -= 1
        else:
            runs.append(run)
    return replace(record, runs=tuple(runs), forgotten=record.forgotten + surplus)


def _parked(record: Record, reason: str, run: Run) -> Record:
    """Park the job. It keeps a time such that a resume needs a strictly later one: that which failed or was lost.

    With a schedule ahead, that is just before its next fire time: those since the failed one may have been run already. Runs that a pause has
    held back wait no longer: nothing would clear their marks, since a parked job cannot be resumed without a further fire time.
    """
    fire_time = run.fire_times[-1]
    if record.fire_time is not None:
        fire_time = max(fire_time, record.fire_time - (record.state != "ended"))
    return replace(
        record,
        state="parked",
        reason=reason,
        next_run_time=None,
        fire_time=fire_time,
        runs=unblocked(record.runs, "parked"),
    )


def _schedule_is_over(record: Record) -> bool:
    """Whether there is no further fire time: its last runs are all that is left of the job."""
    return record.state == "ended" or record.reason == SCHEDULE_OVER


def _is_parked_for_loss(record: Record) -> bool:
    return record.state == "parked" and (record.reason or "").startswith(ParkedReason.LOST)


def end_if_parked_for_loss(record: Record) -> Record:
    """A job that stands parked only for a lost run ends when none is lost any more."""
    if not _is_parked_for_loss(record) or any(run.state == "lost" for run in record.runs):
        return record
    return replace(record, state="ended", reason=None)


def is_due(record: Record, now: int) -> bool:
    """Whether the job's next run time has come, so that its trigger is to be asked."""
    return record.state == "active" and record.next_run_time is not None and record.next_run_time <= now


def still_holds(record: Record, prepared: tuple[Record, Due]) -> bool:
    """Whether what was found of a deferred record is still about the schedule that the record has now."""
    asked, due = prepared
    fire_time = record.next_run_time if record.fire_time is None else record.fire_time
    return asked.revision == record.revision and due.fire_time == fire_time


def changes_nothing(record: Record, decision: Decision) -> bool:
    """Whether a decision leaves the record as it is, so that nothing is to be written."""
    return (
        not decision.starts
        and not decision.skipped
        and decision.next_run_time == record.next_run_time
        and decision.state == record.state
        and decision.runs == record.runs
    )
