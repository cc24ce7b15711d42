"""The SQL store on PostgreSQL: the contract on a real server, and what it costs there."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.servers import Server


@pytest.fixture
def table(postgresql: Server) -> Iterator[str]:
    """The name of a table of the test's own."""
    name = f"jobs_{uuid4().hex}"
    yield name
    engine = sa.create_engine(postgresql.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}, {name}_schema")
    engine.dispose()


class TestPostgreSQL(JobStoreContract):
    @pytest.fixture
    def new_store(self, postgresql: Server, table: str) -> NewStore:
        return lambda: SQLAlchemyJobStore(postgresql.url, tablename=table)
