"""PostgreSQL away: frozen, killed, restarted, empty, or a standby; answers that get lost, and what is left of connections."""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from mainspring.jobstores.base import JobStoreError, StoreUnreachableError
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.sql.pgwire import Wire
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.uncertain import UncertainWriteError

from tests.jobstores.driving import LEASE, NOW, claim, every, finish, ids_of, insert, new_job, once
from tests.jobstores.on_postgresql import Open, ask, stores, table_of_its_own
from tests.servers import DATABASE, PASSWORD, USER, Server


@pytest.fixture
def opened(postgresql: Server) -> Iterator[Open]:
    with table_of_its_own(postgresql.url) as table, stores(postgresql.url, table) as open_store:
        yield open_store


def on(server: Server, **options: Any) -> SQLAlchemyJobStore:
    """A store on a server of the test's own, not started."""
    store = SQLAlchemyJobStore(server.url, **options)
    store.own(Owner(), LEASE)
    return store


def sessions(url: str) -> int:
    """How many clients the server has, beside the one that asks."""
    mine = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
    return int(ask(url, f"SELECT count(*) FROM pg_stat_activity WHERE {mine}")[0][0])


def sessions_left(url: str) -> int:
    """How many are left as soon as the server has noticed who has gone."""
    for _ in range(500):
        if not (left := sessions(url)):
            return 0
        ask(url, "SELECT pg_sleep(0.01)")
    return left


# -- a server that is away -----------------------------------------------------------------------------------------


def test_a_frozen_server_is_given_up_after_the_timeout(own_postgresql: Server) -> None:
    store = on(own_postgresql, timeout=1.0)
    store.start(None, "default")
    insert(store, new_job("a", 0, every(60)))
    own_postgresql.freeze()
    for operation in (store.get_all_jobs, lambda: insert(store, new_job("b", 0)), lambda: claim(store)):
        with pytest.raises(StoreUnreachableError):
            operation()
    other = on(own_postgresql, timeout=1.0)
    with pytest.raises(StoreUnreachableError):
        other.start(None, "default")
    own_postgresql.thaw()
    assert ids_of(store) == ["a"]
    other.start(None, "default")
    insert(other, new_job("b", 0))
    store.shutdown()
    other.shutdown()
    assert sessions_left(own_postgresql.url) == 0


def test_a_server_that_was_restarted_is_used_as_if_nothing_had_been(own_postgresql: Server) -> None:
    store = on(own_postgresql)
    store.start(None, "default")
    insert(store, new_job("a", 0, every(60)))
    own_postgresql.kill()
    with pytest.raises(StoreUnreachableError, match="refused"):
        claim(store)
    own_postgresql.start()
    assert [won.record.id for won in claim(store).claims] == ["a"]
    # The connections that rest meanwhile are found out before they are used.
    own_postgresql.stop()
    own_postgresql.start()
    assert ids_of(store) == ["a"]
    store.shutdown()
    assert sessions_left(own_postgresql.url) == 0


def test_a_server_that_is_not_there_at_the_start(own_postgresql: Server) -> None:
    own_postgresql.stop()
    store = on(own_postgresql, timeout=1.0)
    with pytest.raises(StoreUnreachableError, match="refused"):
        store.start(None, "default")
    with pytest.raises(JobStoreError, match="not started"):
        store.get_all_jobs()
    own_postgresql.start()
    store.start(None, "default")
    insert(store, new_job("a", 0))
    store.shutdown()


class Refusing:
    """A server that answers each connection with a refusal, as one that is starting up does."""

    def __init__(self, code: str, text: str) -> None:
        fields = b"SFATAL\0VFATAL\0C" + code.encode() + b"\0M" + text.encode() + b"\0\0"
        self._answer = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self._listener.getsockname()[1]}/{DATABASE}?sslmode=disable&gssencmode=disable"

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                client.recv(10_000)
                client.sendall(self._answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.mark.parametrize(
    ("code", "text", "unreachable"),
    [
        ("57P03", "the database system is starting up", True),
        ("57P03", "the database system is shutting down", True),
        ("53300", "sorry, too many clients already", True),
        ("28P01", 'password authentication failed for user "mainspring"', False),
        ("3D000", 'database "mainspring" does not exist', False),
        ("28000", 'no pg_hba.conf entry for host "127.0.0.1"', False),
    ],
)
def test_what_a_server_says_at_the_door(code: str, text: str, unreachable: bool) -> None:
    server = Refusing(code, text)
    serving = Thread(target=server.serve)
    serving.start()
    with pytest.raises(JobStoreError, match=text) as raised:
        SQLAlchemyJobStore(server.url).start(None, "default")
    server.close()
    serving.join(10)
    assert isinstance(raised.value, StoreUnreachableError) == unreachable


def failing(text: str) -> bool:
    """Whether libpq's words for a connection that failed mean that the server is away for now."""
    dialect = SQLAlchemyJobStore("postgresql://me@nowhere/jobs")._database.dialect
    return dialect.is_unreachable(psycopg.OperationalError(f"connection failed: {text}"))


@pytest.mark.parametrize("host", ["pg-invalid", "certificates.example", "unsupported", "does not exist"])
def test_the_name_of_a_host_says_nothing(host: str) -> None:
    assert failing(f"failed to resolve host '{host}': [Errno -2] Name or service not known")
    assert failing(f'connection to server at "{host}" (10.0.0.1), port 5432 failed: Connection refused')
    refused = f'connection to server at "{host}" (10.0.0.1), port 5432 failed: FATAL:  '
    assert not failing(f'{refused}password authentication failed for user "me"')
    assert not failing(f'{refused}database "jobs" does not exist')


@pytest.mark.parametrize(
    ("text", "unreachable"),
    [
        ("received invalid response to SSL negotiation: H", True),  # another service has that port for now
        ("expected authentication request from server, but received H", True),
        ('invalid port number: "x"', False),
        ('invalid connection option "nosuch"', False),
        ('invalid sslmode value: "x"', False),
        ('invalid integer value "x" for connection option "keepalives"', False),
        ("SSL error: certificate verify failed", False),
        ('server certificate for "a" does not match host name "b"', False),
        ('root certificate file "/x/root.crt" does not exist', False),
        ("FATAL:  connection requires a valid client certificate", False),
        ('FATAL:  role "me" is not permitted to log in', False),
        ("FATAL:  unsupported frontend protocol 3.2: server supports 2.0 to 3.0", False),
        ('FATAL:  invalid value for parameter "TimeZone": "x"', False),
    ],
)
def test_what_is_said_of_a_connection_that_failed(text: str, unreachable: bool) -> None:
    assert failing(text) == unreachable


def test_a_host_that_cannot_be_found_may_be_there_later() -> None:
    store = SQLAlchemyJobStore("postgresql+psycopg://me:secret@pg-invalid.invalid/jobs", timeout=2.0)
    with pytest.raises(StoreUnreachableError):
        store.start(None, "default")


def test_a_wrong_password_is_not_shown(postgresql: Server) -> None:
    url = postgresql.url.replace(PASSWORD, "a-secret-of-mine")
    store = SQLAlchemyJobStore(url)
    with pytest.raises(JobStoreError, match="password authentication failed") as raised:
        store.start(None, "default")
    assert type(raised.value) is JobStoreError
    shown: BaseException | None = raised.value
    while shown is not None:
        assert "a-secret-of-mine" not in f"{shown!r} {shown}"
        shown = shown.__cause__
    host, port = "127.0.0.1", postgresql.port
    shy = f"postgresql://?user={USER}&password=a-secret-of-mine&host={host}&port={port}&dbname={DATABASE}"
    with pytest.raises(JobStoreError, match="password authentication failed") as raised:
        SQLAlchemyJobStore(shy).start(None, "default")
    assert "a-secret-of-mine" not in str(raised.value)
    with pytest.raises(JobStoreError, match=r'database "nowhere" does not exist'):
        SQLAlchemyJobStore(f"{postgresql.url.rpartition('/')[0]}/nowhere").start(None, "default")


def test_tables_that_are_gone_are_made_again(opened: Open, postgresql: Server) -> None:
    store = opened()
    insert(store, new_job("a", 0))
    table = store._schema.records.name
    ask(postgresql.url, f"DROP TABLE {table}, {table}_schema")
    with pytest.raises(JobStoreError, match="does not exist"):
        claim(store)
    assert claim(store).claims == []
    insert(store, new_job("b", 0))
    assert ids_of(store) == ["b"]


def test_a_standby_is_left_for_the_new_primary(opened: Open, postgresql: Server) -> None:
    store = opened()
    insert(store, new_job("a", 0))
    with psycopg.connect(postgresql.url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {USER} SET default_transaction_read_only = on")
        try:
            store.engine.dispose()
            with pytest.raises(StoreUnreachableError, match="read-only"):
                insert(store, new_job("b", 0))
        finally:
            admin.execute("SET transaction_read_only = off")
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(f"ALTER ROLE {USER} RESET default_transaction_read_only")
    insert(store, new_job("b", 0))
    assert ids_of(store) == ["a", "b"]


def test_a_server_that_may_forget_commits_is_warned_of(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    opened()
    assert "can undo claims" not in caplog.text
    opened(engine_options={"connect_args": {"options": "-c synchronous_commit=off"}})
    assert "synchronous_commit=off and fsync=on" in caplog.text


def test_connections_are_released(opened: Open, postgresql: Server) -> None:
    store = opened(engine_options={"connect_args": {"application_name": "released"}})
    mine = "SELECT pid FROM pg_stat_activity WHERE application_name = 'released'"
    with pytest.raises(ZeroDivisionError):
        store._database.reading(lambda session: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        store._database.writing(lambda session: (session.rows("SELECT 1"), {})[0][0][0] // 0)
    for state in ask(postgresql.url, mine.replace("pid", "state")):
        assert state == ("idle",)
    assert store.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    store.shutdown()
    for _ in range(500):
        if not ask(postgresql.url, mine):
            break
        ask(postgresql.url, "SELECT pg_sleep(0.01)")
    assert ask(postgresql.url, mine) == []


# -- answers that get lost -----------------------------------------------------------------------------------------


Lose = Callable[[bool], None]


@pytest.fixture
def lose_commit(monkeypatch: pytest.MonkeyPatch) -> Lose:
    """Let the connection break at the next COMMIT: before it reaches the server, or before its answer comes back."""

    def arrange(done: bool) -> None:
        exchange = Wire.exchange

        def fail(wire: Wire, requests: Any, **options: Any) -> Any:
            if requests[-1][0] != "COMMIT":
                return exchange(wire, requests, **options)
            monkeypatch.setattr(Wire, "exchange", exchange)
            if done:
                exchange(wire, requests, **options)
            with socket.socket(fileno=socket.dup(wire.connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)
            return exchange(wire, [("SELECT 1", ())])

        monkeypatch.setattr(Wire, "exchange", fail)

    return arrange


def _add(store: SQLAlchemyJobStore) -> None:
    insert(store, new_job("new", 0), new_job("newer", 0))


def _remove(store: SQLAlchemyJobStore) -> None:
    store.remove_job("a")


def _run(store: SQLAlchemyJobStore) -> None:
    assert sorted(won.record.id for won in claim(store).claims) == ["a", "b"]


@pytest.mark.parametrize("operation", [_add, _remove, _run])
def test_a_commit_whose_answer_is_lost_is_accounted_for(
    opened: Open, lose_commit: Lose, operation: Callable[[SQLAlchemyJobStore], None]
) -> None:
    store = opened()
    insert(store, new_job("a", 0, every(60)), new_job("b", 0, every(60)))
    claim(store, NOW - 1)
    before = sorted(store.read_all(), key=lambda record: record.id)
    lose_commit(False)
    with pytest.raises(StoreUnreachableError):  # it is certain that nothing was written
        operation(store)
    assert sorted(store.read_all(), key=lambda record: record.id) == before
    lose_commit(True)
    operation(store)
    assert sorted(store.read_all(), key=lambda record: record.id) != before


@pytest.mark.parametrize("operation", [_add, _remove, _run])
def test_a_commit_that_the_server_is_still_about_to_do_is_waited_for(
    opened: Open,
    postgresql: Server,
    monkeypatch: pytest.MonkeyPatch,
    operation: Callable[[SQLAlchemyJobStore], None],
) -> None:
    store = opened()
    insert(store, new_job("a", 0, every(60)), new_job("b", 0, every(60)))
    claim(store, NOW - 1)
    lines: list[socket.socket] = []
    exchange = Wire.exchange

    def lose(wire: Wire, requests: Any, **options: Any) -> Any:
        if requests[-1][0] != "COMMIT":
            return exchange(wire, requests, **options)
        monkeypatch.setattr(Wire, "exchange", exchange)
        exchange(wire, requests[:-1], **options)
        # The client's end goes, and the server does not notice.
        lines.append(socket.socket(fileno=socket.dup(wire.connection.fileno())))
        with open(os.devnull, "rb+") as nothing:
            os.dup2(nothing.fileno(), wire.connection.fileno())
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(Wire, "exchange", lose)
    with ThreadPoolExecutor(1) as threads:
        written = threads.submit(operation, store)
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        for _ in range(500):
            if ask(postgresql.url, waiting):
                break
            ask(postgresql.url, "SELECT pg_sleep(0.01)")
        lines[0].sendall(b"Q" + (11).to_bytes(4, "big") + b"COMMIT\0")
        written.result(10)
    lines[0].close()


@pytest.mark.parametrize("done", [False, True])
def test_a_claim_of_an_unknown_fate_is_given_back_when_the_server_is_up_again(
    own_postgresql: Server, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    store = on(own_postgresql)
    store.start(None, "default")
    insert(store, new_job("a", 0, every(60)), new_job("b", 0, once()))
    exchange = Wire.exchange

    def fail(wire: Wire, requests: Any, **options: Any) -> Any:
        if requests[-1][0] != "COMMIT":
            return exchange(wire, requests, **options)
        monkeypatch.setattr(Wire, "exchange", exchange)
        if done:
            exchange(wire, requests, **options)
        own_postgresql.kill()
        return exchange(wire, requests, **options)

    monkeypatch.setattr(Wire, "exchange", fail)
    with pytest.raises(UncertainWriteError, match="refused"):
        claim(store)
    with pytest.raises(StoreUnreachableError):
        claim(store)
    own_postgresql.start()
    result = claim(store)
    assert sorted(won.record.id for won in result.claims) == ["a", "b"]
    assert {record.id: len(record.runs) for record in store.read_all()} == {"a": 1, "b": 1}
    assert finish(store, *result.claims).removed == ["b"]
    store.shutdown()


def test_prepared_statements_that_are_gone_are_prepared_again(opened: Open) -> None:
    store = opened()
    insert(store, new_job("a", 0))
    # As poolers do, and SQLAlchemy's users in `reset` events.
    with store.engine.connect() as connection:
        connection.exec_driver_sql("DEALLOCATE ALL")
    insert(store, new_job("b", 0))
    assert ids_of(store) == ["a", "b"]
    assert isinstance(store.engine, sa.Engine)
