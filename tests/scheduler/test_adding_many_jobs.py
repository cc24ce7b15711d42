"""`add_jobs` and `scheduled_job`."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_EXECUTED,
)
from mainspring.jobstores.base import ConflictingIdError
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.virtual import VirtualScheduler

from tests.scheduler.watching import Heard, answer, at, nothing, started, virtual

MINUTE = timedelta(minutes=1)


@pytest.fixture
def scheduler() -> Iterator[VirtualScheduler]:
    with started(virtual()) as scheduler:
        yield scheduler


@pytest.mark.parametrize("item", [5, "func", ("func", nothing), {"trigger": "date"}])
def test_items_of_add_jobs_that_are_none(scheduler: VirtualScheduler, item: Any) -> None:
    with pytest.raises(TypeError, match=r"add_jobs\(\)"):
        scheduler.add_jobs([{"func": nothing}, item])
    assert scheduler.get_jobs() == []


def test_add_jobs_takes_what_add_job_takes_and_answers_in_the_same_order(tmp_path: Path) -> None:
    stores = {
        "default": MemoryJobStore(),
        "file": SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}"),
    }
    with started(virtual(jobstores=stores)) as scheduler:
        heard = Heard(scheduler)
        jobs = scheduler.add_jobs(
            {
                "func": answer,
                "trigger": "interval",
                "minutes": 1 + number,
                "args": [number],
                "id": f"{number}",
                "name": f"job {number}",
                "jobstore": "file" if number % 2 else "default",
                "max_instances": 2,
                "next_run_time": at(number),
            }
            for number in range(6)
        )
        assert [job.id for job in jobs] == [f"{number}" for number in range(6)]
        assert [(event.job_id, event.jobstore) for event in heard.of(EVENT_JOB_ADDED)] == [
            (f"{number}", "file" if number % 2 else "default") for number in range(6)
        ]
        assert all(job.max_instances == 2 and not job.pending for job in jobs)
        assert jobs[0] is scheduler.get_job("0")
        scheduler.advance(timedelta(seconds=30))
        assert sorted(event.retval for event in heard.of(EVENT_JOB_EXECUTED)) == list(range(6))
        assert scheduler.add_jobs([]) == []


def test_add_jobs_is_all_or_none_over_several_stores(tmp_path: Path) -> None:
    """The second store refuses its part, for what JSON cannot keep, or since an id is taken: the first one's goes again."""
    stores = {
        "default": MemoryJobStore(),
        "file": SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}"),
    }
    with started(virtual(jobstores=stores)) as scheduler:
        scheduler.add_job(nothing, "interval", hours=1, id="taken", jobstore="file")
        heard = Heard(scheduler)
        bad: list[tuple[dict[str, Any], type[Exception]]] = [
            ({"id": "taken"}, ConflictingIdError),
            ({"args": [object()]}, TypeError),
            ({"func": lambda *args: None}, ValueError),
        ]
        for item, error in bad:
            with pytest.raises(error):
                scheduler.add_jobs(
                    [
                        {"func": nothing, "id": "a"},
                        {"func": nothing, "id": "b", "jobstore": "file"},
                        {"func": nothing, "jobstore": "file", **item},
                    ]
                )
            assert [job.id for job in scheduler.get_jobs()] == ["taken"]
        assert heard.events == []
        scheduler.advance(MINUTE)
        assert not heard.of(EVENT_JOB_EXECUTED)


@pytest.mark.parametrize("running", [True, False])
def test_scheduled_job_answers_the_function_and_replaces_what_is_there(running: bool) -> None:
    scheduler = virtual()
    if running:
        scheduler.start()

    @scheduler.scheduled_job("interval", minutes=1, id="x", args=["first"])
    def first(word: str) -> str:
        return word

    @scheduler.scheduled_job("interval", minutes=1, id="x", kwargs={"word": "second"}, max_instances=2)
    def second(word: str) -> str:
        return word

    assert first("called") == "called"
    if not running:
        scheduler.start()
    heard = Heard(scheduler)
    scheduler.advance(MINUTE)
    assert [event.retval for event in heard.of(EVENT_JOB_EXECUTED)] == ["second"]
    (job,) = scheduler.get_jobs()
    assert (job.name, job.max_instances) == (second.__qualname__, 2)
    scheduler.shutdown()


@pytest.mark.parametrize(
    "add",
    [
        lambda scheduler: scheduler.add_job(nothing, id="new"),
        lambda scheduler: scheduler.add_jobs([{"func": nothing, "id": "new"}]),
        lambda scheduler: scheduler.add_job(nothing, id="there", replace_existing=True),
    ],
    ids=["one", "many", "replaced"],
)
def test_the_loop_is_woken_when_the_job_is_announced(
    scheduler: VirtualScheduler, add: Callable[[VirtualScheduler], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another thread's loop submits it before it is said to be there."""
    scheduler.add_job(nothing, "interval", minutes=1, id="there")
    engine = scheduler._engine
    assert engine is not None
    order: list[str] = []
    monkeypatch.setattr(engine, "look_again", lambda *arguments: order.append("look"))
    scheduler.add_listener(lambda event: order.append("announced"), EVENT_JOB_ADDED)
    add(scheduler)
    assert order == ["announced", "look"]
