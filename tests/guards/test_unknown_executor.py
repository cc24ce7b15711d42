"""A job that names an executor which this scheduler does not have: one warning, and it waits for whoever has it."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_EXECUTOR_UNKNOWN,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_PARKED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMIT_FAILED,
    EVENT_JOB_SUBMITTED,
)
from mainspring.executors.debug import DebugExecutor

from tests.guards.faults import STORES, HoldingExecutor
from tests.scheduler.watching import Heard, at, background, nothing, started, virtual

MINUTE = timedelta(minutes=1)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_one_warning_and_it_runs_when_the_executor_is_added(
    store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = virtual(
        jobstores={"default": STORES[store](tmp_path)}, job_defaults={"misfire_grace_time": None}
    )
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "date", run_date=at(60), id="x", executor="later")
        scheduler.add_job(nothing, "interval", minutes=1, id="y", executor="later")
        scheduler.add_job(nothing, "interval", minutes=1, id="good")
        scheduler.advance(5 * MINUTE)
        (event,) = heard.of(EVENT_EXECUTOR_UNKNOWN)
        assert (event.alias, event.jobstore) == ("later", "default")
        assert caplog.text.count('name the executor "later", which this scheduler does not have') == 1
        assert heard.seconds("good") == [60, 120, 180, 240, 300]
        assert not heard.of(EVENT_JOB_PARKED | EVENT_JOB_SUBMIT_FAILED | EVENT_JOB_REMOVED)
        assert scheduler.get_parked_jobs() == []
        assert [(job.id, job.next_run_time) for job in scheduler.get_jobs()][:2] == [
            ("x", at(60)),
            ("y", at(60)),
        ]
        scheduler.add_executor(DebugExecutor(), "later")
        scheduler.advance(timedelta(0))
        assert heard.seconds("x") == [60]
        assert heard.seconds("y") == [300]  # coalesced
        scheduler.advance(MINUTE)
        assert heard.seconds("y") == [300, 360]


def test_a_job_of_an_earlier_program(store: str, tmp_path: Path) -> None:
    """Nobody adds it here: it is found when it is due."""
    made = STORES[store](tmp_path)
    with started(virtual(jobstores={"default": made}, executors={"later": DebugExecutor()})) as first:
        first.add_job(nothing, "interval", minutes=1, id="x", executor="later")
    scheduler = virtual(jobstores={"default": made})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.advance(timedelta(seconds=59))
        assert not heard.of(EVENT_EXECUTOR_UNKNOWN)
        scheduler.add_job(nothing, "interval", minutes=1, id="good")
        scheduler.advance(5 * MINUTE)
        assert [event.alias for event in heard.of(EVENT_EXECUTOR_UNKNOWN)] == ["later"]


def test_a_look_asks_for_them_now_and_then_only(store: str, tmp_path: Path) -> None:
    """A question of its own to the store: at the first look, every ten seconds, and when an executor has gone."""
    made = STORES[store](tmp_path)
    scheduler = virtual(
        jobstores={"default": made},
        executors={"default": DebugExecutor(), "mine": DebugExecutor()},
        job_defaults={"misfire_grace_time": None},
    )
    heard, asked = Heard(scheduler), [0]
    ask = made.overdue_executors

    def overdue_executors(now: int) -> set[str]:
        asked[0] += 1
        return ask(now)

    made.overdue_executors = overdue_executors  # type: ignore[method-assign]
    with started(scheduler):
        scheduler.add_job(nothing, "interval", seconds=1, id="good")
        scheduler.add_job(nothing, "date", run_date=at(125), id="x", executor="mine")
        scheduler.advance(2 * MINUTE)
        assert 12 <= asked[0] <= 14
        before = asked[0]
        scheduler.advance(timedelta(seconds=1))
        assert asked[0] == before
        scheduler.remove_executor("mine")
        scheduler.advance(timedelta(seconds=1))
        assert asked[0] == before + 1
        scheduler.advance(timedelta(seconds=15))
        assert [event.alias for event in heard.of(EVENT_EXECUTOR_UNKNOWN)] == ["mine"]
        assert heard.seconds("good") == [*range(1, 138)]


def test_its_grace_counts_all_the_same(store: str, tmp_path: Path) -> None:
    scheduler = virtual(jobstores={"default": STORES[store](tmp_path)})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "date", run_date=at(60), id="x", executor="later", misfire_grace_time=30)
        scheduler.advance(2 * MINUTE)
        scheduler.add_executor(DebugExecutor(), "later")
        scheduler.advance(MINUTE)
    assert heard.seconds("x", EVENT_JOB_MISSED) == [60]


def test_it_may_be_given_another_executor(store: str, tmp_path: Path) -> None:
    scheduler = virtual(
        jobstores={"default": STORES[store](tmp_path)}, job_defaults={"misfire_grace_time": None}
    )
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "date", run_date=at(60), id="x", executor="later")
        scheduler.advance(2 * MINUTE)
        scheduler.modify_job("x", executor="default")
        scheduler.advance(timedelta(0))
    assert heard.seconds("x") == [60]


def test_an_executor_that_is_removed_and_added_again(store: str, tmp_path: Path) -> None:
    scheduler, clock = background(
        jobstores={"default": STORES[store](tmp_path)},
        executors={"mine": DebugExecutor()},
        job_defaults={"misfire_grace_time": None},
    )
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="x", executor="mine")
        scheduler.add_job(nothing, "interval", minutes=1, id="good")
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x")
        heard.wait(EVENT_JOB_EXECUTED, "good")
        for round in (1, 2):
            scheduler.remove_executor("mine")
            clock.advance(MINUTE)
            heard.wait(EVENT_EXECUTOR_UNKNOWN, count=round)
            heard.wait(EVENT_JOB_EXECUTED, "good", 1 + round)
            assert len(heard.of(EVENT_JOB_EXECUTED, "x")) == round
            scheduler.add_executor(DebugExecutor(), "mine")
            heard.wait(EVENT_JOB_EXECUTED, "x", 1 + round)


def test_an_executor_that_goes_between_the_claim_and_the_submit(store: str, tmp_path: Path) -> None:
    """A listener removes it when the first job of the batch is submitted: the second one goes back, and waits."""
    executor = HoldingExecutor()
    scheduler = virtual(
        jobstores={"default": STORES[store](tmp_path)},
        executors={"mine": executor},
        job_defaults={"misfire_grace_time": None},
    )
    heard = Heard(scheduler)
    with started(scheduler):
        for job_id in ("a", "b"):
            scheduler.add_job(nothing, "date", run_date=at(60), id=job_id, executor="mine")
        calls = [partial(scheduler.remove_executor, "mine", shutdown=False)]
        scheduler.add_listener(lambda event: calls.pop()() if calls else None, EVENT_JOB_SUBMITTED)
        scheduler.advance(2 * MINUTE)
        scheduler.add_executor(DebugExecutor(), "mine")
        scheduler.advance(MINUTE)
        assert heard.seconds("b") == [60]
        executor.release()  # else a keeper would outlive the test
    assert not heard.of(EVENT_JOB_SUBMIT_FAILED)


class SlowToStart(DebugExecutor):
    """Is not started before the loop has looked around."""

    def start(self, scheduler: Any, alias: str) -> None:
        heard = Heard(scheduler)
        scheduler.add_job(nothing, id="good")
        heard.wait(EVENT_JOB_EXECUTED, "good")
        with pytest.raises(ValueError, match='already has an executor by the alias of "later"'):
            scheduler.add_executor("debug", "later")
        super().start(scheduler, alias)


def test_nothing_is_submitted_to_an_executor_that_is_being_started(store: str, tmp_path: Path) -> None:
    scheduler, clock = background(jobstores={"default": STORES[store](tmp_path)})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "date", run_date=at(60), id="x", executor="later")
        clock.advance(MINUTE)
        scheduler.add_executor(SlowToStart(), "later")
        heard.wait(EVENT_JOB_EXECUTED, "x")
    assert not heard.of(EVENT_JOB_SUBMIT_FAILED)
