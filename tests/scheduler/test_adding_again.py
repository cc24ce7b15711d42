"""A job that is added again under its id by who hears of its outcome, though another attempt might have followed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_REMOVED
from mainspring.jobstores.base import ConflictingIdError
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import STORES
from tests.scheduler.watching import Heard, nothing, started, virtual

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
