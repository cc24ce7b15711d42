"""A job that is added again under its id by who hears of its outcome, though another attempt might have followed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_REMOVED, JobExecutionEvent
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.jobstores.base import ConflictingIdError
from mainspring.scheduler.port import Port
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import HOOKS, STORES
from tests.guards.test_jobs_that_call_the_scheduler import hooked
from tests.scheduler.watching import TIMEOUT, Heard, background, nothing, started, virtual

MINUTE = timedelta(minutes=1)


@pytest.fixture(params=STORES)
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VirtualScheduler]:
    with started(virtual(jobstores={"default": STORES[request.param](tmp_path)})) as scheduler:
        yield scheduler


@pytest.mark.parametrize("options", [{}, {"max_retries": 2}, {"keep_failed": True}])
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_who_hears_that_it_has_succeeded_may_add_it_again(
    scheduler: VirtualScheduler, options: dict[str, Any], replace: bool, many: bool
) -> None:
    heard = Heard(scheduler)
    job = {"func": nothing, "id": "x", "replace_existing": replace, **options}

    def again(event: Any) -> None:
        if len(heard.of(EVENT_JOB_EXECUTED)) < 3:
            if many:
                scheduler.add_jobs([job])
            else:
                scheduler.add_job(**job)

    scheduler.add_listener(again, EVENT_JOB_EXECUTED)
    scheduler.add_job(**job)
    scheduler.advance(MINUTE)
    assert len(heard.of(EVENT_JOB_EXECUTED)) == 3
    assert len({event.run_id for event in heard.of(EVENT_JOB_EXECUTED)}) == 3
    assert scheduler.get_jobs() == scheduler.get_runs() == []
    assert heard.of(EVENT_JOB_REMOVED)[-1].job_id == "x"


@pytest.mark.parametrize("many", [False, True])
def test_while_another_attempt_follows_its_id_is_taken(scheduler: VirtualScheduler, many: bool) -> None:
    conflicts = []

    def again(event: Any) -> None:
        try:
            if many:
                scheduler.add_jobs([{"func": nothing, "id": "x"}])
            else:
                scheduler.add_job(nothing, id="x")
        except ConflictingIdError as conflict:
            conflicts.append(conflict.job_id)

    heard = Heard(scheduler)
    scheduler.add_listener(again, EVENT_JOB_ERROR)
    scheduler.add_job("operator:truediv", args=(1, 0), id="x", max_retries=1)
    scheduler.advance(MINUTE)
    # After the last attempt it is free.
    assert conflicts == ["x"]
    assert [event.is_last_attempt for event in heard.of(EVENT_JOB_ERROR)] == [False, True]
    assert len(heard.of(EVENT_JOB_EXECUTED)) == 1


def test_a_run_that_was_not_started_is_not_taken_for_one_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record had room, and its executor had not: a run of an earlier start still goes on there. It waits for that."""
    executor = ThreadPoolExecutor(2)
    store = STORES["sqlite"](tmp_path)
    scheduler, clock = background(jobstores={"default": store}, executors={"default": executor})
    heard = Heard(scheduler)
    begun, go_on, returned, given_back = (Event() for _ in range(4))

    def run() -> bool:
        begun.set()
        return go_on.wait(TIMEOUT)

    HOOKS["x"] = run
    calls(monkeypatch, "returned", returned)
    calls(monkeypatch, "_give_back", given_back)
    job: dict[str, Any] = {"func": hooked, "trigger": "interval", "minutes": 1, "id": "x", "args": ["x"]}
    with started(scheduler):
        scheduler.add_job(**job)
        scheduler.run_job_now("x")
        assert begun.wait(TIMEOUT)
        scheduler.remove_job("x")
        scheduler.shutdown(wait=False)
        scheduler.start()
        scheduler.add_job(**job)
        asked = scheduler.run_job_now("x")
        assert returned.wait(TIMEOUT)
        scheduler.add_job(**job, replace_existing=True)
        assert [run.run_id for run in scheduler.get_runs()] == [asked.run_id]
        go_on.set()
        heard.wait(EVENT_JOB_EXECUTED, "x")
        clock.advance(timedelta(seconds=0.1))
        assert given_back.wait(TIMEOUT)
        clock.advance(timedelta(seconds=1))  # then it is looked at again
        event = heard.wait(EVENT_JOB_EXECUTED, "x", 2)
        assert isinstance(event, JobExecutionEvent)
        assert event.run_id == asked.run_id


def calls(monkeypatch: pytest.MonkeyPatch, method: str, called: Event) -> None:
    """Have it be told when this method of a port was called."""
    real = getattr(Port, method)

    def call(*arguments: Any) -> None:
        real(*arguments)
        called.set()

    monkeypatch.setattr(Port, method, call)
