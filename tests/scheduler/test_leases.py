"""How long a scheduler believes in its leases: never longer than its store does."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from mainspring.events import ManualClock
from mainspring.executors import current_run
from mainspring.jobstores.record import Run
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.transitions import seal
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.keeper import Keeper
from mainspring.scheduler.port import RECOVER_EVERY, Port
from mainspring.scheduler.ticket import Ticket
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers.instants import to_micros

from tests.guards.faults import failing
from tests.scheduler.watching import START

LEASE = 30.0
NOW = to_micros(START)


def work() -> None: ...


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def port(tmp_path: Path, clock: ManualClock) -> Iterator[Port]:
    """A store with a due job, and nobody who looks at it."""
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    scheduler = VirtualScheduler(clock=clock, jobstores={"default": store}, lease=LEASE)
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


def test_a_lease_is_over_only_if_its_owner_could_have_extended_it_since(
    tmp_path: Path, port: Port, clock: ManualClock
) -> None:
    """Nobody can write to the store, but it can be read: who only reads must not be the first to write then."""
    other = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    other.start(None, "default")
    (record,) = other.read_all()
    run = Run(7, "schedule", (NOW,), NOW, "claimed", owner=other.owner.name, lease_until=NOW, claimed_at=NOW)
    other.write(
        record.id, lambda found: seal(replace(found, next_run_time=None, state="ended", runs=(run,)), "s")
    )

    clock.advance(timedelta(minutes=1))
    assert port.recover(clock.micros()) == [], "nothing is known of the time before the first write"
    clock.advance(timedelta(minutes=1))
    assert not port.must_recover(clock.micros() - 60_000_000 + RECOVER_EVERY - 1)
    assert port.must_recover(clock.micros())
    assert [found.run.run for found in port.recover(clock.micros())] == [7]
    other.shutdown()


def test_that_a_run_goes_on_which_others_have_recovered_is_said_once(
    tmp_path: Path, port: Port, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    (claim,) = port.claim(clock.micros(), {"default": 1}).claims
    port.tickets[claim.run.run] = Ticket(port, claim, None)
    other = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    other.start(None, "default")
    assert len(other.recover(NOW + 60_000_000)) == 1
    other.shutdown()
    keeper = Keeper(port.engine)
    for _ in range(3):
        keeper.see_to_all(due=True)
    assert [record.message for record in caplog.records].count(
        f'A run of job "{claim.record.id}" goes on here that is no longer this scheduler\'s: its lease was over '
        "and another one has recovered it, or its job was removed"
    ) == 1
    port.tickets.clear()  # else the keeper that sees to its end outlives the test, which other tests would wait for


def test_what_cannot_be_given_back_is_given_up_when_its_lease_is_over(
    port: Port, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After a shutdown, that is: else the keeper would go on as long as the program, for a store that may never come back."""
    (claim,) = port.claim(clock.micros(), {"default": 1}).claims
    ticket = port.tickets[claim.run.run] = Ticket(port, claim, None)
    port.returned(ticket.key)
    keeper = Keeper(port.engine)
    keeper._close = lambda: None
    with failing(port.store, "give_back"):
        keeper.see_to_all(due=False)
        assert not keeper._nothing_is_left()
        clock.advance(timedelta(seconds=LEASE))
        keeper.see_to_all(due=False)
        assert keeper._nothing_is_left()
    assert 'Ends of runs were not written to job store "default"' in caplog.text


reasons: SimpleQueue[str | None] = SimpleQueue()


def wait_for_the_reason() -> None:
    reasons.put("begun")
    run = current_run()
    assert run is not None
    run.wait(30)
    reasons.put(run.cancel_reason)


def test_a_run_learns_that_another_scheduler_has_recovered_it(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    scheduler = BackgroundScheduler(clock=clock, jobstores={"default": SQLAlchemyJobStore(url)})
    scheduler.start()
    other = SQLAlchemyJobStore(url)
    other.start(None, "default")
    try:
        scheduler.add_job(wait_for_the_reason)
        assert reasons.get(timeout=10) == "begun"
        assert len(other.recover(clock.micros() + 60_000_000)) == 1
        assert scheduler._keeper is not None
        scheduler._keeper.see_to_all(due=True)
        assert reasons.get(timeout=10) == "lost"
    finally:
        scheduler.shutdown()
        other.shutdown()
