"""Retries, queueing, run-now and recovery, and what people do in between, as tables: a story in words, what is started, and what is left."""

from itertools import product
from typing import Any

import pytest
from mainspring.triggers import BaseTrigger

from tests.scheduler.life import Life
from tests.scheduler.test_decision import every, once, times

Row = tuple[dict[str, Any], str, str, str]


def once_at_5() -> BaseTrigger:
    return once(5)


def each_minute() -> BaseTrigger:
    return every(60)


def lived(row: Row, trigger: BaseTrigger) -> None:
    options, story, log, end = row
    life = Life(trigger, **options)
    assert life.tell(story) == log
    assert life.end == end


AGAIN = {"max_retries": 1}
KEPT = {"keep_failed": True}
QUEUE = {"while_running": "queue"}
RERUN = {"recovery": "rerun"}
OVER = "(its schedule is over)"

# options, the story -> which runs are started (their kind and attempt) and what else happens; what is left

# fmt: off
ONE_OFFS: dict[str, Row] = {
    # retries
    "it goes well": (AGAIN, "due ok", "schedule 1", "gone"),
    "it fails, and that was it": ({}, "due fail", "schedule 1", "gone"),
    "it fails, and goes well": (AGAIN, "due fail due ok", "schedule 1, retry 2", "gone"),
    "between two attempts": (AGAIN, "due fail", "schedule 1", "ended retry"),
    "it fails to the end": ({"max_retries": 2}, "due fail due fail due fail", "schedule 1, retry 2, retry 3", "gone"),
    "a missed one is no failure": ({"max_retries": 9}, "due missed", "schedule 1", "gone"),
    "a missed one is not kept": (KEPT, "due missed", "schedule 1", "gone"),
    "nobody sees a last run": ({}, "due over ok", "schedule 1", "gone"),
    "nor a last retry": (AGAIN, "due fail due over fail", "schedule 1, retry 2", "gone"),
    "given back, it is the same attempt": (AGAIN, "due fail due back due ok", "schedule 1, retry 2, retry 2", "gone"),
    # keep_failed
    "kept when it fails": (KEPT, "due fail", "schedule 1, parked failed", "parked (failed)"),
    "not kept when it goes well": (KEPT, "due ok", "schedule 1", "gone"),
    "not kept when the retry goes well": ({**KEPT, **AGAIN}, "due fail due ok", "schedule 1, retry 2", "gone"),
    "kept after the last retry": (
        {**KEPT, **AGAIN}, "due fail due fail", "schedule 1, retry 2, parked failed", "parked (failed)"
    ),
    "kept, run now, and well": (KEPT, "due fail now due ok", "schedule 1, parked failed, now 1", "gone"),
    "kept, run now, and not well": (
        KEPT, "due fail now due fail", "schedule 1, parked failed, now 1, parked failed", "parked (failed)"
    ),
    "kept, run now with retries of its own": (
        {**KEPT, **AGAIN}, "due fail due fail now due fail due ok",
        "schedule 1, retry 2, parked failed, now 1, retry 2", "gone",
    ),
    "kept, and resumed in vain": (KEPT, "due fail resume", "schedule 1, parked failed", "parked (failed)"),
    "kept, and scheduled anew": (
        KEPT, "due fail reschedule:60 due ok", "schedule 1, parked failed, schedule 1", "gone"
    ),
    "kept, and removed": (KEPT, "due fail remove", "schedule 1, parked failed", "gone"),
    "one of two fails, the other goes on": (
        {**KEPT, "max_instances": 2}, "due now due fail ok", "schedule 1, now 1, parked failed", "parked (failed)"
    ),
    # people, between two attempts
    "paused in between": (AGAIN, "due fail pause", "schedule 1", f"paused {OVER} retry!"),
    "paused and resumed": (AGAIN, "due fail pause resume due ok", "schedule 1, retry 2", "gone"),
    "paused while it runs, and it fails": (AGAIN, "due pause fail", "schedule 1", f"paused {OVER} retry!"),
    "paused while it runs, and it goes well": (AGAIN, "due pause ok", "schedule 1", "gone"),
    "paused while it runs, and kept": (KEPT, "due pause fail", "schedule 1, parked failed", "parked (failed)"),
    "paused, it runs when it is asked to": (
        AGAIN, "due fail pause now due ok", "schedule 1, now 1", f"paused {OVER} retry!"
    ),
    "paused twice": (AGAIN, "due fail pause pause resume due fail", "schedule 1, retry 2", "gone"),
    "paused, and scheduled anew": (
        AGAIN, "due fail pause reschedule:100 at:15 fail due ok", "schedule 1, retry 2, schedule 1", "gone"
    ),
    "scheduled anew in between": (
        AGAIN, "due fail reschedule:60 due ok due ok", "schedule 1, retry 2, schedule 1", "gone"
    ),
    "removed in between": (AGAIN, "due fail remove", "schedule 1", "gone"),
    "removed while it is paused": (AGAIN, "due fail pause remove", "schedule 1", "gone"),
    "removed while it runs": (AGAIN, "due remove", "schedule 1", "gone"),
    "no more retries": (AGAIN, "due fail edit:max_retries:0 due fail", "schedule 1, retry 2", "gone"),
    "more retries": (
        AGAIN, "due fail edit:max_retries:3 due fail due fail due fail",
        "schedule 1, retry 2, retry 3, retry 4", "gone",
    ),
    "retries that come too late for the run that goes on": (
        KEPT, "due edit:max_retries:3 fail", "schedule 1, parked failed", "parked (failed)"
    ),
    "kept after all": (
        AGAIN, "due fail edit:keep_failed:1 due fail", "schedule 1, retry 2, parked failed", "parked (failed)"
    ),
    "paused, edited and resumed": (
        {**KEPT, **AGAIN}, "due fail pause edit:max_retries:0 edit:keep_failed:0 resume due fail",
        "schedule 1, retry 2", "gone",
    ),
    # run now
    "run now, before its time": ({}, "now due ok due ok", "now 1, schedule 1", "gone"),
    "run now, and failed": (AGAIN, "now due fail at:5 ok due ok", "now 1, schedule 1, retry 2", "gone"),
    "a failure before its time does not park it": (KEPT, "now due fail", "now 1", "active"),
    "run now twice": ({}, "now now due ok due ok", "now 1, now 1", "active"),
    "run now twice, at once": ({"max_instances": 2}, "now now due ok ok", "now 1, now 1", "active"),
    "run now while it is paused": ({}, "pause now due ok", "now 1", "paused"),
    "run now while it is paused, and failed": (AGAIN, "pause now due fail", "now 1", "paused retry!"),
    "run now beside its last run": (AGAIN, "due now ok due ok", "schedule 1, now 1", "gone"),
    "run now between two attempts": (AGAIN, "due fail now due ok due ok", "schedule 1, now 1, retry 2", "gone"),
    "its time comes while it runs": ({}, "now due at:5 ok", "now 1, skipped 5", "gone"),
    "its time comes while it runs, and it waits": (QUEUE, "now due at:5 ok due ok", "now 1, queued 1", "gone"),
    # recovery
    "lost": ({}, "due crash", "schedule 1, lost, parked lost", "parked (lost) lost"),
    "lost, and seen": ({}, "due crash dismiss", "schedule 1, lost, parked lost", "gone"),
    "lost, and run now": ({}, "due crash now due ok", "schedule 1, lost, parked lost, now 1", "over lost"),
    "recovered": (RERUN, "due crash due ok", "schedule 1, rerun 2", "gone"),
    "recovered, and failed": (RERUN, "due crash due fail", "schedule 1, rerun 2", "gone"),
    "a recovered run has its retries": (
        {**RERUN, **AGAIN}, "due crash due fail due ok", "schedule 1, rerun 2, retry 3", "gone"
    ),
    "a recovered retry is no more than one": (
        {**RERUN, **AGAIN}, "due fail due crash due fail", "schedule 1, retry 2, rerun 3", "gone"
    ),
    "recovered and kept": (
        {**RERUN, **KEPT}, "due crash due fail", "schedule 1, rerun 2, parked failed", "parked (failed)"
    ),
    "recovered too often": (
        {**RERUN, "max_recoveries": 1}, "due crash due crash",
        "schedule 1, rerun 2, lost, parked lost", "parked (lost) lost",
    ),
    "a retry forgives no recoveries": (
        {**RERUN, **AGAIN, "max_recoveries": 1}, "due crash due fail due crash",
        "schedule 1, rerun 2, retry 3, lost, parked lost", "parked (lost) lost",
    ),
    "a retry is lost": (
        AGAIN, "due fail due crash", "schedule 1, retry 2, lost, parked lost", "parked (lost) lost"
    ),
    "a lost retry is run again, with what it had left": (
        {"max_retries": 2}, "due fail due crash rerun due fail due fail",
        "schedule 1, retry 2, lost, parked lost, rerun 3, retry 4", "gone",
    ),
    "nobody dies between two attempts": ({**RERUN, **AGAIN}, "due fail crash due ok", "schedule 1, retry 2", "gone"),
    "recovered while it is paused": (
        {**RERUN, **AGAIN}, "due pause crash resume due ok", "schedule 1, rerun 2", "gone"
    ),
    "lost while it is paused": (AGAIN, "due pause crash", "schedule 1, lost, parked lost", "parked (lost) lost"),
    "recovered too often while it is paused": (
        {**RERUN, **AGAIN, "max_recoveries": 0}, "due pause crash",
        "schedule 1, lost, parked lost", "parked (lost) lost",
    ),
}

EACH_MINUTE: dict[str, Row] = {
    # retries
    "it goes on beside its retries": (AGAIN, "due fail due ok due ok", "schedule 1, retry 2, schedule 1", "active"),
    "it goes on after the last one": (AGAIN, "due fail due fail due", "schedule 1, retry 2, schedule 1", "active claimed"),
    "it is not kept: it goes on": (KEPT, "due fail due ok", "schedule 1, schedule 1", "active"),
    "a retry takes the room of a fire time": (
        {**AGAIN, "retry_delay": 45}, "due fail at:45 at:60 ok", "schedule 1, retry 2, skipped 60", "active"
    ),
    "a retry goes first": (
        {**AGAIN, "retry_delay": 60}, "due fail at:60 ok", "schedule 1, skipped 60, retry 2", "active"
    ),
    "a retry beside a fire time": (
        {**AGAIN, "retry_delay": 60, "max_instances": 2}, "due fail at:60",
        "schedule 1, retry 2, schedule 1", "active claimed claimed",
    ),
    "a retry that finds no room waits": (
        {**AGAIN, "retry_delay": 70}, "due fail at:60 at:70 ok at:80 ok",
        "schedule 1, schedule 1, retry 2", "active",
    ),
    "two runs with retries of their own": (
        {**AGAIN, "retry_delay": 90, "max_instances": 2}, "due fail at:60 fail at:90 at:150 fail fail",
        "schedule 1, schedule 1, retry 2, skipped 120, retry 2", "active",
    ),
    "a backlog is tried again in one": (
        {**AGAIN, "coalesce": False}, "at:125 fail:0:2 due ok", "schedule 1, retry 2", "active"
    ),
    "paused in between": (AGAIN, "due fail pause at:100", "schedule 1", "paused retry!"),
    "paused and resumed": (AGAIN, "due fail pause at:100 resume due ok", "schedule 1, retry 2", "active"),
    "paused while it runs": (AGAIN, "due pause fail resume due ok", "schedule 1, retry 2", "active"),
    "removed in between": (AGAIN, "due fail remove", "schedule 1", "gone"),
    # while it is still running
    "skipped": ({}, "due at:60 ok", "schedule 1, skipped 60", "active"),
    "queued": (QUEUE, "due at:60", "schedule 1", "active claimed queued!"),
    "queued, and run right after": (QUEUE, "due at:60 at:75 ok due ok", "schedule 1, queued 1", "active"),
    "the last one is queued": (
        QUEUE, "due at:60 at:120 at:180 ok due ok", "schedule 1, skipped 60, skipped 120, queued 1", "active"
    ),
    "of a backlog the last one is queued": (
        {**QUEUE, "coalesce": False}, "due at:185 ok due ok", "schedule 1, skipped 60 120, queued 1", "active"
    ),
    "of a coalesced backlog, too": (QUEUE, "due at:185 ok due ok", "schedule 1, queued 1", "active"),
    "one is queued behind the queued one": (
        QUEUE, "due at:60 ok due at:120 ok due ok", "schedule 1, queued 1, queued 1", "active"
    ),
    "queued behind two": (
        {**QUEUE, "max_instances": 2}, "due at:60 at:120 at:180 ok due ok ok",
        "schedule 1, schedule 1, skipped 120, queued 1", "active",
    ),
    "queued, with room for it after all": (
        QUEUE, "due at:60 edit:max_instances:2 due", "schedule 1, queued 1", "active claimed claimed"
    ),
    "queued, and no more are": (
        QUEUE, "due at:60 edit:while_running:skip at:120 ok due ok", "schedule 1, skipped 120, queued 1", "active"
    ),
    "queued from now on": (
        {}, "due at:60 edit:while_running:queue at:120 ok due ok", "schedule 1, skipped 60, queued 1", "active"
    ),
    "queued, given back, and moved on": (
        QUEUE, "due at:60 ok due back edit:max_instances:1 now at:119 at:120 ok due ok",
        "schedule 1, queued 1, queued 1, now 1", "active queued",
    ),
    "queued, and paused": (QUEUE, "due at:60 pause ok", "schedule 1", "paused queued!"),
    "queued, paused, and resumed": (QUEUE, "due at:60 pause ok resume due ok", "schedule 1, queued 1", "active"),
    "queued, and removed": (QUEUE, "due at:60 remove", "schedule 1", "gone"),
    "queued, and failed": ({**QUEUE, **AGAIN}, "due at:60 ok due fail due ok", "schedule 1, queued 1, retry 2", "active"),
    "queued behind a retry": (
        {**QUEUE, **AGAIN, "retry_delay": 45}, "due fail at:45 at:60 ok due ok", "schedule 1, retry 2, queued 1", "active"
    ),
    "a retry that is older than the queued one": (
        {**QUEUE, **AGAIN, "retry_delay": 70}, "due fail at:60 at:70 at:120 ok due ok due ok",
        "schedule 1, schedule 1, retry 2, queued 1", "active",
    ),
    "queued behind a run that was asked for": (
        QUEUE, "due ok now at:20 at:60 ok due ok", "schedule 1, now 1, queued 1", "active"
    ),
    # run now
    "run now beside the schedule": ({}, "due ok now due ok due", "schedule 1, now 1, schedule 1", "active claimed"),
    "run now, which waits for room": ({}, "due now at:20 ok due ok", "schedule 1, now 1", "active"),
    "run now, and tried again": (AGAIN, "due ok now due fail due ok", "schedule 1, now 1, retry 2", "active"),
    # recovery
    "lost": ({}, "due crash due ok", "schedule 1, lost, schedule 1", "active lost"),
    "recovered": (RERUN, "due crash due ok", "schedule 1, rerun 2", "active"),
    "given up": (
        {**RERUN, "max_recoveries": 1}, "due crash due crash",
        "schedule 1, rerun 2, lost, parked given up", "parked (given up) lost",
    ),
    "given up, and run now": (
        {**RERUN, "max_recoveries": 0}, "due crash now due ok",
        "schedule 1, lost, parked given up, now 1", "parked (given up) lost",
    ),
    "given up, and resumed": (
        {**RERUN, "max_recoveries": 0}, "due crash resume due ok",
        "schedule 1, lost, parked given up, schedule 1", "active lost",
    ),
    "given up after a retry": (
        {**RERUN, **AGAIN, "max_recoveries": 1}, "due fail due crash due crash",
        "schedule 1, retry 2, rerun 3, lost, parked given up", "parked (given up) lost",
    ),
    "recovered with another limit, and given up": (
        {**RERUN, "max_recoveries": 5}, "due crash edit:max_recoveries:1 due crash",
        "schedule 1, rerun 2, lost, parked given up", "parked (given up) lost",
    ),
    "recovered, and no more": (
        RERUN, "due crash edit:recovery:skip due crash", "schedule 1, rerun 2, lost", "active lost"
    ),
    "recovered beside a queued one": (
        {**RERUN, **QUEUE}, "due at:60 crash due ok due ok", "schedule 1, rerun 2, queued 1", "active"
    ),
    "lost beside a queued one": (QUEUE, "due at:60 crash due ok", "schedule 1, lost, queued 1", "active lost"),
    "a queued one is recovered": (
        {**RERUN, **QUEUE}, "due at:60 ok due crash due ok", "schedule 1, queued 1, rerun 2", "active"
    ),
    "a run that was asked for is recovered": (
        RERUN, "due ok now due crash due ok", "schedule 1, now 1, rerun 2", "active"
    ),
    "recovered while it is paused": (RERUN, "due pause crash", "schedule 1", "paused rerun!"),
    "all of it": (
        {**RERUN, **QUEUE, **AGAIN, **KEPT}, "due at:60 crash due fail due ok due crash due fail due ok",
        "schedule 1, rerun 2, queued 1, retry 3, rerun 4, schedule 1", "active",
    ),
}
# fmt: on


@pytest.mark.parametrize("row", ONE_OFFS.values(), ids=ONE_OFFS)
def test_the_life_of_a_one_off(row: Row) -> None:
    lived(row, once_at_5())


@pytest.mark.parametrize("row", EACH_MINUTE.values(), ids=EACH_MINUTE)
def test_the_life_of_a_job_of_each_minute(row: Row) -> None:
    lived(row, each_minute())


# What may happen between two attempts, and leaves the attempts as they are.
BETWEEN = (
    "",
    "pause resume",
    "pause edit:max_recoveries:9 resume",
    "now due ok",
    "pause now due ok resume",
    "crash",
)


@pytest.mark.parametrize("between", [*product(BETWEEN, repeat=2)], ids=" | ".join)
@pytest.mark.parametrize("while_running", ["skip", "queue"])
@pytest.mark.parametrize("recovery", ["skip", "rerun"])
@pytest.mark.parametrize("keep_failed", [False, True])
def test_each_attempt_takes_place_whatever_happens_between_them(
    between: tuple[str, str], while_running: str, recovery: str, keep_failed: bool
) -> None:
    for trigger in (once_at_5(), each_minute()):
        one_off = getattr(trigger, "one_off", False)
        life = Life(
            trigger,
            max_retries=2,
            retry_delay=1,
            while_running=while_running,
            recovery=recovery,
            keep_failed=keep_failed,
        )
        log = life.tell(f"due fail {between[0]} due fail {between[1]} due fail")
        parked = ["parked failed"] if keep_failed and one_off else []
        assert [word for word in log.split(", ") if word != "now 1"] == [
            "schedule 1",
            "retry 2",
            "retry 3",
            *parked,
        ]
        assert life.end == ("active" if not one_off else "parked (failed)" if keep_failed else "gone")


@pytest.mark.parametrize(
    ("failed", "again"), [("fail:0", (0,)), ("fail:1:2", (60, 120)), ("fail:0:1:2", (0, 60, 120))]
)
def test_of_a_batch_those_that_failed_are_tried_again(failed: str, again: tuple[float, ...]) -> None:
    life = Life(each_minute(), coalesce=False, max_retries=1)
    life.tell(f"at:125 {failed}")
    assert life.record is not None
    (retry,) = life.record.runs
    assert (times(retry.fire_times), times((retry.due,)), retry.kind) == (again, (135,), "retry")
    assert times(retry.run_times) == again, "also the first is tried for its nominal time"
    life.tell("due")
    (claimed,) = life.record.runs
    assert (claimed.fire_times, claimed.attempt, claimed.more) == (retry.fire_times, 2, False)


def test_a_queued_run_is_for_the_time_that_found_no_room() -> None:
    life = Life(each_minute(), while_running="queue")
    life.tell("due at:60 at:125")
    assert life.record is not None
    queued = life.record.runs[-1]
    assert (times(queued.fire_times), times((queued.due,)), queued.blocked) == ((120,), (120,), True)
    assert life.record.wake_at == life.record.runs[0].lease_until, "a blocked run wakes nobody up"


def test_a_run_keeps_its_number_over_attempts_claims_and_crashes() -> None:
    life = Life(once_at_5(), max_retries=3, recovery="rerun")
    life.tell("due back due fail due crash due fail due back due ok")
    assert life.end == "gone"
    (attempts,) = life.attempts.values()
    assert attempts == [1, 2, 3, 4]
