"""What people do to the record: edits, each split into its reading and its write, and what they do in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from mainspring.jobstores import edits
from mainspring.jobstores.record import Plan, Record, Run
from mainspring.scheduler import planning

from tests.explorer import attempts, properties
from tests.explorer.world import (
    NEW_STAMP,
    UNIT,
    Definition,
    Edit,
    Expected,
    Fate,
    Names,
    Process,
    Scenario,
    World,
    at,
    trigger_of,
)

Step: TypeAlias = "Callable[[], World]"
Moves: TypeAlias = "Iterator[tuple[str, Step]]"


def begin(scenario: Scenario) -> World:
    """A job that has just been added and is due at once."""
    return add(World(0, None, (Process("A"), Process("B")), born=0), defined(scenario))


def defined(scenario: Scenario) -> Definition:
    return Definition(
        0,
        scenario.kind,
        0,
        scenario.recovery,
        scenario.max_instances,
        scenario.coalesce,
        scenario.max_recoveries,
        scenario.max_retries,
        scenario.keep_failed,
        scenario.while_running,
    )


# -- edits, in two steps -------------------------------------------------------------------------------------------


def edit_moves(world: World, scenario: Scenario, process: Process) -> Moves:
    record = world.record
    if process.edit is not None:
        yield f"{process.name} writes: {process.edit.kind}", partial(write_edit, world, process, process.edit)
    elif record is not None and attempts.is_there(record) and world.edits < scenario.edit_budget:
        for kind in scenario.edits:
            edit = prepared(world, process, kind, record)
            if edit is not None:
                after = world.put(process._replace(edit=edit))._replace(edits=world.edits + 1)
                yield f"{process.name} reads for: {kind}", lambda after=after: after  # type: ignore[misc]


def prepared(world: World, process: Process, kind: str, record: Record) -> Edit | None:
    """What an edit makes of the record that it has read; None where it changes nothing."""
    definition, executor = record.payload, record.executor
    trigger, now, names = trigger_of(definition), world.wall(process), Names(world)
    plan: Plan | None = None
    if kind in ("rename", "update"):
        definition = definition._replace(name=definition.name + 1)
    elif kind == "no retries":
        definition = definition._replace(max_retries=0)
    elif kind == "keep":
        definition = definition._replace(keep_failed=not definition.keep_failed)
    if kind == "more room":
        definition = definition._replace(max_instances=definition.max_instances + 1)
    elif kind == "executor":
        executor = "other" if executor == "default" else "default"
    elif kind == "pause":
        plan = planning.paused(record)
    elif kind == "resume":
        plan = planning.resumed(record, trigger, now, names)
    elif kind in ("move", "update"):
        # Later than all that was scheduled, and on nobody's grid: what a user sets to a time that was run is run again.
        kept = record.fire_time
        if kept is None:
            kept = max(at(world.time), *(fate.fire_time for fate in world.fates))
        plan = planning.moved(record, kept + UNIT + 3)
    elif kind == "reschedule":
        definition = definition._replace(phase=definition.phase + 7, name=definition.name + 1)
        plan = planning.added(trigger_of(definition), now, names)
    if plan is None and (definition, executor) == (record.payload, record.executor):
        return None
    return Edit(kind, replace(record, runs=(), wake_at=None), definition, executor, plan)


def write_edit(world: World, process: Process, edit: Edit) -> World:
    """The write of an edit; where its comparison fails it is refused (the library then reads again: another edit)."""
    world = world.put(process._replace(edit=None))
    record = world.record
    if record is None:
        return world
    revision = Names(world).getrandbits(63)
    if edit.plan is None:
        after = edits.edit_definition(
            record,
            edit.seen,
            payload=edit.definition,
            executor=edit.executor,
            revision=revision,
            unblock=edit.kind == "more room",
            stamp=NEW_STAMP,
        )
        row = "edit of the definition"
    else:
        after = edits.edit_schedule(
            record,
            edit.seen,
            edit.plan,
            revision=revision,
            stamp=NEW_STAMP,
            payload=edits.KEEP if edit.definition == edit.seen.payload else edit.definition,
        )
        row = "edit of the schedule"
    if after is None:
        return world
    return properties.write(properties.edited(world, edit, record), row, after)


# -- what people do besides ----------------------------------------------------------------------------------------


def acts(world: World, scenario: Scenario) -> Moves:
    record = world.record
    world = world._replace(acts=world.acts + 1)
    if "add" in scenario.acts and (record is None or record.state == "ended"):
        yield "the job is added again", partial(add, world, defined(scenario))
    if record is None:
        return
    if "remove" in scenario.acts and attempts.is_there(record):
        yield "the job is removed", partial(remove, world)
    if "now" in scenario.acts and attempts.is_there(record):
        yield "a run now is asked for", partial(run_now, world, scenario)
    for run in record.runs:
        if run.state == "lost" and "dismiss" in scenario.acts:
            yield f"lost run {run.run} is dismissed", partial(dismiss, world, run)
        if run.state == "lost" and "again" in scenario.acts and run.incarnation is None:
            yield f"lost run {run.run} is to run again", partial(rerun, world, run)


def add(world: World, definition: Definition) -> World:
    born = world.born + 1
    plan = planning.added(trigger_of(definition), at(world.time), Names(world))
    new = Record(
        "job", born, "default", None, plan.next_run_time, plan.fire_time, plan.state, (), 0, "", definition
    )
    after = edits.add(world.record, new, NEW_STAMP)
    if after is None:
        return world._replace(acts=world.acts - 1)  # refused: the id is taken
    attempts.replaced(world)
    world = world._replace(born=born, expected=Expected(born, definition, "default", plan.state == "paused"))
    return properties.write(world, "add", after)


def remove(world: World) -> World:
    assert world.record is not None
    after = edits.remove(world.record, world.record.incarnation)
    return properties.write(properties.removed(world), "remove", after)


def run_now(world: World, scenario: Scenario) -> World:
    assert world.record is not None
    # A time of its own, so that it is told from the fire times of the schedule.
    asked_at = at(world.time) - 1 - world.acts
    run = Run(Names(world).getrandbits(63), "now", (asked_at,), asked_at, "waiting")
    after = edits.run_now(world.record, run, NEW_STAMP)
    attempts.asked_for(world.record, after)
    fate = Fate(world.record.incarnation, asked_at)
    return properties.write(world._replace(fates=tuple(sorted((*world.fates, fate)))), "run now", after)


def dismiss(world: World, run: Run) -> World:
    assert world.record is not None
    after = edits.dismiss_lost(world.record, run.run, NEW_STAMP)
    return properties.write(properties.dismissed(world, run), "dismiss", after)


def rerun(world: World, run: Run) -> World:
    assert world.record is not None
    after = edits.rerun_lost(
        world.record, run.run, new_run=Names(world).getrandbits(63), now=at(world.time), stamp=NEW_STAMP
    )
    return properties.write(properties.asked_again(world, run), "rerun", after)
