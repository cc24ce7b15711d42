"""The SQL store on PostgreSQL: the contract on a real server, with its own engine and with one of the caller's."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
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
