"""What the MongoDB store does when several schedulers are at the same records, with pages of them, and with documents and texts of all kinds."""

from collections.abc import Callable, Iterator
from typing import Any

import bson
import pytest
from bson.int64 import Int64
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.mongodb.claimstep import RESERVED_FOR
from mainspring.jobstores.record import UNREADABLE, Decision

from tests.jobstores.driving import (
    NOW,
    claim,
    claim_once,
    every,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    record_of,
)
from tests.jobstores.on_mongodb import Place, known, place_on
from tests.servers import Server

MANY = 20
Two = tuple[MongoDBJobStore, MongoDBJobStore]


@pytest.fixture
def place(mongodb_server: Server) -> Iterator[Place]:
    with place_on(mongodb_server.url) as place:
        yield place


@pytest.fixture
def two(place: Place) -> Two:
    """Two stores which have met each other, so that they reserve what they decide."""
    stores = place.open(), place.open()
    for store in stores:
        store._wary = 64
    return stores


def before_commit(store: MongoDBJobStore, act: Callable[[], object]) -> None:
    """Have something done between the next decision of the store and its write."""
    commit = store._writing.commit

    def acting(*args: Any, **kwargs: Any) -> Any:
        store._writing.commit = commit  # type: ignore[method-assign]
        act()
        return commit(*args, **kwargs)

    store._writing.commit = acting  # type: ignore[method-assign]


def add_many(two: Two, size: int = MANY) -> None:
    insert(two[0], *(new_job(f"{n:02}", n / 1000, every(60, n / 1000)) for n in range(size)))
    known(two[0])
    known(two[1])


# -- who comes second -------------------------------------------------------------------------------------------------


def test_a_claim_behind_another_one_takes_nothing_of_it(two: Two) -> None:
    one, other = two
    one._wary = other._wary = 0
    add_many(two)
    won: list[Any] = []
    before_commit(one, lambda: won.extend(claim_once(other, micros(1), {"default": 5}).claims))
    result = claim_once(one, micros(1))
    assert len(won) == 5
    assert len(result.claims) == MANY - 5
    assert result.more
    assert not {each.record.id for each in won} & {each.record.id for each in result.claims}
    assert all(len(record.runs) == 1 for record in one.read_all())
    assert (one.claim_attempts, one.claims_lost) == (MANY, 5)
    assert (other.claim_attempts, other.claims_lost) == (5, 0)
    assert one._wary > 0, "from now on it reserves"


def test_what_is_reserved_by_one_is_not_found_by_another(two: Two) -> None:
    one, other = two
    add_many(two)
    results: list[Any] = []
    before_commit(one, lambda: results.append(claim_once(other, micros(1), {"default": MANY})))
    assert len(claim_once(one, micros(1), {"default": MANY - 3}).claims) == MANY - 3
    (result,) = results
    assert sorted(won.record.id for won in result.claims) == [f"{n:02}" for n in range(MANY - 3, MANY)]
    # It looks again when the reservations end.
    assert result.wake_at == micros(1) + RESERVED_FOR
    assert one.claims_lost == other.claims_lost == 0


def test_who_meets_a_reservation_leaves_it_and_reserves_too(two: Two) -> None:
    one, other = two
    other._wary = 0
    add_many(two)
    results: list[Any] = []
    before_commit(one, lambda: results.append(claim_once(other, micros(1), {"default": MANY})))
    assert len(claim_once(one, micros(1), {"default": MANY - 3}).claims) == MANY - 3
    assert len(results[0].claims) == 3
    assert other._wary > 0
    assert one.claims_lost == other.claims_lost == 0


def test_a_reservation_that_nobody_follows_up_ends(two: Two) -> None:
    one, other = two
    add_many(two)

    def fail() -> None:
        raise KeyboardInterrupt

    before_commit(one, fail)
    with pytest.raises(KeyboardInterrupt):
        claim_once(one, micros(1))
    assert claim_once(other, micros(1) + RESERVED_FOR - 1).claims == []
    assert len(claim_once(other, micros(1) + RESERVED_FOR).claims) == MANY


def test_who_has_reserved_and_is_late_loses_to_who_has_written(two: Two) -> None:
    one, other = two
    add_many(two)
    won: list[Any] = []
    before_commit(one, lambda: won.extend(claim_once(other, micros(1) + RESERVED_FOR).claims))
    assert claim_once(one, micros(1)).claims == []
    assert len(won) == MANY
    assert {record.runs[0].owner for record in one.read_all()} == {other.owner.name}


def test_what_was_reserved_and_is_not_taken_is_free_again(two: Two, place: Place) -> None:
    one, other = two
    add_many(two)

    def hold(record: Any, job: Any, due: Any) -> Decision:
        return Decision(record.next_run_time, record.fire_time, record.state, record.runs)

    assert one.claim_due(micros(1), {"default": MANY}, hold).claims == []
    assert all("reserved_until" not in document for document in place.documents().values())
    assert len(claim_once(other, micros(1)).claims) == MANY


def test_what_is_reserved_and_deferred_is_held_for_the_next_claim(two: Two) -> None:
    one, other = two
    insert(other, *(new_job(f"{n:02}", 0, every(60)) for n in range(MANY)))
    result = claim_once(one)
    assert len(result.deferred) == MANY
    assert claim_once(other).claims == []
    one.restore(result.deferred)
    assert len(claim_once(one).claims) == MANY


def test_most_of_what_is_not_for_this_process_is_not_reserved_again(two: Two, place: Place) -> None:
    one, _ = two
    add_many(two)
    with place.collection() as collection:
        collection.update_many({"_id": {"$ne": "19"}, "stamp": {"$exists": True}}, {"$set": {"version": 99}})
    assert [won.record.id for won in claim_once(one, micros(1)).claims] == ["19"]
    assert not one._reserves


def test_two_that_reserve_at_once_share_what_is_due(two: Two, place: Place) -> None:
    one, other = two
    add_many(two)
    # The other one has reserved the first half since it was read.
    find = one._link.find

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        found = find(*args, **kwargs)
        one._link.find = find  # type: ignore[method-assign]
        with place.collection() as collection:
            collection.update_many(
                {"_id": {"$lt": "10"}},
                {"$set": {"reserved_until": Int64(micros(2)), "reserved_by": other.owner.boot}},
            )
        return found

    one._link.find = overtaken  # type: ignore[method-assign]
    result = claim_once(one, micros(1), {"default": 12})
    assert sorted(won.record.id for won in result.claims) == [f"{n:02}" for n in range(10, 20)]
    assert one.claims_lost == 0


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reserves", [False, True])
@pytest.mark.parametrize("size", [6, 2_500])
def test_claims_page_past_what_is_not_for_this_process(
    two: Two, place: Place, size: int, reserves: bool
) -> None:
    one, other = two
    one._wary = 64 * reserves
    insert(one, *(new_job(f"{n:04}", n / 10_000) for n in range(size)))
    insert(one, new_job("good", 1))
    # A later version's records, as far as this process can tell.
    with place.collection() as collection:
        collection.update_many({"_id": {"$nin": ["good", "\0layout"]}}, {"$set": {"version": 99}})
    known(one)
    won: list[str] = []
    for now in (1, 2, 3, 61, 121):
        result = claim_once(one, micros(now), {"default": 3})
        won += [each.record.id for each in result.claims]
        finish(one, *result.claims)
    assert won == ["good"] * 3
    assert ids_of(other)[-1] == "good"


def test_several_executors_are_asked_for_at_once(two: Two) -> None:
    one, other = two
    insert(other, *(new_job(f"{n:02}", n / 100, executor=f"{n % 3}") for n in range(60)))
    insert(other, new_job("later", 50, executor="2"))
    known(one)
    one._wary = 0
    result = claim_once(one, micros(1), {"0": 2, "1": 30, "2": 20})
    assert sorted(won.record.executor for won in result.claims) == ["0"] * 2 + ["1"] * 20 + ["2"] * 20
    assert result.more
    assert other.overdue_executors(micros(1)) == {"0"}


# -- documents of all kinds ---------------------------------------------------------------------------------------------------


FOREIGN: list[dict[str, Any]] = [
    {"_id": bson.ObjectId("0123456789abcdef01234567"), "name": "a customer"},
    {"_id": 7, "executor": "default", "wake_at": Int64(NOW - 1), "stamp": "s"},
    {"_id": "text", "executor": "default", "wake_at": Int64(NOW - 1), "stamp": 5},
    {"_id": "no stamp", "executor": "default", "wake_at": Int64(NOW - 1)},
    {"_id": "float", "executor": "default", "wake_at": float(NOW - 1), "stamp": "s"},
    {"_id": "nan", "executor": "default", "wake_at": float("nan"), "stamp": "s"},
    {"_id": "odd state", "executor": "default", "wake_at": Int64(0), "stamp": "s", "state": ["active"]},
    {"_id": "ref", "executor": "default", "wake_at": Int64(0), "stamp": "s", "reason": {"$ref": 5, "$id": 1}},
    {"_id": "date", "executor": "default", "wake_at": Int64(0), "stamp": "s", "runs": bson.DatetimeMS(2**62)},
    {
        "_id": "reserved",
        "executor": "default",
        "wake_at": Int64(0),
        "stamp": "s",
        "reserved_until": "for ever",
    },
]


@pytest.mark.parametrize("reserves", [False, True])
def test_what_others_have_put_there_is_passed_over_and_stays(
    two: Two, place: Place, reserves: bool, caplog: pytest.LogCaptureFixture
) -> None:
    one, _ = two
    one._wary = 64 * reserves
    insert(one, new_job("good", 0))
    with place.collection() as collection:
        collection.insert_many(FOREIGN)
    assert [won.record.id for won in claim(one).claims] == ["good"]
    unreadable = {record.id for record in one.read_all() if record.version == UNREADABLE}
    assert len(unreadable) == len(FOREIGN)
    assert "ObjectId('0123456789abcdef01234567')" in unreadable
    one.recover(NOW + 10**9)
    one.overdue_executors(NOW)
    one.remove_all_jobs()
    assert {"ObjectId('0123456789abcdef01234567')", "7"} <= {repr(name) for name in place.documents()}


def test_a_damaged_record_can_be_mended_or_removed(
    two: Two, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    one, _ = two
    insert(one, new_job("a", 0), new_job("runless", 0), new_job("stampless", 0))
    with place.collection() as collection:
        collection.update_one({"_id": "runless"}, {"$set": {"runs": "[{"}})
        collection.update_one({"_id": "stampless"}, {"$unset": {"stamp": ""}})
    assert [won.record.id for won in claim(one).claims] == ["a"]
    assert sum("'runless' cannot be read" in message for message in caplog.messages) == 1
    job = one.lookup_job("runless")
    assert job is not None
    job._modify(name="new")
    one.update_job(job)
    assert [won.job.name for won in claim(one).claims] == ["new"]
    one.remove_job("stampless")
    assert ids_of(one) == ["a", "runless"]


# -- numbers and texts ---------------------------------------------------------------------------------------------------


def test_numbers_of_63_bits_are_kept(two: Two) -> None:
    one, other = two
    numbers = [2**63 - 1, 2**53 + 1, 2**62 + 12345]
    expected = {*numbers}
    one._random_bits = numbers.pop  # type: ignore[method-assign]
    insert(one, *(new_job(name, 0) for name in "abc"))
    assert {record.revision for record in other.read_all()} == expected
    claims = claim(other).claims
    assert {won.record.incarnation for won in claims} == expected
    finish(other, *claims)
    assert all(record.runs == () for record in one.read_all())


@pytest.mark.parametrize(
    "name",
    [
        "a\nb",
        "a.b$c",
        "$where",
        "\0",
        "\0layout",
        "\0+x",
        "\x000",
        "\ud800",
        "x\udfffy\0",
        "ünïcødé",
        "q" * 5_000,
    ],
)
def test_any_text_is_an_id_and_an_alias(two: Two, name: str) -> None:
    one, other = two
    insert(one, new_job(name, 0, every(60), executor=name), new_job("plain", 0))
    assert sorted(ids_of(other)) == sorted([name, "plain"])
    assert other.overdue_executors(NOW) == {name, "default"}
    (won,) = claim(other, wanted={name: 5}).claims
    assert won.record.id == name
    finish(other, won)
    assert other.peek(name) == record_of(one, name)
    other.remove_job(name)
    assert ids_of(one) == ["plain"]
