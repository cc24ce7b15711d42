"""A program with a thread that hangs is killed, as people do: the attempt was over its time limit, so the next one follows at the restart."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_EXECUTED, EVENT_JOB_LOST
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler

PROGRAM = """
import sys, threading
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler
import hung_jobs

scheduler = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(sys.argv[1])})
scheduler.start()
port = scheduler._engine.port("default")
note = port._note_failure

def noted(ticket):
    note(ticket)
    print("written", flush=True)

port._note_failure = noted
scheduler.add_job(hung_jobs.work, id="x", timeout=0.2, max_retries=3, retry_delay=0, recovery=sys.argv[2], misfire_grace_time=None)
threading.Event().wait()
"""

JOBS = """
import threading
from mainspring.executors import current_run

def work():
    if current_run().attempt == 1:
        threading.Event().wait()
    return current_run().attempt
"""


@pytest.mark.parametrize("recovery", ["skip", "rerun"])
def test_the_next_attempt_follows_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recovery: str
) -> None:
    (tmp_path / "hung_jobs.py").write_text(JOBS, encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    paths = [str(tmp_path), *(path for path in sys.path if path)]
    with subprocess.Popen(
        [sys.executable, "program.py", url, recovery],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(paths)},
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        try:
            assert program.stdout.readline() == "written\n"
        finally:
            program.send_signal(signal.SIGKILL)

    ends: SimpleQueue[Any] = SimpleQueue()
    scheduler = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(url)})
    scheduler.add_listener(ends.put, EVENT_JOB_EXECUTED | EVENT_JOB_LOST)
    scheduler.start()
    try:
        end = ends.get(timeout=30)
        assert (end.code, end.attempt, getattr(end, "retval", None)) == (EVENT_JOB_EXECUTED, 2, 2)
        assert end.late > timedelta(0)
        assert scheduler.get_lost_runs() == []
    finally:
        scheduler.shutdown()
