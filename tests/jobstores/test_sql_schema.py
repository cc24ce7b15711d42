"""The tables of the SQL store: made once, however many start at once; older ones are migrated, newer ones refused."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest
import sqlalchemy as sa
from mainspring.jobstores.base import JobStoreError
from mainspring.jobstores.sql import schema
from mainspring.jobstores.sql.schema import MIGRATIONS, SCHEMA_VERSION, Schema
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

from tests.jobstores.driving import claim, ids_of, insert, new_job


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.sqlite"


def started(url: str) -> SQLAlchemyJobStore:
    store = SQLAlchemyJobStore(url)
    store.start(None, "default")
    return store


def version_in(store: SQLAlchemyJobStore) -> list[int]:
    with store.engine.connect() as connection:
        return [*connection.scalars(sa.text("SELECT version FROM mainspring_jobs_schema"))]


def set_version(store: SQLAlchemyJobStore, version: int) -> None:
    with store.engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE mainspring_jobs_schema SET version = {version}"))


def test_those_who_start_at_once_make_the_tables_once(url: str) -> None:
    together = Barrier(6)

    def start(_: int) -> SQLAlchemyJobStore:
        store = SQLAlchemyJobStore(url)
        together.wait(10)
        store.start(None, "default")
        return store

    with ThreadPoolExecutor(6) as threads:
        stores = list(threads.map(start, range(6)))
    for n, store in enumerate(stores):
        insert(store, new_job(f"{n}", 5))
    assert ids_of(stores[0]) == ["0", "1", "2", "3", "4", "5"]
    assert version_in(stores[0]) == [SCHEMA_VERSION]
    for store in stores:
        store.shutdown()


def test_who_finds_the_tables_as_they_should_be_writes_nothing(url: str) -> None:
    started(url).shutdown()
    store = SQLAlchemyJobStore(url)
    statements: list[str] = []
    sa.event.listen(
        store.engine, "before_cursor_execute", lambda *args: statements.append(args[2].split()[0])
    )
    store.start(None, "default")
    assert {*statements} <= {"PRAGMA", "SELECT"}
    store.shutdown()


def test_newer_tables_are_refused(url: str) -> None:
    store = started(url)
    set_version(store, SCHEMA_VERSION + 1)
    store.shutdown()
    with pytest.raises(JobStoreError, match=r"made by a later version of mainspring.*update mainspring here"):
        store.start(None, "default")
    assert version_in(store) == [SCHEMA_VERSION + 1]
    store.engine.dispose()


def test_older_tables_are_migrated_step_by_step(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = started(url)
    insert(store, new_job("a", 0))
    # Two versions ago there was no column `reason`, and `stamp` had another name.
    with store.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE mainspring_jobs RENAME COLUMN stamp TO mark"))
        connection.execute(sa.text("ALTER TABLE mainspring_jobs DROP COLUMN reason"))
    set_version(store, SCHEMA_VERSION - 2)
    store.shutdown()

    def rename(connection: sa.Connection, tables: Schema) -> None:
        connection.execute(sa.text(f"ALTER TABLE {tables.records.name} RENAME COLUMN mark TO stamp"))

    def add(connection: sa.Connection, tables: Schema) -> None:
        connection.execute(sa.text(f"ALTER TABLE {tables.records.name} ADD COLUMN reason TEXT"))

    monkeypatch.setitem(MIGRATIONS, SCHEMA_VERSION - 2, rename)
    monkeypatch.setitem(MIGRATIONS, SCHEMA_VERSION - 1, add)
    store.start(None, "default")
    assert version_in(store) == [SCHEMA_VERSION]
    assert [won.record.id for won in claim(store).claims] == ["a"]
    store.shutdown()


def test_a_migration_that_fails_leaves_everything_as_it_was(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = started(url)
    insert(store, new_job("a", 0))
    set_version(store, SCHEMA_VERSION - 1)
    store.shutdown()

    def fail(connection: sa.Connection, tables: Schema) -> None:
        connection.execute(tables.records.delete())
        connection.execute(sa.text("ALTER TABLE nonsense DROP COLUMN x"))

    monkeypatch.setitem(MIGRATIONS, SCHEMA_VERSION - 1, fail)
    with pytest.raises(JobStoreError, match="no such table: nonsense"):
        store.start(None, "default")
    assert version_in(store) == [SCHEMA_VERSION - 1]
    set_version(store, SCHEMA_VERSION)
    store.start(None, "default")
    assert ids_of(store) == ["a"]
    store.shutdown()


def test_a_version_from_which_there_is_no_way_is_refused(url: str) -> None:
    assert SCHEMA_VERSION - 1 not in schema.MIGRATIONS
    store = started(url)
    set_version(store, SCHEMA_VERSION - 1)
    store.shutdown()
    with pytest.raises(JobStoreError, match="neither use nor bring up to date"):
        store.start(None, "default")
    store.engine.dispose()


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The url of a database, and the name for a table there."""
    name = f"jobs_{uuid4().hex}"
    if kind == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('tmp_path')}/jobs.sqlite"
    else:
        url = request.getfixturevalue(kind).url
    yield url, name
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in (name, f"{name}_schema"):
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
    engine.dispose()


everywhere = pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])


@everywhere
def test_a_table_that_somebody_has_dropped_beside_its_version_is_made_again(
    place: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    url, name = place
    store = SQLAlchemyJobStore(url, tablename=name)
    store.start(None, "default")
    insert(store, new_job("a", 0))
    with store.engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE {name}"))
    store.shutdown()
    store.start(None, "default")
    assert f"Table {name} is gone, and is made again" in caplog.text
    assert ids_of(store) == []
    insert(store, new_job("b", 0))
    assert [won.record.id for won in claim(store).claims] == ["b"]
    store.shutdown()


@everywhere
@pytest.mark.parametrize("column", ["other INTEGER", "version VARCHAR(10)"])
def test_somebody_elses_table_of_versions_is_left_alone(place: tuple[str, str], column: str) -> None:
    url, name = place
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {name}_schema ({column})"))
        connection.execute(sa.text(f"INSERT INTO {name}_schema VALUES ('7')"))
    store = SQLAlchemyJobStore(url, tablename=name)
    with pytest.raises(
        JobStoreError, match=f"a table '{name}_schema' that is not mainspring's: .*another tabl"
    ):
        store.start(None, "default")
    with engine.connect() as connection:
        assert not sa.inspect(connection).has_table(name)
        assert [str(row[0]) for row in connection.execute(sa.text(f"SELECT * FROM {name}_schema"))] == ["7"]
    engine.dispose()
    store.engine.dispose()


def test_somebody_elses_table_of_that_name_is_left_alone(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE mainspring_jobs (id TEXT, mine TEXT)"))
        connection.execute(sa.text("INSERT INTO mainspring_jobs VALUES ('a', 'b')"))
    with pytest.raises(JobStoreError, match="give the job store another tablename"):
        started(url)
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["mainspring_jobs"]
        assert connection.execute(sa.text("SELECT * FROM mainspring_jobs")).all() == [("a", "b")]
    engine.dispose()
