"""A shutdown is heard of by all runs at once, if their functions ask: wherever they go on, and whoever is waited for first."""

from threading import Event, Thread

import pytest
from mainspring.executors import current_run
from mainspring.executors.debug import DebugExecutor
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.scheduler.background import BackgroundScheduler

SOON = 10  # seconds


def reason_for_which_it_ends(begun: Event) -> str | None:
    run = current_run()
    assert run is not None
    begun.set()
    run.wait(SOON)
    return run.cancel_reason


def test_runs_of_several_executors_hear_of_it_before_one_is_waited_for() -> None:
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(1), "other": ThreadPoolExecutor(1)}
    )
    begun = {"default": Event(), "other": Event()}
    told = {"default": Event(), "other": Event()}
    met: list[bool] = []

    def job(here: str, there: str) -> None:
        if reason_for_which_it_ends(begun[here]) == "shutdown":
            told[here].set()
        met.append(told[there].wait(SOON))

    scheduler.start()
    scheduler.add_job(job, args=["default", "other"], misfire_grace_time=None)
    scheduler.add_job(job, args=["other", "default"], executor="other", misfire_grace_time=None)
    for event in begun.values():
        assert event.wait(SOON)
    scheduler.shutdown()
    assert met == [True, True]


def test_one_in_the_loops_own_thread_hears_of_it_before_the_loop_is_waited_for() -> None:
    scheduler = BackgroundScheduler(executors={"default": DebugExecutor()})
    begun, reasons = Event(), []
    scheduler.start()
    scheduler.add_job(lambda: reasons.append(reason_for_which_it_ends(begun)), misfire_grace_time=None)
    assert begun.wait(SOON)
    scheduler.shutdown()
    assert reasons == ["shutdown"]


@pytest.mark.parametrize("wait", [True, False])
def test_those_that_are_not_waited_for_hear_of_it_too(wait: bool) -> None:
    scheduler = BackgroundScheduler()
    begun, ended, reasons = Event(), Event(), []

    def job() -> None:
        reasons.append(reason_for_which_it_ends(begun))
        ended.set()

    scheduler.start()
    scheduler.add_job(job, misfire_grace_time=None)
    assert begun.wait(SOON)
    stopping = Thread(target=scheduler.shutdown, args=[wait])
    stopping.start()
    assert ended.wait(SOON)
    stopping.join(SOON)
    assert reasons == ["shutdown"]
