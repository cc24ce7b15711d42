"""A job store of which one method raises: the jobs of the other store keep their times, and whoever called hears of it.

Each method of the contract in turn, of a memory store, and of one that was written for APScheduler's contract alone.
"""

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_MISSED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
    EVENT_SCHEDULER_STARTED,
)
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import InjectedFault, PlainJobStore, failing
from tests.scheduler.watching import Heard, at, nothing, other, started, virtual

PUBLIC = sorted(
    name for name, _ in inspect.getmembers(BaseJobStore, inspect.isfunction) if not name.startswith("_")
)
CONTRACT = sorted(BaseJobStore.__abstractmethods__ | {"start", "shutdown"})
MINUTE = timedelta(minutes=1)

FAULTS = [
    *(pytest.param(MemoryJobStore, method, id=f"memory-{method}") for method in PUBLIC),
    *(pytest.param(PlainJobStore, method, id=f"plain-{method}") for method in CONTRACT),
]


def test_apschedulers_contract_is_whole() -> None:
    assert CONTRACT == [
        "add_job",
        "get_all_jobs",
        "get_due_jobs",
        "get_next_run_time",
        "lookup_job",
        "remove_all_jobs",
        "remove_job",
        "shutdown",
        "start",
        "update_job",
    ]


def two_stores(store: BaseJobStore) -> VirtualScheduler:
    """A scheduler with a good store, called "default", and this one, called "bad"."""
    return virtual(
        jobstores={"bad": store, "default": MemoryJobStore()}, job_defaults={"misfire_grace_time": None}
    )


@pytest.mark.parametrize(("kind", "method"), FAULTS)
def test_while_the_loop_runs(kind: Callable[[], BaseJobStore], method: str) -> None:
    """For three minutes: no run of the other store is late, the failure is said once at most, and what could not be done is done later."""
    store = kind()
    scheduler = two_stores(store)
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="bad", jobstore="bad")
        scheduler.add_job(nothing, "date", run_date=at(270), id="one-off", jobstore="bad")
        scheduler.add_job(nothing, "interval", minutes=1, id="good", misfire_grace_time=1)
        scheduler.advance(timedelta(minutes=3, seconds=30))
        with failing(store, method):
            scheduler.advance(timedelta(minutes=3))
            assert scheduler.running
        assert heard.seconds("good") == [60, 120, 180, 240, 300, 360]
        scheduler.advance(timedelta(minutes=3, seconds=30))
        assert heard.seconds("good") == [60 * minute for minute in range(1, 11)]
        assert not heard.of(EVENT_JOB_MISSED | EVENT_JOB_ERROR)
        # Of the store that failed: nothing is lost but what coalesces, and the one-off ran once.
        assert heard.seconds("bad")[:3] == [60, 120, 180]
        assert heard.seconds("bad")[-4:] == [420, 480, 540, 600]
        assert heard.seconds("one-off") == [270]
        assert len(heard.of(EVENT_JOB_REMOVED, "one-off")) == 1
        failed, recovered = heard.of(EVENT_JOBSTORE_FAILED), heard.of(EVENT_JOBSTORE_RECOVERED)
        assert len(failed) == len(recovered) <= 1
        for event in failed:
            assert event.alias == "bad"
            assert isinstance(event.exception, InjectedFault)
        assert sorted(job.id for job in scheduler.get_jobs()) == ["bad", "good"]


CALLS: dict[str, Callable[[VirtualScheduler], object]] = {
    "add_job": lambda scheduler: scheduler.add_job(nothing, "interval", minutes=5, id="new", jobstore="bad"),
    "add_jobs": lambda scheduler: scheduler.add_jobs(
        {"func": nothing, "trigger": "interval", "minutes": 5, "id": f"new {number}", "jobstore": alias}
        for number, alias in enumerate(["default", "bad", "default", "bad"])
    ),
    "replace": lambda scheduler: scheduler.add_job(
        other, "interval", minutes=5, id="bad", jobstore="bad", replace_existing=True
    ),
    "modify_job": lambda scheduler: scheduler.modify_job("bad", "bad", name="changed"),
    "reschedule_job": lambda scheduler: scheduler.reschedule_job("bad", "bad", "interval", minutes=5),
    "pause_job": lambda scheduler: scheduler.pause_job("bad", "bad"),
    "resume_job": lambda scheduler: scheduler.resume_job("paused", "bad"),
    "remove_job": lambda scheduler: scheduler.remove_job("bad", "bad"),
    "remove_all_jobs": lambda scheduler: scheduler.remove_all_jobs("bad"),
    "get_job": lambda scheduler: scheduler.get_job("bad", "bad"),
    "get_jobs": lambda scheduler: scheduler.get_jobs("bad"),
    "print_jobs": lambda scheduler: scheduler.print_jobs("bad"),
    "run_job_now": lambda scheduler: scheduler.run_job_now("bad", "bad"),
    "get_runs": lambda scheduler: scheduler.get_runs("bad"),
    "explain_job": lambda scheduler: scheduler.explain_job("bad", "bad"),
    "get_lost_runs": lambda scheduler: scheduler.get_lost_runs("bad"),
    "get_parked_jobs": lambda scheduler: scheduler.get_parked_jobs("bad"),
    "get_quarantined_jobs": lambda scheduler: scheduler.get_quarantined_jobs("bad"),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(("kind", "method"), FAULTS)
def test_while_the_program_calls(kind: Callable[[], BaseJobStore], method: str, call: str) -> None:
    """Either the call needs the method, and the caller gets its error and nothing is changed; or it does not, and all is well.

    What was written before the fault (that which is read back for the answer, say) is said to be written.
    """
    store = kind()
    scheduler = two_stores(store)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="bad", jobstore="bad")
        scheduler.add_job(nothing, "interval", minutes=1, id="paused", jobstore="bad", next_run_time=None)
        scheduler.add_job(nothing, "interval", minutes=1, id="good")
        before = shown(scheduler)
        heard = Heard(scheduler)
        with failing(store, method):
            try:
                CALLS[call](scheduler)
            except InjectedFault:
                failed = True
            else:
                failed = False
        after = shown(scheduler)
        said = heard.of(EVENT_JOB_ADDED | EVENT_JOB_MODIFIED | EVENT_JOB_REMOVED)
        if failed:
            if call == "replace" and method == "find_job":
                assert before != after  # replaced, and then what is to be answered cannot be read
            else:
                assert before == after or call in ("modify_job", "pause_job", "resume_job", "reschedule_job")
                assert bool(said) == (before != after)
            CALLS[call](scheduler)  # it can be repeated
        scheduler.advance(MINUTE)
        assert heard.seconds("good") == [60]


def shown(scheduler: VirtualScheduler) -> list[str]:
    return [f"{job.id}: {job}" for job in scheduler.get_jobs()]


@pytest.mark.parametrize("kind", [MemoryJobStore, PlainJobStore])
@pytest.mark.parametrize("method", ["own", "start"])
def test_a_store_that_cannot_be_started(kind: Callable[[], BaseJobStore], method: str) -> None:
    """`start()` raises, nothing is started, and it can be tried again."""
    store = kind()
    scheduler = two_stores(store)
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "date", run_date=at(1), id="good")
    scheduler.add_job(nothing, "date", run_date=at(1), id="bad", jobstore="bad")
    with failing(store, method), pytest.raises(InjectedFault):
        scheduler.start()
    assert not scheduler.running
    assert not heard.of(EVENT_SCHEDULER_STARTED | EVENT_JOB_ADDED)
    assert [job.id for job in scheduler.get_jobs(pending=True)] == ["good", "bad"]
    with started(scheduler):
        scheduler.advance(timedelta(seconds=1))
        assert heard.seconds("good") == heard.seconds("bad") == [1]


@pytest.mark.parametrize("kind", [MemoryJobStore, PlainJobStore])
def test_a_store_that_cannot_be_started_is_not_added(kind: Callable[[], BaseJobStore]) -> None:
    store = kind()
    with started(virtual()) as scheduler:
        heard = Heard(scheduler)
        with failing(store, "start"), pytest.raises(InjectedFault):
            scheduler.add_jobstore(store, "bad")
        assert heard.events == []
        scheduler.add_jobstore(store, "bad")
        scheduler.add_job(nothing, "date", run_date=at(1), id="x", jobstore="bad")
        scheduler.advance(timedelta(seconds=1))
        assert heard.seconds("x") == [1]


@pytest.mark.parametrize(("kind", "method"), [(MemoryJobStore, "insert"), (PlainJobStore, "add_job")])
def test_a_store_that_refuses_the_jobs_that_wait_for_it_is_closed(
    kind: Callable[[], BaseJobStore], method: str
) -> None:
    store = kind()
    scheduler = virtual()
    first = MemoryJobStore()
    start = first.start

    def begin(scheduler: Any, alias: str) -> None:
        # Within start() jobs are pending still while others add stores.
        start(scheduler, alias)
        scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="bad")
        with failing(store, method), pytest.raises(InjectedFault):
            scheduler.add_jobstore(store, "bad")
        scheduler.remove_job("x")

    closed: list[str] = []
    shutdown = store.shutdown
    store.shutdown = lambda: (closed.append("closed"), shutdown())[1]  # type: ignore[method-assign, func-returns-value]
    first.start = begin  # type: ignore[method-assign]
    scheduler.add_jobstore(first, "default")
    with started(scheduler):
        assert closed == ["closed"]
        scheduler.add_jobstore(store, "bad")
        scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="bad")
    assert closed == ["closed", "closed"]


@pytest.mark.parametrize(
    ("kind", "methods"), [(MemoryJobStore, ["insert"]), (PlainJobStore, ["add_job", "get_all_jobs"])]
)
def test_a_store_that_takes_no_job_at_the_start(kind: Callable[[], BaseJobStore], methods: list[str]) -> None:
    """The jobs that other stores have taken already are pending again, too."""
    store = kind()
    good = MemoryJobStore()
    scheduler = virtual(jobstores={"default": good, "bad": store})
    scheduler.add_job(nothing, "date", run_date=at(1), id="good")
    scheduler.add_job(nothing, "interval", minutes=1, id="bad", jobstore="bad")
    with failing(store, methods[0]), pytest.raises(InjectedFault):
        scheduler.start()
    assert not scheduler.running
    assert [(job.id, job.pending) for job in scheduler.get_jobs()] == [("good", True), ("bad", True)]
    assert good.get_all_jobs() == []
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.advance(MINUTE)
    assert heard.seconds("good") == [1]
    assert heard.seconds("bad") == [60]


@pytest.mark.parametrize("kind", [MemoryJobStore, PlainJobStore])
def test_a_store_that_cannot_be_shut_down(
    kind: Callable[[], BaseJobStore], caplog: pytest.LogCaptureFixture
) -> None:
    """The others are shut down, it is logged, and the scheduler is stopped and can be started again."""
    store, good = kind(), ShutDown()
    scheduler = virtual(jobstores={"bad": store, "default": good})
    with started(scheduler):
        with failing(store, "shutdown"):
            scheduler.shutdown()
        assert good.times == 1
        assert not scheduler.running
        assert 'Error shutting down job store "bad"' in caplog.text
        scheduler.start()
        assert scheduler.running


class ShutDown(MemoryJobStore):
    times = 0

    def shutdown(self) -> None:
        self.times += 1


@pytest.mark.parametrize("kind", [MemoryJobStore, PlainJobStore])
def test_a_store_that_cannot_be_shut_down_when_it_is_removed(
    kind: Callable[[], BaseJobStore], caplog: pytest.LogCaptureFixture
) -> None:
    store = kind()
    with started(two_stores(store)) as scheduler:
        with failing(store, "shutdown"):
            scheduler.remove_jobstore("bad")
        assert 'Error shutting down job store "bad"' in caplog.text
        with pytest.raises(KeyError, match="No such job store: bad"):
            scheduler.remove_jobstore("bad")
        scheduler.add_jobstore(store, "bad")
        scheduler.add_job(nothing, "date", run_date=at(1), id="x", jobstore="bad")
        heard = Heard(scheduler)
        scheduler.advance(timedelta(seconds=1))
        assert heard.seconds("x") == [1]


class PickyJobStore(PlainJobStore):
    """Takes everybody's changes but those of one job."""

    picky = True

    def update_job(self, job: object) -> None:
        if self.picky and getattr(job, "id", "") == "disliked":
            raise InjectedFault("not this one")
        super().update_job(job)  # type: ignore[arg-type]


def test_one_job_that_the_store_does_not_take_keeps_no_other_of_that_store() -> None:
    store = PickyJobStore()
    scheduler = virtual(jobstores={"default": store})
    heard = Heard(scheduler)
    with started(scheduler):
        for job_id in ("first", "disliked", "last"):
            scheduler.add_job(nothing, "interval", minutes=1, id=job_id, misfire_grace_time=1)
        scheduler.advance(timedelta(minutes=5))
        assert heard.seconds("first") == heard.seconds("last") == [60, 120, 180, 240, 300]
        assert heard.seconds("disliked") == []
        assert not heard.of(EVENT_JOB_MISSED | EVENT_JOB_ERROR)
        store.picky = False
        scheduler.advance(timedelta(minutes=2))
        assert heard.seconds("disliked")[-1] == 420
