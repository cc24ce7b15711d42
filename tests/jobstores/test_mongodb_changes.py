"""The MongoDB store and change streams: what others add or move wakes a scheduler, what it does itself does not, and nothing depends on it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from threading import Event
from typing import Any

import pytest
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.mongodb import listening as module
from mainspring.jobstores.mongodb.listening import Listener, pushed
from pymongo.errors import AutoReconnect, OperationFailure

from tests.jobstores.driving import at, claim, every, finish, ids_of, insert, micros, new_job
from tests.jobstores.on_mongodb import Place, place_on
from tests.servers import Server

TIMEOUT = 10.0  # seconds


@pytest.fixture
def place(mongodb_with_changes: Server) -> Iterator[Place]:
    with place_on(mongodb_with_changes.url) as place:
        yield place


class Hearing:
    """A store that somebody listens to, and what was heard."""

    def __init__(self, place: Place) -> None:
        self.heard: Queue[int] = Queue()
        self.store = place.made()
        self.store.on_push = self.heard.put
        place.opened(self.store)
        assert self.next() == 0, "it listens now"

    def next(self) -> int:
        return self.heard.get(timeout=TIMEOUT)


@pytest.fixture
def hearing(place: Place) -> Hearing:
    return Hearing(place)


@pytest.fixture
def other(place: Place) -> MongoDBJobStore:
    return place.open()


def test_what_others_add_is_told_with_its_time(hearing: Hearing, other: MongoDBJobStore) -> None:
    insert(other, new_job("a", 60))
    assert hearing.next() == micros(60)
    # Of several the earliest, once.
    insert(other, new_job("b", 70), new_job("c", 50), new_job("d", None))
    assert hearing.next() == micros(50)
    insert(other, new_job("e", 40))
    assert hearing.next() == micros(40)


def test_what_becomes_due_sooner_is_told_and_nothing_else(hearing: Hearing, other: MongoDBJobStore) -> None:
    insert(other, new_job("a", 60, every(60, 60)), new_job("b", 70))
    assert hearing.next() == micros(60)
    finish(other, *claim(other, micros(60)).claims)
    other.remove_job("b")
    job = other.lookup_job("a")
    assert job is not None
    job._modify(name="new")
    other.update_job(job)
    job._modify(next_run_time=at(5))
    other.update_job(job)
    # Neither claims nor ends, nor edits of anything else.
    assert hearing.next() == micros(5)
    job._modify(executor="elsewhere")
    other.update_job(job)
    assert hearing.next() == micros(5)


def test_what_it_writes_itself_is_not_told(hearing: Hearing, other: MongoDBJobStore) -> None:
    insert(hearing.store, new_job("own", 10))
    insert(other, new_job("a", 60))
    assert hearing.next() == micros(60)


def test_after_a_stop_nothing_is_told(hearing: Hearing, other: MongoDBJobStore) -> None:
    listener = hearing.store._listener
    assert listener is not None
    hearing.store.shutdown()
    assert listener.join(TIMEOUT)
    insert(other, new_job("a", 60))
    assert ids_of(other) == ["a"]
    with pytest.raises(Empty):
        hearing.heard.get_nowait()


def test_a_server_without_change_streams_is_polled(
    mongodb_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with place_on(mongodb_server.url) as place, caplog.at_level(logging.INFO):
        store = place.made()
        store.on_push = lambda at: None
        place.opened(store)
        listener = store._listener
        assert listener is not None
        if mongodb_server.name == "mongodb" and not getattr(mongodb_server, "genuine", True):
            assert listener.join(TIMEOUT), "it does not ask again"
        insert(store, new_job("a", 0))
        assert [won.record.id for won in claim(store).claims] == ["a"]
    assert caplog.records == []


# -- the thread, with a stream that is not a server's -----------------------------------------------------------------------


class Script:
    """A collection whose streams do what they are told: each step of a stream is a change, None or an error."""

    def __init__(self, *streams: Any) -> None:
        self.streams = [*streams]
        self.opened = 0
        self.exhausted = Event()

    @contextmanager
    def watch(self, pipeline: Any, max_await_time_ms: int) -> Iterator[Any]:
        self.opened += 1
        if not self.streams:
            self.exhausted.set()
            raise OperationFailure("enough", 40573)
        stream = self.streams.pop(0)
        if isinstance(stream, Exception):
            raise stream
        steps = iter(stream)

        class Stream:
            def try_next(self) -> Any:
                step = next(steps)
                if isinstance(step, Exception):
                    raise step
                return step

        yield Stream()


def change(text: Any) -> dict[str, Any]:
    return {"updateDescription": {"updatedFields": {"soon": text}}}


def run(script: Script, heard: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "PAUSE", 0.001)
    collection: Any = script
    listener = Listener(collection, lambda: "me", heard, logging.getLogger("test"))
    listener.start()
    assert listener.join(TIMEOUT)


def test_a_stream_that_breaks_is_opened_again_and_something_may_have_been_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script(
        [change("5 other.1"), None, change("6 me.3"), AutoReconnect("gone")],
        AutoReconnect("not there yet"),
        OperationFailure("the history is lost", 286),
        [change("7 other.2"), OperationFailure("the cursor is lost", 43)],
    )
    heard: list[int] = []
    run(script, heard.append, monkeypatch)
    assert heard == [0, 5, 0, 7]
    assert script.opened == 5


@pytest.mark.parametrize("code", [13, 40573, 40324, 59, None])
def test_where_there_are_none_it_ends(code: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(OperationFailure("no", code), [None])
    run(script, lambda at: pytest.fail("nothing is heard"), monkeypatch)
    assert script.opened == 1


def test_who_is_told_may_raise(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []

    def tell(at: int) -> None:
        heard.append(at)
        raise ValueError("no")

    run(Script([change("5 other.1"), OperationFailure("no", 40573)]), tell, monkeypatch)
    assert heard == [0, 5]
    assert "A push could not be handed on" in caplog.text


@pytest.mark.parametrize("foreign", [{}, change(5), change("soon x"), change(""), {"fullDocument": None}])
def test_what_is_no_push_is_passed_over(foreign: dict[str, Any]) -> None:
    assert pushed(foreign)[0] is None


def test_an_addition_is_a_push_too() -> None:
    assert pushed({"fullDocument": {"soon": "5 a.1"}}) == (5, "a.1")
