"""A program whose own signal handler raises out of `BlockingScheduler.start()`: the scheduler is to be shut down, and can be."""

import os
import signal
import threading

import pytest
from mainspring.events import EVENT_SCHEDULER_SHUTDOWN
from mainspring.scheduler.blocking import BlockingScheduler

from tests.scheduler.watching import TIMEOUT, Heard, stop, within_time


class Stopped(Exception):
    """What the handler raises."""


def test_what_it_raises_comes_out_and_the_scheduler_runs_until_it_is_shut_down() -> None:
    def handler(number: int, frame: object) -> None:
        raise Stopped

    scheduler = BlockingScheduler()
    heard = Heard(scheduler)
    began, go_on = threading.Event(), threading.Event()

    def work() -> str:
        began.set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert go_on.wait(TIMEOUT)
        return "done"

    scheduler.add_job(work, id="x", misfire_grace_time=None)
    guard = threading.Timer(TIMEOUT, stop, [scheduler])  # or a handler that is not called would hang the test
    guard.start()
    previous = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(Stopped):
            scheduler.start()
    finally:
        signal.signal(signal.SIGTERM, previous)
        guard.cancel()
    assert began.is_set()
    assert scheduler.running
    go_on.set()
    within_time(scheduler.shutdown)
    assert not scheduler.running
    assert [
        event.retval
        for event in heard.events
        if getattr(event, "job_id", None) == "x" and hasattr(event, "retval")
    ] == ["done"]
    assert len(heard.of(EVENT_SCHEDULER_SHUTDOWN)) == 1
    scheduler.add_job(scheduler.shutdown, id="y", misfire_grace_time=None)
    within_time(scheduler.start)
