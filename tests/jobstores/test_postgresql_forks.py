"""PostgreSQL under a program that forks: the parent's connections are the parent's, however the child ends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobstores.on_postgresql import table_of_its_own
from tests.servers import Server

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

PROGRAM = """
import gc, json, os, sys, warnings
import sqlalchemy as sa
from mainspring.jobstores.base import JobStoreError
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from tests.jobstores.driving import ids_of, insert, new_job

url, table, own_engine = sys.argv[1:]
arguments = {"url": url} if own_engine == "yes" else {"engine": sa.create_engine(url, pool_size=1, max_overflow=0)}
store = SQLAlchemyJobStore(**arguments, tablename=table)
store.start(None, "default")
insert(store, new_job("parent", 5))
warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: that a program with threads forks

def sessions():
    return sorted(row[0] for row in store._database.reading(lambda session: session.rows(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")))

def session():
    return store._database.reading(lambda session: session.rows("SELECT pg_backend_pid()"))[0][0]

mine = session()
read, write = os.pipe()
child = os.fork()
if child == 0:
    said = []
    try:
        store.get_all_jobs()
    except JobStoreError as error:
        said.append(str(error))
    if BODY:
        store.start(None, "default")
        insert(store, new_job("child", 5))
        said.append(session() != mine)
        store.shutdown()
    store.engine.dispose()
    os.write(write, json.dumps(said).encode())
    del store
    gc.collect()
    sys.exit(0)  # an ordinary end, with all that a program does then
_, status = os.waitpid(child, 0)
said = json.loads(os.read(read, 100_000))
same = session() == mine
print(json.dumps([status, said, same, ids_of(store)]))
store.shutdown()
store.engine.dispose()
"""


@pytest.fixture
def table(postgresql: Server) -> Iterator[str]:
    with table_of_its_own(postgresql.url) as name:
        yield name


@pytest.mark.parametrize("uses", [False, True])
@pytest.mark.parametrize("own_engine", ["yes", "no"])
def test_a_child_leaves_its_parents_connections_alone(
    postgresql: Server, table: str, own_engine: str, uses: bool
) -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            PROGRAM.replace("BODY", f"{uses}"),
            postgresql.url,
            table,
            own_engine,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert ran.returncode == 0, ran.stderr
    status, said, same, ids = json.loads(ran.stdout)
    assert (status, same) == (0, True), ran.stderr
    assert "this is a fork of it" in said[0]
    assert said[1:] == ([True] if uses else [])
    assert ids == (["child", "parent"] if uses else ["parent"])
    assert ran.stderr == ""
