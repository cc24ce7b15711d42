"""What must hold of time: what is due is claimed soon by whoever can, and whose clock is far off claims nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mainspring.jobstores.record import Record

from tests.simulation.history import History
from tests.simulation.scenario import MARGIN, shown
from tests.simulation.timeline import SECOND

if TYPE_CHECKING:
    from tests.simulation.world import World

AFTERMATH: Final = 5 * SECOND
"""µs behind a trouble until everything goes as usual: pauses between attempts, a backlog."""

AT_ONCE: Final = 8 * SECOND
"""µs, beside its poll, in which a scheduler without any trouble claims what is due: clocks differ, an answer may be lost."""

FAR: Final = 12 * SECOND
"""µs by which a clock is far off, whatever a round trip takes."""

NOTICED: Final = 12 * SECOND
"""µs within which a scheduler knows that its clock is far off."""


def what_is_due_is_claimed(world: World, history: History) -> Iterator[str]:
    """Nothing that is due waits for long while somebody has a worker for it and no trouble. (A scheduler that only adds has none.)"""
    if not world.scenario.clocks_are_right:
        return
    bound = int(world.scenario.poll * SECOND) + AT_ONCE
    since: dict[str, tuple[int, int]] = {}
    commits = [(commit.time, commit.job_id, commit.after) for commit in world.server.history]
    end = [(world.timeline.now, record.id, None) for record in world.server.records.values()]
    for time, job_id, after in (*commits, *end):
        begun = since.pop(job_id, None)
        if begun is not None and time - begun[1] > bound and (free := _free(world, begun[1], time, bound)):
            yield f"{job_id} was due since {shown(begun[1])}, and {free} could have claimed it before {shown(time)}"
        due = None if after is None else _due(after)
        if due is not None:
            # Another write of the record (a lease was extended) does not make it less overdue.
            since[job_id] = (due, begun[1] if begun is not None and begun[0] == due else max(due, time))


def wrong_clocks_claim_nothing(world: World, history: History) -> Iterator[str]:
    """Who has had a clock far off for some time claims nothing."""
    for commit, _ in history.taken:
        machine = commit.writer.split(".")[0]
        set_at, offset = [(at, by) for at, by in world.offsets[machine] if at <= commit.time][-1]
        held_up = any(
            trouble.kind in ("freeze", "slow")
            and trouble.machine in (None, machine)
            and trouble.end + NOTICED > commit.time > trouble.begin
            for trouble in world.troubles
        )
        if abs(offset) > int(MARGIN * SECOND) + FAR and commit.time > set_at + NOTICED and not held_up:
            yield (
                f"{commit.writer} claimed {commit.job_id} at {shown(commit.time)}, and its clock is {offset / SECOND} s ahead since "
                f"{shown(set_at)}"
            )


# -- parts ---------------------------------------------------------------------------------------------------------


def _due(record: Record) -> int | None:
    """When something of a record can be claimed; leases apart."""
    times = [run.due for run in record.runs if run.state == "waiting" and not run.blocked]
    if record.state == "active" and record.next_run_time is not None:
        times.append(record.next_run_time)
    return min(times, default=None)


def _free(world: World, begin: int, end: int, bound: int) -> str | None:
    """A machine that had nothing in its way for long enough within some time."""
    for machine in world.scenario.machines:
        if machine.paused:
            continue
        busy = [
            (trouble.begin, trouble.end + AFTERMATH)
            for trouble in world.troubles
            if trouble.machine in (None, machine.name)
        ]
        busy += [
            (full_since, full_until)
            for boot, full_since, full_until in world.full
            if boot.split(".")[0] == machine.name
        ]
        at = begin
        for busy_since, busy_until in sorted(busy):
            if busy_until > at:
                if min(busy_since, end) - at > bound:
                    return machine.name
                at = busy_until
        if end - at > bound:
            return machine.name
    return None
