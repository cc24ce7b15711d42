"""A process pool whose runs hang, die, raise and return, under time limits: `python -m tests.executors.overtime [SECONDS] [START METHOD]`.

It keeps the pool busy for so long, with an eye on each outcome, and then prints what there was, and what is left behind: processes, open
files, threads, memory. The exit code is 1 if a run had another outcome than its own, or anything is left.
"""

import gc
import logging
import multiprocessing
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from queue import SimpleQueue
from typing import Any

from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_TIMEOUT,
    JobExecutionEvent,
    SystemClock,
)
from mainspring.executors import JobTimeoutError, WorkerDiedError, current_run
from mainspring.executors import processes as library
from mainspring.executors.pool import ProcessPoolExecutor

from tests.executors import fakes
from tests.executors.fakes import FakeJob, FakeTicket

SHORT = 0.05  # seconds: the limit of the runs that hang
STEADY = 0.1  # seconds that some take which must not notice anything of the others
WORKERS = 4
IN_FLIGHT = 12

CLOCK = SystemClock()

# The jobs.


def hang(number: int) -> None:
    fakes.work_or_hang(number % 2)


def hang_the_second_time(number: int) -> int:
    """The second of three run times hangs, the others do not."""
    run = current_run()
    assert run is not None
    if run.scheduled_run_time.microsecond % 10 == 1:
        hang(number)
    return number


def steady(number: int) -> int:
    """Take a while, in all of which this process has to be there."""
    run = current_run()
    assert run is not None
    run.wait(STEADY)
    assert run.cancel_reason in (None, "shutdown")  # the pool's, at the end
    return number


def quick(number: int) -> int:
    return number


def die(number: int) -> None:
    os._exit(7)


def fail(number: int) -> None:
    raise ValueError(number)


def times(count: int) -> list[datetime]:
    moment = CLOCK.now()
    return [moment.replace(microsecond=moment.microsecond // 10 * 10 + place) for place in range(count)]


Kind = tuple[Callable[[int], Any], float, int, list[str]]
"""A function, its limit, how many run times, and their outcomes."""

KINDS: list[tuple[int, Kind]] = [  # each with its share
    (2, (hang, SHORT, 1, ["timeout"])),
    (1, (hang_the_second_time, 10 * SHORT, 3, ["executed", "timeout", "executed"])),
    (4, (steady, fakes.TIMEOUT, 1, ["executed"])),
    (12, (quick, fakes.TIMEOUT, 2, ["executed", "executed"])),
    (1, (die, fakes.TIMEOUT, 1, ["died"])),
    (2, (fail, fakes.TIMEOUT, 1, ["raised"])),
]


class Watched(FakeTicket):
    """One submission, what is expected of it, and what has been heard."""

    def __init__(self, number: int, kind: Kind) -> None:
        super().__init__(attempt=1, run_id=number)
        self.number = number
        self.func, self.limit, count, self.expected = kind
        self.run_times = times(count)
        self.outcomes: list[str] = []

    def fault(self) -> str | None:
        """What is wrong with it, now that it is over."""
        failed = [place for place, outcome in enumerate(self.expected) if outcome != "executed"]
        told = [entry[1] for entry in self.told if entry[0] == "failed"]
        if self.outcomes != self.expected or told != failed or len(self.errors) != 1:
            return f"{self.func.__name__} {self.number}: {self.outcomes}, told {self.told}"
        return None


class Overtime:
    """A scheduler as far as the pool sees it: it submits the next run when one has ended, and keeps nothing of it."""

    def __init__(self, start_method: str, seed: int = 20261122) -> None:
        self.clock = CLOCK
        self.sums: Counter[str] = Counter()
        self.faults: list[str] = []
        self._open: dict[int, Watched] = {}
        self._over: SimpleQueue[None] = SimpleQueue()
        self._dice = random.Random(seed)
        self._pool = ProcessPoolExecutor(WORKERS, {"mp_context": start_method})

    def run(self, seconds: float) -> None:
        """Keep the pool busy for so long, and shut it down."""
        self._pool.start(self, "overtime")
        until = CLOCK.monotonic() + seconds
        for _ in range(IN_FLIGHT):
            self._submit()
        while CLOCK.monotonic() < until:
            self._over.get(timeout=fakes.TIMEOUT)
            self._submit()
        self._pool.shutdown()
        self.faults += [f"{ticket.func.__name__} {ticket.number}: not over" for ticket in self._open.values()]
        if self._pool._slots or self._pool._workers:
            self.faults.append(f"slots {self._pool._slots}, workers {self._pool._workers}")

    def _submit(self) -> None:
        (kind,) = self._dice.choices([kind for _, kind in KINDS], [share for share, _ in KINDS])
        number = self.sums["submitted"]
        self.sums["submitted"] += 1
        ticket = self._open[number] = Watched(number, kind)
        job = FakeJob(ticket.func, (number,), id=str(number), timeout=ticket.limit)
        self._pool.submit_job(job, ticket.run_times, ticket)

    def _wants(self, code: int) -> int:
        return code & (EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_TIMEOUT)

    def _dispatch_event(self, event: JobExecutionEvent) -> None:
        ticket = self._open[int(event.job_id)]
        outcome = self._outcome(event, ticket)
        self.sums[outcome] += 1
        ticket.outcomes.append(outcome)
        if len(ticket.outcomes) == len(ticket.expected):
            del self._open[ticket.number]
            fault = ticket.fault()
            if fault is not None:
                self.faults.append(fault)
            self._over.put(None)

    @staticmethod
    def _outcome(event: JobExecutionEvent, ticket: Watched) -> str:
        error = event.exception
        if event.code == EVENT_JOB_EXECUTED and event.retval == ticket.number:
            return "executed"
        if event.code == EVENT_JOB_TIMEOUT and isinstance(error, JobTimeoutError):
            return "timeout"
        if isinstance(error, WorkerDiedError):
            return "died" if error.exitcode == 7 else repr(error)
        return "raised" if isinstance(error, ValueError) else repr((event.retval, error))


# What is left behind.


def descendants() -> set[int]:
    """The processes that this one has started, and those that they have; zombies, too."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parents[int(entry)] = int(file.read().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Memory of this process, in KiB."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def settled(before: set[int]) -> set[int]:
    """The processes that are there now and were not before; those that are just ending are given time for it."""
    for _ in range(500):
        left = descendants() - before
        if not left:
            break
        threading.Event().wait(0.01)
    return left


def main(seconds: float, start_method: str) -> int:
    logging.disable(logging.CRITICAL)  # each timeout and each death is logged
    Overtime(start_method).run(
        2
    )  # so that what is started once is there: servers of multiprocessing, modules
    before, files, threads, memory = descendants(), open_files(), threading.active_count(), resident()
    overtime = Overtime(start_method)
    overtime.run(seconds)
    left = settled(before)
    print(f"{seconds:g} s with {WORKERS} processes ({start_method}): {dict(overtime.sums)}")
    print(f"processes left: {len(left)}, of multiprocessing's: {len(multiprocessing.active_children())}")
    print(f"pool's processes thought alive: {len(library._alive)}")
    print(f"open files: {files} before, {open_files()} after")
    print(f"threads: {threads} before, {threading.active_count()} after")
    print(f"memory: {memory} KiB before, {resident()} KiB after")
    print(f"faults: {len(overtime.faults)}", *overtime.faults[:20], sep="\n")
    return int(bool(overtime.faults or left or library._alive or open_files() != files))


if __name__ == "__main__":
    sys.exit(
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 120, sys.argv[2] if len(sys.argv) > 2 else "spawn")
    )
