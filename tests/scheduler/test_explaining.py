"""`explain_job`: where a job is found, what it says before the start, what keeps a scheduler and a store from running it, and in which words."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainspring.executors.debug import DebugExecutor
from mainspring.jobstores.base import JobLookupError
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler import SchedulerNotRunningError
from mainspring.scheduler.explaining.explanation import JobExplanation
from mainspring.scheduler.explaining.reasons import Reason
from mainspring.scheduler.explaining.timewords import clock_time, length, relative

from tests.guards.distant import DistantJobStore
from tests.guards.faults import SCRIPTS, ScriptedTrigger, failing, raising
from tests.guards.test_unrestorable_jobs import module as module  # a fixture
from tests.scheduler.test_clock_offset import Offset
from tests.scheduler.watching import START, at, boom, nothing, started, virtual

MINUTE = timedelta(minutes=1)
MINUTELY: dict[str, Any] = {"func": nothing, "trigger": "interval", "minutes": 1, "id": "x"}


def kinds(explanation: JobExplanation) -> list[str]:
    return [reason.kind for reason in explanation.obstacles]


def note_kinds(explanation: JobExplanation) -> list[str]:
    return [reason.kind for reason in explanation.notes]


def the(kind: str, explanation: JobExplanation) -> Reason:
    """The one reason of this kind."""
    (reason,) = [reason for reason in (*explanation.obstacles, *explanation.notes) if reason.kind == kind]
    assert reason.text in str(explanation)
    return reason


def sqlite(folder: Path) -> SQLAlchemyJobStore:
    return SQLAlchemyJobStore(f"sqlite:///{folder / 'jobs.sqlite'}")


# -- nothing is wrong ----------------------------------------------------------------------------------------------


def test_a_job_that_waits_for_its_time() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(**MINUTELY, name="tidy up")
        scheduler.advance(2.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert (job.job_id, job.jobstore, job.name, job.asked_at) == ("x", "default", "tidy up", at(150))
        assert (job.state, job.reason) == ("active", None)
        assert job.function == "tests.scheduler.watching:nothing"
        assert job.trigger == "every minute, UTC, from 2026-03-02 12:01"
        assert job.next_run_time == at(180)
        assert job.next_fire_times == (at(180), at(240), at(300), at(360), at(420))
        assert (job.runs, job.obstacles, job.notes) == ((), (), ())
        assert [(run.outcome, run.at) for run in job.recent] == [("executed", at(120)), ("executed", at(60))]


def test_its_words() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(**MINUTELY, name="tidy up")
        scheduler.advance(2.5 * MINUTE)
        assert str(scheduler.explain_job("x")).splitlines() == [
            'Job "x" (tidy up) in job store "default" is active, next run in 30 s',
            "  asked at:    2026-03-02 12:02:30 UTC",
            "  function:    tests.scheduler.watching:nothing",
            "  schedule:    every minute, UTC, from 2026-03-02 12:01",
            "  next run:    2026-03-02 12:03:00 UTC (in 30 s)",
            "  fire times:  2026-03-02 12:03:00 UTC (in 30 s)",
            "               2026-03-02 12:04:00 UTC (in 1 min 30 s)",
            "               2026-03-02 12:05:00 UTC (in 2 min 30 s)",
            "               2026-03-02 12:06:00 UTC (in 3 min 30 s)",
            "               2026-03-02 12:07:00 UTC (in 4 min 30 s)",
            "  Nothing that this process knows is in its way.",
            "  How its last runs ended, as far as this process has seen them:",
            "    - 2026-03-02 12:02:00 UTC (30 s ago): executed, scheduled for 2026-03-02 12:02:00 UTC",
            "    - 2026-03-02 12:01:00 UTC (1 min 30 s ago): executed, scheduled for 2026-03-02 12:01:00 UTC",
        ]


def test_times_are_in_the_zone_of_the_scheduler() -> None:
    with started(virtual(timezone=ZoneInfo("Asia/Kolkata"))) as scheduler:
        scheduler.add_job(nothing, "interval", minutes=1, id="x", timezone="Asia/Tokyo")
        scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        times = [job.asked_at, job.next_run_time, *job.next_fire_times, job.recent[0].at]
        assert {time and time.utcoffset() for time in times} == {timedelta(hours=5, minutes=30)}
        assert "next run:    2026-03-02 17:32:00 IST (in 30 s)" in str(job)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.1, "now"),
        (0.5, "in 0.5 s"),
        (1.26, "in 1.3 s"),
        (45, "in 45 s"),
        (240, "in 4 min"),
        (-252, "4 min 12 s ago"),
        (-7200, "2 h ago"),
        (7205, "in 2 h"),
        (3 * 86_400 + 4 * 3600, "in 3 d 4 h"),
    ],
)
def test_relative_times(seconds: float, words: str) -> None:
    assert relative(at(seconds), START) == words


def test_lengths_and_clock_times() -> None:
    assert (length(0), length(timedelta(minutes=90)), length(0.25)) == ("0 s", "1 h 30 min", "0.25 s")
    assert clock_time(at(0.25)) == "2026-03-02 12:00:00.250 UTC"
    assert clock_time(datetime(2026, 3, 2, 12, 0, 0, 400, UTC)) == "2026-03-02 12:00:00 UTC"


# -- unknown jobs, and those that are gone -------------------------------------------------------------------------


def test_unknown_jobs_and_stores() -> None:
    scheduler = virtual()
    for alias in (None, "default", "nope"):
        with pytest.raises(SchedulerNotRunningError):
            scheduler.explain_job("x", alias)
    scheduler.start()
    for alias in (None, "default"):
        with pytest.raises(JobLookupError, match="x"):
            scheduler.explain_job("x", alias)
    with pytest.raises(KeyError, match="No such job store: nope"):
        scheduler.explain_job("x", "nope")
    scheduler.shutdown()
    with pytest.raises(SchedulerNotRunningError):
        scheduler.explain_job("x")


def test_a_job_that_is_gone_as_far_as_this_process_remembers() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(boom, id="x")
        scheduler.advance(MINUTE)
        job = scheduler.explain_job("x")
        assert (job.state, job.jobstore, job.next_fire_times) == ("gone", "default", ())
        assert [(run.outcome, run.details) for run in job.recent] == [("failed", "ArithmeticError: boom")]
        assert "its last run has ended, or it was removed" in the("gone", job).text


def test_one_store_or_any() -> None:
    with started(virtual(jobstores={"one": MemoryJobStore(), "two": MemoryJobStore()})) as scheduler:
        scheduler.add_job(**MINUTELY, jobstore="two")
        assert scheduler.explain_job("x").jobstore == scheduler.explain_job("x", "two").jobstore == "two"
        with pytest.raises(JobLookupError):
            scheduler.explain_job("x", "one")


def test_it_asks_for_one_record_once(tmp_path: Path) -> None:
    store = DistantJobStore(tmp_path)
    with started(virtual(jobstores={"default": store})) as scheduler:
        scheduler.add_jobs({**MINUTELY, "func": "time:time", "id": str(number)} for number in range(5))
        scheduler.advance(MINUTE / 2)
        store.server.asked.clear()
        assert scheduler.explain_job("3").state == "active"
        assert store.server.asked == ["read"]


# -- before the start ----------------------------------------------------------------------------------------------


def test_a_pending_job() -> None:
    scheduler = virtual()
    scheduler.add_job(**MINUTELY)
    job = scheduler.explain_job("x")
    assert (job.state, job.next_run_time, kinds(job)) == ("pending", None, ["not_started"])
    assert job.next_fire_times[:2] == (at(60), at(120))
    assert "start()" in the("not_started", job).text
    assert job.function == "tests.scheduler.watching:nothing"


def test_a_pending_job_with_a_time_of_its_own_and_one_that_is_paused() -> None:
    scheduler = virtual()
    scheduler.add_job(**MINUTELY, next_run_time=at(90))
    scheduler.add_job(**{**MINUTELY, "id": "p"}, next_run_time=None)
    job = scheduler.explain_job("x")
    assert (job.next_run_time, job.next_fire_times[:2]) == (at(90), (at(90), at(150)))
    assert kinds(scheduler.explain_job("p")) == ["not_started", "paused"]
    assert scheduler.explain_job("p").next_fire_times == ()


def test_a_pending_job_whose_store_and_executor_are_not_there() -> None:
    scheduler = virtual()
    scheduler.add_job(**MINUTELY, jobstore="nope", executor="gpu")
    job = scheduler.explain_job("x", "nope")
    assert kinds(job) == ["not_started", "no_store", "no_executor"]
    assert "add_jobstore" in the("no_store", job).text
    assert 'no executor "gpu"' in the("no_executor", job).text


def test_pending_jobs_whose_triggers_have_no_time_left_or_fail() -> None:
    scheduler = virtual()
    scheduler.add_job(nothing, "interval", minutes=1, end_date=at(-60), start_date=at(-600), id="x")
    scheduler.add_job(nothing, ScriptedTrigger("fails"), id="y")
    SCRIPTS["fails"] = raising()
    assert kinds(scheduler.explain_job("x")) == ["not_started", "no_fire_time"]
    assert kinds(scheduler.explain_job("y")) == ["not_started", "trigger_fails"]
    assert "the trigger fails" in the("trigger_fails", scheduler.explain_job("y")).text


def test_a_job_that_is_pending_for_a_store_that_is_away(tmp_path: Path) -> None:
    store = DistantJobStore(tmp_path)
    store.server.go_away()
    scheduler = virtual(jobstores={"distant": store})
    scheduler.add_job(**MINUTELY, jobstore="distant")
    with started(scheduler):
        scheduler.advance(5 * MINUTE)
        job = scheduler.explain_job("x")
        assert (job.state, kinds(job)) == ("pending", ["not_opened"])
        reason = the("not_opened", job)
        assert "since 2026-03-02 12:00:00 UTC (5 min ago)" in reason.text
        assert "connection refused (start)" in reason.text
        assert reason.until is not None
        assert at(300) <= reason.until <= at(310)
        store.server.come_back()
        scheduler.advance(MINUTE)
        assert scheduler.explain_job("x").state == "active"


def test_a_job_that_a_store_refuses(tmp_path: Path) -> None:
    store = DistantJobStore(tmp_path)
    store.server.go_away()
    scheduler = virtual(jobstores={"distant": store})
    scheduler.add_job(lambda: None, "interval", minutes=1, id="x", jobstore="distant")
    with started(scheduler):
        store.server.come_back()
        scheduler.advance(MINUTE)
        reason = the("refused", scheduler.explain_job("x"))
        assert "TransientJobError" in reason.text
        assert reason.until is not None


# -- the scheduler and the store -------------------------------------------------------------------------------------


def test_the_scheduler_is_paused(tmp_path: Path) -> None:
    jobstores = {"default": MemoryJobStore(), "shared": sqlite(tmp_path)}
    with started(virtual(jobstores=jobstores), paused=True) as scheduler:
        scheduler.add_job(**MINUTELY)
        scheduler.add_job("time:time", "interval", minutes=1, id="y", jobstore="shared")
        scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert kinds(job) == ["scheduler_paused", "overdue"]
        assert "resume()" in the("scheduler_paused", job).text
        assert "30 s late" in the("overdue", job).text
        assert "others" not in the("scheduler_paused", job).text
        assert "other schedulers" in the("scheduler_paused", scheduler.explain_job("y")).text


def test_the_scheduler_shuts_down() -> None:
    seen: list[JobExplanation] = []

    class Asking(DebugExecutor):
        def shutdown(self, wait: bool = True) -> None:
            seen.append(scheduler.explain_job("x"))
            super().shutdown(wait)

    scheduler = virtual(executors={"default": Asking()})
    with started(scheduler):
        scheduler.add_job(**MINUTELY)
    assert kinds(seen[0]) == ["stopping"]


def test_the_store_does_not_answer(tmp_path: Path) -> None:
    store = DistantJobStore(tmp_path)
    with started(virtual(jobstores={"default": store})) as scheduler:
        scheduler.add_job("time:time", "interval", minutes=1, id="x", misfire_grace_time=None)
        scheduler.advance(1.5 * MINUTE)
        store.server.go_away()
        scheduler.advance(5 * MINUTE)
        job = scheduler.explain_job("x")
        assert (job.state, job.name, job.next_fire_times) == ("unknown", None, ())
        assert kinds(job) == ["outage", "unread"]
        assert job.reason is not None
        assert "connection refused (read)" in job.reason
        reason = the("outage", job)
        assert "connection refused (give_back)" in reason.text
        assert "since 2026-03-02 12:01:30 UTC (5 min ago)" in reason.text
        assert reason.until is not None
        assert at(390) <= reason.until <= at(400)
        assert [run.at for run in job.recent] == [at(60)]  # what this process has seen it knows still
        assert scheduler.explain_job("never heard of").state == "unknown"


def test_a_store_that_is_away_is_asked_last(tmp_path: Path) -> None:
    """A job that is in another store is found without waiting for it; and one that is in none may be there."""
    store = DistantJobStore(tmp_path)
    store.server.go_away()
    with started(virtual(jobstores={"distant": store, "near": MemoryJobStore()})) as scheduler:
        scheduler.add_job(**MINUTELY, jobstore="near")
        asked = len(store.server.asked)
        assert scheduler.explain_job("x").state == "active"
        assert len(store.server.asked) == asked
        assert (scheduler.explain_job("y").state, scheduler.explain_job("y").jobstore) == (
            "unknown",
            "distant",
        )


def test_a_store_that_only_reads(tmp_path: Path) -> None:
    """It cannot be claimed from, and what it says of the job is told all the same."""
    store = DistantJobStore(tmp_path)
    with started(virtual(jobstores={"default": store})) as scheduler:
        scheduler.add_job("time:time", "interval", minutes=1, id="x", misfire_grace_time=None)
        with failing(store, "claim_due"), failing(store, "give_back"):
            scheduler.advance(2 * MINUTE)
            job = scheduler.explain_job("x")
            assert (job.state, kinds(job)) == ("active", ["outage", "overdue"])


def test_the_clocks_are_too_far_apart(tmp_path: Path) -> None:
    scheduler = Offset(tmp_path)
    with started(scheduler):
        scheduler.add_job("time:time", "interval", minutes=1, id="x", jobstore="distant")
        scheduler.look_every_second(1)
        scheduler.ahead = 6
        scheduler.look_every_second(20)
        reason = the("clock_offset", scheduler.explain_job("x"))
        assert "6 s ahead of" in reason.text
        assert "max_clock_offset (5 s)" in reason.text
        scheduler.ahead = 0
        scheduler.look_every_second(20)
        assert kinds(scheduler.explain_job("x")) == []


@pytest.fixture(autouse=True)
def _forget_the_scripts() -> Iterator[None]:
    yield
    SCRIPTS.clear()
