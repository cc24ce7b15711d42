"""A user's trigger and a user's module that call the scheduler while they are asked or imported: nothing is locked, nothing stands still.

Each call is made from another thread, for which the code under test waits: whatever lock were held around it, the call would find it.
"""

import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_EXECUTED, EVENT_JOB_PARKED, EVENT_JOBSTORE_FAILED
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler import SchedulerNotRunningError
from mainspring.scheduler.base import BaseScheduler
from mainspring.triggers.base import BaseTrigger

from tests.guards.faults import HOOKS, STORES, from_another_thread
from tests.scheduler.watching import TIMEOUT, Heard, at, background, nothing, started, within_time

MINUTE = timedelta(minutes=1)

CALLS: dict[str, Callable[[BaseScheduler], object]] = {
    "add_job": lambda scheduler: scheduler.add_job(
        nothing, "date", run_date=at(9999), id="new", replace_existing=True
    ),
    "add_jobs": lambda scheduler: scheduler.add_jobs(
        [{"func": nothing, "next_run_time": None}, {"func": nothing, "next_run_time": None}]
    ),
    "get_jobs": lambda scheduler: scheduler.get_jobs(),
    "get_job": lambda scheduler: scheduler.get_job("other"),
    "print_jobs": lambda scheduler: scheduler.print_jobs(out=StringIO()),
    "modify_job": lambda scheduler: scheduler.modify_job("other", max_instances=3),
    "modify the trigger": lambda scheduler: scheduler.modify_job("other", minutes=7),
    "reschedule_job": lambda scheduler: scheduler.reschedule_job("other", trigger="interval", minutes=5),
    "pause_job": lambda scheduler: scheduler.pause_job("other"),
    "resume_job": lambda scheduler: scheduler.resume_job("other"),
    "remove_job": lambda scheduler: scheduler.remove_job("other"),
    "remove_all_jobs": lambda scheduler: scheduler.remove_all_jobs(),
    "pause and resume": lambda scheduler: in_turn(scheduler.pause, scheduler.resume),
    "wakeup": lambda scheduler: scheduler.wakeup(),
    "add and remove an executor": lambda scheduler: in_turn(
        partial(scheduler.add_executor, "debug", "more"), partial(scheduler.remove_executor, "more")
    ),
    "add and remove a store": lambda scheduler: in_turn(
        partial(scheduler.add_jobstore, "memory", "more"), partial(scheduler.remove_jobstore, "more")
    ),
    "add and remove a listener": lambda scheduler: in_turn(
        partial(scheduler.add_listener, nothing), partial(scheduler.remove_listener, nothing)
    ),
    "run_job_now": lambda scheduler: scheduler.run_job_now("other"),
    "get_runs": lambda scheduler: scheduler.get_runs(),
    "explain_job": lambda scheduler: scheduler.explain_job("other"),
    "get_lost_runs": lambda scheduler: scheduler.get_lost_runs(),
    "get_parked_jobs": lambda scheduler: scheduler.get_parked_jobs(),
    "get_quarantined_jobs": lambda scheduler: scheduler.get_quarantined_jobs(),
}


def in_turn(*calls: Callable[[], object]) -> None:
    for call in calls:
        call()


class CallingTrigger(BaseTrigger):
    """Every minute; calls what the test has hooked to what it is asked."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        HOOKS.get("first" if previous_fire_time is None else "next", nothing)()
        return (previous_fire_time or now) + MINUTE

    def bind(self, now: datetime, job_id: str, anchor: datetime | None = None) -> Any:
        HOOKS.get("bind", nothing)()
        return self

    def __getstate__(self) -> dict[str, Any]:
        HOOKS.get("getstate", nothing)()
        return {"a": 1}

    def __setstate__(self, state: dict[str, Any]) -> None:
        HOOKS.get("setstate", nothing)()

    def __eq__(self, other: object) -> bool:
        HOOKS.get("eq", nothing)()
        return type(other) is CallingTrigger

    def __hash__(self) -> int:
        return 0

    def __str__(self) -> str:
        HOOKS.get("str", nothing)()
        return "calling"


@pytest.fixture(autouse=True)
def hooks() -> Iterator[None]:
    HOOKS.clear()
    yield
    HOOKS.clear()


def once(call: Callable[[], object]) -> Callable[[], object]:
    """The call, the first time; it may come back to the same place."""
    calls = [call]
    return lambda: calls.pop()() if calls else None


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("call", CALLS)
def test_a_trigger_that_is_asked_in_the_loop(call: str, store: str, tmp_path: Path) -> None:
    scheduler, clock = background(jobstores={"default": STORES[store](tmp_path)})
    heard = Heard(scheduler)
    asked = Event()
    with started(scheduler):
        scheduler.add_job(nothing, CallingTrigger(), id="x")
        scheduler.add_job(nothing, "interval", minutes=2, id="other")

        def hook() -> None:
            from_another_thread(lambda: CALLS[call](scheduler))
            asked.set()

        HOOKS["next"] = once(hook)
        clock.advance(MINUTE)
        assert asked.wait(TIMEOUT)
        if call == "remove_all_jobs":
            scheduler.add_job(nothing, "date", run_date=at(60), id="x")
        heard.wait(EVENT_JOB_EXECUTED, "x")
        clock.advance(MINUTE)
        if call != "remove_all_jobs":
            heard.wait(EVENT_JOB_EXECUTED, "x", 2)
    assert not heard.of(EVENT_JOBSTORE_FAILED | EVENT_JOB_PARKED)


ASKED_BY: dict[str, Callable[[BaseScheduler], object]] = {
    "bind": lambda scheduler: scheduler.add_job(nothing, CallingTrigger()),
    "first": lambda scheduler: scheduler.add_job(nothing, CallingTrigger()),
    "str": lambda scheduler: scheduler.print_jobs(out=StringIO()),
    "eq": lambda scheduler: scheduler.add_job(nothing, CallingTrigger(), id="x", replace_existing=True),
    "next": lambda scheduler: scheduler.resume_job("x"),
}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("asked", ASKED_BY)
def test_a_trigger_that_is_asked_by_the_program(asked: str, store: str, tmp_path: Path) -> None:
    scheduler, clock = background(jobstores={"default": STORES[store](tmp_path)})
    done: list[object] = []
    with started(scheduler):
        scheduler.add_job(nothing, CallingTrigger(), id="x", next_run_time=None)
        scheduler.add_job(nothing, "interval", minutes=2, id="other")
        clock.advance(2 * MINUTE)
        HOOKS[asked] = once(
            lambda: done.append(
                [
                    from_another_thread(partial(call, scheduler))
                    for name, call in CALLS.items()
                    if "remove" not in name
                ]
            )
        )
        if asked == "next":
            HOOKS["first"] = HOOKS["next"]
        within_time(lambda: ASKED_BY[asked](scheduler))
    assert len(done) == 1


@pytest.mark.parametrize("hook", ["getstate", "setstate"])
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_trigger_that_is_stored_and_restored(hook: str, store: str, tmp_path: Path) -> None:
    scheduler, clock = background(jobstores={"default": STORES[store](tmp_path)})
    heard = Heard(scheduler)
    done: list[object] = []
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=2, id="other")
        HOOKS[hook] = once(
            lambda: done.append(from_another_thread(lambda: scheduler.modify_job("other", name="n")))
        )
        within_time(lambda: scheduler.add_job(nothing, CallingTrigger(), id="x", args=[[]]))
        within_time(lambda: scheduler.get_jobs())
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x")
    assert len(done) == (store == "sqlite")


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("wait", [True, False])
def test_a_trigger_that_shuts_down_the_scheduler_that_asks_it(store: str, wait: bool, tmp_path: Path) -> None:
    """In the loop's own thread, which shuts down and finds its way out; then the scheduler can be started again."""
    scheduler, clock = background(
        jobstores={"default": STORES[store](tmp_path)}, job_defaults={"misfire_grace_time": None}
    )
    heard = Heard(scheduler)
    scheduler.start()
    scheduler.add_job(nothing, CallingTrigger(), id="x")
    HOOKS["next"] = once(lambda: scheduler.shutdown(wait=wait))
    clock.advance(MINUTE)
    loop = scheduler._thread
    assert loop is not None
    within_time(loop.join)
    assert not scheduler.running
    with pytest.raises(SchedulerNotRunningError):
        scheduler.shutdown()
    with started(scheduler):
        heard.wait(EVENT_JOB_EXECUTED, "x")
    assert heard.seconds("x") == [60]
    assert not heard.of(EVENT_JOB_PARKED)


# -- modules ---------------------------------------------------------------------------------------------------------

MODULE = "module_that_calls_the_scheduler"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A module of jobs that calls what is hooked to "import"; gives what makes Python forget it."""
    (tmp_path / f"{MODULE}.py").write_text(
        "from tests.guards.faults import HOOKS\nHOOKS.get('import', int)()\ndef work(*args): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def forget() -> None:
        sys.modules.pop(MODULE, None)

    yield forget
    forget()


@pytest.mark.parametrize("call", CALLS)
def test_a_module_that_is_imported_by_the_loop(call: str, module: Callable[[], None], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    scheduler, clock = background(jobstores={"default": SQLAlchemyJobStore(url)})
    with started(scheduler):
        scheduler.add_job(f"{MODULE}:work", "interval", minutes=1, id="x")
    module()
    scheduler, clock = background(jobstores={"default": SQLAlchemyJobStore(url)})
    heard = Heard(scheduler)
    asked = Event()
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=2, id="other")

        def hook() -> None:
            if call in ("get_jobs", "print_jobs"):
                # They import the module, too: in another thread they would wait for this import, which waits for them.
                CALLS[call](scheduler)
            else:
                from_another_thread(lambda: CALLS[call](scheduler))
            asked.set()

        HOOKS["import"] = once(hook)
        clock.advance(MINUTE)
        assert asked.wait(TIMEOUT)
        if call == "remove_all_jobs":
            scheduler.add_job(nothing, "date", run_date=at(60), id="x")
        heard.wait(EVENT_JOB_EXECUTED, "x")
    assert not heard.of(EVENT_JOBSTORE_FAILED)


@pytest.mark.parametrize("asked", ["add_job", "get_job", "get_jobs", "modify_job"])
def test_a_module_that_is_imported_for_the_program(
    asked: str, module: Callable[[], None], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    scheduler, _ = background(jobstores={"default": SQLAlchemyJobStore(url)})
    with started(scheduler):
        scheduler.add_job(f"{MODULE}:work", "interval", minutes=1, id="x")
    module()
    scheduler, _ = background(jobstores={"default": SQLAlchemyJobStore(url)})
    done: list[object] = []
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=2, id="other")
        HOOKS["import"] = once(
            lambda: done.append(
                [
                    from_another_thread(partial(call, scheduler))
                    for name, call in CALLS.items()
                    if name not in ("get_jobs", "print_jobs") and "remove" not in name
                ]
            )
        )
        asking: dict[str, Callable[[], object]] = {
            "add_job": lambda: scheduler.add_job(f"{MODULE}:work", "interval", minutes=1),
            "get_job": lambda: scheduler.get_job("x"),
            "get_jobs": lambda: scheduler.get_jobs(),
            "modify_job": lambda: scheduler.modify_job("x", name="changed"),
        }
        within_time(asking[asked])
    assert len(done) == 1


def test_a_module_that_shuts_the_scheduler_down_while_the_loop_imports_it(
    module: Callable[[], None], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    scheduler, clock = background(jobstores={"default": SQLAlchemyJobStore(url)})
    with started(scheduler):
        scheduler.add_job(f"{MODULE}:work", "interval", minutes=1, id="x", misfire_grace_time=None)
    module()
    scheduler, clock = background(jobstores={"default": SQLAlchemyJobStore(url)})
    heard = Heard(scheduler)
    HOOKS["import"] = once(scheduler.shutdown)
    scheduler.start()
    loop = scheduler._thread
    assert loop is not None
    clock.advance(MINUTE)
    within_time(loop.join)
    assert not scheduler.running
    assert not heard.of(EVENT_JOBSTORE_FAILED)
    with started(scheduler):
        heard.wait(EVENT_JOB_EXECUTED, "x")
