"""What the Redis store does when several schedulers are at the same records, at pages of them, and with numbers and texts of all kinds."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.record import Decision, Plan, Run
from mainspring.jobstores.redis import RedisJobStore
from mainspring.jobstores.redis.claimstep import FEW, RESERVED_FOR

from tests.jobstores.driving import (
    LEASE,
    NOW,
    StubScheduler,
    claim,
    claim_once,
    every,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    once,
    record_of,
)
from tests.servers import Server

MANY = FEW + 12


@pytest.fixture
def client(redis_server: Server) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def new_store(redis_server: Server, client: Any) -> Iterator[Callable[[], RedisJobStore]]:
    opened: list[RedisJobStore] = []

    def new_store() -> RedisJobStore:
        store = RedisJobStore(url=redis_server.url)
        store.own(Owner(), LEASE)
        store.start(StubScheduler(), "default")
        opened.append(store)
        return store

    yield new_store
    for store in opened:
        store.shutdown()


@pytest.fixture
def two(new_store: Callable[[], RedisJobStore]) -> tuple[RedisJobStore, RedisJobStore]:
    return new_store(), new_store()


Two = tuple[RedisJobStore, RedisJobStore]


def before_commit(store: RedisJobStore, act: Callable[[], object]) -> None:
    """Have something done between the next decision of the store and its write."""
    commit = store._writing.commit

    def acting(*args: Any, **kwargs: Any) -> Any:
        store._writing.commit = commit  # type: ignore[method-assign]
        act()
        return commit(*args, **kwargs)

    store._writing.commit = acting  # type: ignore[method-assign]


def known(store: RedisJobStore) -> None:
    """Have the jobs restored, so that a claim is one step."""
    store.restore(store.read_all())


def index(client: Any, alias: str = "default") -> dict[str, int]:
    return {
        job_id.decode(): int(score)
        for job_id, score in client.zrange(f"{{mainspring}}.due:{alias}", 0, -1, withscores=True)
    }


# -- who comes second -------------------------------------------------------------------------------------------------


def test_a_claim_behind_another_one_takes_nothing_of_it(two: Two) -> None:
    one, other = two
    insert(one, *(new_job(f"{n}", 0, every(60)) for n in range(FEW)))
    known(one)
    known(other)
    won = []
    before_commit(one, lambda: won.extend(claim_once(other, wanted={"default": 5}).claims))
    result = claim_once(one)
    assert len(won) == 5
    assert len(result.claims) == FEW - 5
    assert result.more
    assert not {each.record.id for each in won} & {each.record.id for each in result.claims}
    for record in one.read_all():
        assert len(record.runs) == 1
    assert (one.claim_attempts, one.claims_lost) == (FEW, 5)
    assert (other.claim_attempts, other.claims_lost) == (5, 0)


def test_after_a_defeat_little_is_reserved_too(two: Two, client: Any) -> None:
    one, other = two
    insert(one, new_job("a", 0, every(60)))
    known(one)
    known(other)
    before_commit(one, lambda: claim_once(other))
    assert claim_once(one).claims == []
    insert(one, new_job("b", 0, every(60)))
    seen: list[dict[str, int]] = []
    before_commit(one, lambda: seen.append(index(client)))
    assert len(claim_once(one).claims) == 1
    assert seen[0]["b"] == NOW + RESERVED_FOR


def test_what_is_reserved_by_one_is_not_found_by_another(two: Two) -> None:
    one, other = two
    insert(one, *(new_job(f"{n:02}", 0, every(60)) for n in range(MANY)))
    known(one)
    known(other)
    results = []
    before_commit(one, lambda: results.append(claim_once(other, wanted={"default": MANY})))
    assert len(claim_once(one, wanted={"default": MANY - 3}).claims) == MANY - 3
    (result,) = results
    assert sorted(won.record.id for won in result.claims) == [f"{n:02}" for n in range(MANY - 3, MANY)]
    # It looks again when the reservations end.
    assert result.wake_at == NOW + RESERVED_FOR
    assert one.claims_lost == other.claims_lost == 0


def test_a_reservation_that_nobody_follows_up_ends(two: Two) -> None:
    one, other = two
    insert(one, *(new_job(f"{n:02}", 0, every(60)) for n in range(MANY)))
    known(one)
    known(other)

    def fail() -> None:
        raise KeyboardInterrupt

    before_commit(one, fail)
    with pytest.raises(KeyboardInterrupt):
        claim_once(one)
    assert claim_once(other, NOW + RESERVED_FOR - 1).claims == []
    assert len(claim_once(other, NOW + RESERVED_FOR).claims) == MANY


def test_who_has_reserved_and_is_late_loses_to_who_has_written(two: Two) -> None:
    one, other = two
    insert(one, *(new_job(f"{n:02}", 0, every(60)) for n in range(MANY)))
    known(one)
    known(other)
    won: list[Any] = []
    before_commit(one, lambda: won.extend(claim_once(other, NOW + RESERVED_FOR).claims))
    assert claim_once(one).claims == []
    assert len(won) == MANY
    assert {record.runs[0].owner for record in one.read_all()} == {other.owner.name}


def test_what_was_reserved_and_is_not_taken_is_free_again(two: Two, client: Any) -> None:
    one, other = two
    insert(one, *(new_job(f"{n:02}", n / 1000, every(60)) for n in range(MANY)))
    known(one)
    known(other)

    def hold(record: Any, job: Any, due: Any) -> Decision:
        return Decision(record.next_run_time, record.fire_time, record.state, record.runs)

    result = one.claim_due(micros(1), {"default": MANY}, hold)
    assert result.claims == []
    assert index(client) == {f"{n:02}": micros(n / 1000) for n in range(MANY)}
    assert len(claim_once(other, micros(1)).claims) == MANY


def test_what_is_reserved_and_deferred_is_held_for_the_next_claim(two: Two, client: Any) -> None:
    one, other = two
    insert(other, *(new_job(f"{n:02}", 0, every(60)) for n in range(MANY)))
    result = claim_once(one)
    assert len(result.deferred) == MANY
    assert claim_once(other).claims == []
    one.restore(result.deferred)
    assert len(claim_once(one).claims) == MANY
    assert all(record.wake_at == NOW + LEASE for record in one.read_all())
    assert set(index(client).values()) == {NOW + LEASE}


def test_what_is_held_is_not_decided_in_a_state_that_is_outdated(two: Two) -> None:
    one, other = two
    insert(other, *(new_job(f"{n:02}", 0, every(60)) for n in range(MANY)))
    result = claim_once(one)
    other.remove_job("03")
    job = other.lookup_job("05")
    assert job is not None
    job._modify(name="new")
    other.update_job(job)
    one.restore(result.deferred)
    claims = claim_once(one).claims
    assert len(claims) == MANY - 2
    claims += claim(one).claims
    names = {won.record.id: won.job.name for won in claims}
    assert sorted(names) == [f"{n:02}" for n in range(MANY) if n != 3]
    assert names["05"] == "new"
    for won in claims:
        assert record_of(other, won.record.id).runs == (won.run,)


def test_what_is_held_too_long_is_found_like_any_other(two: Two) -> None:
    one, other = two
    insert(other, *(new_job(f"{n:02}", 0, every(60)) for n in range(MANY)))
    assert len(claim_once(one).deferred) == MANY
    known(one)
    assert len(claim_once(other, NOW + RESERVED_FOR, {"default": 5}).claims) == 5
    assert len(claim_once(one, NOW + RESERVED_FOR).claims) == MANY - 5


def test_edits_and_ends_put_a_reserved_job_where_it_belongs(two: Two, client: Any) -> None:
    one, other = two
    insert(one, *(new_job(f"{n:02}", 0, every(60)) for n in range(MANY)))
    known(one)

    def move() -> None:
        job = other.lookup_job("01")
        assert job is not None
        job._modify(executor="elsewhere")
        other.update_job(job)
        other.remove_job("02")

    before_commit(one, move)
    assert len(claim_once(one).claims) == MANY - 2
    assert index(client, "elsewhere") == {"01": NOW}
    assert sorted(index(client)) == [f"{n:02}" for n in range(MANY) if n not in (1, 2)]
    assert other.overdue_executors(NOW) == {"elsewhere"}


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [FEW - 2, 2_500])
def test_claims_page_past_what_is_not_for_this_process(two: Two, client: Any, size: int) -> None:
    one, other = two
    insert(one, *(new_job(f"{n:04}", n / 10_000, func="tests.jobstores.samples:work") for n in range(size)))
    insert(one, new_job("good", 1))
    # A later version's records, as far as this process can tell.
    lines = client.hgetall("{mainspring}.records")
    for job_id, line in lines.items():
        if job_id != b"good":
            fields = line.split(b"\t")
            fields[8] = b"99"
            lines[job_id] = b"\t".join(fields)
    client.hset("{mainspring}.records", mapping=lines)
    known(one)
    for now in (1, 61, 121):
        result = claim_once(one, micros(now), {"default": 3})
        assert [won.record.id for won in result.claims] == ["good"]
        assert len(result.quarantined) == size
        finish(one, *result.claims)
    # None of them stays reserved, and after the first time none is.
    assert (
        sum(at == micros(int(job_id) / 10_000) for job_id, at in index(client).items() if job_id != "good")
        == size
    )
    assert ids_of(other)[-1] == "good"


def test_an_entry_without_a_record_and_a_damaged_record_are_in_nobodys_way(
    two: Two, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    one, _ = two
    insert(one, new_job("a", 0), new_job("damaged", 0), new_job("runless", 0))
    client.zadd("{mainspring}.due:default", {"nothing": NOW - 5})
    client.hset("{mainspring}.records", "damaged", "what is this")
    line = client.hget("{mainspring}.records", "runless")
    client.hset("{mainspring}.records", "runless", line + b"[{")
    assert [won.record.id for won in claim(one).claims] == ["a"]
    assert "nothing" not in index(client)
    assert sum("'damaged' cannot be read" in message for message in caplog.messages) == 1
    assert ids_of(one) == ["a", "damaged", "runless"]
    # What is left can be edited, which repairs it, or removed.
    job = one.lookup_job("runless")
    assert job is not None
    job._modify(name="new")
    one.update_job(job)
    assert [won.job.name for won in claim(one).claims] == ["new"]
    one.remove_job("damaged")
    assert ids_of(one) == ["a", "runless"]


# -- numbers and texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [2**53 - 1, 2**53 + 1, 2**53 + 2, 2**55 + 5])
def test_times_are_exact_beyond_the_integers_of_a_double(two: Two, at: int) -> None:
    one, other = two
    store_job = new_job("a", None, once(0))
    one.insert([(store_job, Plan(at, at))])
    one.insert([(new_job("b", None, once(0)), Plan(at + 1, at + 1))])
    record = record_of(other, "a")
    assert (record.next_run_time, record.fire_time, record.wake_at) == (at, at, at)
    known(other)

    def take(now: int) -> list[str]:
        def start(record: Any, job: Any, due: Any) -> Decision:
            run = Run(record.incarnation, "schedule", (record.next_run_time,), record.next_run_time)
            return Decision(None, None, "ended", (run,), 1)

        return [won.record.id for won in other.claim_due(now, {"default": 5}, start).claims]

    assert take(at - 1) == []
    wake_at = other.claim_due(at - 1, {"default": 5}, lambda *_: pytest.fail("nothing is due")).wake_at
    assert wake_at is not None
    assert at <= wake_at < at + 8  # what the index knows
    assert take(at) == ["a"]
    assert take(at) == []
    assert take(at + 1) == ["b"]
    assert one.get_next_run_time() is None


def test_numbers_of_63_bits_are_kept(two: Two) -> None:
    one, other = two
    numbers = [2**63 - 1, 2**53 + 1, 2**62 + 12345]
    one._random_bits = numbers.pop  # type: ignore[method-assign]
    insert(one, *(new_job(name, 0) for name in "abc"))
    assert {record.revision for record in other.read_all()} == {2**63 - 1, 2**53 + 1, 2**62 + 12345}
    claims = claim(other).claims
    assert {won.record.incarnation for won in claims} == {2**63 - 1, 2**53 + 1, 2**62 + 12345}
    finish(other, *claims)
    assert all(record.runs == () for record in one.read_all())


@pytest.mark.parametrize(
    "name", ["a\nb", "a\tb", "a%0Ab", "100 %", "ünïcødé", "\0", "\ud800", "'\"\\", " ", "{x}"]
)
def test_any_text_is_an_id_and_an_alias(two: Two, name: str) -> None:
    one, other = two
    insert(one, new_job(name, 0, every(60), executor=name), new_job("plain", 0))
    assert sorted(ids_of(other)) == sorted([name, "plain"])
    assert other.overdue_executors(NOW) == {name, "default"}
    (won,) = claim(other, wanted={name: 5}).claims
    assert (won.record.id, won.job.executor) == (name, name)
    finish(other, won)
    assert other.peek(name) == record_of(one, name)
    other.remove_job(name)
    assert ids_of(one) == ["plain"]
