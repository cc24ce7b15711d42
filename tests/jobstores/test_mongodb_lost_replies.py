"""The MongoDB store when requests or answers get lost: each write is made once, or never, and the store knows which."""

from collections.abc import Iterator
from random import Random
from urllib.parse import urlsplit

import pytest
from mainspring.jobstores.base import JobStoreError, StoreUnreachableError
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.record import Claim
from mainspring.jobstores.uncertain import UncertainWriteError

from tests.jobstores.driving import (
    LEASE,
    claim,
    claim_once,
    every,
    finish,
    ids_of,
    insert,
    key_of,
    micros,
    new_job,
    once,
    record_of,
)
from tests.jobstores.mongodb_proxy import MongoProxy
from tests.jobstores.on_mongodb import Place, known, place_on
from tests.jobstores.redis_proxy import Loss
from tests.servers import Server

LOSSES: tuple[Loss, ...] = ("request", "reply", "both")


@pytest.fixture
def place(mongodb_server: Server) -> Iterator[Place]:
    with place_on(mongodb_server.url) as place:
        yield place


def proxy_of(place: Place) -> MongoProxy:
    port = urlsplit(place.url).port
    assert port is not None
    return MongoProxy(port)


@pytest.fixture
def proxy(place: Place) -> Iterator[MongoProxy]:
    proxy = proxy_of(place)
    yield proxy
    proxy.close()


@pytest.fixture
def store(place: Place, proxy: MongoProxy) -> MongoDBJobStore:
    """A store behind the proxy."""
    return place.open(proxy.url)


@pytest.fixture
def other(place: Place) -> MongoDBJobStore:
    """Another scheduler's, whose connection loses nothing."""
    return place.open()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [1, 30])
def test_a_claim_whose_answer_gets_lost_is_won_once(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy, loss: Loss, size: int
) -> None:
    insert(store, *(new_job(f"{n}", 0, every(60)) for n in range(size)))
    known(store)
    proxy.lose_commands(("update", loss))
    claims = claim(store).claims
    assert proxy.has_lost
    assert len(claims) == size
    assert all(record_of(other, each.record.id).runs == (each.run,) for each in claims)
    # What is late finds another stamp, and writes nothing.
    proxy.deliver()
    assert all(record_of(other, each.record.id).runs == (each.run,) for each in claims)
    assert claim(other).claims == []
    finish(store, *claims)
    assert {record.wake_at for record in other.read_all()} == {micros(60)}


def test_a_look_whose_answer_gets_lost_is_another_look(store: MongoDBJobStore, proxy: MongoProxy) -> None:
    insert(store, *(new_job(f"{n:02}", 0, every(60)) for n in range(30)))
    known(store)
    proxy.lose_commands(("find", "reply"))
    # Reading is repeated by the driver.
    assert len(claim_once(store).claims) == 30
    assert proxy.has_lost


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("command", ["update", "delete"])
def test_an_end_whose_answer_gets_lost_is_written(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy, loss: Loss, command: str
) -> None:
    insert(store, new_job("a", 0, every(60)), new_job("b", 0, once(0)))
    claims = claim(store).claims
    proxy.lose_commands((command, loss))
    result = finish(store, *claims)
    assert proxy.has_lost
    assert result.removed == ["b"]
    proxy.deliver()
    (record,) = other.read_all()
    assert (record.id, record.runs) == ("a", ())


@pytest.mark.parametrize("loss", LOSSES)
def test_an_extension_whose_answer_gets_lost_is_written(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy, loss: Loss
) -> None:
    insert(store, new_job("a", 0, every(3600)))
    (won,) = claim(store).claims
    proxy.lose_commands(("update", loss))
    assert store.extend_leases([key_of(won)], micros(100)) == []
    assert record_of(other, "a").runs[0].lease_until == micros(100)
    proxy.deliver()
    assert record_of(other, "a").wake_at == micros(100)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("command", ["insert", "update"])
@pytest.mark.parametrize("ids", ["a", "ab"])
def test_an_addition_whose_answer_gets_lost_is_made_once(
    place: Place,
    store: MongoDBJobStore,
    other: MongoDBJobStore,
    proxy: MongoProxy,
    loss: Loss,
    command: str,
    ids: str,
) -> None:
    proxy.lose_commands((command, loss))
    insert(store, *(new_job(job_id, 5) for job_id in ids))
    assert proxy.has_lost
    assert ids_of(other) == [*ids]
    # A late addition does not bring back what has been removed since.
    other.remove_job("a")
    proxy.deliver()
    assert ids_of(other) == [*ids[1:]]
    other._adding.sweep(0)
    other._adding.sweep(micros(60))
    assert set(place.documents()) == {*ids[1:]}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_removal_whose_answer_gets_lost_is_made_once(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy, loss: Loss
) -> None:
    insert(store, new_job("a", 0))
    proxy.lose_commands(("delete", loss))
    store.remove_job("a")
    assert ids_of(other) == []
    insert(other, new_job("a", 0))
    proxy.deliver()
    assert ids_of(other) == ["a"]


@pytest.mark.parametrize("loss", LOSSES)
def test_clearing_late_deletes_nothing_that_was_added_since(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy, loss: Loss
) -> None:
    insert(store, new_job("a", 0), new_job("b", 0))
    proxy.lose_commands(("delete", loss))
    with pytest.raises(StoreUnreachableError):
        store.remove_all_jobs()
    store.remove_all_jobs()
    insert(other, new_job("a", 0))
    proxy.deliver()
    assert ids_of(other) == ["a"]


def test_an_edit_whose_answer_gets_lost_is_not_taken_for_somebody_elses(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy
) -> None:
    insert(store, new_job("a", 0, name="old"))
    job = store.lookup_job("a")
    assert job is not None
    job._modify(name="new")
    proxy.lose_commands(("update", "reply"))
    store.update_job(job)
    assert proxy.has_lost
    found = other.lookup_job("a")
    assert found is not None
    assert found.name == "new"


@pytest.mark.parametrize("loss", ["reply", "both"])
def test_runs_of_a_claim_in_doubt_are_not_started_and_given_back(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy, loss: Loss
) -> None:
    insert(store, *(new_job(f"{n}", 0, every(60)) for n in range(3)))
    known(store)
    proxy.lose_commands(("update", loss), ("update", "request"))
    with pytest.raises(UncertainWriteError, match="not known whether it was written"):
        claim_once(store)
    assert proxy.has_lost
    assert all(len(record.runs) == (loss == "reply") for record in other.read_all())
    # As soon as the server can be reached: they are given back, and claimed.
    claims = claim(store).claims
    assert len(claims) == 3
    proxy.deliver()
    for won in claims:
        (run,) = record_of(other, won.record.id).runs
        assert (run.run, run.owner, run.state) == (won.run.run, store.owner.name, "claimed")


def test_runs_in_doubt_are_given_back_after_a_restart_too(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy
) -> None:
    insert(store, new_job("a", 0, every(60)))
    known(store)
    proxy.lose_commands(("update", "reply"), ("update", "request"))
    with pytest.raises(UncertainWriteError):
        claim_once(store)
    store.shutdown()
    store.own(Owner(), LEASE)
    store.start(None, "default")
    (won,) = claim(store).claims
    assert record_of(other, "a").runs == (won.run,)
    assert won.run.owner == store.owner.name


def test_what_is_staged_in_vain_twice_was_not_added(
    place: Place, store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy
) -> None:
    proxy.lose_commands(("insert", "request"), ("insert", "both"))
    with pytest.raises(StoreUnreachableError) as caught:
        insert(store, new_job("a", 5))
    assert not isinstance(caught.value, UncertainWriteError)
    proxy.deliver()
    assert ids_of(other) == []
    insert(store, new_job("a", 5))
    assert ids_of(other) == ["a"]


def test_whoever_reads_in_between_finds_no_half_of_a_write_in_doubt(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy
) -> None:
    # The answer gets lost, and somebody else edits the job before the stamps are read: the run in it tells that it was claimed.
    insert(store, new_job("a", 0, every(60)))
    known(store)
    read = store._writing.read

    def editing(job_ids: list[str]) -> object:
        job = other.lookup_job("a")
        assert job is not None
        job._modify(name="new")
        other.update_job(job)
        return read(job_ids)

    store._writing.read = editing  # type: ignore[assignment, method-assign]
    proxy.lose_commands(("update", "reply"))
    (won,) = claim_once(store).claims
    store._writing.read = read  # type: ignore[method-assign]
    assert record_of(other, "a").runs == (won.run,)
    finish(store, won)
    assert record_of(other, "a").runs == ()


@pytest.mark.parametrize("seed", range(4))
def test_whatever_gets_lost_each_run_is_won_once(place: Place, seed: int) -> None:
    random = Random(seed)
    proxies = [proxy_of(place) for _ in range(2)]
    stores = [place.open(proxy.url) for proxy in proxies]
    quiet = place.open()
    ids = [f"{n:02}" for n in range(60)]
    insert(quiet, *(new_job(job_id, 0, once(0)) for job_id in ids))
    won: list[str] = []
    held: list[list[Claim]] = [[], []]
    now = 0
    while quiet.read_all():
        now += 1  # seconds: what was reserved by a look whose answer got lost is free again after two
        number = random.randrange(2)
        store, proxy = stores[number], proxies[number]
        proxy.lose_commands(
            *((random.choice(COMMANDS), random.choice(LOSSES)) for _ in range(random.randrange(3)))
        )
        try:
            claims = claim(store, micros(now), {"default": random.choice([1, 5, 20])}).claims
            won += [each.record.id for each in claims]
            held[number] += claims
            finish(store, *held[number])
            held[number].clear()
        except JobStoreError:
            pass  # it is tried again
        proxy.forgive()
        if random.random() < 0.3:
            proxy.deliver()
    assert sorted(won) == ids
    for proxy in proxies:
        proxy.deliver()
        proxy.close()
    assert quiet.read_all() == []


COMMANDS = ("update", "update", "delete", "find")
