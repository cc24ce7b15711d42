"""What is run, what is skipped and when the job is next: the policies as tables. Times are seconds after a fixed moment."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from mainspring.jobstores.job import Job
from mainspring.jobstores.record import Decision, Due, ParkedReason, Plan, Record, Run, RunKind
from mainspring.jobstores.transitions import changes_nothing
from mainspring.scheduler import decision
from mainspring.scheduler.decision import MAX_FIRE_TIMES, decide, due_times
from mainspring.triggers import BaseTrigger, DateTrigger, IntervalTrigger
from mainspring.triggers.instants import to_micros

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = 86_400
NONE: tuple[float, ...] = ()


def micros(seconds: float) -> int:
    return to_micros(START + timedelta(seconds=seconds))


def seconds(instant: int | None) -> float | None:
    return None if instant is None else (instant - micros(0)) / 1_000_000


def every(period: float = 60, first: float = 0, **more: Any) -> IntervalTrigger:
    return IntervalTrigger(
        seconds=period, start_date=START + timedelta(seconds=first), timezone="UTC", **more
    )


def once(at: float = 0) -> DateTrigger:
    return DateTrigger(START + timedelta(seconds=at), timezone="UTC")


def new_job(trigger: BaseTrigger, **options: Any) -> Job:
    return Job(None, id="a", func=print, trigger=trigger, **{"coalesce": True, **options})


def new_record(next_run_time: float | None = 0, fire_time: float | None = None, **fields: Any) -> Record:
    if fire_time is None:
        fire_time = next_run_time
    times = [None if time is None else micros(time) for time in (next_run_time, fire_time)]
    given: dict[str, Any] = {"state": "active", "runs": (), **fields}
    return Record("a", 1, "default", None, times[0], times[1], revision=1, stamp="s", **given)


def open_run(state: str = "claimed", kind: RunKind = "schedule", due: float = -60, **fields: Any) -> Run:
    owner: dict[str, Any] = {"owner": "other", "lease_until": micros(30)} if state == "claimed" else {}
    number = fields.pop("run", 7)
    return Run(number, kind, (micros(due),), micros(due), state, **{**owner, **fields})  # type: ignore[arg-type]


def started(found: Decision) -> list[Run]:
    """The runs that are to be started: claimed, and nobody's yet."""
    runs = [run for run in found.runs if run.state == "claimed" and run.owner is None]
    assert len(runs) == found.starts
    return runs


def times(instants: Sequence[int]) -> tuple[float | None, ...]:
    return tuple(map(seconds, instants))


# -- the schedule --------------------------------------------------------------------------------------------------

# job, record, now -> fire times that are run, next run time, state
SCHEDULES: dict[str, tuple[Job, Record, float, tuple[float, ...], float | None, str]] = {
    "not due yet": (new_job(every()), new_record(60), 59.999999, NONE, 60, "active"),
    "due to the microsecond": (new_job(every()), new_record(60), 60, (60,), 120, "active"),
    "late, before the next one": (new_job(every()), new_record(60), 119.9, (60,), 120, "active"),
    "late to the next one's microsecond": (new_job(every()), new_record(60), 120, (120,), 180, "active"),
    "a backlog, coalesced": (new_job(every()), new_record(0), 600, (600,), 660, "active"),
    "a backlog, each of it": (
        new_job(every(), coalesce=False),
        new_record(0),
        179,
        (0, 60, 120),
        180,
        "active",
    ),
    "later than the grace: judged when the run starts, not here": (
        new_job(every(3600), misfire_grace_time=1),
        new_record(0),
        3000,
        (0,),
        3600,
        "active",
    ),
    "the last one": (
        new_job(every(end_date=START + timedelta(seconds=90))),
        new_record(60),
        60,
        (60,),
        None,
        "ended",
    ),
    "a backlog over the end, coalesced": (
        new_job(every(end_date=START + timedelta(seconds=90))),
        new_record(0),
        DAY,
        (60,),
        None,
        "ended",
    ),
    "a backlog over the end, each of it": (
        new_job(every(end_date=START + timedelta(seconds=90)), coalesce=False),
        new_record(0),
        DAY,
        (0, 60),
        None,
        "ended",
    ),
    "a one-off": (new_job(once(5)), new_record(5), 5, (5,), None, "ended"),
    "a one-off, a year late": (new_job(once(5)), new_record(5), 365 * DAY, (5,), None, "ended"),
    "a one-off, late, not coalesced": (
        new_job(once(5), coalesce=False),
        new_record(5),
        DAY,
        (5,),
        None,
        "ended",
    ),
    "a one-off that a user moved ahead is used up": (
        new_job(once(500)),
        new_record(5),
        10,
        (5,),
        None,
        "ended",
    ),
    "a one-off that a user moved back": (new_job(once(5)), new_record(500), 500, (500,), None, "ended"),
    "a time that a user set, off the grid": (new_job(every()), new_record(70), 75, (70,), 120, "active"),
    "a time that a user set before all of the grid": (
        new_job(every(first=600)),
        new_record(10),
        20,
        (10,),
        600,
        "active",
    ),
    "a time that a user set, and a backlog behind it": (
        new_job(every(), coalesce=False),
        new_record(70),
        185,
        (70, 120, 180),
        240,
        "active",
    ),
    "a time that a user set behind the end": (
        new_job(every(end_date=START + timedelta(seconds=90))),
        new_record(500),
        500,
        (500,),
        None,
        "ended",
    ),
}


@pytest.mark.parametrize("row", SCHEDULES.values(), ids=SCHEDULES)
def test_schedule(row: tuple[Job, Record, float, tuple[float, ...], float | None, str]) -> None:
    job, record, now, run, next_run_time, state = row
    found = decide(record, job, micros(now), Random(1))
    assert [times(one.fire_times) for one in started(found)] == ([run] if run else [])
    assert (seconds(found.next_run_time), found.state, found.skipped) == (next_run_time, state, ())
    if run:
        (one,) = started(found)
        # Without jitter the nominal time is the time of dispatch, for the one that ran as for the next one.
        assert seconds(one.due) == run[0]
        assert found.fire_time == found.next_run_time
        assert (one.kind, one.attempt, one.recovered, one.lease_until) == ("schedule", 1, 0, None)
    else:
        assert changes_nothing(record, found)


def test_a_run_takes_the_recovery_of_its_job() -> None:
    (one,) = started(
        decide(new_record(), new_job(every(), recovery="rerun", max_recoveries=5), micros(0), Random(1))
    )
    assert (one.recovery, one.max_recoveries) == ("rerun", 5)


def test_a_record_without_a_fire_time_counts_from_its_next_run_time() -> None:
    record = replace(new_record(60), fire_time=None)
    found = decide(record, new_job(every()), micros(61), Random(1))
    assert [times(run.fire_times) for run in started(found)] == [(60,)]
    assert seconds(found.next_run_time) == 120


def test_a_long_backlog_is_not_listed_to_be_coalesced(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    next_after = IntervalTrigger.next_after

    def counted(trigger: IntervalTrigger, instant: int) -> int | None:
        asked.append(instant)
        return next_after(trigger, instant)

    monkeypatch.setattr(IntervalTrigger, "next_after", counted)
    found = decide(new_record(0), new_job(every(1)), micros(10 * DAY), Random(1))
    assert [times(run.fire_times) for run in started(found)] == [(10 * DAY,)]
    assert seconds(found.next_run_time) == 10 * DAY + 1
    assert 0 < len(asked) < 5


# -- a backlog in batches ------------------------------------------------------------------------------------------


def test_an_uncoalesced_backlog_is_run_in_batches_without_a_gap() -> None:
    """Each batch waits for the one before; in the end each fire time was run once, and none was skipped."""
    job, record, now = new_job(every(1), coalesce=False), new_record(0), micros(2 * MAX_FIRE_TIMES + 5)
    batches = []
    for _ in range(3):
        found = decide(record, job, now, Random(1))
        (batch,) = started(found)
        batches.append(batch)
        assert found.skipped == ()
        running = replace(
            record, next_run_time=found.next_run_time, fire_time=found.fire_time, runs=found.runs
        )
        record = replace(running, runs=())
        if batch.more:
            assert changes_nothing(running, decide(running, job, now, Random(1)))
    assert [len(batch.fire_times) for batch in batches] == [MAX_FIRE_TIMES, MAX_FIRE_TIMES, 6]
    assert [batch.more for batch in batches] == [True, True, False]
    assert [time for batch in batches for time in times(batch.fire_times)] == list(
        range(2 * MAX_FIRE_TIMES + 6)
    )
    assert seconds(record.next_run_time) == 2 * MAX_FIRE_TIMES + 6


# the run ahead of the backlog -> whether the backlog waits for it, and whether it is started itself
HELD = {
    "running": (open_run(more=True), True, False),
    "running, and nothing behind it": (open_run(more=False), False, False),
    "given back": (open_run("waiting", more=True), True, True),
    "to be run again": (open_run("waiting", "rerun", more=True), True, True),
    "to be run again later": (open_run("waiting", "rerun", due=9_999, more=True), True, False),
    "without room": (open_run("waiting", more=True, blocked=True), True, False),
    "lost": (open_run("lost", more=True), False, False),
}


@pytest.mark.parametrize("row", HELD.values(), ids=HELD)
def test_the_rest_of_a_backlog_waits_for_an_open_batch(row: tuple[Run, bool, bool]) -> None:
    ahead, waits, starts = row
    room = 1 if ahead.blocked else 2
    other = (open_run(due=-120, run=8),) if ahead.blocked else ()
    record = new_record(0, runs=(ahead, *other))
    found = decide(record, new_job(every(), coalesce=False, max_instances=room), micros(90), Random(1))
    assert found.skipped == ()
    kinds = [times(run.fire_times) for run in started(found)]
    assert kinds == [*([(-60,)] if starts else []), *([] if waits else [(0, 60)])]
    assert seconds(found.next_run_time) == (0 if waits else 120)
    assert all(run.more for run in found.runs if run.fire_times == ahead.fire_times) == ahead.more


# -- max_instances -------------------------------------------------------------------------------------------------

LOST, CLAIMED = open_run("lost"), open_run()

# max_instances, coalesce, open runs, now -> fire times that are run, those that are skipped
ROOM: dict[str, tuple[int, bool, tuple[Run, ...], float, tuple[float, ...], tuple[float, ...]]] = {
    "nothing runs": (1, True, (), 0, (0,), NONE),
    "one runs, one may": (1, True, (CLAIMED,), 0, NONE, (0,)),
    "one runs, two may": (2, True, (CLAIMED,), 0, (0,), NONE),
    "two run, two may": (2, True, (CLAIMED, open_run(run=8)), 0, NONE, (0,)),
    "more run than may (the limit was lowered)": (1, True, (CLAIMED, open_run(run=8)), 0, NONE, (0,)),
    "a lost one does not count": (1, True, (LOST,), 0, (0,), NONE),
    "one that waits for later does not count": (
        1,
        True,
        (open_run("waiting", "retry", due=99),),
        0,
        (0,),
        NONE,
    ),
    "one of an earlier incarnation counts": (1, True, (open_run(incarnation=4),), 0, NONE, (0,)),
    "a backlog, coalesced: one is skipped": (1, True, (CLAIMED,), 130, NONE, (120,)),
    "a backlog, each of it is skipped": (1, False, (CLAIMED,), 130, NONE, (0, 60, 120)),
    "a backlog in one run": (2, False, (CLAIMED,), 130, (0, 60, 120), NONE),
}


@pytest.mark.parametrize("row", ROOM.values(), ids=ROOM)
def test_max_instances(
    row: tuple[int, bool, tuple[Run, ...], float, tuple[float, ...], tuple[float, ...]],
) -> None:
    limit, coalesce, runs, now, run, skipped = row
    record = new_record(0, runs=runs)
    found = decide(record, new_job(every(), max_instances=limit, coalesce=coalesce), micros(now), Random(1))
    assert [times(one.fire_times) for one in started(found)] == ([run] if run else [])
    assert times(found.skipped) == skipped
    # Run or skipped, the schedule goes on behind them, and what was open stays as it was.
    assert seconds(found.next_run_time) == 60 * (now // 60 + 1)
    assert found.runs[: len(runs)] == runs
    assert not changes_nothing(record, found)


def test_a_one_off_without_room_is_skipped_and_ends() -> None:
    found = decide(new_record(0, runs=(CLAIMED,)), new_job(once()), micros(0), Random(1))
    assert (found.starts, times(found.skipped), found.state) == (0, (0,), "ended")


# -- waiting runs --------------------------------------------------------------------------------------------------

KINDS: tuple[RunKind, ...] = ("schedule", "retry", "rerun", "now", "queued")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["active", "paused", "parked", "ended", "importing"])
def test_waiting_runs_by_state_and_kind(state: str, kind: RunKind) -> None:
    """A paused job holds all of them but run-now, one that is not released all; else they go, whatever has become of the schedule."""
    waiting = open_run("waiting", kind, attempt=3, recovered=2, extra=(("later", 1),))
    record = new_record(60 if state == "active" else None, 60, state=state, runs=(waiting,), reason="why")
    found = decide(record, new_job(every(), recovery="rerun", max_recoveries=9), micros(0), Random(1))
    (run,) = found.runs
    if state == "importing" or (state == "paused" and kind != "now"):
        assert (found.starts, run) == (0, replace(waiting, blocked=True))
    else:
        assert found.starts == 1
        assert run.run != waiting.run, (
            "each claim draws a new id, so that nothing late can touch another's run"
        )
        assert (run.state, run.blocked, run.recovery, run.max_recoveries) == ("claimed", False, "rerun", 9)
        kept = replace(
            waiting, run=run.run, root=waiting.run, state="claimed", recovery="rerun", max_recoveries=9
        )
        assert run == kept
    schedule = (found.next_run_time, found.fire_time, found.state, found.reason, found.skipped)
    assert schedule == (record.next_run_time, record.fire_time, state, "why", ())


@pytest.mark.parametrize("state", ["paused", "parked", "ended", "importing"])
def test_only_an_active_job_s_schedule_is_due(state: str) -> None:
    record = new_record(0, state=state)
    assert changes_nothing(record, decide(record, new_job(every()), micros(600), Random(1)))


def test_the_oldest_waiting_run_goes_first_and_the_others_are_blocked() -> None:
    runs = (open_run("waiting", "retry", due=-10, run=1), open_run("waiting", "now", due=-30, run=2))
    later = open_run("waiting", "now", due=5, run=3)
    found = decide(new_record(60, runs=(*runs, later)), new_job(every()), micros(0), Random(1))
    assert [run.kind for run in started(found)] == ["now"]
    assert found.runs[0] == replace(runs[0], blocked=True)
    assert found.runs[2] == later


def test_a_blocked_run_is_left_alone_until_there_is_room() -> None:
    blocked = open_run("waiting", "now", blocked=True, run=2)
    full = new_record(60, runs=(CLAIMED, blocked))
    assert changes_nothing(full, decide(full, new_job(every()), micros(0), Random(1)))
    free = replace(full, runs=(blocked,))
    assert [run.kind for run in started(decide(free, new_job(every()), micros(0), Random(1)))] == ["now"]


def test_waiting_runs_come_before_the_schedule() -> None:
    record = new_record(0, runs=(open_run("waiting", "retry"),))
    found = decide(record, new_job(every()), micros(0), Random(1))
    assert [run.kind for run in started(found)] == ["retry"]
    assert times(found.skipped) == (0,)
    both = decide(record, new_job(every(), max_instances=2), micros(0), Random(1))
    assert [run.kind for run in started(both)] == ["retry", "schedule"]
    assert len({run.run for run in both.runs}) == 2


def test_two_waiting_runs_and_the_schedule_fill_the_room_exactly() -> None:
    runs = tuple(open_run("waiting", "queued", due=-number, run=number) for number in range(1, 5))
    found = decide(new_record(0, runs=runs), new_job(every(), max_instances=3), micros(0), Random(1))
    assert sorted(run.due for run in started(found)) == [micros(-number) for number in (4, 3, 2)]
    assert [run.blocked for run in found.runs] == [True, False, False, False]
    assert times(found.skipped) == (0,)


# -- jitter --------------------------------------------------------------------------------------------------------


class Always(Random):
    """A random source that answers the same fraction always."""

    def __init__(self, fraction: float) -> None:
        super().__init__(0)
        self._fraction = fraction

    def random(self) -> float:
        return self._fraction


# period, jitter, fraction -> when the run at 60 s is dispatched
JITTER = {
    "none": (60, None, 0.5, 60.0),
    "zero": (60, 0, 0.5, 60.0),
    "at once": (60, 10, 0.0, 60.0),
    "half": (60, 10, 0.5, 65.0),
    "most": (60, 10, 0.9999999, 69.999999),
    "never over the next fire time": (60, 600, 0.5, 119.999999),
}


@pytest.mark.parametrize("row", JITTER.values(), ids=JITTER)
def test_jitter_moves_the_dispatch_and_never_the_grid(row: tuple[float, float | None, float, float]) -> None:
    period, jitter, fraction, dispatch = row
    found = decide(new_record(0), new_job(every(period, jitter=jitter)), micros(0), Always(fraction))
    assert (seconds(found.fire_time), seconds(found.next_run_time)) == (60, dispatch)


def test_a_run_with_jitter_has_its_dispatch_and_its_nominal_time() -> None:
    record = new_record(68, fire_time=60)
    job = new_job(every(jitter=10))
    assert changes_nothing(record, decide(record, job, micros(67), Always(0)))
    (run,) = started(decide(record, job, micros(68), Always(0)))
    assert (times(run.fire_times), seconds(run.due), times(run.run_times)) == ((60,), 68, (68,))
    # A later one that coalescing has moved on to was never given a dispatch of its own.
    (late,) = started(decide(record, job, micros(190), Always(0)))
    assert (times(late.fire_times), seconds(late.due)) == ((180,), 180)
    (all_of_it,) = started(decide(record, new_job(every(jitter=10), coalesce=False), micros(190), Always(0)))
    assert (times(all_of_it.fire_times), times(all_of_it.run_times)) == ((60, 120, 180), (68, 120, 180))
    skipped = decide(replace(record, runs=(CLAIMED,)), job, micros(68), Always(0))
    assert times(skipped.skipped) == (68,)


# -- triggers of users ---------------------------------------------------------------------------------------------


class Answering(BaseTrigger):
    """A user's trigger that answers these, one after the other; raises what is an exception."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[datetime | None, datetime]] = []

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        self.asked.append((previous_fire_time, now))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer if not isinstance(answer, int) else START + timedelta(seconds=answer)


# answers, coalesce, now -> fire times that are run, next run time, state
USERS: dict[str, tuple[tuple[Any, ...], bool, float, tuple[float, ...], float | None, str]] = {
    "one more": ((60,), True, 0, (0,), 60, "active"),
    "no more": ((None,), True, 0, (0,), None, "ended"),
    "a backlog, coalesced": ((1, 7, 9, 20), True, 10, (9,), 20, "active"),
    "a backlog, each of it": ((1, 7, 9, 20), False, 10, (0, 1, 7, 9), 20, "active"),
    "a backlog to the end": ((1, 7, None), True, 10, (7,), None, "ended"),
}


@pytest.mark.parametrize("row", USERS.values(), ids=USERS)
def test_a_user_s_trigger(
    row: tuple[tuple[Any, ...], bool, float, tuple[float, ...], float | None, str],
) -> None:
    answers, coalesce, now, run, next_run_time, state = row
    trigger = Answering(*answers)
    found = decide(new_record(0), new_job(trigger, coalesce=coalesce), micros(now), Random(1))
    assert [times(one.fire_times) for one in started(found)] == [run]
    assert (seconds(found.next_run_time), found.state, found.reason) == (next_run_time, state, None)
    assert trigger.asked[0] == (START, START + timedelta(seconds=now))
    assert [previous for previous, _ in trigger.asked[1:]] == [
        START + timedelta(seconds=answer) for answer in answers[:-1]
    ]


# answer -> what the reason says
FAILURES = {
    "raises": (RuntimeError("no idea when"), "RuntimeError: no idea when"),
    "raises a StopIteration": (StopIteration(), "StopIteration"),
    "recurses": (RecursionError("too deep"), "RecursionError: too deep"),
    "answers a naive datetime": (datetime(2026, 3, 2), "must return None or a datetime with a timezone"),  # noqa: DTZ001
    "answers a text": ("tomorrow", "must return None or a datetime with a timezone, got 'tomorrow'"),
    "answers the same time again": (0, "later than the previous fire time"),
    "answers an earlier time": (-60, "later than the previous fire time"),
}


@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize("row", FAILURES.values(), ids=FAILURES)
def test_a_trigger_that_fails_parks_the_job_after_the_run_that_was_due(
    row: tuple[Any, str], coalesce: bool
) -> None:
    answer, words = row
    found = decide(new_record(0), new_job(Answering(answer), coalesce=coalesce), micros(0), Random(1))
    assert [times(run.fire_times) for run in started(found)] == [(0,)]
    assert (found.state, found.next_run_time) == ("parked", None)
    assert seconds(found.fire_time) == 0, "the time that failed is kept, for a resume"
    assert found.reason is not None
    assert found.reason.startswith(ParkedReason.TRIGGER)
    assert words in found.reason


def test_a_trigger_that_fails_in_a_backlog_runs_what_was_due_first() -> None:
    found = decide(new_record(0), new_job(Answering(1, 2, ValueError("lost count"))), micros(9), Random(1))
    assert [times(run.fire_times) for run in started(found)] == [(0,)]
    assert found.state == "parked"


def test_a_trigger_that_fails_without_room_parks_the_job_and_says_what_was_skipped() -> None:
    found = decide(new_record(0, runs=(CLAIMED,)), new_job(Answering(ValueError())), micros(0), Random(1))
    assert (found.starts, times(found.skipped), found.state) == (0, (0,), "parked")


def test_the_end_of_the_program_is_no_failure_of_a_trigger() -> None:
    with pytest.raises(KeyboardInterrupt):
        decide(new_record(0), new_job(Answering(KeyboardInterrupt())), micros(0), Random(1))


def test_a_trigger_that_never_catches_up_is_asked_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decision, "MAX_STEPS", 50)
    trigger = Answering(*range(1, 1_000))
    found = decide(new_record(0), new_job(trigger), micros(10_000), Random(1))
    assert len(trigger.asked) <= 52
    (run,) = started(found)
    # The rest is due at once, and is caught up by the next claims.
    assert (run.fire_times[0], found.state) == (micros(50), "active")
    assert seconds(found.next_run_time) == 51


def test_a_user_s_trigger_with_jitter_is_kept_before_its_next_fire_time() -> None:
    trigger = Answering(60, 70)
    trigger.jitter = 3600
    found = decide(new_record(0), new_job(trigger), micros(0), Always(0.5))
    assert (seconds(found.fire_time), seconds(found.next_run_time)) == (60, 69.999999)


# -- what was decided outside of the store's step --------------------------------------------------------------------


def test_what_was_found_outside_is_used_and_the_trigger_is_not_asked_again() -> None:
    record, trigger = new_record(0), Answering(60)
    job = new_job(trigger)
    due = due_times(record, job, micros(5), Random(1))
    assert due == Due(micros(0), (micros(0),), Plan(micros(60), micros(60)))
    found = decide(record, job, micros(5), Random(1), due)
    assert len(trigger.asked) == 1
    assert found == decide(record, new_job(Answering(60)), micros(5), Random(1))


def test_what_was_found_outside_is_not_used_before_its_time() -> None:
    record = new_record(60)
    due = Due(micros(60), (micros(60),), Plan(None, None, "ended"))
    assert changes_nothing(record, decide(record, new_job(Answering()), micros(0), Random(1), due))


def test_what_fails_outside_parks_the_job() -> None:
    record, job = new_record(0), new_job(Answering(OSError("no calendar")))
    due = due_times(record, job, micros(5), Random(1))
    found = decide(record, job, micros(5), Random(1), due)
    assert (found.starts, found.state, found.reason) == (
        1,
        "parked",
        f"{ParkedReason.TRIGGER}: OSError: no calendar",
    )


# -- purity --------------------------------------------------------------------------------------------------------


def test_the_same_question_has_the_same_answer() -> None:
    runs = (open_run(run=1), open_run("waiting", "retry", run=2))
    record = new_record(0, runs=runs)
    job = new_job(every(jitter=30), max_instances=3, coalesce=False)
    answers = [decide(record, job, micros(200), Random(5)) for _ in range(2)]
    assert answers[0] == answers[1]
    assert record == new_record(0, runs=runs)
