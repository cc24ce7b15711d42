"""The ZooKeeper store: the contract on a real server, and its life."""

from uuid import uuid4

import pytest

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.jobstores.zookeeper_stores import AttentiveStore
from tests.servers import Server


class TestOnAServer(JobStoreContract):
    @pytest.fixture
    def new_store(self, zookeeper: Server) -> NewStore:
        path = f"/test-{uuid4()}"
        return lambda: AttentiveStore(path, hosts=zookeeper.url)
