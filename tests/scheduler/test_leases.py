"""How long a scheduler believes in its leases: never longer than its store does."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import ManualClock
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.port import Port, Ticket

from tests.scheduler.watching import START

LEASE = 30.0


def work() -> None: ...


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def port(tmp_path: Path, clock: ManualClock) -> Iterator[Port]:
    """A store with a due job, and nobody who looks at it."""
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    scheduler = BackgroundScheduler(clock=clock, jobstores={"default": store}, lease=LEASE)
    scheduler.start(paused=True)
    scheduler.add_job(work, misfire_grace_time=None)
    engine: Any = scheduler._engine
    yield engine.port("default")
    scheduler.shutdown()


@pytest.mark.parametrize("delay", [0.0, 10.0, 40.0])
def test_a_lease_counts_from_the_time_that_the_store_was_given(
    port: Port, clock: ManualClock, delay: float
) -> None:
    now, start = clock.micros(), clock.monotonic()
    clock.advance(
        timedelta(seconds=delay)
    )  # importing a job's module took so long, or the process was frozen
    (claim,) = port.claim(now, {"default": 1}).claims
    assert claim.run.lease_until == now + LEASE * 1_000_000
    deadline = Ticket(port, claim, None).deadline
    assert deadline is not None
    assert start + LEASE - 0.001 < deadline < start + LEASE + 0.001
