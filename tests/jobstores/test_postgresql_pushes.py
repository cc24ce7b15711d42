"""PostgreSQL tells at once what is added or moved, and what it tells is worth being told. No poll helps here."""

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mainspring.jobstores import edits, transitions
from mainspring.jobstores.job import Job
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.record import Run, RunKey
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.triggers import DateTrigger
from mainspring.triggers.instants import to_micros

from tests.jobstores.driving import LEASE, StubScheduler, claim_once, finish, outcome_of, plan_of
from tests.jobstores.on_postgresql import RAN, Open, Sent, ask, note, stores, table_of_its_own
from tests.jobstores.samples import work
from tests.servers import Server

HOUR = 3_600.0
TIMEOUT = 10.0


@pytest.fixture
def table(postgresql: Server) -> Iterator[str]:
    with table_of_its_own(postgresql.url) as name:
        yield name


@pytest.fixture
def opened(postgresql: Server, table: str) -> Iterator[Open]:
    with stores(postgresql.url, table) as open_store:
        yield open_store


def now() -> datetime:
    """The server judges by its own clock what is overdue."""
    return datetime.now(UTC)


def due_at(job_id: str, time: datetime, executor: str = "default") -> Job:
    """A one-off."""
    trigger = DateTrigger(time, timezone="UTC")
    return Job(
        None,
        id=job_id,
        func=work,
        trigger=trigger,
        next_run_time=time,
        executor=executor,
        misfire_grace_time=None,
    )


def add(store: SQLAlchemyJobStore, *jobs: Job) -> None:
    store.insert([(job, plan_of(job)) for job in jobs])


class Listening:
    """A store, and what it is told."""

    def __init__(self, open_store: Open, *executors: str, **options: Any) -> None:
        self.heard: queue.SimpleQueue[int] = queue.SimpleQueue()

        def on_push(at: int) -> None:
            self.heard.put(at)

        SQLAlchemyJobStore.on_push = staticmethod(on_push)
        try:
            self.store = open_store(**options)
        finally:
            del SQLAlchemyJobStore.on_push
        self.store.on_push = on_push
        claim_once(self.store, 0, dict.fromkeys(executors or ("default",), 5))
        assert self.next() == 0  # it listens from here on

    def next(self) -> int:
        return self.heard.get(timeout=TIMEOUT)


def test_it_is_told_only_what_it_would_not_know(opened: Open) -> None:
    listening, adding = Listening(opened), opened(push=True)
    start = now()

    def at(seconds: float) -> datetime:
        return start + timedelta(seconds=seconds)

    add(adding, due_at("first", at(1_000)))
    assert listening.next() == to_micros(at(1_000))
    add(adding, due_at("later", at(2_000)))  # nobody needs to look for it before the first
    add(adding, due_at("elsewhere", at(10), "other"))  # nor at all, who has no such executor
    add(adding, due_at("sooner", at(900)), due_at("soonest", at(800)))
    assert listening.next() == to_micros(at(800))
    adding.remove_job("soonest")
    adding.write("later", _moved_to(to_micros(at(2_500))))
    adding.write("later", _moved_to(to_micros(at(700))))
    assert listening.next() == to_micros(at(700))
    # While something is overdue, whoever could run it may be away, or look at nothing but that.
    add(adding, due_at("overdue", at(-10)))
    assert listening.next() == to_micros(at(-10))
    add(adding, due_at("last", at(5_000)))
    assert listening.next() == to_micros(at(5_000))
    assert listening.heard.empty()


def _moved_to(time: int) -> Callable[[Any], Any]:
    return lambda record: transitions.seal(replace(record, next_run_time=time, fire_time=time), f"{time}")


def test_a_claim_tells_nothing_and_an_end_only_what_is_sooner(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    add(store, due_at("a", now() - timedelta(seconds=1)))
    sent = Sent(monkeypatch)
    (won,) = claim_once(store, to_micros(now())).claims or _restored(store)
    finish(store, won)
    assert "NOTIFY" not in {word for trip in sent.taken() for word in trip}
    add(store, due_at("a", now() - timedelta(seconds=1)))
    (won,) = claim_once(store, to_micros(now())).claims
    sent.taken()
    store.give_back([RunKey("a", won.record.incarnation, won.run.run, won.run.owner or "")])
    assert [trip.count("NOTIFY") for trip in sent.taken()] == [1]


def test_a_retry_and_a_run_that_is_asked_for_are_told(opened: Open) -> None:
    listening, other = Listening(opened), opened(push=True)
    start = now()
    add(other, due_at("a", start - timedelta(seconds=1)))
    assert listening.next() <= to_micros(start)
    (won,) = claim_once(other, to_micros(now())).claims or _restored(other)
    soon, sooner = to_micros(start) + 20_000_000, to_micros(start) + 15_000_000
    retry = Run(5, "retry", won.run.fire_times, soon, "waiting", 2, retried=1, root=won.run.run)
    other.finish_runs([outcome_of(won, retry=retry)])
    assert listening.next() == soon
    asked = Run(6, "now", (sooner,), sooner, "waiting")
    other.write("a", lambda record: edits.run_now(record, asked, other.owner.stamp()))
    assert listening.next() == sooner


def _restored(store: SQLAlchemyJobStore) -> Any:
    store.restore(store.read_all())
    return claim_once(store, to_micros(now())).claims


def test_a_listener_whose_connection_is_lost_looks_when_it_listens_again(
    opened: Open, postgresql: Server
) -> None:
    listening, adding = Listening(opened), opened(push=True)
    terminate = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN \"mainspring public."
    )
    ask(postgresql.url, f"{terminate}{adding._schema.records.name}\"%'")
    assert listening.next() == 0
    add(adding, due_at("a", now() + timedelta(seconds=500)))
    assert listening.next() > 0


def test_without_push_nothing_is_told_and_nobody_listens(
    opened: Open, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Sent(monkeypatch)
    store = opened(push=False)
    add(store, due_at("a", now()))
    assert not {"NOTIFY", "LISTEN"} & {word for trip in sent.taken() for word in trip}


@contextmanager
def scheduler(url: str, table: str, **options: Any) -> Iterator[BackgroundScheduler]:
    store = SQLAlchemyJobStore(url, tablename=table, poll_interval=HOUR)
    running = BackgroundScheduler(jobstores={"default": store}, timezone="UTC")
    running.start(**options)
    yield running
    running.shutdown()


def test_a_job_that_another_process_adds_runs_at_once(postgresql: Server, table: str) -> None:
    with scheduler(postgresql.url, table), scheduler(postgresql.url, table, paused=True) as adding:
        adding.add_job(note, args=["a"], id="a")
        assert RAN.get(timeout=TIMEOUT) == "a"
        adding.add_job(note, "interval", hours=2, args=["b"], id="b")
        adding.modify_job("b", next_run_time=now())
        assert RAN.get(timeout=TIMEOUT) == "b"
        adding.add_job(note, "interval", hours=2, args=["c"], id="c")
        adding.run_job_now("c")
        assert RAN.get(timeout=TIMEOUT) == "c"


def test_the_listener_ends_with_the_store(opened: Open) -> None:
    listening = Listening(opened)
    listener = listening.store._database.dialect._listener  # type: ignore[attr-defined]
    listening.store.shutdown()
    assert not listener._thread.is_alive()
    listening.store.own(Owner(), LEASE)
    listening.store.start(StubScheduler(), "default")
    assert listening.next() == 0
