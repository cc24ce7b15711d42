"""Start, shutdown and start again, pause and resume, what `running` and `state` say meanwhile, and what is refused when."""

import pickle
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from mainspring.events import (
    EVENT_EXECUTOR_ADDED,
    EVENT_EXECUTOR_REMOVED,
    EVENT_JOB_ADDED,
    EVENT_JOB_EXECUTED,
    EVENT_JOBSTORE_ADDED,
    EVENT_JOBSTORE_REMOVED,
    EVENT_SCHEDULER_PAUSED,
    EVENT_SCHEDULER_RESUMED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
    ManualClock,
)
from mainspring.executors.debug import DebugExecutor
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler import SchedulerAlreadyRunningError, SchedulerNotRunningError
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.base import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED, BaseScheduler
from mainspring.scheduler.blocking import BlockingScheduler
from mainspring.scheduler.virtual import VirtualScheduler

from tests.scheduler.watching import (
    START,
    Heard,
    at,
    background,
    nothing,
    started,
    stop,
    virtual,
    within_time,
)

MINUTE = timedelta(minutes=1)
LIFE = EVENT_SCHEDULER_STARTED | EVENT_SCHEDULER_SHUTDOWN | EVENT_SCHEDULER_PAUSED | EVENT_SCHEDULER_RESUMED


@pytest.fixture(params=["background", "virtual"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[BaseScheduler]:
    scheduler = virtual() if request.param == "virtual" else background()[0]
    yield scheduler
    stop(scheduler)


def test_constants() -> None:
    assert (STATE_STOPPED, STATE_RUNNING, STATE_PAUSED) == (0, 1, 2)


def test_state_and_running_tell_the_truth(scheduler: BaseScheduler) -> None:
    heard = Heard(scheduler, LIFE)
    assert (scheduler.running, scheduler.state) == (False, STATE_STOPPED)
    scheduler.start()
    assert (scheduler.running, scheduler.state) == (True, STATE_RUNNING)
    scheduler.pause()
    assert (scheduler.running, scheduler.state) == (True, STATE_PAUSED)
    scheduler.resume()
    assert (scheduler.running, scheduler.state) == (True, STATE_RUNNING)
    scheduler.shutdown()
    assert (scheduler.running, scheduler.state) == (False, STATE_STOPPED)
    scheduler.start(paused=True)
    assert (scheduler.running, scheduler.state) == (True, STATE_PAUSED)
    scheduler.shutdown(wait=False)
    assert (scheduler.running, scheduler.state) == (False, STATE_STOPPED)
    assert heard.codes() == [
        EVENT_SCHEDULER_STARTED,
        EVENT_SCHEDULER_PAUSED,
        EVENT_SCHEDULER_RESUMED,
        EVENT_SCHEDULER_SHUTDOWN,
        EVENT_SCHEDULER_STARTED,
        EVENT_SCHEDULER_SHUTDOWN,
    ]


def test_what_only_a_stopped_scheduler_can_do(scheduler: BaseScheduler) -> None:
    scheduler.start()
    for call in (scheduler.start, scheduler.configure):
        with pytest.raises(SchedulerAlreadyRunningError, match=r"^Scheduler is already running$"):
            call()
    assert scheduler.running


@pytest.mark.parametrize(
    "call",
    [
        BaseScheduler.shutdown,
        BaseScheduler.pause,
        BaseScheduler.resume,
        BaseScheduler.get_lost_runs,
        BaseScheduler.get_parked_jobs,
        BaseScheduler.get_quarantined_jobs,
    ],
)
def test_what_only_a_running_scheduler_can_do(
    scheduler: BaseScheduler, call: Callable[[BaseScheduler], object]
) -> None:
    with pytest.raises(SchedulerNotRunningError, match=r"^Scheduler is not running$"):
        call(scheduler)
    scheduler.start()
    scheduler.shutdown()
    with pytest.raises(SchedulerNotRunningError):
        call(scheduler)


def test_pausing_what_is_paused_and_resuming_what_runs_does_nothing(scheduler: BaseScheduler) -> None:
    heard = Heard(scheduler, LIFE)
    scheduler.start()
    scheduler.resume()
    scheduler.pause()
    scheduler.pause()
    assert heard.codes() == [EVENT_SCHEDULER_STARTED, EVENT_SCHEDULER_PAUSED]


def test_a_paused_scheduler_takes_jobs_and_runs_none() -> None:
    scheduler = virtual(job_defaults={"misfire_grace_time": None})
    heard = Heard(scheduler)
    with started(scheduler, paused=True):
        scheduler.add_job(nothing, "interval", minutes=1, id="x")
        scheduler.advance(5 * MINUTE)
        assert heard.seconds("x") == []
        scheduler.resume()
        scheduler.advance(MINUTE)
        assert heard.seconds("x") == [300, 360]
        scheduler.pause()
        scheduler.advance(5 * MINUTE)
        assert heard.seconds("x") == [300, 360]


def test_a_run_that_was_missed_while_paused_is_told() -> None:
    """The grace counts, as if the scheduler had been down."""
    scheduler = virtual()
    heard = Heard(scheduler)
    with started(scheduler, paused=True):
        scheduler.add_job(nothing, "date", run_date=at(60), id="x")
        scheduler.advance(5 * MINUTE)
        scheduler.resume()
        scheduler.advance(MINUTE)
    assert heard.seconds("x") == []
    assert len(heard.of(2**14, "x")) == 1  # MISSED


def test_start_adds_an_executor_and_a_store_if_nobody_else_is_called_default(
    scheduler: BaseScheduler,
) -> None:
    heard = Heard(scheduler)
    scheduler.start()
    for method in (scheduler.add_executor, scheduler.add_jobstore):
        with pytest.raises(ValueError, match='by the alias of "default"'):
            method("debug" if method == scheduler.add_executor else "memory")
    assert [(event.code, event.alias) for event in heard.of(EVENT_EXECUTOR_ADDED | EVENT_JOBSTORE_ADDED)] == [
        (EVENT_EXECUTOR_ADDED, "default"),
        (EVENT_JOBSTORE_ADDED, "default"),
    ]


def test_start_keeps_those_that_are_there() -> None:
    executor, store = DebugExecutor(), MemoryJobStore()
    scheduler, clock = background(executors={"default": executor}, jobstores={"default": store})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "date", run_date=at(1), id="x")
        assert [job.id for job in store.get_all_jobs()] == ["x"]
        clock.advance(MINUTE / 60)
        heard.wait(EVENT_JOB_EXECUTED, "x")


def test_jobs_stay_over_a_shutdown(scheduler: BaseScheduler) -> None:
    scheduler.start()
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.shutdown()
    assert scheduler.get_jobs() == []  # the stores are closed
    scheduler.start()
    assert [job.id for job in scheduler.get_jobs()] == ["x"]


def test_after_a_shutdown_jobs_are_pending_again(scheduler: BaseScheduler) -> None:
    scheduler.start()
    scheduler.shutdown()
    job = scheduler.add_job(nothing, "interval", minutes=1, id="x")
    assert job.pending
    scheduler.start()
    assert not job.pending


# -- executors and stores ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", [True, False])
def test_adding_and_removing_an_executor(scheduler: BaseScheduler, running: bool) -> None:
    if running:
        scheduler.start()
    heard = Heard(scheduler, EVENT_EXECUTOR_ADDED | EVENT_EXECUTOR_REMOVED)
    scheduler.add_executor("threadpool", "more", max_workers=3)
    with pytest.raises(ValueError, match=r'^This scheduler already has an executor by the alias of "more"$'):
        scheduler.add_executor(ThreadPoolExecutor(), "more")
    scheduler.remove_executor("more")
    with pytest.raises(KeyError, match="No such executor: more"):
        scheduler.remove_executor("more")
    assert [(event.code, event.alias) for event in heard.events] == [
        (EVENT_EXECUTOR_ADDED, "more"),
        (EVENT_EXECUTOR_REMOVED, "more"),
    ]


@pytest.mark.parametrize("running", [True, False])
def test_adding_and_removing_a_store(scheduler: BaseScheduler, running: bool) -> None:
    if running:
        scheduler.start()
    heard = Heard(scheduler, EVENT_JOBSTORE_ADDED | EVENT_JOBSTORE_REMOVED)
    scheduler.add_jobstore("memory", "more")
    with pytest.raises(ValueError, match=r'^This scheduler already has a job store by the alias of "more"$'):
        scheduler.add_jobstore(MemoryJobStore(), "more")
    scheduler.remove_jobstore("more")
    with pytest.raises(KeyError, match="No such job store: more"):
        scheduler.remove_jobstore("more")
    assert [(event.code, event.alias) for event in heard.events] == [
        (EVENT_JOBSTORE_ADDED, "more"),
        (EVENT_JOBSTORE_REMOVED, "more"),
    ]


def test_unknown_names_and_things_that_are_neither(scheduler: BaseScheduler) -> None:
    with pytest.raises(LookupError, match='No executor by the name "nope" was found'):
        scheduler.add_executor("nope")
    with pytest.raises(LookupError, match='No job store by the name "nope" was found'):
        scheduler.add_jobstore("nope")
    with pytest.raises(
        TypeError, match=r"Expected executor instance or dict for executors\['default'\], got int"
    ):
        scheduler.add_executor(5)
    with pytest.raises(
        TypeError, match=r"Expected job store instance or dict for jobstores\['default'\], got int"
    ):
        scheduler.add_jobstore(5)


def test_a_store_that_is_added_brings_its_jobs_and_one_that_is_removed_takes_them_along() -> None:
    store = MemoryJobStore()
    with started(virtual(jobstores={"default": store})) as earlier:
        earlier.add_job(nothing, "interval", minutes=1, id="x")
    scheduler = virtual()
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_jobstore(store, "more")
        scheduler.advance(MINUTE)
        assert [event.jobstore for event in heard.of(EVENT_JOB_EXECUTED, "x")] == ["more"]
        scheduler.remove_jobstore("more")
        assert scheduler.get_jobs() == []
        scheduler.advance(MINUTE)
        assert heard.seconds("x") == [60]
        assert [job.id for job in store.get_all_jobs()] == ["x"]


def test_a_pending_job_of_a_store_that_is_never_added_stops_the_start() -> None:
    scheduler = virtual()
    heard = Heard(scheduler)
    scheduler.add_job(nothing, id="x", jobstore="later")
    with pytest.raises(KeyError, match="No such job store: later"):
        scheduler.start()
    assert not scheduler.running
    scheduler.add_jobstore("memory", "later")
    with started(scheduler):
        assert [event.jobstore for event in heard.of(EVENT_JOB_ADDED, "x")] == ["later"]


# -- configuration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BackgroundScheduler, BlockingScheduler, VirtualScheduler])
def test_unknown_options_are_refused_with_the_nearest_known_name(kind: Callable[..., BaseScheduler]) -> None:
    with pytest.raises(
        TypeError, match="Unknown option of the scheduler: 'job_default'; did you mean 'job_defaults'"
    ):
        kind(job_default={})


def test_configure_anew_between_two_starts() -> None:
    clock = ManualClock(START)
    scheduler = BackgroundScheduler(clock=clock, timezone="UTC", job_defaults={"max_instances": 2})
    scheduler.add_executor("debug", "mine")
    with started(scheduler):
        assert scheduler.add_job(nothing, "date", run_date=at(9)).max_instances == 2
    scheduler.configure({"mainspring.job_defaults.max_instances": "3"}, clock=clock, timezone="UTC")
    heard = Heard(scheduler)
    with started(scheduler):
        assert scheduler.add_job(nothing, "date", run_date=at(9), executor="mine").max_instances == 3
        clock.advance(at(9) - START)
        heard.wait(EVENT_JOB_EXECUTED, count=2)


@pytest.mark.parametrize("kind", [BackgroundScheduler, BlockingScheduler, VirtualScheduler])
def test_a_scheduler_cannot_be_pickled(kind: Callable[[], BaseScheduler]) -> None:
    with pytest.raises(TypeError, match="Schedulers cannot be serialized"):
        pickle.dumps(kind())


@pytest.mark.parametrize("kind", [BackgroundScheduler, BlockingScheduler])
@pytest.mark.parametrize("option", ["daemon", "daemonic"])
@pytest.mark.parametrize("value", [True, False, "false", "true"])
def test_daemonic_is_an_old_spelling_of_daemon(
    kind: Callable[..., BaseScheduler], option: str, value: object
) -> None:
    scheduler = kind(**{option: value})
    if isinstance(scheduler, BackgroundScheduler):
        with started(scheduler):
            assert scheduler._thread is not None
            assert scheduler._thread.daemon is (value in (True, "true"))


def test_blocking_blocks_until_it_is_shut_down() -> None:
    scheduler = BlockingScheduler()
    heard = Heard(scheduler)
    scheduler.add_job(scheduler.shutdown, id="x")
    within_time(scheduler.start)
    assert not scheduler.running
    scheduler.add_job(scheduler.shutdown, id="y")
    within_time(scheduler.start)
    assert [event.job_id for event in heard.of(EVENT_JOB_EXECUTED)] == ["x", "y"]


def test_both_are_importable_where_tutorials_do() -> None:
    from mainspring.scheduler import background, blocking

    assert background.BlockingScheduler is blocking.BlockingScheduler
