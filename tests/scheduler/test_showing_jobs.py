"""`get_jobs`, `get_job` and `print_jobs`: order, selection, text."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import STORES
from tests.scheduler.watching import answer, at, nothing, started, virtual


@pytest.fixture(params=STORES)
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VirtualScheduler]:
    with started(virtual(jobstores={"default": STORES[request.param](tmp_path)})) as scheduler:
        yield scheduler


def printed(scheduler: VirtualScheduler, jobstore: str | None = None) -> str:
    out = StringIO()
    scheduler.print_jobs(jobstore, out)
    return out.getvalue()


def test_jobs_come_by_next_run_time_paused_ones_last(scheduler: VirtualScheduler) -> None:
    scheduler.add_jobstore(MemoryJobStore(), "more")
    for job_id, seconds, jobstore in (
        ("third", 30, "default"),
        ("paused", None, "default"),
        ("first", 10, "default"),
        ("second", 20, "more"),
        ("paused, too", None, "more"),
    ):
        scheduler.add_job(
            nothing,
            "interval",
            minutes=1,
            id=job_id,
            jobstore=jobstore,
            next_run_time=None if seconds is None else at(seconds),
        )
    ids = [job.id for job in scheduler.get_jobs()]
    assert ids[:3] == ["first", "second", "third"]
    assert sorted(ids[3:]) == ["paused", "paused, too"]
    assert [job.id for job in scheduler.get_jobs("default")] == ["first", "third", "paused"]
    assert [job.id for job in scheduler.get_jobs(jobstore="more")] == ["second", "paused, too"]
    assert scheduler.get_jobs("nope") == []
    assert scheduler.get_jobs(pending=True) == []


def test_get_job(scheduler: VirtualScheduler) -> None:
    scheduler.add_jobstore(MemoryJobStore(), "more")
    scheduler.add_job(answer, "interval", minutes=1, id="x", args=[1], kwargs={}, jobstore="more")
    for jobstore in (None, "more"):
        job = scheduler.get_job("x", jobstore)
        assert job is not None
        assert (job.id, job.args, job.kwargs, job.func) == ("x", (1,), {}, answer)
        assert job.func_ref == "tests.scheduler.watching:answer"
    assert scheduler.get_job("x", "default") is None
    assert scheduler.get_job("nope") is None


def test_text_of_a_job(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(nothing, "interval", minutes=1, id="x", name="mine", timezone="Europe/Berlin")
    job = scheduler.get_job("x")
    assert str(job) == "mine (trigger: interval[0:01:00], next run at: 2026-03-02 13:01:00 CET)"
    assert repr(job) == "<Job (id=x name=mine)>"
    scheduler.pause_job("x")
    assert str(scheduler.get_job("x")) == "mine (trigger: interval[0:01:00], paused)"


def test_print_jobs_of_a_scheduler_that_is_not_started(capsys: pytest.CaptureFixture[str]) -> None:
    scheduler = virtual()
    scheduler.print_jobs()
    assert capsys.readouterr().out == "Pending jobs:\n    No pending jobs\n"
    scheduler.add_job(nothing, "interval", minutes=1, name="one")
    scheduler.add_job(nothing, "cron", hour=5, name="two", jobstore="more")
    assert printed(scheduler) == (
        "Pending jobs:\n"
        "    one (trigger: interval[0:01:00], pending)\n"
        "    two (trigger: cron[hour='5'], pending)\n"
    )
    assert printed(scheduler, "more") == "Pending jobs:\n    two (trigger: cron[hour='5'], pending)\n"


def test_print_jobs_of_one_that_runs(scheduler: VirtualScheduler) -> None:
    assert printed(scheduler) == "Jobstore default:\n    No scheduled jobs\n"
    scheduler.add_jobstore(MemoryJobStore(), "more")
    scheduler.add_job(nothing, "interval", minutes=1, name="paused", next_run_time=None)
    scheduler.add_job(nothing, "interval", minutes=1, name="one")
    scheduler.add_job(nothing, "date", run_date=at(5), name="two")
    assert printed(scheduler) == (
        "Jobstore default:\n"
        "    two (trigger: date[2026-03-02 12:00:05 UTC], next run at: 2026-03-02 12:00:05 UTC)\n"
        "    one (trigger: interval[0:01:00], next run at: 2026-03-02 12:01:00 UTC)\n"
        "    paused (trigger: interval[0:01:00], paused)\n"
        "Jobstore more:\n"
        "    No scheduled jobs\n"
    )
    assert printed(scheduler, "more") == "Jobstore more:\n    No scheduled jobs\n"


def test_what_has_run_for_the_last_time_is_not_shown(scheduler: VirtualScheduler) -> None:
    seen: list[int] = []
    scheduler.add_listener(lambda event: seen.append(len(scheduler.get_jobs())), 2**12)  # EXECUTED
    scheduler.add_job(nothing, "date", run_date=at(5), id="x")
    scheduler.advance(timedelta(seconds=5))
    assert seen == [0]
    assert scheduler.get_job("x") is None
    assert printed(scheduler) == "Jobstore default:\n    No scheduled jobs\n"
