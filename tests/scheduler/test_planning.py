"""What becomes of a schedule that somebody adds, pauses, resumes or moves: tables. Times are seconds after a fixed moment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from mainspring.jobstores.record import Plan, Record, Run, RunKind, RunState, State
from mainspring.scheduler import planning
from mainspring.triggers import BaseTrigger, DateTrigger, IntervalTrigger
from mainspring.triggers.instants import to_micros

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERY = IntervalTrigger(seconds=60, start_date=START, timezone="UTC")
UNTIL_90 = IntervalTrigger(
    seconds=60, start_date=START, end_date=START + timedelta(seconds=90), timezone="UTC"
)
ONCE = DateTrigger(START + timedelta(seconds=60), timezone="UTC")


def micros(seconds: float) -> int:
    return to_micros(START + timedelta(seconds=seconds))


def record(state: State, fire_time: float | None, reason: str = "given up: it") -> Record:
    kept = None if fire_time is None else micros(fire_time)
    return Record(
        "a",
        1,
        "default",
        None,
        kept if state == "active" else None,
        kept,
        state,
        (),
        1,
        "s",
        None,
        reason if state == "parked" else None,
    )


def plan(at: float | None, state: State = "active", fire_time: float | None = None) -> Plan:
    time = None if at is None else micros(at)
    return Plan(time, time if fire_time is None else micros(fire_time), state)


# trigger, next run time given, now -> plan
ADDED: dict[str, tuple[BaseTrigger, Any, float, Plan]] = {
    "the first fire time": (EVERY, planning.undefined, 0, plan(0)),
    "the first one from now": (EVERY, planning.undefined, 61, plan(120)),
    "a one-off": (ONCE, planning.undefined, 0, plan(60)),
    "a one-off whose time has passed is overdue": (ONCE, planning.undefined, 90, plan(60)),
    "a time that is given": (EVERY, micros(7), 0, plan(7)),
    "a time that is given and has passed": (EVERY, micros(-7), 0, plan(-7)),
    "paused": (EVERY, None, 61, plan(None, "paused", 120)),
    "no fire time left": (UNTIL_90, planning.undefined, 91, plan(None, "paused")),
}


@pytest.mark.parametrize("row", ADDED.values(), ids=ADDED)
def test_added(row: tuple[BaseTrigger, Any, float, Plan]) -> None:
    trigger, given, now, expected = row
    assert planning.added(trigger, micros(now), Random(1), given) == expected


@pytest.mark.parametrize("state", ["active", "importing"])
def test_paused_keeps_the_fire_time(state: State) -> None:
    assert planning.paused(record(state, 60)) == plan(None, "paused", 60)


@pytest.mark.parametrize("state", ["paused", "parked"])
def test_pausing_what_does_not_run_changes_nothing(state: State) -> None:
    assert planning.paused(record(state, 60)) is None


# state, kept fire time, trigger, now -> plan
RESUMED: dict[str, tuple[State, float | None, BaseTrigger, float, Plan | None]] = {
    "an active job": ("active", 60, EVERY, 0, None),
    "paused, the kept time is still to come": ("paused", 60, EVERY, 10, plan(60)),
    "paused, at the kept time": ("paused", 60, EVERY, 60, plan(60)),
    "paused, by a clock that is behind": ("paused", 120, EVERY, 30, plan(120)),
    "paused, the kept time has passed": ("paused", 60, EVERY, 61, plan(120)),
    "paused, it has passed and another is due now": ("paused", 60, EVERY, 180, plan(180)),
    "paused, at a time that a user had set": ("paused", 75, EVERY, 10, plan(75)),
    "paused before it had one": ("paused", None, EVERY, 61, plan(120)),
    "paused, a one-off": ("paused", 60, ONCE, 10, plan(60)),
    "paused, a one-off whose time has passed": ("paused", 60, ONCE, 999, plan(60)),
    "paused over its end": ("paused", 60, UNTIL_90, 91, plan(None, "ended")),
    "parked: strictly later than what failed": ("parked", 60, EVERY, 60, plan(120)),
    "parked, by a clock that is behind": ("parked", 60, EVERY, 0, plan(120)),
    "parked long ago": ("parked", 60, EVERY, 600, plan(600)),
    "parked, a one-off that was given up": ("parked", 60, ONCE, 90, None),
    "parked, a one-off whose time is still to come": ("parked", 59.999999, ONCE, 10, plan(60)),
    "parked, a one-off whose time has come since": ("parked", 59.999999, ONCE, 90, plan(60)),
    "parked, and no later fire time": ("parked", 60, UNTIL_90, 61, None),
    "parked without a time": ("parked", None, EVERY, 60, plan(60)),
}


@pytest.mark.parametrize("row", RESUMED.values(), ids=RESUMED)
def test_resumed(row: tuple[State, float | None, BaseTrigger, float, Plan | None]) -> None:
    state, kept, trigger, now, expected = row
    assert planning.resumed(record(state, kept), trigger, micros(now), Random(1)) == expected


@pytest.mark.parametrize("reason", ["lost: it", "failed: it"])
@pytest.mark.parametrize("trigger", [ONCE, UNTIL_90], ids=["one-off", "interval"])
def test_what_was_parked_when_its_schedule_was_over_has_no_run_left(
    reason: str, trigger: BaseTrigger
) -> None:
    """Whatever failed last: a run that was asked for before the last fire time, and tried again until after that, say."""
    for fire_time in (10, 60):
        assert planning.resumed(record("parked", fire_time, reason), trigger, micros(91), Random(1)) is None


def test_moved() -> None:
    for state in ("active", "paused", "parked"):
        assert planning.moved(record(state, 60), micros(7)) == plan(7)
    assert planning.moved(record("active", 60), None) == plan(None, "paused", 60)
    assert planning.moved(record("parked", 60), None) is None


@pytest.mark.parametrize(
    ("kind", "state", "expected"),
    [
        ("schedule", "claimed", 120),
        ("retry", "claimed", 120),
        ("rerun", "claimed", 120),
        ("queued", "waiting", 120),
        ("now", "claimed", 60),
        ("schedule", "lost", 60),
    ],
)
def test_another_schedule_begins_behind_the_runs_that_go_on_or_wait(
    kind: RunKind, state: RunState, expected: int
) -> None:
    run = Run(7, kind, (micros(60),), micros(60), state)
    running = replace(record("active", 120), runs=(run,))
    assert planning.rescheduled(running, EVERY, micros(60), Random(0)) == plan(expected)
