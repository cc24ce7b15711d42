"""What the SQL store is given: contradictions, slips and what APScheduler takes, each at the call."""

import pickle
import warnings
from typing import Any

import pytest
import sqlalchemy as sa
from mainspring.jobstores.base import JobStoreError, StoreUnreachableError
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from sqlalchemy.pool import StaticPool

from tests.jobstores.driving import ids_of, insert, new_job
from tests.servers import Server

PG = "postgresql://me:secret@nowhere/jobs"
MARIADB = "mysql+pymysql://me:secret@nowhere/jobs"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"engine": "sqlite:///y"}, ValueError, "engine must be .*got a url: give it as url="),
        ({"url": "sqlite://", "metadata": "sqlite:///y"}, ValueError, "metadata must be .*got a url"),
        (
            {"url": "sqlite://", "metadata": {}},
            TypeError,
            "metadata must be an sqlalchemy.MetaData.* got dict",
        ),
        (
            {"url": "sqlite://", "tableschema": 3},
            TypeError,
            "tableschema must be a string or None, got int: 3",
        ),
        (
            {"url": "sqlite://", "engine_options": [1]},
            TypeError,
            "engine_options must be a mapping.* got list",
        ),
        (
            {"url": "sqlite://", "tablename": None},
            TypeError,
            "tablename must be a string, got NoneType: None",
        ),
        ({"url": "sqlite://", "tablename": 5}, TypeError, "tablename must be a string, got int: 5"),
        ({"url": "sqlite://", "tablename": ""}, ValueError, "tablename must be the name of a table, got ''"),
        (
            {"url": "sqlite://", "tablename": " "},
            ValueError,
            "tablename must be the name of a table, got ' '",
        ),
        ({"url": PG, "tablename": "x" * 80}, ValueError, "at most 54 characters here.* got 80"),
        ({"url": MARIADB, "tablename": "x" * 80}, ValueError, "at most 55 characters here.* got 80"),
        ({"url": PG, "synchronous": "NORMAL"}, ValueError, "for SQLite only.* on postgresql survives"),
        ({"url": PG, "push": "no"}, TypeError, "push must be True, False, or None .* got str: 'no'"),
        ({"url": MARIADB, "push": True}, ValueError, "push=True: mysql cannot push.*only PostgreSQL"),
        ({"url": "redis://host:6379/0"}, ValueError, r"no SQL server, .* RedisJobStore\(url=…\)"),
        ({"url": 5}, TypeError, "url must be text or an SQLAlchemy URL, got int$"),
        (
            {"url": "mysql+pymysql://me@nowhere"},
            ValueError,
            "names no database: .*host/database', or give tablesch",
        ),
        ({"url": "mariadb://me@nowhere/"}, ValueError, "names no database"),
    ],
)
def test_a_slip_is_refused_by_name(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SQLAlchemyJobStore(**arguments)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:sec@ret@127.0.0.1/jobs", "host has an '@'.*'%40'.*URL.create"),
        ("mysql+pymysql://me:sec@ret@127.0.0.1/jobs", "host has an '@'"),
        ("postgresql://me:sec@ret:more@127.0.0.1:5432/jobs", "its port is not a number.*'%40'"),
        ("postgresql://me:secret@host:port/jobs", "its port is not a number"),
        ("postgresql://me:secret@a:5432,b:5432/jobs", r"'\?host=a:5432&host=b:5432'"),
        ("me:secret@ret", "is not understood"),
    ],
)
def test_a_url_that_is_cut_at_the_wrong_place_is_refused_without_showing_it(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        SQLAlchemyJobStore(url)
    shown: BaseException | None = raised.value
    while shown is not None and not shown.__suppress_context__:
        assert "ret" not in str(shown)
        shown = shown.__cause__ or shown.__context__
    assert "secret" not in str(raised.value)
    assert "ret" not in str(raised.value)


def test_a_password_that_is_quoted_is_taken() -> None:
    store = SQLAlchemyJobStore("postgresql://me:sec%40ret%2F@127.0.0.1/jobs")
    assert (store.engine.url.password, store.engine.url.host) == ("sec@ret/", "127.0.0.1")


@pytest.fixture
def engine() -> sa.Engine:
    return sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


def test_an_engine_goes_before_a_url_as_in_apscheduler(engine: sa.Engine) -> None:
    with pytest.warns(UserWarning, match="the jobs are kept where the engine leads, sqlite://") as warned:
        store = SQLAlchemyJobStore(url="postgresql://me:secret@nowhere/jobs", engine=engine)
    assert store.engine is engine
    assert [warning.filename for warning in warned] == [__file__]
    with pytest.warns(UserWarning, match=r"engine_options are not used.*create_engine\(\)"):
        assert SQLAlchemyJobStore(engine=engine, engine_options={"echo": True}).engine is engine


def test_what_programs_for_apscheduler_pass_is_taken_without_a_word(engine: sa.Engine) -> None:
    protocol = pickle.HIGHEST_PROTOCOL
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SQLAlchemyJobStore("sqlite://", engine, "jobs", sa.MetaData(), protocol, None, {})
        SQLAlchemyJobStore("sqlite://", "", "jobs", "", protocol, "", "")  # type: ignore[arg-type]
        SQLAlchemyJobStore("sqlite://", None, "jobs", None, protocol, None, None)
        SQLAlchemyJobStore("postgresql://me@nowhere/jobs", push=True, synchronous="FULL")


def test_where_others_can_be_told_they_are_unless_it_is_switched_off() -> None:
    assert [SQLAlchemyJobStore(PG, push=push)._push for push in (None, True, False)] == [True, True, False]
    assert [SQLAlchemyJobStore(MARIADB, push=push)._push for push in (None, False)] == [False, False]


@pytest.mark.parametrize(("kind", "longest"), [("postgresql", 54), ("mariadb", 55)])
def test_the_longest_name_of_a_table_is_taken(
    kind: str, longest: int, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(kind)
    store = SQLAlchemyJobStore(server.url, tablename="longest_".ljust(longest, "x"))
    store.start(None, "default")
    insert(store, new_job("a", 0))
    assert ids_of(store) == ["a"]
    store._schema.records.metadata.drop_all(store.engine)
    store.shutdown()


def test_a_database_that_only_the_engine_could_name_is_asked_for_at_the_start(mariadb: Server) -> None:
    nowhere = sa.make_url(mariadb.url).set(database="")
    engine = sa.create_engine(nowhere)
    with pytest.raises(JobStoreError, match=r"the connections lead to no database.*tableschema="):
        SQLAlchemyJobStore(engine=engine).start(None, "default")
    engine.dispose()
    database = sa.make_url(mariadb.url).database
    arguments: list[dict[str, Any]] = [
        {"tableschema": database},
        {"engine_options": {"connect_args": {"database": database}}},
    ]
    for each in arguments:
        store = SQLAlchemyJobStore(nowhere, tablename="placed_jobs", **each)
        store.start(None, "default")
        insert(store, new_job("a", 0))
        assert ids_of(store) == ["a"]
        store._schema.records.metadata.drop_all(store.engine)
        store.shutdown()


def test_what_a_driver_says_in_several_lines_is_said_in_one() -> None:
    store = SQLAlchemyJobStore("postgresql://me@127.0.0.1:1/jobs", timeout=1.0)
    with pytest.raises(StoreUnreachableError, match="refused") as raised:
        store.start(None, "default")
    assert "\n" in str(raised.value.__cause__)
    assert "\n" not in str(raised.value)
    assert "\t" not in str(raised.value)
