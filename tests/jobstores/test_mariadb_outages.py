"""The SQL store while its MariaDB is frozen, killed, stopped, empty or read-only, refuses it, or is used by a fork."""

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any
from uuid import uuid4

import pymysql
import pytest
import sqlalchemy as sa
from mainspring.jobstores.base import JobStoreError, StoreUnreachableError
from mainspring.jobstores.sql.mysql import MySQL
from mainspring.jobstores.sql.mysqlsession import MySQLSession
from mainspring.jobstores.sql.schema import Schema
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.uncertain import UncertainWriteError

from tests.jobstores.driving import NOW, claim, every, finish, ids_of, insert, micros, new_job, record_of
from tests.jobstores.mysql_server import connected, settings_of, wait_until
from tests.servers import DATABASE, PASSWORD, USER, Server

ALL_OPERATIONS: list[Callable[[Any], object]] = [
    lambda store: store.get_all_jobs(),
    lambda store: insert(store, new_job("new", 0)),
    lambda store: claim(store),
    lambda store: store.recover(NOW),
    lambda store: store.server_time(),
]


@pytest.fixture
def store(own_mariadb: Server) -> Iterator[SQLAlchemyJobStore]:
    store = SQLAlchemyJobStore(own_mariadb.url, timeout=0.5)
    store.start(None, "default")
    yield store
    store.shutdown()


def test_a_frozen_server_is_not_waited_for_longer_than_the_timeout(
    own_mariadb: Server, store: SQLAlchemyJobStore
) -> None:
    insert(store, new_job("a", 0))
    own_mariadb.freeze()
    begun = monotonic()
    for operation in ALL_OPERATIONS:
        with pytest.raises(StoreUnreachableError, match="timed out"):
            operation(store)
    another = SQLAlchemyJobStore(own_mariadb.url, timeout=0.5)
    with pytest.raises(StoreUnreachableError):
        another.start(None, "default")
    assert monotonic() - begun < 10
    own_mariadb.thaw()
    assert ids_of(store) == ["a"]
    another.start(None, "default")
    assert ids_of(another) == ["a"]
    another.shutdown()


@pytest.mark.parametrize("kill", [True, False])
def test_a_server_that_is_away_and_comes_back(
    own_mariadb: Server, store: SQLAlchemyJobStore, kill: bool
) -> None:
    insert(store, new_job("a", 0))
    (own_mariadb.kill if kill else own_mariadb.stop)()
    for operation in ALL_OPERATIONS:
        with pytest.raises(StoreUnreachableError, match="cannot be reached"):
            operation(store)
    store.shutdown()
    with pytest.raises(StoreUnreachableError):
        store.start(None, "default")
    own_mariadb.start()
    store.start(None, "default")
    assert [won.record.id for won in claim(store).claims] == ["a"]


def test_one_that_was_restarted_meanwhile_is_not_noticed(
    own_mariadb: Server, store: SQLAlchemyJobStore
) -> None:
    insert(store, new_job("a", 0))
    own_mariadb.stop()
    own_mariadb.start()
    assert [won.record.id for won in claim(store).claims] == ["a"]


def test_a_claim_of_which_nobody_knows_is_given_back(
    own_mariadb: Server, store: SQLAlchemyJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(store, *[new_job(f"{n}", 0, every(60)) for n in range(5)])
    finish(store, *claim(store).claims)
    commit = MySQLSession.commit

    def freeze_and_commit(self: MySQLSession) -> None:
        own_mariadb.freeze()
        commit(self)

    monkeypatch.setattr(MySQLSession, "commit", freeze_and_commit)
    with pytest.raises(UncertainWriteError, match="committing failed"):
        claim(store, micros(60))
    monkeypatch.undo()
    own_mariadb.thaw()
    with connected(own_mariadb.url) as other:
        # The server finds the COMMIT among what had come in before it was frozen.
        wait_until(other, "SELECT COUNT(*) = 5 FROM mainspring_jobs WHERE runs IS NOT NULL")
    first = [record_of(store, f"{n}").runs[0].run for n in range(5)]
    claims = claim(store, micros(60)).claims
    assert sorted(won.record.id for won in claims) == ["0", "1", "2", "3", "4"]
    assert not {won.run.run for won in claims} & {*first}
    assert {won.run.fire_times for won in claims} == {(micros(60),)}


def test_tables_that_are_gone_are_made_again(own_mariadb: Server, store: SQLAlchemyJobStore) -> None:
    insert(store, new_job("a", 0))
    with connected(own_mariadb.url) as other:
        other.execute("DROP TABLE mainspring_jobs, mainspring_jobs_schema")
    with pytest.raises(JobStoreError, match="doesn't exist"):
        ids_of(store)
    assert ids_of(store) == []
    insert(store, new_job("b", 0))
    assert [won.record.id for won in claim(store).claims] == ["b"]


def test_a_server_that_became_read_only_is_left_for_the_one_in_its_place(own_mariadb: Server) -> None:
    url = sa.make_url(own_mariadb.url).set(username="plain")
    with connected(own_mariadb.url) as other:
        other.execute(f"CREATE USER plain@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        other.execute(f"GRANT ALL ON {DATABASE}.* TO plain@'127.0.0.1'")
        store = SQLAlchemyJobStore(url)
        store.start(None, "default")
        pool = store.engine.pool
        other.execute("SET GLOBAL read_only = 1")
        with pytest.raises(StoreUnreachableError, match="--read-only"):
            insert(store, new_job("a", 0))
        assert store.engine.pool is not pool
        assert ids_of(store) == []
        other.execute("SET GLOBAL read_only = 0")
        insert(store, new_job("a", 0))
        assert ids_of(store) == ["a"]
        store.shutdown()


def test_the_servers_own_defaults_do_not_matter(own_mariadb: Server) -> None:
    with connected(own_mariadb.url) as other:
        for setting in (
            "sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO,ORACLE'",
            "time_zone = '+09:00'",
            "tx_isolation = 'SERIALIZABLE'",
            "autocommit = 0",
            "character_set_server = 'latin1'",
            "collation_server = 'latin1_german2_ci'",
            "default_storage_engine = 'MyISAM'",
            "innodb_lock_wait_timeout = 1000",
        ):
            other.execute(f"SET GLOBAL {setting}")
    # "order" has to be quoted
    stores = [SQLAlchemyJobStore(own_mariadb.url, tablename="order 100%") for _ in range(2)]
    for store in stores:
        store.start(None, "default")
    store, other_store = stores
    assert settings_of(store.engine)["innodb_lock_wait_timeout"] == 2
    insert(store, *[new_job(f"'\\\"ä😀{n}", 0, every(60), name="'\\") for n in range(6)])
    claims = claim(store).claims
    assert {won.job.name for won in claims} == {"'\\"}
    assert claim(other_store).claims == []
    finish(store, *claims)
    assert len(claim(other_store, micros(60)).claims) == 6
    assert abs((store.server_time() or 0) - (other_store.server_time() or 0)) < 10_000_000
    for each in stores:
        each.shutdown()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"password": "another"}, "Access denied"), ({"database": "nosuch"}, "Unknown database")],
)
def test_what_no_retry_helps_against_is_no_outage(mariadb: Server, change: Any, message: str) -> None:
    url = sa.make_url(mariadb.url).set(**change)
    with pytest.raises(JobStoreError, match=message) as raised:
        SQLAlchemyJobStore(url).start(None, "default")
    assert not isinstance(raised.value, StoreUnreachableError)
    assert PASSWORD not in str(raised.value)
    assert USER in str(raised.value)


@pytest.mark.parametrize("server", ["mysql", "mariadb"])
@pytest.mark.parametrize("driver", ["mysqldb", "mysqlconnector", "aiomysql"])
def test_it_is_reached_by_no_driver_but_pymysql(server: str, driver: str) -> None:
    """Also where the other one is not installed."""
    with pytest.raises(ValueError, match=f"by PyMySQL, and not by {driver}: use a url such as 'mysql"):
        SQLAlchemyJobStore(f"{server}+{driver}://me@nowhere/jobs")


def test_which_errors_mean_what() -> None:
    engine = sa.create_engine("mysql+pymysql://localhost/jobs")
    dialect = MySQL(engine, Schema("jobs"), owned=True, synchronous="FULL", timeout=10)

    def meaning(error: Exception) -> tuple[bool, bool, bool]:
        return dialect.is_unreachable(error), dialect.is_passing(error), dialect.is_refused(error)

    for code in (1040, 1047, 1053, 1290, 1836, 2002, 2003, 2006, 2013):
        assert meaning(pymysql.err.OperationalError(code, "so"))[:2] == (True, False), code
    for code in (1205, 1213, 1020, 1050, 1062, 1412, 1684, 3101):
        assert meaning(pymysql.err.OperationalError(code, "so")) == (False, True, True), code
    for code in (1045, 1049, 1142):
        assert meaning(pymysql.err.OperationalError(code, "so")) == (False, False, True), code
    # the driver's own, on a connection that is closed
    assert meaning(pymysql.err.InterfaceError(0, "")) == (True, False, False)
    assert meaning(pymysql.err.Error("Already closed")) == (True, False, False)
    # in the middle of a COMMIT nobody knows
    for code in (1180, 2013, 2006, 1053, 1927):
        assert not dialect.is_refused(pymysql.err.OperationalError(code, "so"))
    wrapped = sa.exc.OperationalError("SELECT 1", {}, pymysql.err.OperationalError(2003, "so"))
    assert meaning(wrapped)[0]


# -- forks -----------------------------------------------------------------------------------------------------------


def _in_the_child(store: SQLAlchemyJobStore, answers: Any) -> None:
    try:
        store.get_all_jobs()
        answers.put("it answered")
    except JobStoreError as error:
        answers.put(str(error))
    store.start(None, "default")
    gc.collect()  # what the parent had in its pool
    with store.engine.connect() as connection:
        answers.put(connection.scalar(sa.text("SELECT CONNECTION_ID()")))
    insert(store, new_job("child", 5))
    answers.put(ids_of(store))
    store.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_has_connections_of_its_own_and_ends_none_of_the_parents(mariadb: Server) -> None:
    table = f"jobs_{uuid4().hex}"
    store = SQLAlchemyJobStore(mariadb.url, tablename=table)
    store.start(None, "default")
    insert(store, new_job("parent", 5))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with store.engine.connect() as connection:
        number = connection.scalar(sa.text("SELECT CONNECTION_ID()"))
    child = context.Process(target=_in_the_child, args=(store, answers))
    child.start()
    assert f"started by process {os.getpid()}, and this is a fork of it" in answers.get(timeout=30)
    assert answers.get(timeout=30) != number
    assert answers.get(timeout=30) == ["child", "parent"]
    child.join(30)
    assert child.exitcode == 0
    with store.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT CONNECTION_ID()")) == number
    assert ids_of(store) == ["child", "parent"]
    store.shutdown()
    with connected(mariadb.url) as other:
        other.execute(f"DROP TABLE {table}, {table}_schema")
