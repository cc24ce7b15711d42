"""A job store whose server is away when the scheduler starts: the scheduler starts, the others' jobs run, and it is opened when it is there."""

import logging
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from mainspring.events import (
    EVENT_JOB_ADDED,
    EVENT_JOBSTORE_ADDED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
    EVENT_SCHEDULER_STARTED,
)
from mainspring.jobstores.base import JobLookupError, JobStoreError, StoreUnreachableError
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.uncertain import UncertainWriteError
from mainspring.scheduler.care import LostRun, QuarantinedJob
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.distant import DistantJobStore
from tests.guards.faults import InjectedFault, failing
from tests.scheduler.watching import Heard, at, nothing, started, virtual

MINUTE = timedelta(minutes=1)
STORE_EVENTS = EVENT_JOBSTORE_FAILED | EVENT_JOBSTORE_RECOVERED


@pytest.fixture
def store(tmp_path: Path) -> DistantJobStore:
    """Its server is away."""
    store = DistantJobStore(tmp_path)
    store.server.go_away()
    return store


@pytest.fixture
def scheduler(store: DistantJobStore) -> VirtualScheduler:
    return virtual(
        jobstores={"default": MemoryJobStore(), "distant": store}, job_defaults={"misfire_grace_time": None}
    )


def add_two(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(nothing, "interval", minutes=1, id="near")
    scheduler.add_job("time:time", "interval", minutes=1, id="far", jobstore="distant")


def test_the_scheduler_starts_and_says_so_once(
    scheduler: VirtualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard(scheduler)
    add_two(scheduler)
    with started(scheduler):
        assert scheduler.running
        (failed,) = heard.of(EVENT_JOBSTORE_FAILED)
        assert failed.alias == "distant"
        assert isinstance(failed.exception, StoreUnreachableError)
        assert heard.codes()[-1] == EVENT_SCHEDULER_STARTED
        scheduler.advance(60 * MINUTE)
        assert heard.seconds("near") == [60 * minute for minute in range(1, 61)]
        assert len(heard.of(STORE_EVENTS)) == 1
        warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(warnings) == 1
        assert warnings[0].startswith('Job store "distant" cannot be opened: connection refused (start)')
        assert "Traceback" not in caplog.text  # what is known by its name needs none


def test_when_the_server_is_there_its_pending_jobs_get_in_and_it_is_said_once(
    scheduler: VirtualScheduler, store: DistantJobStore, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard(scheduler)
    add_two(scheduler)
    with started(scheduler):
        scheduler.advance(10 * MINUTE)
        assert [(event.job_id, event.jobstore) for event in heard.of(EVENT_JOB_ADDED)] == [
            ("near", "default")
        ]
        store.server.come_back()
        scheduler.advance(MINUTE)
        assert [(event.job_id, event.jobstore) for event in heard.of(EVENT_JOB_ADDED)] == [
            ("near", "default"),
            ("far", "distant"),
        ]
        assert [event.code for event in heard.of(STORE_EVENTS)] == [
            EVENT_JOBSTORE_FAILED,
            EVENT_JOBSTORE_RECOVERED,
        ]
        assert caplog.text.count('Job store "distant" is open now') == 1
        assert scheduler.get_jobs(pending=True) == []
        scheduler.advance(2 * MINUTE)
        # Its interval begins when it gets into its store, as it does with the start of the scheduler.
        assert len(heard.seconds("far")) == 2
        assert 600 < heard.seconds("far")[0] - 60 <= 611


def test_it_is_tried_again_with_growing_pauses(scheduler: VirtualScheduler, store: DistantJobStore) -> None:
    with started(scheduler):
        scheduler.advance(2 * MINUTE)
        asked = len(store.server.asked)
        # 0.5 s, doubled up to 10 s, each up to a quarter shorter.
        assert 15 <= asked <= 24
        scheduler.advance(60 * MINUTE)
        assert 360 <= len(store.server.asked) - asked <= 481
        assert set(store.server.asked) == {"start"}


CALLS: dict[str, Callable[[VirtualScheduler], object]] = {
    "add_job": lambda scheduler: scheduler.add_job(nothing, "interval", minutes=1, jobstore="distant"),
    "add_jobs": lambda scheduler: scheduler.add_jobs(
        [{"func": nothing, "id": "n1"}, {"func": nothing, "id": "n2", "jobstore": "distant"}]
    ),
    "replace": lambda scheduler: scheduler.add_job(
        nothing, id="y", jobstore="distant", replace_existing=True
    ),
    "get_job": lambda scheduler: scheduler.get_job("unknown"),
    "get_job there": lambda scheduler: scheduler.get_job("near", "distant"),
    "get_jobs": lambda scheduler: scheduler.get_jobs(),
    "get_jobs there": lambda scheduler: scheduler.get_jobs("distant"),
    "print_jobs": lambda scheduler: scheduler.print_jobs(out=StringIO()),
    "modify_job": lambda scheduler: scheduler.modify_job("unknown", name="new"),
    "modify_job there": lambda scheduler: scheduler.modify_job("near", "distant", name="new"),
    "reschedule_job": lambda scheduler: scheduler.reschedule_job("near", "distant"),
    "pause_job": lambda scheduler: scheduler.pause_job("near", "distant"),
    "resume_job": lambda scheduler: scheduler.resume_job("near", "distant"),
    "remove_job": lambda scheduler: scheduler.remove_job("unknown"),
    "remove_all_jobs": lambda scheduler: scheduler.remove_all_jobs(),
    "remove_all_jobs there": lambda scheduler: scheduler.remove_all_jobs("distant"),
    "get_runs": lambda scheduler: scheduler.get_runs(),
    "get_lost_runs": lambda scheduler: scheduler.get_lost_runs(),
    "rerun_lost": lambda scheduler: scheduler.rerun_lost(LostRun("x", "distant", 1, (), 1, "", None, 1)),
    "get_parked_jobs": lambda scheduler: scheduler.get_parked_jobs(),
    "get_quarantined_jobs": lambda scheduler: scheduler.get_quarantined_jobs(),
    "retry_quarantined": lambda scheduler: scheduler.retry_quarantined(QuarantinedJob("x", "distant", "")),
}


@pytest.mark.parametrize("call", CALLS)
def test_calls_that_concern_it_say_since_when_and_why_it_cannot_be_opened(
    scheduler: VirtualScheduler, call: str
) -> None:
    """Those over all stores, too: half an answer would look like a whole one. Nothing is changed by them."""
    add_two(scheduler)
    with started(scheduler):
        scheduler.advance(timedelta(seconds=1))
        with pytest.raises(StoreUnreachableError) as raised:
            CALLS[call](scheduler)
        assert isinstance(raised.value, JobStoreError)
        assert 'Job store "distant" could not be opened since 2026-03-02 12:00:00 UTC' in str(raised.value)
        assert "connection refused (start)" in str(raised.value)
        assert isinstance(raised.value.__cause__, StoreUnreachableError)
        assert [job.id for job in scheduler.get_jobs("default")] == ["near"]
        assert [job.id for job in scheduler.get_jobs(pending=True)] == ["far"]


def test_calls_that_do_not_need_it_are_answered(scheduler: VirtualScheduler) -> None:
    add_two(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="x")
        scheduler.pause_job("x")
        job = scheduler.get_job("x")
        assert job is not None
        assert job.next_run_time is None
        scheduler.remove_job("x")
        assert [job.id for job in scheduler.get_jobs("default")] == ["near"]
        with pytest.raises(JobLookupError):
            scheduler.remove_job("x", "default")


def test_pending_jobs_can_be_changed_until_then(scheduler: VirtualScheduler, store: DistantJobStore) -> None:
    for job_id in ("changed", "paused", "removed"):
        scheduler.add_job("time:time", "interval", hours=1, id=job_id, jobstore="distant")
    with started(scheduler):
        assert scheduler.modify_job("changed", name="new").pending
        scheduler.pause_job("paused")
        scheduler.remove_job("removed")
        store.server.come_back()
        scheduler.advance(MINUTE)
        jobs = {job.id: job for job in scheduler.get_jobs()}
        assert sorted(jobs) == ["changed", "paused"]
        assert jobs["changed"].name == "new"
        assert jobs["paused"].next_run_time is None
        assert not jobs["changed"].pending


def test_it_is_opened_while_the_scheduler_is_paused(
    scheduler: VirtualScheduler, store: DistantJobStore
) -> None:
    """A program that only adds jobs for others."""
    heard = Heard(scheduler)
    add_two(scheduler)
    with started(scheduler, paused=True):
        store.server.come_back()
        scheduler.advance(MINUTE)
        assert [event.code for event in heard.of(STORE_EVENTS)] == [
            EVENT_JOBSTORE_FAILED,
            EVENT_JOBSTORE_RECOVERED,
        ]
        scheduler.add_job("time:time", "interval", hours=1, id="more", jobstore="distant")
        assert sorted(job.id for job in scheduler.get_jobs()) == ["far", "more", "near"]


def test_a_store_that_is_added_to_a_running_scheduler(store: DistantJobStore) -> None:
    with started(virtual(job_defaults={"misfire_grace_time": None})) as scheduler:
        heard = Heard(scheduler)
        scheduler.add_jobstore(store, "distant")
        assert [(event.code, event.alias) for event in heard.events] == [
            (EVENT_JOBSTORE_ADDED, "distant"),
            (EVENT_JOBSTORE_FAILED, "distant"),
        ]
        with pytest.raises(StoreUnreachableError):
            scheduler.add_job("time:time", jobstore="distant")
        scheduler.advance(MINUTE)
        store.server.come_back()
        scheduler.advance(MINUTE)
        assert len(heard.of(EVENT_JOBSTORE_RECOVERED)) == 1
        scheduler.add_job("time:time", id="x", jobstore="distant")
        scheduler.advance(MINUTE)
        assert heard.seconds("x") == [120]


def test_several_that_are_away(tmp_path: Path) -> None:
    stores = {}
    for alias in ("one", "two"):
        (tmp_path / alias).mkdir()
        stores[alias] = DistantJobStore(tmp_path / alias)
        stores[alias].server.go_away()
    scheduler = virtual(jobstores=stores)
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.advance(MINUTE)
        stores["two"].server.come_back()
        scheduler.advance(MINUTE)
        assert [(event.code, event.alias) for event in heard.of(STORE_EVENTS)] == [
            (EVENT_JOBSTORE_FAILED, "one"),
            (EVENT_JOBSTORE_FAILED, "two"),
            (EVENT_JOBSTORE_RECOVERED, "two"),
        ]
        with pytest.raises(StoreUnreachableError, match='"one" could not be opened'):
            scheduler.get_jobs()
        assert scheduler.get_jobs("two") == []


# -- what goes wrong when it is there ------------------------------------------------------------------------------


def test_what_the_store_refuses_then_stays_pending_all_of_it_and_the_rest_goes_on(
    scheduler: VirtualScheduler, store: DistantJobStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Out of `start()` would have come a ConflictingIdError; now there is nobody whom it could be raised to."""
    with started(virtual(jobstores={"distant": DistantJobStore(tmp_path)})) as other:
        other.add_job(
            "time:time", "interval", minutes=1, start_date=at(0), id="far", jobstore="distant", name="stored"
        )
    heard = Heard(scheduler)
    add_two(scheduler)
    scheduler.add_job("time:time", "interval", minutes=1, id="fresh", jobstore="distant")
    with started(scheduler):
        store.server.come_back()
        scheduler.advance(10 * MINUTE)
        assert [event.code for event in heard.of(STORE_EVENTS)] == [
            EVENT_JOBSTORE_FAILED,
            EVENT_JOBSTORE_RECOVERED,
        ]
        (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert "the jobs that are pending for it cannot be added, and none is: ConflictingIdError" in (
            error.getMessage()
        )
        assert [job.id for job in scheduler.get_jobs(pending=True)] == ["far", "fresh"]
        assert [job.name for job in scheduler.get_jobs("distant", pending=False)] == ["stored"]
        assert len(heard.seconds("far")) >= 9  # the stored one runs
        assert [event.job_id for event in heard.of(EVENT_JOB_ADDED)] == ["near"]
        # The pending one goes, and the other one gets in.
        scheduler.remove_job("far")
        scheduler.advance(MINUTE)
        assert scheduler.get_jobs(pending=True) == []
        assert [event.job_id for event in heard.of(EVENT_JOB_ADDED)] == ["near", "fresh"]
        assert sorted(job.id for job in scheduler.get_jobs("distant")) == ["far", "fresh"]


def test_a_store_that_fails_again_while_the_pending_jobs_are_added(
    scheduler: VirtualScheduler, store: DistantJobStore
) -> None:
    heard = Heard(scheduler)
    add_two(scheduler)
    with started(scheduler):
        with failing(store, "insert", StoreUnreachableError("gone again")):
            store.server.come_back()
            scheduler.advance(5 * MINUTE)
            assert store.open
            assert [job.id for job in scheduler.get_jobs(pending=True)] == ["far"]
            assert [event.code for event in heard.of(STORE_EVENTS)] == [EVENT_JOBSTORE_FAILED]
        scheduler.advance(MINUTE)
        assert scheduler.get_jobs(pending=True) == []
        assert len(heard.of(EVENT_JOBSTORE_RECOVERED)) == 1


# -- what goes wrong between its opening and its pending jobs ------------------------------------------------------


@pytest.fixture
def there(store: DistantJobStore) -> DistantJobStore:
    """Its server is there, and has a job "far"."""
    store.server.come_back()
    with started(virtual(jobstores={"distant": store})) as other:
        other.add_job("time:time", "interval", hours=1, id="far", jobstore="distant", name="stored")
    store.closed.clear()
    return store


@pytest.mark.parametrize("paused", [False, True])
def test_a_server_that_goes_away_or_only_reads_does_not_keep_the_scheduler_from_its_start(
    scheduler: VirtualScheduler, there: DistantJobStore, paused: bool
) -> None:
    """The store could be opened: what it reads, it answers. The jobs of all stores get in, each as soon as its store takes them."""
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, id="near")
    scheduler.add_job(
        "time:time", "interval", minutes=1, id="far", jobstore="distant", name="new", replace_existing=True
    )
    scheduler.add_job("time:time", "interval", minutes=1, id="fresh", jobstore="distant")
    read_only = StoreUnreachableError("cannot execute UPDATE in a read-only transaction")
    with failing(there, "write", read_only), failing(there, "insert", read_only):
        scheduler.start(paused=paused)
        scheduler.advance(5 * MINUTE)
        assert [job.id for job in scheduler.get_jobs("default", pending=False)] == ["near"]
        assert [job.id for job in scheduler.get_jobs(pending=True)] == ["far", "fresh"]
        (failed,) = heard.of(STORE_EVENTS)
        assert (failed.code, failed.alias) == (EVENT_JOBSTORE_FAILED, "distant")
        assert failed.exception is read_only
    scheduler.advance(MINUTE)
    assert scheduler.get_jobs(pending=True) == []
    assert {job.id: job.name for job in scheduler.get_jobs("distant")} == {"fresh": "time", "far": "new"}
    assert [event.code for event in heard.of(STORE_EVENTS)] == [
        EVENT_JOBSTORE_FAILED,
        EVENT_JOBSTORE_RECOVERED,
    ]
    scheduler.advance(3 * MINUTE)
    assert bool(heard.seconds("far")) is not paused
    scheduler.shutdown()


def test_nor_is_such_a_store_refused_by_a_scheduler_that_runs(
    scheduler: VirtualScheduler, store: DistantJobStore
) -> None:
    add_two(scheduler)
    with started(scheduler):
        scheduler.remove_jobstore("distant")
        store.server.come_back()
        with failing(store, "insert", StoreUnreachableError("gone again")):
            scheduler.add_jobstore(store, "distant")
            scheduler.advance(MINUTE)
            assert [job.id for job in scheduler.get_jobs(pending=True)] == ["far"]
        scheduler.advance(MINUTE)
        assert [job.id for job in scheduler.get_jobs("distant", pending=False)] == ["far"]


def test_that_a_pending_job_may_be_there_or_not_comes_out_of_the_start(
    scheduler: VirtualScheduler, store: DistantJobStore
) -> None:
    """Added once more it could meet itself, and nobody but the caller can tell."""
    store.server.come_back()
    add_two(scheduler)
    with (
        failing(store, "insert", UncertainWriteError("the connection failed")),
        pytest.raises(UncertainWriteError),
    ):
        scheduler.start()
    assert not scheduler.running
    assert sorted(job.id for job in scheduler.get_jobs(pending=True)) == ["far", "near"]
    assert store.closed.is_set()


def test_another_error_than_that_the_server_is_away_is_said_when_it_comes(
    scheduler: VirtualScheduler, store: DistantJobStore, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start it would have come out of `start()`."""
    with started(scheduler):
        with failing(store, "start", JobStoreError("password authentication failed")):
            scheduler.advance(10 * MINUTE)
            (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
            assert 'Job store "distant" still cannot be opened' in error.getMessage()
            assert "password authentication failed" in error.getMessage()
            with pytest.raises(StoreUnreachableError, match="password authentication failed"):
                scheduler.get_jobs()
        store.server.come_back()
        scheduler.advance(MINUTE)
        assert scheduler.get_jobs() == []


def test_another_error_at_the_start_comes_out_of_it_and_nothing_is_left_open(
    store: DistantJobStore, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = DistantJobStore(tmp_path / "other")
    broken = MemoryJobStore()
    scheduler = virtual(jobstores={"distant": store, "other": other, "broken": broken})
    heard = Heard(scheduler, STORE_EVENTS)
    with failing(broken, "start"), pytest.raises(InjectedFault):
        scheduler.start()
    assert not scheduler.running
    assert other.closed.is_set()
    assert not store.closed.is_set()
    assert heard.events == []
    store.server.come_back()
    with started(scheduler):
        assert scheduler.get_jobs() == []


# -- the end -------------------------------------------------------------------------------------------------------


def test_shut_down_before_it_could_be_opened_its_jobs_are_pending_for_the_next_start(
    scheduler: VirtualScheduler, store: DistantJobStore, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard(scheduler)
    add_two(scheduler)
    with started(scheduler):
        scheduler.advance(MINUTE)
        caplog.clear()
    assert 'never added to job store "distant", which did not take them: 1.' in caplog.text
    assert not store.closed.is_set()
    assert [job.id for job in scheduler.get_jobs()] == ["far"]
    store.server.come_back()
    with started(scheduler):
        assert sorted(job.id for job in scheduler.get_jobs(pending=False)) == ["far", "near"]
        scheduler.advance(MINUTE)
        assert heard.seconds("far") == [120]
        caplog.clear()
    assert "never added" not in caplog.text
    assert store.closed.is_set()


def test_removed_before_it_could_be_opened_it_is_asked_no_more(
    scheduler: VirtualScheduler, store: DistantJobStore
) -> None:
    add_two(scheduler)
    with started(scheduler):
        scheduler.advance(MINUTE)
        scheduler.remove_jobstore("distant")
        asked = len(store.server.asked)
        scheduler.advance(60 * MINUTE)
        assert len(store.server.asked) == asked
        assert [job.id for job in scheduler.get_jobs()] == ["near", "far"]
        assert [job.id for job in scheduler.get_jobs(pending=True)] == ["far"]
        store.server.come_back()
        scheduler.add_jobstore(store, "distant")
        assert scheduler.get_jobs(pending=True) == []
