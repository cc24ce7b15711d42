"""The SQL store on MariaDB: the contract, and what is particular to it and to MySQL."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
import sqlalchemy as sa
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.servers import Server


class TestOnMariaDB(JobStoreContract):
    @pytest.fixture
    def new_store(self, mariadb: Server) -> Iterator[NewStore]:
        name = f"jobs_{uuid4().hex}"
        yield lambda: SQLAlchemyJobStore(mariadb.url, tablename=name)
        engine = sa.create_engine(mariadb.url)
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {name}, {name}_schema"))
        engine.dispose()
