"""The SQL store on PostgreSQL: the contract on a real server, with its own engine and with one of the caller's."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest
import sqlalchemy as sa
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.triggers.instants import to_micros

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.jobstores.driving import ids_of, insert, new_job
from tests.jobstores.on_postgresql import table_of_its_own
from tests.servers import Server


@pytest.fixture
def table(postgresql: Server) -> Iterator[str]:
    with table_of_its_own(postgresql.url) as name:
        yield name


class TestPostgreSQL(JobStoreContract):
    @pytest.fixture
    def new_store(self, postgresql: Server, table: str) -> NewStore:
        return lambda: SQLAlchemyJobStore(postgresql.url, tablename=table)


class TestOnAnEngineOfTheCallers(JobStoreContract):
    """Behind a pooler that knows no prepared statements, and with another isolation as default."""

    @pytest.fixture
    def engine(self, postgresql: Server) -> Iterator[sa.Engine]:
        arguments = {"prepare_threshold": None}
        engine = sa.create_engine(postgresql.url, isolation_level="SERIALIZABLE", connect_args=arguments)
        yield engine
        engine.dispose()

    @pytest.fixture
    def new_store(self, engine: sa.Engine, table: str) -> NewStore:
        return lambda: SQLAlchemyJobStore(engine=engine, tablename=table)


@pytest.mark.parametrize("url", ["postgresql://me@nowhere/jobs", "postgresql+psycopg://me@nowhere/jobs"])
def test_it_is_reached_by_psycopg_3(url: str) -> None:
    store = SQLAlchemyJobStore(url)
    assert store.engine.dialect.driver == "psycopg"
    assert store.shared


@pytest.mark.parametrize("driver", ["psycopg2", "pg8000", "asyncpg"])
def test_and_by_no_other_driver(driver: str) -> None:
    with pytest.raises(ValueError, match=f"by psycopg 3, and not by {driver}"):
        SQLAlchemyJobStore(f"postgresql+{driver}://me@nowhere/jobs")


def test_without_psycopg_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None; from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore; "
        "SQLAlchemyJobStore('postgresql://me@nowhere/jobs')"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert 'pip install "mainspring[postgresql]"' in ran.stderr
    assert "ImportError" in ran.stderr


def test_its_clock_is_the_servers(postgresql: Server, table: str) -> None:
    store = SQLAlchemyJobStore(postgresql.url, tablename=table)
    store.start(None, "default")
    time = store.server_time()
    store.shutdown()
    assert abs((time or 0) - to_micros(datetime.now(UTC))) < 60_000_000


def test_schedulers_that_start_at_once_make_the_tables_once(postgresql: Server, table: str) -> None:
    together = Barrier(6)

    def start(_: int) -> SQLAlchemyJobStore:
        store = SQLAlchemyJobStore(postgresql.url, tablename=table)
        together.wait(10)
        store.start(None, "default")
        return store

    with ThreadPoolExecutor(6) as threads:
        opened = [*threads.map(start, range(6))]
    for number, store in enumerate(opened):
        insert(store, new_job(f"{number}", 5))
    assert ids_of(opened[0]) == ["0", "1", "2", "3", "4", "5"]
    for store in opened:
        store.shutdown()
