"""The memory store: the contract, and what only it promises."""

import pytest
from mainspring.jobstores.memory import MemoryJobStore

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore


class TestMemoryJobStore(JobStoreContract):
    @pytest.fixture
    def new_store(self) -> NewStore:
        return MemoryJobStore
