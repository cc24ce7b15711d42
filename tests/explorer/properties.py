"""What must hold: the guarantees of the record, checked in every state and at every step of the explorer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields

from mainspring.jobstores import transitions
from mainspring.jobstores.record import SCHEDULE_OVER, Decision, Record, Run, Transition, Written
from mainspring.scheduler import decision

from tests.explorer import attempts
from tests.explorer.violation import require
from tests.explorer.world import (
    Edit,
    Expected,
    Fate,
    Held,
    Names,
    Process,
    Scenario,
    World,
    at,
    job_of,
)

# -- steps ---------------------------------------------------------------------------------------------------------

WRITES = {
    "add": {field.name for field in fields(Record)},
    "claim": {"next_run_time", "fire_time", "state", "runs", "reason"},
    "recover": {"runs", "state", "reason", "forgotten", "next_run_time", "fire_time"},
    "finish": {"runs", "state", "reason", "next_run_time", "fire_time"},
    "extend": {"runs"},
    "give back": {"runs", "forgotten"},
    "run now": {"runs", "state", "reason"},
    "rerun": {"runs", "state", "reason"},
    "dismiss": {"runs", "state", "reason"},
    "remove": set(),
    "edit of the definition": {"payload", "executor", "revision", "runs"},
    "edit of the schedule": {
        "payload",
        "next_run_time",
        "fire_time",
        "state",
        "reason",
        "runs",
        "revision",
    },
}
"""The fields that each row of the record's table may change, beside the stamp and `wake_at`."""


def written(world: World, row: str, after: Transition) -> None:
    """Checked at every write: it changes the fields of its row only, and has a stamp of its own."""
    before = world.record
    if after is Written.DELETED:
        return
    assert isinstance(after, Record)
    require(before is not None or row == "add", f"{row} created a record")
    if before is None:
        return
    require(row == "add" or after.incarnation == before.incarnation, f"{row} changed the incarnation")
    require(after.stamp != before.stamp, f"{row} left the stamp as it was")
    attempts.go_on(row, before, after)
    for field in fields(Record):
        if field.name not in WRITES[row] and field.name not in ("stamp", "wake_at"):
            require(
                getattr(after, field.name) == getattr(before, field.name),
                f"{row} changed {field.name} from {getattr(before, field.name)} to {getattr(after, field.name)}",
            )
    if row == "recover" and (after.state == "ended" or after.reason == SCHEDULE_OVER):
        require(
            any(run.state != "lost" for run in after.runs) or all(run.incarnation for run in after.runs),
            "the last run of a job that has ended is lost, and the job not parked",
        )
    if row in ("recover", "finish") and after.state == before.state:
        require(
            (after.next_run_time, after.fire_time) == (before.next_run_time, before.fire_time),
            f"{row} moved the schedule",
        )


def write(world: World, row: str, after: Transition) -> World:
    """Put what a transition answered in the record's place."""
    if after is None:
        return world
    written(world, row, after)
    if after is Written.DELETED:
        # Resumed without a further fire time, a job ends.
        expected = None if row == "edit of the schedule" else world.expected
        return world._replace(record=None, expected=expected)
    if after.state == "parked" and world.expected is not None:
        # Parked, it waits for a person: that it had been paused before is forgotten.
        world = world._replace(expected=world.expected._replace(paused=False))
    if row == "edit of the schedule" and after.state == "ended" and world.expected is not None:
        world = world._replace(expected=world.expected._replace(over=True))
    return world._replace(record=after)


def claimed(world: World, scenario: Scenario, before: Record, found: Decision, now: int) -> World:
    """A claim takes each fire time from the schedule once, passes none over without a word, and keeps `max_instances`."""
    definition = before.payload
    running = [run for run in found.runs if run.state == "claimed"]
    if found.starts:
        require(len(running) <= definition.max_instances, "more runs are claimed than max_instances allows")
    new = [run for run in running if run.run not in {old.run for old in before.runs}]
    attempts.claimed(before, found, new)
    waited = [old for old in before.runs if old.state == "waiting"]
    # From the schedule: what begins, or waits for room from now on.
    fresh = [
        time
        for run in (*new, *(run for run in found.runs if run.kind == "queued" and run.state == "waiting"))
        for time in run.fire_times
        if not any(time in old.fire_times for old in waited)
    ]
    passed_on = [time for old in waited if old.kind == "queued" for time in old.fire_times]
    passed_on = [time for time in passed_on if not any(time in run.fire_times for run in found.runs)]
    require(
        set(passed_on) <= set(found.skipped), "a fire time that waited for room is dropped without a word"
    )
    for time in fresh:
        require(
            fate_of(world, before.incarnation, time) is None,
            f"the fire time {shown(time)} is taken from the schedule a second time",
        )
    if found.fire_time != before.fire_time and before.fire_time is not None:
        require(now >= (before.next_run_time or now + 1), "a claim moved a schedule that was not due")
        accounted = {before.fire_time} if definition.coalesce else set()
        accounted.update(fresh, found.skipped)
        require(
            before.fire_time in accounted,
            f"the fire time {shown(before.fire_time)} is passed over without a word",
        )
    own = [fate_of(world, before.incarnation, run.fire_times[0]) for run in running]
    for fate in own:
        require(
            fate is None or not any(time <= fate.taken_at for time in found.skipped),
            "the rest of a backlog is skipped because its own first part is running",
        )
    taken_at = now if scenario.batch < 1_000 else 0
    fates = [*world.fates, *(Fate(before.incarnation, time, taken_at=taken_at) for time in fresh)]
    # What is skipped for want of room is reported, and that is the end of it.
    fates += [Fate(before.incarnation, time, excused=True) for time in found.skipped if time not in passed_on]
    world = world._replace(fates=tuple(sorted(fates)))
    return _changed(world, before.incarnation, passed_on, lambda fate: fate._replace(excused=True))


def started(world: World, scenario: Scenario, process: Process, held: Held) -> World:
    """`skip`: at most once, and with clocks that agree nothing is started that was given to somebody else, or reported lost."""
    key, record = held.key, world.record
    run = run_of(record, held)
    for time in held.fire_times:
        fate = fate_of(world, key.incarnation, time)
        require(fate is not None, "a run is started that was never claimed")
        assert fate is not None
        require(
            not fate.started & _bit(held),
            f"attempt {held.run.attempt} of {shown(time)} is started a second time",
        )
        require(
            scenario.recovery == "rerun" or fate.started.bit_count() < fate.allowed,
            f"the run of {shown(time)} is started a second time under skip",
        )
    if scenario.clocks_agree and run is not None:
        require(
            run.state == "claimed" and run.owner == key.owner,
            f"{process.name} starts a run that is {run.state} by now, without having looked",
        )
    return _changed(
        world,
        key.incarnation,
        held.fire_times,
        lambda fate: fate._replace(started=fate.started | _bit(held)),
    )


def ended(world: World, held: Held) -> World:
    return _changed(world, held.key.incarnation, held.fire_times, lambda fate: fate._replace(done=True))


def finished(world: World, held: Held) -> World:
    """What its owner has reported is no longer open, and no longer listed as lost; but what found no room is no end of a run."""
    runs = () if world.record is None else world.record.runs
    if held.failure is not None and not held.failure.places:
        return world
    require(
        not any((run.run, run.owner) == (held.key.run, held.key.owner) for run in runs),
        "a run is still listed although its owner has reported its end",
    )
    return world


def recovered(world: World, process: Process, found: Iterable[Run]) -> World:
    """A loss is told by others: the run's own boot knows better."""
    mine = {(held.key.run, time) for held in process.held for time in held.fire_times}
    for run in found:
        require(
            not any((run.run, time) in mine for time in run.fire_times),
            f"{process.name} recovers run {run.run}, which it holds itself",
        )
    return world


def edited(world: World, edit: Edit, record: Record) -> World:
    """An edit was reported successful: from now on its fields are expected to be what it said."""
    old = world.expected
    require(
        old is not None and record.incarnation == edit.seen.incarnation,
        "an edit of a removed job met another",
    )
    assert old is not None
    definition, before = old.definition, edit.seen.payload
    # Only what this edit changed: what another one has written since it read is that one's.
    changes = {
        name: value for name, value in edit.definition._asdict().items() if value != getattr(before, name)
    }
    paused = old.paused if edit.plan is None else edit.plan.state == "paused"
    executor = edit.executor if edit.executor != edit.seen.executor else old.executor
    return world._replace(
        expected=Expected(old.incarnation, definition._replace(**changes), executor, paused)
    )


def removed(world: World) -> World:
    """The job's owner removes it: nobody accounts for its open runs any more."""
    record = world.record
    assert record is not None
    fates = tuple(fate if fate.done else fate._replace(excused=True) for fate in world.fates)
    return world._replace(fates=fates, expected=None)


def dismissed(world: World, run: Run) -> World:
    incarnation = _incarnation(world, run)
    return _changed(world, incarnation, run.fire_times, lambda fate: fate._replace(excused=True))


def asked_again(world: World, run: Run) -> World:
    incarnation = _incarnation(world, run)
    return _changed(
        world, incarnation, run.fire_times, lambda fate: fate._replace(allowed=fate.allowed + 1, done=False)
    )


# -- states --------------------------------------------------------------------------------------------------------


def check(world: World, scenario: Scenario) -> None:
    """Everything that must hold in a state."""
    record = world.record
    nothing_is_forgotten(world)
    if record is None:
        require(
            world.expected is None
            or world.expected.over
            or any(fate.incarnation == world.expected.incarnation for fate in world.fates),
            "the job is gone, and never ran",
        )
        require(
            world.expected is None or scenario.kind in ("once", "twice"),
            "the job is gone, and had fire times left",
        )
        return
    require(
        record.state != "ended" or scenario.kind in ("once", "twice"), "a job with fire times left has ended"
    )
    require(record.incarnation == world.born, "a job that was removed came back")
    require(
        world.expected is not None and world.expected.incarnation == record.incarnation,
        "a job that was removed is there",
    )
    its_fields_agree(record)
    attempts.wait_for_something(record, scenario)
    edits_are_kept(world, record)
    require(
        record.wake_at == wake_at(record), f"wake_at is {shown(record.wake_at)}, not {shown(wake_at(record))}"
    )
    for now in {world.wall(process) for process in world.processes}:
        what_is_due_is_shown(world, record, now)


def nothing_is_forgotten(world: World) -> None:
    """Each fire time that was claimed has been run to its end, or its run is open or listed."""
    record = world.record
    open_runs: set[tuple[int, int]] = set()
    if record is not None:
        for run in record.runs:
            incarnation = record.incarnation if run.incarnation is None else run.incarnation
            open_runs.update((incarnation, time) for time in run.fire_times)
    for fate in world.fates:
        require(
            fate.done or fate.excused or (fate.incarnation, fate.fire_time) in open_runs,
            f"the run of {shown(fate.fire_time)} is neither done nor open nor listed",
        )


def its_fields_agree(record: Record) -> None:
    state = record.state
    require(
        (record.next_run_time is not None) == (state == "active"),
        f"{state} with next run {record.next_run_time}",
    )
    require(state != "active" or record.fire_time is not None, "active without a fire time")
    require(
        (record.reason is not None) == (state == "parked") or record.reason == SCHEDULE_OVER,
        f"{state} with the reason {record.reason}",
    )
    if state == "ended":
        require(record.runs, "an ended record without open runs has not gone")
    for run in record.runs:
        if run.state == "claimed":
            require(
                run.owner is not None and run.lease_until is not None, "a claimed run without owner or lease"
            )
        else:
            require(run.lease_until is None, f"a {run.state} run with a lease")
        if run.state == "waiting":
            require(run.owner is None, "a waiting run with an owner")
            require(run.incarnation is None, "a run of an earlier incarnation waits to be run")
        require(run.recovered <= run.max_recoveries, "a run is run again more often than its limit")
        require(run.state == "waiting" or not run.blocked, f"a {run.state} run is blocked")


def edits_are_kept(world: World, record: Record) -> None:
    """What an edit that was reported successful said stands until another one changes it."""
    expected = world.expected
    if expected is None or not attempts.is_there(record):
        return
    require(
        record.payload == expected.definition, f"an edit is lost: {record.payload}, not {expected.definition}"
    )
    require(record.executor == expected.executor, f"an edit is lost: executor is {record.executor}")
    if record.state != "parked":
        require((record.state == "paused") == expected.paused, f"an edit is lost: the job is {record.state}")


def wake_at(record: Record) -> int | None:
    """`wake_at`, from the words of its definition."""
    times = []
    batch_is_open = any(run.more and run.state != "lost" for run in record.runs)
    if record.state == "active" and record.next_run_time is not None and not batch_is_open:
        times.append(record.next_run_time)
    times += [run.due for run in record.runs if run.state == "waiting" and not run.blocked]
    times += [
        run.lease_until for run in record.runs if run.state == "claimed" and run.lease_until is not None
    ]
    return min(times, default=None)


def what_is_due_is_shown(world: World, record: Record, now: int) -> None:
    """Whatever could be claimed or recovered now has a `wake_at` that shows it; and the loop never spins on what it cannot claim."""
    job = job_of(record.payload)
    decision_now = decision.decide(record, job, now, Names(world))
    idle = transitions.changes_nothing(record, decision_now)
    if decision_now.starts:
        require(
            record.wake_at is not None and record.wake_at <= now,
            f"due at {shown(now)}, and no wake_at shows it",
        )
    leases = [
        run.lease_until for run in record.runs if run.state == "claimed" and run.lease_until is not None
    ]
    if leases and now >= min(leases):
        require(
            record.wake_at is not None and record.wake_at <= now, "a lease has ended, and no wake_at shows it"
        )
    elif idle:
        require(
            record.wake_at is None or record.wake_at > now, "wake_at wakes the loop for nothing, for ever"
        )


# -- parts ---------------------------------------------------------------------------------------------------------


def fate_of(world: World, incarnation: int, fire_time: int) -> Fate | None:
    return next(
        (fate for fate in world.fates if fate.incarnation == incarnation and fate.fire_time == fire_time),
        None,
    )


def run_of(record: Record | None, held: Held) -> Run | None:
    """The entry of the record for the fire times of a held run; None where the job or the run was taken away by a person."""
    if record is None:
        return None
    for run in record.runs:
        incarnation = record.incarnation if run.incarnation is None else run.incarnation
        if incarnation == held.key.incarnation and set(run.fire_times) & set(held.fire_times):
            return run
    return None


def shown(time: int | None) -> str:
    """A time in units from the start."""
    if time is None:
        return "never"
    units, rest = divmod(time - at(0), at(1) - at(0))
    return f"{units}" + (f"+{rest}µs" if rest else "")


def _bit(held: Held) -> int:
    return 1 << (held.run.attempt - 1)


def _incarnation(world: World, run: Run) -> int:
    assert world.record is not None
    return world.record.incarnation if run.incarnation is None else run.incarnation


def _changed(world: World, incarnation: int, times: Iterable[int], change: Callable[[Fate], Fate]) -> World:
    wanted = set(times)
    return world._replace(
        fates=tuple(
            change(fate) if fate.incarnation == incarnation and fate.fire_time in wanted else fate
            for fate in world.fates
        )
    )
