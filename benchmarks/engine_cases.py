"""The measurements of engine.py, each in a process of its own: `engine_cases.py LIBRARY CASE SIZE` prints one JSON object.

LIBRARY is mainspring or apscheduler; both are driven through the same calls of the public API. No function here knows
which of the two it measures, except where it says so.
"""

import gc
import importlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

Result = dict[str, float]

WORKERS = 10
STEADY_JOBS = 200  # each once a second
TIMEOUT = 600


def noop() -> None:
    """The job of every case: what is measured is the engine around it."""


class Library:
    """The modules of one of the two libraries, by the names that they share."""

    def __init__(self, name: str) -> None:
        schedulers = {"mainspring": "mainspring.scheduler", "apscheduler": "apscheduler.schedulers"}[name]
        self.ours = name == "mainspring"
        self.scheduler_class = importlib.import_module(f"{schedulers}.background").BackgroundScheduler
        self.pool_class = importlib.import_module(f"{name}.executors.pool").ThreadPoolExecutor
        self.events = importlib.import_module(f"{name}.events")
        self.package = name

    def scheduler(self, store: Any) -> Any:
        return self.scheduler_class(
            jobstores={"default": store},
            executors={"default": self.pool_class(WORKERS)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )

    def store(self, kind: str, file: Path | None = None, *, durable: bool = True) -> Any:
        if kind == "memory":
            return self._counting(
                importlib.import_module(f"{self.package}.jobstores.memory").MemoryJobStore
            )()
        cls = self._counting(
            importlib.import_module(f"{self.package}.jobstores.sqlalchemy").SQLAlchemyJobStore
        )
        if self.ours:
            # WAL and synchronous=FULL are what it does unasked.
            return cls(url=f"sqlite:///{file}")
        return cls(engine=sqlite_engine(file, durable=durable))

    def _counting(self, cls: type) -> type:
        return counting_finishes(cls) if self.ours else cls


def sqlite_engine(file: Path | None, *, durable: bool) -> Any:
    """An engine for APScheduler's store, with full synchronisation said outright; off while a case is being set up."""
    from sqlalchemy import create_engine, event

    engine = create_engine(f"sqlite:///{file}")

    def configure(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        if os.environ.get("BENCHMARK_THEIRS_WAL"):
            connection.execute("PRAGMA journal_mode=WAL")

    event.listen(engine, "connect", configure)
    return engine


def counting_finishes(cls: type) -> type:
    """The store class, counting the finished records that it has written: a run of ours ends with that."""

    class Counting(cls):  # type: ignore[misc]
        finished = 0
        expected = sys.maxsize

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.all_finished = threading.Event()

        def finish_runs(self, outcomes: Any) -> Any:
            result = super().finish_runs(outcomes)
            self.finished += len(outcomes)
            if self.finished >= self.expected:
                self.all_finished.set()
            return result

    return Counting


@contextmanager
def temporary_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        yield Path(folder) / "jobs.sqlite"


# --- bursts ----------------------------------------------------------------------------------------------------------


def burst_memory(library: Library, size: int) -> Result:
    """Interval jobs, all due at the same moment: from resume() to the last EXECUTED event and the last finished record."""
    scheduler = library.scheduler(store := library.store("memory"))
    scheduler.start(paused=True)
    add_due_jobs(scheduler, size)
    result = burst(library, scheduler, store, size)
    scheduler.shutdown()
    return result


def burst_sqlite(library: Library, size: int) -> Result:
    """The same on an SQLite file that is fully synchronised at every commit, by the scheduler to which the jobs were added."""
    with temporary_file() as file:
        scheduler = library.scheduler(store := library.store("sqlite", file))
        scheduler.start(paused=True)
        add_due_jobs(scheduler, size, bulk=library.ours)
        result = burst(library, scheduler, store, size)
        scheduler.shutdown()
        return result


def burst_sqlite_restored(library: Library, size: int) -> Result:
    """The same, by a scheduler that has just been started on the file, and has to restore every job first."""
    with temporary_file() as file:
        setup = library.scheduler(library.store("sqlite", file, durable=False))
        setup.start(paused=True)
        add_due_jobs(setup, size, bulk=library.ours)
        leave(library, setup)
        scheduler = library.scheduler(store := library.store("sqlite", file))
        scheduler.start(paused=True)
        result = burst(library, scheduler, store, size)
        scheduler.shutdown()
        return result


def add_due_jobs(scheduler: Any, size: int, *, bulk: bool = False) -> None:
    due = datetime.now(UTC)
    options: dict[str, Any] = {"trigger": "interval", "weeks": 1, "next_run_time": due}
    if bulk:
        scheduler.add_jobs({"func": noop, "id": f"job{i}", **options} for i in range(size))
        return
    for i in range(size):
        scheduler.add_job(noop, id=f"job{i}", **options)


def leave(library: Library, setup: Any) -> None:
    """Be done with the scheduler that filled the file. APScheduler's stays behind, paused: its shutdown() would start
    the jobs that are due before the measurement does.
    """
    if library.ours:
        setup.shutdown()


def burst(
    library: Library, scheduler: Any, store: Any, size: int, go: Callable[[], None] | None = None
) -> Result:
    """From *go*, or resume(), to the last EXECUTED event; of ours to the last finished record, too."""
    executed = threading.Event()
    remaining = iter(range(size - 1))

    def count(_event: Any) -> None:
        # next() on an iterator over a range is atomic; the last one finds it empty.
        if next(remaining, None) is None:
            executed.set()

    scheduler.add_listener(count, library.events.EVENT_JOB_EXECUTED)
    if library.ours:
        store.expected = size
    gc.collect()
    begin = time.perf_counter()
    (go or scheduler.resume)()
    wait_for(executed)
    if library.ours:
        wait_for(store.all_finished)
    return {"runs_per_second": size / (time.perf_counter() - begin)}


# --- adding ----------------------------------------------------------------------------------------------------------


def add_memory(library: Library, size: int) -> Result:
    """Interval jobs added one by one to a running scheduler, none of them due."""
    scheduler = library.scheduler(library.store("memory"))
    scheduler.start()
    gc.collect()
    begin = time.perf_counter()
    for _ in range(size):
        scheduler.add_job(noop, "interval", weeks=1)
    elapsed = time.perf_counter() - begin
    scheduler.shutdown()
    return {"jobs_per_second": size / elapsed}


def add_sqlite(library: Library, size: int) -> Result:
    """Interval jobs added to an SQLite file: ours with one add_jobs, theirs one by one (they have no other way)."""
    with temporary_file() as file:
        scheduler = library.scheduler(library.store("sqlite", file))
        scheduler.start()
        begin = time.perf_counter()
        if library.ours:
            scheduler.add_jobs({"func": noop, "trigger": "interval", "weeks": 1} for _ in range(size))
        else:
            for _ in range(size):
                scheduler.add_job(noop, "interval", weeks=1)
        elapsed = time.perf_counter() - begin
        scheduler.shutdown()
        return {"jobs_per_second": size / elapsed}


def add_sqlite_single(library: Library, size: int) -> Result:
    """The same one by one on both sides: a full synchronisation for each job."""
    with temporary_file() as file:
        scheduler = library.scheduler(library.store("sqlite", file))
        scheduler.start()
        begin = time.perf_counter()
        for _ in range(size):
            scheduler.add_job(noop, "interval", weeks=1)
        elapsed = time.perf_counter() - begin
        scheduler.shutdown()
        return {"jobs_per_second": size / elapsed}


# --- idle jobs beside a steady load ----------------------------------------------------------------------------------


def idle_memory(library: Library, size: int, *, spread: bool = False) -> Result:
    """Lateness and CPU of 200 runs a second beside *size* jobs that are not due. The 200 are due together, on the second,
    as schedules in practice are; or 5 ms apart, if *spread*.
    """
    scheduler = library.scheduler(library.store("memory"))
    scheduler.start()
    for _ in range(size):
        scheduler.add_job(noop, "interval", weeks=1)
    result = _steady_load(library, scheduler, spread)
    scheduler.shutdown()
    return result


def idle_sqlite(library: Library, size: int, *, spread: bool = False) -> Result:
    """The same with all of them on one SQLite file."""
    with temporary_file() as file:
        setup = library.scheduler(library.store("sqlite", file, durable=False))
        setup.start(paused=True)
        if library.ours:
            setup.add_jobs({"func": noop, "trigger": "interval", "weeks": 1} for _ in range(size))
        else:
            for _ in range(size):
                setup.add_job(noop, "interval", weeks=1)
        leave(library, setup)
        scheduler = library.scheduler(library.store("sqlite", file))
        scheduler.start()
        result = _steady_load(library, scheduler, spread)
        scheduler.shutdown()
        return result


def _steady_load(library: Library, scheduler: Any, spread: bool, seconds: float = 8.0) -> Result:
    lateness: list[float] = []

    def note(event: Any) -> None:
        lateness.append(time.time() - event.scheduled_run_time.timestamp())

    grid = datetime.now(UTC).replace(microsecond=0)
    for i in range(STEADY_JOBS):
        start = grid + timedelta(seconds=i / STEADY_JOBS if spread else 0)
        scheduler.add_job(noop, "interval", seconds=1, start_date=start, id=f"steady{i}")
    # Measured once that has settled, from just before one whole second to just before another: periods with all of their runs.
    time.sleep(2.9 - time.time() % 1)
    scheduler.add_listener(note, library.events.EVENT_JOB_EXECUTED)
    cpu, wall = time.process_time(), time.perf_counter()
    time.sleep(seconds)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    measured = sorted(lateness)
    return {
        "p50_ms": 1000 * statistics.median(measured),
        "p99_ms": 1000 * measured[int(len(measured) * 0.99)],
        "cpu_percent": 100 * cpu / wall,
        "runs_per_second": len(measured) / wall,
    }


# --- memory, backlog, import -----------------------------------------------------------------------------------------


def memory_idle(library: Library, size: int) -> Result:
    """What an idle interval job without arguments costs in the memory store, and the peak while they are added."""
    scheduler = library.scheduler(library.store("memory"))
    scheduler.start()
    for _ in range(100):  # what is made once, by the first jobs, is not a job's cost
        scheduler.add_job(noop, "interval", weeks=1)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(size):
        scheduler.add_job(noop, "interval", weeks=1)
    gc.collect()
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    scheduler.shutdown()
    return {"bytes_per_job": (after - before) / size, "peak_bytes_per_job": (peak - before) / size}


def backlog(library: Library, size: int) -> Result:
    """A one-second interval that is *size* seconds behind, coalesced: how much later it runs than one that is not."""
    scheduler = library.scheduler(library.store("memory"))
    executed = threading.Event()
    scheduler.add_listener(lambda _event: executed.set(), library.events.EVENT_JOB_EXECUTED)
    scheduler.start()

    def time_of_run(behind: int) -> float:
        executed.clear()
        start = datetime.now(UTC) - timedelta(seconds=behind)
        begin = time.perf_counter()
        # The end keeps it from running again while the next one is being measured.
        end = datetime.now(UTC) + timedelta(seconds=0.5)
        scheduler.add_job(noop, "interval", seconds=1, start_date=start, next_run_time=start, end_date=end)
        wait_for(executed)
        return time.perf_counter() - begin

    prompt = statistics.median(time_of_run(0) for _ in range(20))
    late = statistics.median(time_of_run(size) for _ in range(20 if library.ours else 1))
    time.sleep(1)
    tracemalloc.start()
    time_of_run(size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    scheduler.shutdown()
    return {"ms": 1000 * max(late - prompt, 0), "end_to_end_ms": 1000 * late, "peak_kb": peak / 1024}


def import_time(name: str) -> Result:
    """The import of a scheduler's module in a fresh process."""
    module = {
        "mainspring": "mainspring.scheduler.background",
        "apscheduler": "apscheduler.schedulers.background",
    }
    code = (
        "import time; begin = time.perf_counter()\n"
        f"import {module[name]}\n"
        "print((time.perf_counter() - begin) * 1000)"
    )
    import subprocess

    # A process without what this one has imported; the second of two, so that the bytecode is there.
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(2)
    ]
    return {"ms": times[-1]}


def wait_for(event: threading.Event) -> None:
    if not event.wait(TIMEOUT):
        raise TimeoutError(f"not done within {TIMEOUT} s")


CASES: dict[str, Callable[[Library, int], Result]] = {
    "burst-memory": burst_memory,
    "burst-sqlite": burst_sqlite,
    "burst-sqlite-restored": burst_sqlite_restored,
    "add-memory": add_memory,
    "add-sqlite-bulk": add_sqlite,
    "add-sqlite-single": add_sqlite_single,
    "idle": idle_memory,
    "idle-spread": partial(idle_memory, spread=True),
    "idle-sqlite": idle_sqlite,
    "idle-sqlite-spread": partial(idle_sqlite, spread=True),
    "memory": memory_idle,
    "backlog": backlog,
}


def main(name: str, case: str, size: str) -> None:
    result = import_time(name) if case == "import" else CASES[case](Library(name), int(size))
    print(json.dumps(result))


if __name__ == "__main__":
    # Stored under the module's own name, so that the store's jobs are found by it and nothing warns of __main__.
    importlib.import_module("engine_cases").main(*sys.argv[1:])
