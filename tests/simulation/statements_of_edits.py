"""What must hold of what people do: what was answered is true, what was written stands, and no edit overwrites another one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mainspring.jobstores.record import SCHEDULE_OVER, Record, is_over

from tests.simulation.catalog import Definition
from tests.simulation.history import History
from tests.simulation.people import Edit
from tests.simulation.scenario import shown
from tests.simulation.server import Commit

if TYPE_CHECKING:
    from tests.simulation.world import World

MAY_CHANGE: Final[dict[str, frozenset[str]]] = {
    "rename": frozenset({"name"}),
    "arguments": frozenset({"number"}),
    "options": frozenset({"max_instances"}),
    "care": frozenset({"policy"}),
    "pause": frozenset({"schedule"}),
    "resume": frozenset({"schedule"}),
    "reschedule": frozenset({"trigger", "schedule"}),
    "seconds": frozenset({"trigger", "schedule"}),
    "move": frozenset({"schedule"}),
}
"""What a call of this kind changes of a job."""

ALWAYS_WRITE: Final = frozenset(
    {"rename", "arguments", "options", "care", "reschedule", "seconds", "move", "add", "remove"}
)
"""Calls that write something whenever they succeed."""

BY_PASSES: Final = frozenset(
    {
        ("active", "ended"),
        ("active", "parked"),
        ("paused", "parked"),
        ("ended", "parked"),
        ("parked", "ended"),
    }
)
"""How passes of the loop may change a job's state."""


def edits_are_kept(world: World, history: History) -> Iterator[str]:
    """Each edit in the store is one call's, and changes what that call was for; each call that succeeded is one edit."""
    calls: defaultdict[str, list[Edit]] = defaultdict(list)
    for edit in world.edits:
        calls[edit.job_id].append(edit)
    matched: defaultdict[int, int] = defaultdict(int)
    payloads: dict[str, object] = {}
    for commit in world.server.history:
        before, after, job_id = commit.before, commit.after, commit.job_id
        seen, payloads[job_id] = payloads.get(job_id), commit.payload
        if after is None:
            assert before is not None
            # One that was parked for a loss, or paused when its schedule was over, ends when that loss is withdrawn or dismissed.
            was_over = before.state in ("ended", "parked") or before.reason == SCHEDULE_OVER
            if commit.by_person:
                if not (was_over and _covering(calls[job_id], commit, "dismiss")):
                    yield from _one_of(calls[job_id], commit, {"remove", "resume"}, matched, "was removed")
            elif not was_over and not commit.is_claim:
                yield f"{job_id} was removed at {shown(commit.time)} by {commit.writer}, and by nobody's call"
        elif before is None or before.incarnation != after.incarnation:
            number = world.catalog[commit.payload].number
            # The arguments of one that was pending may have been changed before it was added.
            kinds = ("add", "arguments")
            call = next((e for e in calls[job_id] if e.number == number and e.kind in kinds), None)
            if call is None or not covers(call, commit):
                yield f"{job_id} was added at {shown(commit.time)}, and nobody did it"
            else:
                matched[call.number] += 1
        elif before.revision == after.revision:
            yield from _only_a_pass(commit, before, after, seen)
        else:
            was, now = world.catalog[seen], world.catalog[commit.payload]
            changed = _changes(was, now, before, after)
            yield from _one_of(
                calls[job_id],
                commit,
                _kinds(changed, after),
                matched,
                f"got another {sorted(changed)}",
                (after, now),
            )
    gone = [(commit.job_id, commit.time) for commit in world.server.history if commit.after is None]
    for edit in world.edits:
        times = matched[edit.number]
        if edit.kind == "remove" and edit.outcome == "done" and not times and edit.end is not None:
            # If its answer got lost and the job is gone, it was done, whoever did it.
            times = sum(job_id == edit.job_id and edit.begin <= time <= edit.end for job_id, time in gone)
        yield from _answered_truly(edit, times)


def answers_are_true(world: World, history: History) -> Iterator[str]:
    """Who is told that there is no such job, or one already, is told the truth of some moment of the call."""
    presence: defaultdict[str, list[tuple[int, Record | None]]] = defaultdict(list)
    for commit in world.server.history:
        presence[commit.job_id].append((commit.time, commit.after))
    for edit in world.edits:
        if edit.end is None or edit.outcome in ("done", "unknown"):
            continue
        states = {
            record is not None and not is_over(record) for record in _during(presence[edit.job_id], edit)
        }
        wanted = edit.outcome == "ConflictingIdError"
        if edit.outcome == "StaleJobError" or (edit.kind in ("dismiss", "rerun")):
            continue
        if wanted not in states:
            there = "was none" if wanted else "was one all the time"
            yield f"{named(edit)} was told {edit.outcome}, and there {there}"


STATEMENTS: Final = (edits_are_kept, answers_are_true)


# -- parts ---------------------------------------------------------------------------------------------------------


def _one_of(
    calls: list[Edit],
    commit: Commit,
    kinds: set[str],
    matched: defaultdict[int, int],
    what: str,
    written: tuple[Record, Definition] | None = None,
) -> Iterator[str]:
    """Find the call that an edit belongs to."""
    fitting = [
        edit
        for edit in calls
        if edit.kind in kinds
        and not matched[edit.number]
        and covers(edit, commit)
        and (written is None or edit.mark is None or edit.mark == _mark(edit.kind, *written))
    ]
    if fitting:
        # Where several fit, the surest: told that it succeeded, or else that nobody knows; of a kind that always writes; over soonest.
        surest = min(
            fitting,
            key=lambda edit: (
                edit.outcome != "done",
                edit.outcome != "unknown",
                edit.kind not in ALWAYS_WRITE,
                edit.end or 1 << 62,
            ),
        )
        matched[surest.number] += 1
        return
    yield f"{commit.job_id} {what} at {shown(commit.time)} by {commit.writer}, and no call is for that"


def _mark(kind: str, record: Record, definition: Definition) -> object:
    """By what an edit of that kind is recognised."""
    match kind:
        case "rename":
            return definition.name
        case "arguments":
            return definition.number
        case "options":
            return definition.max_instances
        case "care":
            return definition.policy
        case "move":
            return record.next_run_time
        case _:
            return definition.trigger


def _answered_truly(edit: Edit, times: int) -> Iterator[str]:
    if times > 1:
        yield f"{named(edit)} was written {times} times"
    if edit.outcome == "done" and not times and edit.kind in ALWAYS_WRITE:
        yield f"{named(edit)} succeeded, and was not written"
    if edit.outcome not in ("done", "unknown") and times:
        yield f"{named(edit)} was told {edit.outcome}, and was written"


def _only_a_pass(commit: Commit, before: Record, after: Record, seen: object) -> Iterator[str]:
    """What is no edit leaves the definition alone, and the state but for what passes do."""
    where = f"{commit.job_id} at {shown(commit.time)} by {commit.writer}"
    if commit.payload != seen or before.executor != after.executor:
        yield f"{where}: the definition was changed by no edit"
    if before.state != after.state and (before.state, after.state) not in BY_PASSES:
        yield f"{where}: {before.state} became {after.state} by no edit"
    if not commit.is_claim and after.state == before.state and after.fire_time != before.fire_time:
        yield f"{where}: the schedule was moved by no edit and no claim"


def _changes(was: Definition, now: Definition, before: Record, after: Record) -> set[str]:
    changed = {
        name
        for name in ("number", "name", "trigger", "max_instances", "coalesce", "recovery", "strict", "policy")
        if getattr(was, name) != getattr(now, name)
    }
    if (before.state, before.next_run_time, before.fire_time) != (
        after.state,
        after.next_run_time,
        after.fire_time,
    ):
        changed.add("schedule")
    return changed


def _kinds(changed: set[str], after: Record) -> set[str]:
    kinds = {kind for kind, may in MAY_CHANGE.items() if changed <= may}
    # Whoever pauses leaves it paused, and whoever resumes does not; where it is so already, they write nothing.
    return kinds - ({"resume" if after.state == "paused" else "pause"} if changed else {"resume", "pause"})


def covers(edit: Edit, commit: Commit) -> bool:
    """Whether a commit may be what a call wrote. What a caller has given up may be written later still."""
    return (
        edit.boot == commit.writer
        and edit.begin <= commit.time
        and (edit.end is None or commit.time <= edit.end or edit.outcome == "unknown")
    )


def _covering(calls: list[Edit], commit: Commit, kind: str) -> bool:
    return any(edit.kind == kind and covers(edit, commit) for edit in calls)


def _during(presence: list[tuple[int, Record | None]], edit: Edit) -> list[Record | None]:
    """What there was of a job in the course of a call."""
    assert edit.end is not None
    found: list[Record | None] = [None]
    for time, record in presence:
        if time < edit.begin:
            found = [record]
        elif time <= edit.end:
            found.append(record)
    return found


def named(edit: Edit) -> str:
    return f"call {edit.number} ({edit.kind} {edit.job_id} on {edit.boot}, {shown(edit.begin)} to {shown(edit.end)})"
