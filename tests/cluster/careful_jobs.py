"""The job whose runs go wrong, the lines that it leaves, and those that schedulers and people leave beside them."""

import json
import os
import signal
from pathlib import Path
from threading import Event

from mainspring.events import JobExecutionEvent
from mainspring.executors import current_run

from tests.cluster.attempts import Attempt, Told
from tests.cluster.logbook import now, write
from tests.cluster.population import in_micros

LINES, OUTCOMES, CALLS = "attempts", "outcomes", "asked"
BEAT = 0.02
"""Seconds between two lines of an attempt that goes on."""
HANGS = 3.0
"""Seconds that an attempt takes which is to be ended by its time limit."""


class Unlucky(Exception):
    """What an attempt raises that goes wrong."""


def attempt(folder: str, job_id: str, takes: float, bad: int, how: str) -> None:
    """A run of which the first `bad` attempts go wrong: it `raises`, `lasts` longer than its time limit, `hangs`, or `dies`."""
    run = current_run()
    assert run is not None
    goes_wrong = run.attempt <= bad
    # In a pool of processes the scheduler is the parent; it is asked for now, since it may be gone later.
    scheduler = os.getppid() if how in ("hangs", "dies") else os.getpid()
    due = in_micros(run.scheduled_run_time)
    line = json.dumps([job_id, run.run_id, run.attempt, due, scheduler, os.getpid(), now()])
    left = (
        takes
        if not goes_wrong or how in ("raises", "dies")
        else takes + HANGS
        if how == "hangs"
        else takes * 3
    )
    while left > 0:
        write(folder, LINES, f"{now()} {line}")
        Event().wait(min(BEAT, left))
        left -= BEAT
    write(folder, LINES, f"{now()} {line}")
    if goes_wrong and how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if goes_wrong and how == "raises":
        raise Unlucky(f"attempt {run.attempt} of {bad} that go wrong")


def note_outcome(folder: str, what: str, event: JobExecutionEvent) -> None:
    """What a scheduler says of an attempt."""
    outcome = [event.job_id, event.run_id, event.attempt, what, event.retry_at is not None]
    write(folder, OUTCOMES, json.dumps(outcome))


def note_asked(folder: str, job_id: str, root: int) -> None:
    """Somebody has asked for this run."""
    write(folder, CALLS, json.dumps(["run", job_id, root]))


def note_removed(folder: str, job_id: str) -> None:
    """Somebody has removed this job: now."""
    write(folder, CALLS, json.dumps(["remove", job_id, now()]))


def read_attempts(folder: Path) -> list[Attempt]:
    """Each attempt with its first line and its last one. One that was begun twice is there twice."""
    last: dict[str, int] = {}
    for line in _lines(folder, LINES):
        time, key = line.split(" ", 1)
        last[key] = int(time)
    attempts = []
    for key, end in last.items():
        job, root, number, due, scheduler, _, begin = json.loads(key)
        attempts.append(Attempt(job, root, number, due, scheduler, begin, end))
    return attempts


def read_outcomes(folder: Path) -> list[Told]:
    return [Told(*json.loads(line)) for line in _lines(folder, OUTCOMES)]


def read_calls(folder: Path) -> tuple[dict[int, str], dict[str, int]]:
    """The runs that were asked for, and of which job; and when the removal of which job had succeeded."""
    asked: dict[int, str] = {}
    removed: dict[str, int] = {}
    for what, job_id, number in map(json.loads, _lines(folder, CALLS)):
        if what == "run":
            asked[number] = job_id
        else:
            removed[job_id] = number
    return asked, removed


def _lines(folder: Path, file: str) -> list[str]:
    path = folder / file
    return path.read_text().splitlines() if path.exists() else []
