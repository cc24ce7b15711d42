"""The log of a cluster: append-only files outside the store, written by the jobs, the schedulers and the editor, and read by the test."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.checking import Call, Line, Report

RUNS, CALLS = "runs", "calls"


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000


def write(folder: str | Path, file: str, text: str) -> None:
    """One line, in one write: whole, or not there at all, whoever else writes and whenever this process is killed."""
    descriptor = os.open(Path(folder) / file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


def note_run(folder: str, job: str) -> None:
    """A run of this job begins here and now."""
    write(folder, RUNS, f"began {job} {now()} {os.getpid()}")


def note_end(folder: str, job: str, due: int) -> None:
    """The run of this job that was due then has ended, says the scheduler."""
    write(folder, RUNS, f"ended {job} {due} {now()} {os.getpid()}")


def note_call(folder: str, call: Call) -> None:
    """This call has given a job these fire times."""
    write(folder, CALLS, json.dumps([call.job, call.begin, call.end, call.times, call.removed]))


def read_lines(folder: Path) -> list[Line]:
    return [Line(job, int(at), int(pid)) for job, at, pid in _read(folder, "began")]


def read_reports(folder: Path) -> list[Report]:
    return [Report(job, int(due), int(at), int(pid)) for job, due, at, pid in _read(folder, "ended")]


def read_calls(folder: Path) -> list[Call]:
    return [
        Call(job, begin, end, tuple(times), removed)
        for job, begin, end, times, removed in map(json.loads, (folder / CALLS).read_text().splitlines())
    ]


def _read(folder: Path, word: str) -> Iterator[list[str]]:
    for line in (folder / RUNS).read_text().splitlines():
        first, *rest = line.split()
        if first == word:
            yield rest
