"""What must hold of a simulation, whatever befell its schedulers; each statement answers what violates it.

They compare what really happened (the log of starts, what people were told, what befell whom) with what the store was told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mainspring.events import EVENT_JOB_MAX_INSTANCES
from mainspring.jobstores.record import Record
from mainspring.triggers.instants import to_micros

from tests.simulation.history import Fate, History, told
from tests.simulation.lateness import what_is_due_is_claimed, wrong_clocks_claim_nothing
from tests.simulation.scenario import shown
from tests.simulation.server import Commit
from tests.simulation.statements_of_care import STATEMENTS as OF_CARE
from tests.simulation.statements_of_edits import STATEMENTS as OF_EDITS
from tests.simulation.timeline import SECOND

if TYPE_CHECKING:
    from tests.simulation.world import Start, World

TROUBLES: Final = frozenset({"crash", "freeze", "cut", "slow", "losses"})
"""What keeps a scheduler from its leases. A restart in order and a clock within the margin do not. An outage does, and is the same for
everybody: nobody recovers before all had the time to extend their leases."""

NO_PATIENCE: Final = frozenset({"outage", "read only", "cut", "slow", "losses"})
"""What a scheduler that is being shut down waits for no longer than a lease."""


def violations(world: World) -> list[str]:
    """All that does not hold."""
    history = told(world.server.history)
    found = list(world.failures)
    for statement in (
        never_twice,
        nothing_is_missing,
        schedules_move_with_a_reason,
        not_started_when_given_up,
        losses_are_true,
        not_too_early,
        nothing_is_left,
        what_is_due_is_claimed,
        wrong_clocks_claim_nothing,
        *OF_CARE,
        *OF_EDITS,
    ):
        found += [f"{statement.__name__}: {what}" for what in statement(world, history)]
    return found


def never_twice(world: World, history: History) -> Iterator[str]:
    """Each attempt of a run is started once for each of its fire times at most; and each fire time has one run, under skip and rerun."""
    attempts: defaultdict[tuple[int, int, int], list[Start]] = defaultdict(list)
    roots: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for start in world.starts:
        attempts[start.root, start.attempt, start.fire_time].append(start)
        if start.root not in history.asked:
            roots[start.incarnation, start.fire_time].add(start.root)
    for (_, number, time), those in attempts.items():
        if len(those) > 1:
            where = ", ".join(f"{start.boot} at {shown(start.time)}" for start in those)
            yield f"attempt {number} of {those[0].job_id} of {shown(time)} was started {len(those)} times: {where}"
    for (incarnation, time), numbers in roots.items():
        if len(numbers) > 1 + history.times_set_back(incarnation, time):
            yield f"{history.jobs[incarnation]} of {shown(time)} has had {len(numbers)} runs"


def nothing_is_missing(world: World, history: History) -> Iterator[str]:
    """Each fire time that was taken from a schedule, and each run that was asked for, has come to its last attempt's end, or is listed as
    lost, or a person took it away."""
    ended = {
        history.key(start.incarnation, start.root, start.fire_time)
        for start in world.starts
        if start.ended_at is not None and start.follows is None
    }
    skipped = _skipped(world)
    held = {
        history.key(record.incarnation, run.run_id, time)
        for record in world.server.records.values()
        for run in record.runs
        if run.state == "waiting" and run.blocked and record.state == "paused"
        for time in run.fire_times
    }
    for key, fate in history.fates.items():
        number, time = key
        job_id = history.jobs[number]
        if fate.taken_at is None or key in ended or (job_id, number, time) in world.misses:
            continue
        if fate.removed or fate.skipped or (job_id, time) in skipped or key in held:
            continue
        if not fate.lost:
            yield f"{job_id} of {shown(time)} was taken at {shown(fate.taken_at)}, and neither ran nor is it lost"
        elif world.people.specs[job_id].recovery == "rerun" and not _may_be_lost(world, history, key, fate):
            yield f"{job_id} of {shown(time)} is lost under rerun after {fate.recovered} recoveries"


def schedules_move_with_a_reason(world: World, history: History) -> Iterator[str]:
    """No claim passes over a fire time without a run, unless max_instances leaves no room; none takes one too many."""
    for commit, taken in history.taken:
        before, after = commit.before, commit.after
        assert before is not None
        if before.state != "active" or before.fire_time is None or before.next_run_time is None:
            if taken:
                yield f"{before.id}: {shown(taken[0])} was claimed at {shown(commit.time)} while it was {before.state}"
            continue
        definition = world.catalog[commit.payload]
        following = None if after is None else after.fire_time
        if following == before.fire_time:
            continue
        if after is not None and after.state == "parked":
            continue
        until = following if following is not None else 1 << 62
        passed = [before.fire_time] if definition.one_off else definition.times(before.fire_time, until)
        claimed = [run for run in (after.runs if after else before.runs) if run.state == "claimed"]
        if len(claimed) > definition.max_instances and len(taken) > 0:
            yield f"{before.id}: {len(claimed)} runs are claimed at {shown(commit.time)}"
        if taken == passed or (definition.coalesce and taken == passed[-1:]):
            continue
        if not taken and len(claimed) >= definition.max_instances:
            if after is not None and definition.policy.while_running == "queue":
                yield from _waits(after, passed[-1], commit)
            continue
        yield (
            f"{before.id}: the claim of {shown(commit.time)} took {[*map(shown, taken)]} where {[*map(shown, passed)]} were due"
        )


def not_started_when_given_up(world: World, history: History) -> Iterator[str]:
    """Nothing is started that was given to somebody else, or told to be lost, before its scheduler was last sure of it."""
    if not world.scenario.clocks_agree:
        return
    for start in world.starts:
        claimed = history.runs.get(start.run)
        if claimed is None:
            yield f"{start.job_id} of {shown(start.fire_time)} was started by {start.boot}, and never claimed"
        elif (
            claimed.ended_at is not None
            and claimed.ended_at < start.checked_at
            and claimed.ending != "removed"
        ):
            yield (
                f"{start.job_id} of {shown(start.fire_time)} was started by {start.boot} at {shown(start.time)}, and had "
                f"been {claimed.ending} at {shown(claimed.ended_at)}"
            )


def losses_are_true(world: World, history: History) -> Iterator[str]:
    """With clocks that agree, nobody's run is recovered who could have extended its lease since that was done last."""
    if not world.scenario.clocks_agree:
        return
    lease = int(world.scenario.lease * SECOND)
    for claimed in history.runs.values():
        if claimed.ending not in ("lost", "again") or claimed.ended_at is None:
            continue
        if claimed.ended_by == claimed.boot:
            continue  # given back, and its job has been added anew meanwhile: nobody can run it any more
        # What was extended last may have been asked for long before, with a lease that was over soon.
        since, until = claimed.extended_at, claimed.ended_at
        kinds = _troubles(world, claimed.boot, since - lease, until)
        if world.died.get(claimed.boot, until) < until or (
            kinds & NO_PATIENCE and "restart" in _troubles(world, claimed.boot, claimed.claimed_at, until)
        ):
            continue
        if not kinds & TROUBLES and not _began_since_an_outage(world, claimed.ended_by, since, until):
            well = "all the time"
        elif _longest_well(world, claimed.boot, since, until) > lease // 3 + 4 * SECOND:
            well = "for long enough"
        else:
            continue
        yield (
            f"the run of {claimed.job_id} of {shown(claimed.run.due)} was recovered at {shown(until)}, and its owner "
            f"{claimed.boot} was well {well} since {shown(since)}"
        )


def not_too_early(world: World, history: History) -> Iterator[str]:
    """Nothing starts before it is due by the clock of the scheduler that claimed it."""
    ahead = _greatest_offsets(world)
    for start in world.starts:
        claimed = history.runs.get(start.run)
        # What had waited is due when another scheduler says so, and was so by the clock of a third one.
        first = claimed is None or (claimed.run.kind == "schedule" and not claimed.waited)
        most = ahead[start.boot.split(".")[0]] if first else max(ahead.values())
        due = start.fire_time if claimed is None or first else max(start.fire_time, claimed.run.due)
        if due - start.time > most:
            yield f"{start.job_id} of {shown(start.fire_time)} was started by {start.boot} at {shown(start.time)}"


def nothing_is_left(world: World, history: History) -> Iterator[str]:
    """When all is well for long enough, nothing is claimed, nothing waits, what was due has run, and everybody is at work."""
    for record in world.server.records.values():
        for run in record.runs:
            if run.state == "claimed" or (
                run.state == "waiting" and not (run.blocked and record.state == "paused")
            ):
                yield f"{record.id} has a run of {shown(run.due)} that is {run.state} still, by {run.owner}"
        if record.wake_at is not None:
            yield f"{record.id} is due still, since {shown(record.wake_at)} ({record.state})"
        if record.state == "ended" and any(run.state != "lost" for run in record.runs):
            yield f"{record.id} is there still, and {record.state}"
    for boot, tasks in zip(world.boots, world.tasks_at_the_end, strict=True):
        if tasks != ["keeper", "loop"]:
            yield f"{boot.name} has the tasks {tasks}, not its loop and its keeper"
        for port in boot.ports():
            if port.tickets or port.unwritten:
                yield f"{boot.name} holds {len(port.tickets)} runs still"
            if port.outage is not None:
                yield f"{boot.name} believes still that its store does not answer"


# -- parts ---------------------------------------------------------------------------------------------------------


def _may_be_lost(world: World, history: History, key: tuple[int, int], fate: Fate) -> bool:
    """Whether a run under rerun may be lost: it was recovered too often, or another job has taken its id since."""
    job_id = history.jobs[key[0]]
    if fate.recovered >= world.people.specs[job_id].max_recoveries:
        return True
    incarnations = [
        number for number, name in history.jobs.items() if name == job_id and number not in history.asked
    ]
    _, incarnation = history.asked.get(key[0], (job_id, key[0]))
    return incarnations[-1] != incarnation


def _waits(record: Record, fire_time: int, commit: Commit) -> Iterator[str]:
    """A fire time that found no room waits for it, it and no other one."""
    waiting = [run.fire_times for run in record.runs if run.kind == "queued" and run.state == "waiting"]
    if waiting != [(fire_time,)]:
        yield f"{record.id} of {shown(fire_time)} found no room at {shown(commit.time)}, and {waiting} wait for it"


def _skipped(world: World) -> set[tuple[str, int]]:
    """What executors had no slot for, since a run that was recovered from them still went on."""
    return {
        (event.job_id, to_micros(time))
        for _, _, event in world.events
        if event.code == EVENT_JOB_MAX_INSTANCES
        for time in event.scheduled_run_times
    }


def _troubles(world: World, boot: str, begin: int, end: int) -> set[str]:
    """What befell a process in some time."""
    return {kind for kind, since, until in _all_troubles(world, boot) if since <= end and until >= begin}


def _all_troubles(world: World, boot: str) -> list[tuple[str, int, int]]:
    """What befell a process, from when to when; also that its keeper has waited for an answer that was lost by chance."""
    machine = boot.split(".")[0]
    troubles = [
        (trouble.kind, trouble.begin, trouble.end)
        for trouble in world.troubles
        if trouble.machine in (None, machine)
    ]
    return troubles + [
        ("losses", loss.begin, loss.end)
        for loss in world.server.losses
        if loss.process == boot and loss.task == "keeper"
    ]


def _began_since_an_outage(world: World, boot: str, begin: int, end: int) -> bool:
    """Whether a process did not see an outage that others did: it gives them less time afterwards than a lease."""
    return any(
        trouble.kind == "outage" and begin <= trouble.end and trouble.begin <= time <= end
        for trouble in world.troubles
        for time, name in world.begun
        if name == boot
    )


def _longest_well(world: World, boot: str, begin: int, end: int) -> int:
    """The longest time in which nothing kept a process from its leases."""
    longest, at = 0, begin
    for kind, since, until in sorted(_all_troubles(world, boot), key=lambda trouble: trouble[1]):
        if until > at and kind != "clock":
            longest = max(longest, min(since, end) - at)
            at = max(at, until)
    return max(longest, end - at)


def _greatest_offsets(world: World) -> dict[str, int]:
    """µs that each machine's clock was ahead at most."""
    greatest = {machine.name: max(0.0, machine.offset) for machine in world.scenario.machines}
    for fault in world.scenario.faults:
        if fault.kind == "clock":
            name = world.scenario.machines[fault.machine].name
            greatest[name] = max(greatest[name], fault.amount)
    return {name: int(offset * SECOND) for name, offset in greatest.items()}
