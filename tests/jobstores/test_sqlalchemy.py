"""The SQL store: the contract on SQLite, in a file and in memory, and what only this store promises."""

from pathlib import Path

import pytest
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore


class TestOnAFile(JobStoreContract):
    @pytest.fixture
    def new_store(self, tmp_path: Path) -> NewStore:
        return lambda: SQLAlchemyJobStore(url=f"sqlite:///{tmp_path}/jobs.sqlite")


class TestInMemory(JobStoreContract):
    @pytest.fixture
    def new_store(self) -> NewStore:
        return lambda: SQLAlchemyJobStore(url="sqlite://")
