"""The SQL store on MySQL 8: the same contract as on MariaDB. Where MAINSPRING_TEST_MYSQL names one."""

import pytest

from tests.jobstores.mysql_contract import MySQLContract
from tests.servers import ForeignServer


class TestMySQL(MySQLContract):
    @pytest.fixture
    def url(self, mysql: ForeignServer) -> str:
        return mysql.url
