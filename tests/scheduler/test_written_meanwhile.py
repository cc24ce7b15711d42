"""What is written to a store while the loop looks at it is not forgotten: the loop does not sleep past it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.record import ClaimResult, FinishResult
from mainspring.scheduler.virtual import VirtualScheduler

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class MeanwhileStore(MemoryJobStore):
    """Calls something right behind a step, as another thread may write in that moment."""

    def __init__(self) -> None:
        super().__init__()
        self.behind: dict[str, Callable[[], object]] = {}

    def claim_due(self, *arguments: Any) -> ClaimResult:
        result = super().claim_due(*arguments)
        self._meanwhile("claim")
        return result

    def finish_runs(self, *arguments: Any) -> FinishResult:
        result = super().finish_runs(*arguments)
        self._meanwhile("finish")
        return result

    def _meanwhile(self, step: str) -> None:
        self.behind.pop(step, lambda: None)()


@pytest.mark.parametrize("step", ["claim", "finish"])
@pytest.mark.parametrize("change", ["add", "modify", "resume"])
def test_a_job_that_becomes_due_behind_a_step_runs_at_once(step: str, change: str) -> None:
    store = MeanwhileStore()
    scheduler = VirtualScheduler(start=START, jobstores={"default": store})
    scheduler.start()
    ran: list[datetime] = []

    def run() -> None:
        ran.append(scheduler.now)

    scheduler.add_job(lambda: None, "date", run_date=START + timedelta(seconds=1))
    scheduler.add_job(run, "date", run_date=START, id="paused", next_run_time=None)
    scheduler.add_job(run, "date", run_date=START + timedelta(hours=1), id="later")
    meanwhile: dict[str, Callable[[], object]] = {
        "add": lambda: scheduler.add_job(run),
        "modify": lambda: scheduler.modify_job("later", next_run_time=scheduler.now),
        "resume": lambda: scheduler.resume_job("paused"),
    }
    written: list[datetime] = []

    def write() -> None:
        written.append(scheduler.now)
        meanwhile[change]()

    scheduler.advance(timedelta(milliseconds=500))
    store.behind[step] = write
    scheduler.advance(timedelta(milliseconds=600))
    assert len(written) == 1
    assert ran == written
    scheduler.shutdown()


def test_a_store_that_fails_behind_a_claim_is_looked_at_again_when_it_is_tried_again() -> None:
    store = MeanwhileStore()
    scheduler = VirtualScheduler(start=START, jobstores={"default": store})
    scheduler.start()

    def fail() -> None:
        raise OSError("the connection is gone")

    scheduler.add_job(lambda: None, "date", run_date=START + timedelta(seconds=2))
    store.behind["claim"] = fail
    scheduler.clock.unsubscribe(scheduler.wakeup)  # else each step of virtual time asks by itself
    scheduler.advance(timedelta(seconds=0))
    assert store.behind == {}
    assert scheduler._engine is not None
    port = scheduler._engine.port("default")
    assert port is not None
    assert port.outage is not None
    assert port.next_time(may_claim=True) == port.outage.retry_at
    assert port.look_at == 0
    scheduler.shutdown()
