"""The SQL store on MariaDB: its contract, which is MySQL's too."""

import pytest

from tests.jobstores.mysql_contract import MySQLContract
from tests.servers import Server


class TestMariaDB(MySQLContract):
    @pytest.fixture
    def url(self, mariadb: Server) -> str:
        return mariadb.url
