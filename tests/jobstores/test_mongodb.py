"""The MongoDB store: the contract on a real server, what its constructor takes, and its life."""

from uuid import uuid4

import pytest
from mainspring.jobstores.mongodb import MongoDBJobStore

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.servers import Server


class TestOnAServer(JobStoreContract):
    @pytest.fixture
    def new_store(self, mongodb_server: Server) -> NewStore:
        collection = f"test {uuid4()}"
        return lambda: MongoDBJobStore(collection=collection, url=mongodb_server.url)
