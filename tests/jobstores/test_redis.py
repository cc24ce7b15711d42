"""The Redis store: the contract on a real server, in an own database and through several names of keys, and what its constructor takes."""

from uuid import uuid4

import pytest
from mainspring.jobstores.redis import RedisJobStore

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.servers import Server


class TestOnAServer(JobStoreContract):
    @pytest.fixture
    def new_store(self, redis_server: Server) -> NewStore:
        jobs_key = f"test {uuid4()}"
        return lambda: RedisJobStore(url=redis_server.url, jobs_key=jobs_key)
