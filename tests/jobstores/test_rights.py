"""The rights that the documentation gives to the user of the schedulers are enough, and are no more than that."""

import re
import subprocess
import sys
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

import pytest
import redis
import sqlalchemy as sa
from mainspring.jobstores.base import BaseJobStore, JobStoreError
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.redis import RedisJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

from tests.docs.blocks import ROOT, blocks
from tests.jobstores.driving import (
    LEASE,
    StubScheduler,
    claim,
    claim_once,
    every,
    finish,
    ids_of,
    insert,
    key_of,
    micros,
    new_job,
    once,
)
from tests.servers import Server

TIMEOUT = 10

PAGE = "docs/job-stores.md"


def block_with(text: str) -> str:
    """The page's only block that has this text in it."""
    (found,) = (block.text for block in blocks(ROOT / PAGE) if text in block.text)
    return found


def daily_work(store: BaseJobStore, another: BaseJobStore, *, pushes: bool = True) -> None:
    """All that schedulers do to a store."""
    pushed: SimpleQueue[int] = SimpleQueue()
    store.on_push = lambda at: None
    another.on_push = pushed.put
    for each in (store, another):
        each.own(Owner(), LEASE)
        each.start(StubScheduler(), "default")
    try:
        if pushes:
            assert pushed.get(timeout=TIMEOUT) == 0  # it listens
            claim_once(another, 0, {"default": 1})  # and is told of the executors that it has
        insert(store, new_job("once", 0, once(0)), new_job("every", 0, every(60)))
        if pushes:
            assert pushed.get(timeout=TIMEOUT) > 0
        claims = claim(store).claims
        assert {won.record.id for won in claims} == {"once", "every"}
        assert store.extend_leases([key_of(won) for won in claims], micros(60)) == []
        finish(store, *claims)
        assert another.recover(micros(120)) == []
        assert another.overdue_executors(micros(120)) == {"default"}
        another.server_time()
        assert ids_of(another) == ["every"]
        another.remove("every")
        insert(another, new_job("last", 0))
        another.remove_all_jobs()
        assert ids_of(store) == []
    finally:
        for each in (store, another):
            each.shutdown()


@pytest.fixture(params=["postgresql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[sa.URL]:
    """An empty database of the test's own, as its owner sees it, with a user `worker` who has no rights yet."""
    server: Server = request.getfixturevalue(request.param)
    owner = sa.make_url(server.url)
    name = f"rights_{uuid4().hex}"
    engine = sa.create_engine(owner, isolation_level="AUTOCOMMIT")
    is_mysql = owner.get_backend_name() == "mysql"
    user = "USER worker IDENTIFIED BY 'secret'" if is_mysql else "USER worker PASSWORD 'secret'"
    with engine.connect() as connection:
        for statement in (f"CREATE DATABASE {name}", f"CREATE {user}"):
            connection.exec_driver_sql(statement)
        yield owner.set(database=name)
        force = "" if is_mysql else " WITH (FORCE)"
        for statement in (f"DROP DATABASE {name}{force}", "DROP USER worker"):
            connection.exec_driver_sql(statement)
    engine.dispose()


def carry_out(url: sa.URL, statements: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in re.split(r";$", statements, flags=re.MULTILINE):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.mark.parametrize("made_by", ["a start of the store", "the statements of the page"])
def test_the_users_rights_in_a_database(database: sa.URL, made_by: str) -> None:
    worker = database.set(username="worker", password="secret")
    if made_by == "a start of the store":
        owners = SQLAlchemyJobStore(database)
        owners.start(None, "default")
        owners.shutdown()
    else:
        program = block_with("create_mock_engine")
        url = re.sub("^mysql", "mariadb", worker.render_as_string(hide_password=False))
        program = program.replace("postgresql+psycopg://user:password@host/database", url)
        printed = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
        )
        carry_out(database, printed.stdout)
    carry_out(database, block_with("GRANT"))
    pushes = worker.get_backend_name() == "postgresql"
    daily_work(SQLAlchemyJobStore(worker), SQLAlchemyJobStore(worker), pushes=pushes)
    # They are this table's, and no more.
    with pytest.raises(JobStoreError, match="denied"):
        SQLAlchemyJobStore(worker, tablename="others").start(None, "default")


def test_the_users_rights_on_a_redis(own_redis: Server) -> None:
    admin: Any = redis.Redis.from_url(own_redis.url)
    (line,) = block_with("ACL SETUSER").splitlines()
    admin.execute_command(*line.split())
    admin.config_set("appendfsync", "everysec")

    def store(**options: Any) -> RedisJobStore:
        return RedisJobStore(port=own_redis.port, username="worker", password="password", **options)

    warned = store()
    daily_work(warned, store())
    assert len(warned._warned) == 1  # the server's settings could be read
    with pytest.raises(JobStoreError, match="access one of the keys"):
        store(jobs_key="others").start(None, "default")
    with redis.Redis(port=own_redis.port, username="worker", password="password") as client:
        for refused in ("FLUSHDB", "KEYS *", "CONFIG SET maxmemory 1"):
            with pytest.raises(redis.ResponseError, match="no permissions"):
                client.execute_command(*refused.split())
        assert client.get("{mainspring}.version") == b"1"
    admin.close()
