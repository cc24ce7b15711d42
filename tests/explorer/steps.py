"""What can happen next: every step that a scheduler, a person, the clock or bad luck can take in a world, over the library's own functions.

A step is one atomic thing. What is atomic in no store (reading the clock before a claim, reading a record before editing it) is a
step of its own, so that everything else can happen in between; a crash, a freeze (no step while others take theirs) and a moved
clock therefore hit at every point. The library's functions are looked up in their modules at each call, so that a test can replace one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from mainspring.jobstores import transitions
from mainspring.jobstores.record import Record, Run, RunKey, Transition
from mainspring.scheduler import decision

from tests.explorer import attempts, properties
from tests.explorer.ends import outcome_of
from tests.explorer.people import Moves, acts, edit_moves
from tests.explorer.world import (
    LEASE,
    NEW_STAMP,
    UNIT,
    Failure,
    Held,
    Look,
    Names,
    Process,
    Scenario,
    World,
    job_of,
)


def moves(world: World, scenario: Scenario) -> Moves:
    """All the steps that can be taken, each with its name."""
    if world.time < scenario.horizon:
        yield "a unit of time passes", lambda: world._replace(time=world.time + 1)
    for process in world.processes:
        if process.alive:
            yield from _pass_moves(world, scenario, process)
            yield from _run_moves(world, scenario, process)
            yield from edit_moves(world, scenario, process)
        yield from _misfortunes(world, scenario, process)
    if world.acts < scenario.act_budget:
        yield from acts(world, scenario)


# -- a pass of the loop --------------------------------------------------------------------------------------------


def _pass_moves(world: World, scenario: Scenario, process: Process) -> Moves:
    name = process.name
    record, now = world.record, world.wall(process)
    if process.look is not None:
        yield f"{name} claims", partial(write_claim, world, scenario, process, process.look)
    elif record is not None and can_claim(world, record, now):
        yield f"{name} looks", partial(read_claim, world, scenario, process)
    if record is None:
        return
    if recovered(world, scenario, process, record)[0] is not None:
        yield f"{name} recovers", partial(recover, world, scenario, process)
    if process.held:
        longer = extended(record, [held.key for held in process.held], now)
        if longer is not None:
            yield f"{name} extends", partial(extend, world, process)


def can_claim(world: World, record: Record, now: int) -> bool:
    """Whether the index shows the record, and there is something to claim."""
    if record.wake_at is None or record.wake_at > now:
        return False
    found = decision.decide(record, job_of(record.payload), now, Names(world))
    return not transitions.changes_nothing(record, found)


def read_claim(world: World, scenario: Scenario, process: Process) -> World:
    now, record = world.wall(process), world.record
    assert record is not None
    due = None
    if record.payload.kind == "user" and transitions.is_due(record, now):
        due = decision.due_times(record, job_of(record.payload), now, Names(world))
    seen = record if scenario.claims == "compare" or due is not None else None
    return world.put(process._replace(look=Look(now, world.time, seen, due)))


def same_stamp(record: Record, seen: Record) -> bool:
    """The comparison of a claim that does not read and write in one step."""
    return record.stamp == seen.stamp


def lease_deadline(look: Look, world: World) -> int:
    """Until when a claimed run may be started: counted from before the write."""
    return look.since + LEASE


def write_claim(world: World, scenario: Scenario, process: Process, look: Look) -> World:
    """The write of a claim; nothing is written where its comparison fails."""
    process = process._replace(look=None)
    record, base = world.record, world.record
    if record is None or base is None:
        return world.put(process)
    if scenario.claims == "compare":
        assert look.seen is not None
        if not same_stamp(record, look.seen):
            return world.put(process)
        base = look.seen
    if base.wake_at is None or base.wake_at > look.now:
        return world.put(process)
    names, due = Names(world), None
    if base.payload.kind == "user" and transitions.is_due(base, look.now):
        if look.seen is None or look.due is None or not transitions.still_holds(base, (look.seen, look.due)):
            return world.put(process)
        due = look.due
    found = decision.decide(base, job_of(base.payload), look.now, names, due)
    if transitions.changes_nothing(base, found):
        return world.put(process)
    after = transitions.claim(
        base,
        found,
        owner=process.owner,
        now=look.now,
        lease_until=look.now + LEASE * UNIT,
        stamp=NEW_STAMP,
    )
    world = properties.claimed(world, scenario, base, found, look.now)
    if isinstance(after, Record):
        known = {run.run for run in base.runs if run.state == "claimed"}
        deadline = lease_deadline(look, world)
        won = tuple(
            Held(
                RunKey(after.id, after.incarnation, run.run, process.owner),
                replace(run, lease_until=None, claimed_at=None),
                (base.payload.max_retries, base.payload.keep_failed),
                "queued",
                deadline,
            )
            for run in after.runs
            if run.state == "claimed" and run.run not in known
        )
        process = process._replace(held=process.held + won)
    return properties.write(world.put(process), "claim", after)


def recovered(
    world: World, scenario: Scenario, process: Process, record: Record
) -> tuple[Transition, list[Run]]:
    alive = world.live_owners()
    after, found = transitions.recover(
        record,
        now=world.wall(process),
        boot_owner=process.owner,
        is_gone=lambda owner: scenario.same_host and owner not in alive,
        stamp=NEW_STAMP,
    )
    return after, [entry.run for entry in found]


def recover(world: World, scenario: Scenario, process: Process) -> World:
    assert world.record is not None
    after, found = recovered(world, scenario, process, world.record)
    world = properties.recovered(world, process, found)
    return properties.write(world, "recover", after)


def extended(record: Record, keys: list[RunKey], now: int) -> Transition:
    return transitions.extend(record, keys, now + LEASE * UNIT, NEW_STAMP)


def extend(world: World, process: Process) -> World:
    """The keeper: what is still held in the record may be started so much longer."""
    record = world.record
    after = (
        None if record is None else extended(record, [held.key for held in process.held], world.wall(process))
    )
    held = tuple(
        one._replace(deadline=world.time + LEASE) if transitions.is_held(record, one.key) else one
        for one in process.held
    )
    return properties.write(world.put(process._replace(held=held)), "extend", after)


# -- runs in a scheduler's hands -----------------------------------------------------------------------------------


def _run_moves(world: World, scenario: Scenario, process: Process) -> Moves:
    for held in process.held:
        run = f"{process.name}'s run {held.key.run}"
        if held.phase == "queued":
            yield f"{run} is handed to a worker", partial(start, world, scenario, process, held)
            yield f"{run} is withdrawn and given back", partial(give_back, world, process, held)
            waited = held.run.kind != "schedule" and "finds no room" in scenario.failing
            if waited and world.failures < scenario.failures:
                yield f"{run} finds no room", partial(postpone, world, process, held)
        elif held.phase == "running":
            yield f"{run} ends", partial(end, world, process, held)
            if world.failures < scenario.failures:
                for how in scenario.failing:
                    if how != "finds no room" and (how != "fails in part" or len(held.fire_times) > 1):
                        yield f"{run} {how}", partial(fail, world, process, held, how)
        elif held.phase == "overtime":
            yield f"{run} returns at last", partial(end, world, process, held)
        else:
            yield f"{run} is finished in the record", partial(finish, world, process, held)


def lease_holds(held: Held, world: World) -> bool:
    """The check at the hand-over to a worker, by a clock that nobody moves."""
    return world.time < held.deadline


def start(world: World, scenario: Scenario, process: Process, held: Held) -> World:
    """Before a run starts, its lease is checked; one that lapsed is extended first, and a run that is gone is not started."""
    deadline = held.deadline
    if not lease_holds(held, world):
        record = world.record
        if not transitions.is_held(record, held.key):
            return world.put(_without(process, held))
        assert record is not None
        after = extended(record, [held.key], world.wall(process))
        world, deadline = properties.write(world, "extend", after), world.time + LEASE
    world = properties.started(world, scenario, process, held)
    running = held._replace(phase="running", deadline=deadline)
    return world.put(_with(process, held, running))


def end(world: World, process: Process, held: Held) -> World:
    world = properties.ended(world, held)
    return world.put(_with(process, held, held._replace(phase="ended")))


def fail(world: World, process: Process, held: Held, how: str) -> World:
    """The run fails, of which its ticket is told at once; a thread that is out of time goes on, and its run is not over."""
    places = tuple(range(len(held.fire_times)))
    failure = Failure(
        places[-1:] if how == "fails in part" else places, world.wall(process), how == "fails for good"
    )
    failed = held._replace(failure=failure, phase="overtime" if how == "times out" else "ended")
    world = world._replace(failures=world.failures + 1)
    if failed.phase == "ended":
        world = properties.ended(world, held)
    return world.put(_with(process, held, failed))


def postpone(world: World, process: Process, held: Held) -> World:
    """The executor has no room for a run that has waited, and for which there seemed to be room: it is to wait again."""
    failure = Failure((), world.wall(process), False)
    world = world._replace(failures=world.failures + 1)
    return world.put(_with(process, held, held._replace(failure=failure, phase="ended")))


def finish(world: World, process: Process, held: Held) -> World:
    """The end of a run is written, and what comes in its place."""
    outcome = outcome_of(held, Names(world))
    world, record = world.put(_without(process, held)), world.record
    if record is None:
        return world
    after, _ = transitions.finish(record, outcome, NEW_STAMP)
    attempts.finished(record, held, outcome, after)
    retry = outcome.retry
    written = isinstance(after, Record) and retry is not None and retry.run in {run.run for run in after.runs}
    if retry is not None and written and retry.attempt > held.run.attempt:
        world = properties.asked_again(world, retry)
    return properties.finished(properties.write(world, "finish", after), held)


def give_back(world: World, process: Process, held: Held) -> World:
    world = world.put(_without(process, held))
    if world.record is None:
        return world
    return properties.write(world, "give back", transitions.give_back(world.record, held.key, NEW_STAMP))


def _with(process: Process, held: Held, other: Held) -> Process:
    return process._replace(held=tuple(other if one is held else one for one in process.held))


def _without(process: Process, held: Held) -> Process:
    return process._replace(held=tuple(one for one in process.held if one is not held))


# -- bad luck ------------------------------------------------------------------------------------------------------


def _misfortunes(world: World, scenario: Scenario, process: Process) -> Moves:
    if not process.alive:
        again = process._replace(alive=True, boot=process.boot + 1)
        yield f"{process.name} starts again", partial(world.put, again)
        return
    if world.crashes < scenario.crashes:
        dead = process._replace(alive=False, look=None, edit=None, held=())
        yield f"{process.name} crashes", partial(world._replace(crashes=world.crashes + 1).put, dead)
    if process.name == "B" and world.shifts < scenario.shifts:
        for offset in scenario.offsets:
            if offset != process.offset:
                moved = process._replace(offset=offset)
                yield (
                    f"B's clock is moved to {offset:+d}",
                    partial(world._replace(shifts=world.shifts + 1).put, moved),
                )
