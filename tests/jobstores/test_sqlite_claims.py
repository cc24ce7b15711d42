"""Several processes on one SQLite file: each run is won once, whoever dies, and what the dead have left is found at once."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

from tests.jobstores.driving import LEASE, NOW, SECOND, claim, every, ids_of, insert, new_job, once

CLAIMER = """
import json, sys
sys.path[:0] = {path}
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from tests.jobstores.driving import LEASE, NOW, claim, finish

url, window, finishes = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "finish"
store = SQLAlchemyJobStore(url)
store.own(Owner(), LEASE)
store.start(None, "default")
print("ready", flush=True)
sys.stdin.readline()
claimed, more = [], True
while more:
    result = claim(store, NOW, {{"default": window}})
    claimed.append([won.record.id for won in result.claims])
    more = result.more
    if finishes:
        finish(store, *result.claims)
print(json.dumps([store.owner.name, claimed]), flush=True)
"""


@pytest.fixture
def claimers(tmp_path: Path) -> Iterator[Callable[..., list[Any]]]:
    """Start so many processes that claim until nothing is left; answers what each says, when all have ended."""
    processes: list[subprocess.Popen[str]] = []

    def run(count: int, window: int, finishes: bool = True) -> list[Any]:
        program = CLAIMER.format(path=[entry for entry in sys.path if entry])
        command = [sys.executable, "-c", program, url(tmp_path), str(window), "finish" if finishes else "die"]
        started = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        processes.extend(started)
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(process.communicate(timeout=60)[0]) for process in started]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/jobs.sqlite"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLAlchemyJobStore]:
    store = SQLAlchemyJobStore(url(tmp_path))
    store.own(Owner(), LEASE)
    store.start(None, "default")
    yield store
    store.shutdown()


def test_each_run_is_won_by_one_process(
    store: SQLAlchemyJobStore, claimers: Callable[..., list[Any]]
) -> None:
    insert(store, *(new_job(f"o{n}", 0, once()) for n in range(500)))
    insert(store, *(new_job(f"i{n}", 0, every(60)) for n in range(20)))
    answers = claimers(3, window=10)
    won = Counter(job_id for _, claims in answers for claimed in claims for job_id in claimed)
    assert len(won) == 520
    assert {*won.values()} == {1}
    assert len(ids_of(store)) == 20
    assert [record.runs for record in store.read_all()] == [()] * 20


def test_what_a_process_left_is_recovered_at_once_when_it_is_gone(
    store: SQLAlchemyJobStore, claimers: Callable[..., list[Any]]
) -> None:
    insert(store, *(new_job(f"{n}", 0, every(600), recovery="rerun") for n in range(30)))
    insert(store, new_job("once", 0, once()))
    assert store.recover(NOW) == []  # the look at the start is over
    ((owner, claims),) = claimers(1, window=100, finishes=False)
    assert sum(map(len, claims)) == 31
    later = NOW + 6 * SECOND
    assert len(store.recover(later)) == 31
    records = {record.id: record for record in store.read_all()}
    assert records["once"].state == "parked"
    assert {run.owner for run in records["once"].runs} == {owner}
    assert sorted(won.record.id for won in claim(store, later).claims) == sorted(map(str, range(30)))
