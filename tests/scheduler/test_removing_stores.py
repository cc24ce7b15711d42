"""A job store that is removed while the scheduler works with it: what was claimed there runs, and its end is written."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

from mainspring.events import EVENT_JOB_EXECUTED
from mainspring.jobstores.record import ClaimResult, Decide, Due, Record, Wanted
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler

from tests.scheduler.watching import TIMEOUT, Heard, nothing


class HeldUp(SQLAlchemyJobStore):
    """A store whose first claim that has won something comes back only when it is let go."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.won, self.let_go, self.closed = Event(), Event(), Event()

    def claim_due(
        self, now: int, wanted: Wanted, decide: Decide, decided: Sequence[tuple[Record, Due]] = ()
    ) -> ClaimResult:
        result = super().claim_due(now, wanted, decide, decided)
        if result.claims and not self.won.is_set():
            self.won.set()
            self.let_go.wait(TIMEOUT)
        return result

    def shutdown(self) -> None:
        super().shutdown()
        self.closed.set()


def test_a_store_that_is_removed_between_claim_and_submit(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.sqlite"
    store = HeldUp(url)
    scheduler = BackgroundScheduler(jobstores={"held": store})
    heard = Heard(scheduler)
    scheduler.start()
    try:
        scheduler.add_job(nothing, id="x", jobstore="held", misfire_grace_time=None)
        assert store.won.wait(TIMEOUT)
        scheduler.remove_jobstore("held")
        assert not store.closed.is_set()
        store.let_go.set()
        heard.wait(EVENT_JOB_EXECUTED, "x")
        assert store.closed.wait(TIMEOUT)
    finally:
        store.let_go.set()
        scheduler.shutdown()
    assert records_of(url) == []


def test_a_store_that_is_removed_when_nothing_is_claimed_is_closed_at_once(tmp_path: Path) -> None:
    store = HeldUp(f"sqlite:///{tmp_path}/jobs.sqlite")
    scheduler = BackgroundScheduler(jobstores={"held": store})
    scheduler.start()
    try:
        scheduler.remove_jobstore("held")
        assert store.closed.wait(TIMEOUT)
    finally:
        scheduler.shutdown()


def records_of(url: str) -> list[Any]:
    """What another process finds there."""
    store = SQLAlchemyJobStore(url)
    store.start(None, "other")
    try:
        return store.read_all()
    finally:
        store.shutdown()
