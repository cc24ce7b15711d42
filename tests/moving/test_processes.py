"""Processes that import into one store: one that is killed at any write, and two at the same time."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from mainspring.jobstores.transfer import storage
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.base import BaseScheduler

from tests.cluster.stores import KINDS, SERVERS, SharedStore
from tests.jobstores.samples import work
from tests.scheduler.watching import started, virtual
from tests.servers.asking import shared_server

ROOT = Path(__file__).resolve().parents[2]
JOBS = 11
# 3 batches of 5, before each but the first the head, then the commit: 6 writes. 3 more release them.
COMPLETE = 6
WRITES = COMPLETE + 3
TIMEOUT = 60

IDS = [f"job {number:02}" for number in range(JOBS)]


@pytest.fixture(params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SharedStore]:
    """A store of each kind that processes can share."""
    kind = request.param
    url = f"sqlite:///{tmp_path}/jobs.sqlite" if kind == "sqlite" else shared_server(SERVERS[kind]).url
    store = SharedStore(kind, url, f"moving_{uuid4().hex}")
    try:
        yield store
    finally:
        store.clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The jobs, exported."""
    path = tmp_path / "jobs.json"
    with started(virtual(), paused=True) as scheduler:
        scheduler.add_jobs({"func": work, "trigger": "interval", "hours": 1, "id": job_id} for job_id in IDS)
        scheduler.export_jobs(path)
    return path


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "BATCH", 5)


@contextmanager
def process(shared: SharedStore, file: Path, number: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that is ready to import, and begins when it is sent a line."""
    options = {"store": shared.options(), "file": str(file), "number": number}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.moving.program", json.dumps(options)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "checkout")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


def scheduler_on(shared: SharedStore) -> BaseScheduler:
    return BackgroundScheduler(jobstores={"default": shared.open()}, timezone="UTC")


def killed(shared: SharedStore, file: Path, number: int) -> None:
    with process(shared, file, number) as running:
        running.communicate("go\n", TIMEOUT)
    assert running.returncode == -signal.SIGKILL


# At each write on SQLite; on servers, which take longer, in the middle of both parts. (In one process, every store is cut off at each of its writes
# by the contract.)
@pytest.mark.parametrize(
    ("shared", "number"),
    [
        *(("sqlite", number) for number in range(1, WRITES)),
        *((kind, number) for kind in SERVERS for number in (4, COMPLETE)),
    ],
    indirect=["shared"],
)
def test_what_a_killed_process_leaves_is_finished_or_undone_by_the_next_import(
    shared: SharedStore, file: Path, number: int
) -> None:
    complete = number >= COMPLETE
    killed(shared, file, number)
    with started(scheduler_on(shared), paused=True) as scheduler:
        shown = {job.id for job in scheduler.get_jobs()}
        # None before the commit point; behind it, those which are released.
        assert len(shown) == (5 * (number - COMPLETE) if complete else 0)
        report = scheduler.import_jobs(file)
        assert (report.imported, report.resumed) == (JOBS, complete)
        assert report.undone == (0 if complete else min(JOBS, 5 * ((number + 1) // 2)))
        assert {job.id for job in scheduler.get_jobs()} == set(IDS)


def test_what_a_killed_process_leaves_is_settled_by_any_other_import(
    shared: SharedStore, file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    with started(virtual(), paused=True) as scheduler:
        scheduler.add_job(work, "interval", hours=1, id="another")
        scheduler.export_jobs(other)
    killed(shared, file, 3)
    with started(scheduler_on(shared), paused=True) as scheduler:
        assert scheduler.import_jobs(other).undone == 10
        assert {job.id for job in scheduler.get_jobs()} == {"another"}
        scheduler.remove_all_jobs()
        killed(shared, file, COMPLETE + 1)
        assert scheduler.import_jobs(other).finished == JOBS - 5
        assert {job.id for job in scheduler.get_jobs()} == {"another", *IDS}


def test_of_two_processes_that_import_the_same_file_one_does(shared: SharedStore, file: Path) -> None:
    with process(shared, file) as one, process(shared, file) as two:
        for running in (one, two):
            assert running.stdin is not None
            running.stdin.write("go\n")
            running.stdin.flush()
        answers = [running.communicate(timeout=TIMEOUT)[0].strip() for running in (one, two)]
    assert answers.count(str(JOBS)) == 1, answers
    assert {*answers} <= {str(JOBS), "ImportInProgressError", "ConflictingIdsError"}
    with started(scheduler_on(shared), paused=True) as scheduler:
        assert {job.id for job in scheduler.get_jobs()} == set(IDS)
