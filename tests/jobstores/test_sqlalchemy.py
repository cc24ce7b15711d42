"""The SQL store: the contract on SQLite, in a file and in memory, what its constructor takes, and its life."""

import logging
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import sqlalchemy as sa
from mainspring.jobstores.base import JobStoreError, TransientJobError
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from sqlalchemy.pool import StaticPool

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.jobstores.driving import NOW, claim, every, finish, ids_of, insert, new_job


class TestOnAFile(JobStoreContract):
    @pytest.fixture
    def new_store(self, tmp_path: Path) -> NewStore:
        return lambda: SQLAlchemyJobStore(url=f"sqlite:///{tmp_path}/jobs.sqlite")


class TestInMemory(JobStoreContract):
    @pytest.fixture
    def new_store(self) -> NewStore:
        return lambda: SQLAlchemyJobStore(url="sqlite://")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.sqlite"


@pytest.fixture
def store(url: str) -> Iterator[SQLAlchemyJobStore]:
    store = SQLAlchemyJobStore(url)
    store.start(None, "default")
    yield store
    store.shutdown()


# -- the constructor -----------------------------------------------------------------------------------------------


def test_a_server_that_sqlalchemy_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"no dialect for nosuch\+driver: .*pip install"):
        SQLAlchemyJobStore("nosuch+driver://localhost/jobs")


@pytest.mark.parametrize(
    "url", ["postgres://me:secret@nowhere/jobs", "postgres+psycopg2://me:secret@nowhere/jobs"]
)
def test_the_old_name_of_postgresql_is_refused_with_the_new_one(url: str) -> None:
    with pytest.raises(ValueError, match=r"use a url such as 'postgresql\+psycopg://") as raised:
        SQLAlchemyJobStore(url)
    assert "secret" not in str(raised.value)


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "oracledb", None)
    with pytest.raises(
        ImportError, match=r"reaches oracle\+oracledb is not installed \(.*oracledb.*\): pip install it"
    ):
        SQLAlchemyJobStore("oracle+oracledb://me@nowhere/jobs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs a url"),
        ({"url": "jobs.sqlite"}, "expected 'sqlite:///jobs.sqlite'"),
        ({"url": "sqlite://", "synchronous": "OFF"}, "'FULL' or 'NORMAL', got 'OFF'"),
        ({"url": "sqlite:///x.sqlite", "poll_interval": 0}, "poll_interval must be a positive number"),
        ({"url": "sqlite:///x.sqlite", "poll_interval": True}, "poll_interval must be a positive number"),
        ({"engine": object()}, "must be a synchronous SQLAlchemy engine"),
        ({"engine": sa.create_engine("sqlite://")}, "poolclass=StaticPool"),
        ({"url": "sqlite://", "serializer": "jsno"}, "did you mean 'json'"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SQLAlchemyJobStore(**arguments)


def test_without_sqlalchemy_the_error_says_what_to_install() -> None:
    program = "import sys; sys.modules['sqlalchemy'] = None; import mainspring.jobstores.sqlalchemy"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert 'pip install "mainspring[sqlalchemy]"' in ran.stderr
    assert "ImportError" in ran.stderr


def test_a_file_is_shared_and_polled_and_a_database_in_memory_is_not(url: str) -> None:
    on_file, in_memory = SQLAlchemyJobStore(url, poll_interval=7), SQLAlchemyJobStore("sqlite:///:memory:")
    assert (on_file.shared, on_file.poll_interval) == (True, 7)
    assert (in_memory.shared, in_memory.poll_interval) == (False, None)


def test_the_tables_are_named_and_defined_where_the_caller_says(url: str) -> None:
    metadata = sa.MetaData()
    store = SQLAlchemyJobStore(url, tablename="my_jobs", metadata=metadata, tableschema="main")
    assert set(metadata.tables) == {"main.my_jobs", "main.my_jobs_schema"}
    store.start(None, "default")
    insert(store, new_job("a", 5))
    assert sa.inspect(store.engine).get_table_names() == ["my_jobs", "my_jobs_schema"]
    # a second store on the same metadata and table
    second = SQLAlchemyJobStore(url, tablename="my_jobs", metadata=metadata, tableschema="main")
    second.start(None, "default")
    assert ids_of(second) == ["a"]
    store.shutdown()
    second.shutdown()


def test_metadata_with_a_table_of_another_kind_is_refused() -> None:
    metadata = sa.MetaData()
    sa.Table("mainspring_jobs", metadata, sa.Column("id", sa.Integer))
    with pytest.raises(ValueError, match="another tablename"):
        SQLAlchemyJobStore("sqlite://", metadata=metadata)


named_engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


def test_engine_and_metadata_may_be_references() -> None:
    store = SQLAlchemyJobStore(engine=f"{__name__}:named_engine")
    assert store.engine is named_engine


# -- settings, and an engine of the caller's ---------------------------------------------------------------------


@pytest.mark.parametrize(("synchronous", "pragma"), [("FULL", 2), ("NORMAL", 1)])
def test_its_own_connections_have_its_settings(url: str, synchronous: str, pragma: int) -> None:
    store = SQLAlchemyJobStore(url, synchronous=synchronous)
    store.start(None, "default")
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == pragma
    store.shutdown()


def test_an_engine_of_the_callers_is_left_as_it_is(url: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = sa.create_engine(url, connect_args={"timeout": 3.5})
    settings = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement == "BEGIN IMMEDIATE":
            driver = connection.connection.driver_connection
            settings.append(driver.execute("PRAGMA synchronous").fetchone()[0])

    sa.event.listen(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
    store = SQLAlchemyJobStore(engine=engine)
    with caplog.at_level(logging.WARNING):
        store.start(None, "default")
    assert "journal mode 'delete'" in caplog.text
    insert(store, new_job("a", 0))
    assert settings
    assert set(settings) == {2}
    pool = engine.pool
    store.shutdown()
    assert engine.pool is pool
    assert pool.checkedin() == 1  # type: ignore[attr-defined]
    with engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("synchronous", "busy_timeout", "journal_mode")
        ]
    assert found == [0, 3500, "delete"]
    engine.dispose()


def test_an_engine_whose_listener_begins_transactions_by_itself(url: str) -> None:
    engine = sa.create_engine(url)
    # the recipe of SQLAlchemy's documentation for serializable transactions
    sa.event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    store = SQLAlchemyJobStore(engine=engine)
    store.start(None, "default")
    insert(store, new_job("a", 0, every(60)))
    finish(store, *claim(store).claims)
    store.remove_job("a")
    assert ids_of(store) == []
    engine.dispose()


def test_threads_share_a_database_in_memory() -> None:
    store = SQLAlchemyJobStore("sqlite://")
    store.start(None, "default")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: insert(store, new_job(f"{n}", 0)), range(40)))
        found = list(threads.map(lambda _: len(ids_of(store)), range(40)))
    assert found == [40] * 40
    store.shutdown()


# -- life ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [False, True])
def test_it_can_be_started_again(url: str, memory: bool) -> None:
    store = SQLAlchemyJobStore("sqlite://" if memory else url)
    with pytest.raises(JobStoreError, match="not started"):
        store.get_all_jobs()
    store.start(None, "default")
    insert(store, new_job("a", 0))
    store.shutdown()
    with pytest.raises(JobStoreError, match="not started"):
        store.get_all_jobs()
    store.start(None, "default")
    assert ids_of(store) == ["a"]
    store.shutdown()


def test_a_start_that_fails_leaves_it_stopped(tmp_path: Path) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path}/missing/jobs.sqlite")
    with pytest.raises(JobStoreError, match=r"unable to open database file: there is no folder .*missing"):
        store.start(None, "default")
    with pytest.raises(JobStoreError, match="not started"):
        store.get_all_jobs()
    (tmp_path / "missing").mkdir()
    store.start(None, "default")
    assert ids_of(store) == []
    store.shutdown()


def test_errors_of_the_database_come_out_as_job_store_errors(store: SQLAlchemyJobStore) -> None:
    insert(store, new_job("a", 0))
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE mainspring_jobs")
    for operation in (
        store.get_all_jobs,
        store.remove_all_jobs,
        store.get_next_run_time,
        lambda: store.lookup_job("a"),
        lambda: store.remove_job("a"),
        lambda: insert(store, new_job("b", 0)),
        lambda: claim(store),
        lambda: store.overdue_executors(NOW),
        lambda: store.recover(NOW),
    ):
        with pytest.raises(JobStoreError, match="no such table") as raised:
            operation()
        assert isinstance(raised.value.__cause__, sa.exc.OperationalError)
        assert isinstance(raised.value.__cause__.orig, sqlite3.OperationalError)


def _in_the_child(store: SQLAlchemyJobStore, answers: Any) -> None:
    try:
        store.get_all_jobs()
        answers.put("it answered")
    except JobStoreError as error:
        answers.put(str(error))
    inherited = store.engine.pool
    store.start(None, "default")
    answers.put(store.engine.pool is inherited)
    insert(store, new_job("child", 5))
    answers.put(ids_of(store))
    store.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_starts_it_before_using_it(store: SQLAlchemyJobStore) -> None:
    insert(store, new_job("parent", 5))
    entered, forking = Event(), Event()
    # What is registered last is called first, before the store's own.
    os.register_at_fork(before=forking.set)

    def write_until_the_fork() -> None:
        with store._database.dialect.writing() as session:
            store._database.dialect.begin(session)
            entered.set()
            assert forking.wait(10)

    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write_until_the_fork)
        assert entered.wait(10)
        child = context.Process(target=_in_the_child, args=(store, answers))
        child.start()
        writing.result(10)
    assert f"started by process {os.getpid()}, and this is a fork of it" in answers.get(timeout=30)
    assert answers.get(timeout=30) is False  # it has connections of its own
    assert answers.get(timeout=30) == ["child", "parent"]
    child.join(30)
    assert child.exitcode == 0
    assert ids_of(store) == ["child", "parent"]
    insert(store, new_job("parent again", 5))


# -- jobs that no other process could run --------------------------------------------------------------------------


def test_a_function_without_a_reference_is_refused(store: SQLAlchemyJobStore) -> None:
    with pytest.raises(TransientJobError, match="a memory job store"):
        insert(store, new_job("fine", 0), new_job("a", 0, func=lambda: None))
    assert ids_of(store) == []


def test_a_function_of_the_main_file_is_stored_with_one_warning(
    store: SQLAlchemyJobStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def work() -> None: ...

    work.__module__, work.__qualname__ = "__main__", "work_of_the_program"
    monkeypatch.setattr(sys.modules["__main__"], "work_of_the_program", work, raising=False)
    with pytest.warns(UserWarning, match="only this program can run its jobs"):
        insert(store, new_job("a", 0, func=work))
    assert "__main__:work_of_the_program" in caplog.text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        insert(store, new_job("b", 0, func=work))
    assert ids_of(store) == ["a", "b"]


@pytest.mark.parametrize("arguments", [{"serializer": "pickle"}, {"pickle_protocol": 4}])
def test_pickle_is_there_for_those_who_ask_for_it(url: str, arguments: dict[str, Any]) -> None:
    store = SQLAlchemyJobStore(url, **arguments)
    store.start(None, "default")
    insert(store, new_job("a", 0, args=[3 + 4j]))
    job = store.lookup_job("a")
    assert job is not None
    assert job.args == (3 + 4j,)
    store.shutdown()
