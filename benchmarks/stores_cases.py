"""The measurements of stores.py, each in a process of its own: `python -m benchmarks.stores_cases LIBRARY CASE STORE URL SIZE [NUMBER ...]`.

LIBRARY is mainspring or apscheduler; both are driven through the same calls of the public API, as in engine_cases.py. What is
printed is one JSON object.
"""

import importlib
import json
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from .engine_cases import (
    STEADY_JOBS,
    TIMEOUT,
    Library,
    Result,
    add_due_jobs,
    burst,
    counting_finishes,
    leave,
    noop,
    wait_for,
)
from .stores_backends import Backend, RoundTrips, server_cpu

LOOKS = 200
STALLED = 20.0
"""Seconds without a single run after which a burst over several processes is given up."""

STARTS = [0.0] * STEADY_JOBS


def note_start(number: int) -> None:
    """The job of a steady load: notes when it was started."""
    STARTS[number] = time.time()


def watched(cls: type) -> type:
    """The store class of ours, counting the finished records, and noting how large its writes are."""

    class Watched(counting_finishes(cls)):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.claimed: list[int] = []
            self.ended: list[int] = []

        def claim_due(self, *args: Any, **kwargs: Any) -> Any:
            result = super().claim_due(*args, **kwargs)
            if result.claims:
                self.claimed.append(len(result.claims))
            return result

        def finish_runs(self, outcomes: Any) -> Any:
            result = super().finish_runs(outcomes)
            if outcomes:
                self.ended.append(len(outcomes))
            return result

    return Watched


def store_of(library: Library, backend: Backend) -> Any:
    return backend.store(library, watched if library.ours else lambda cls: cls)


# --- what is there before ------------------------------------------------------------------------------------------------


def fill_due(library: Library, backend: Backend, size: int) -> Result:
    """Jobs that are all due at the same moment. Their process ends: whoever runs them has to restore them first."""
    scheduler = library.scheduler(backend.store(library))
    scheduler.start(paused=True)
    add_due_jobs(scheduler, size, bulk=library.ours)
    leave(library, scheduler)
    backend.settle()
    return {}


def fill_idle(library: Library, backend: Backend, size: int) -> Result:
    """Jobs of which none is due within the hour."""
    scheduler = library.scheduler(backend.store(library))
    scheduler.start(paused=True)
    options: dict[str, Any] = {"func": noop, "trigger": "interval", "hours": 1}
    if library.ours:
        scheduler.add_jobs(options for _ in range(size))
    else:
        for _ in range(size):
            scheduler.add_job(**options)
    leave(library, scheduler)
    backend.settle()
    return {}


# --- bursts --------------------------------------------------------------------------------------------------------------


def known(library: Library, backend: Backend, size: int) -> Result:
    """As in engine.py: by the scheduler to which the jobs were added, from resume() to the last run, and of ours the last end that
    is written.
    """
    scheduler = library.scheduler(store := store_of(library, backend))
    scheduler.start(paused=True)
    add_due_jobs(scheduler, size, bulk=library.ours and backend.kind != "memory")
    backend.settle()
    return _burst(library, scheduler, store, size, scheduler.resume)


def trips(library: Library, backend: Backend, size: int) -> Result:
    """How often ours asks its server for a batch of a burst, from its claim to the end that is written."""
    counted = RoundTrips(backend.port)
    scheduler = library.scheduler(store := store_of(library, backend.through(counted.port)))
    scheduler.start(paused=True)
    add_due_jobs(scheduler, size, bulk=True)
    before: list[int] = []

    def go() -> None:
        before.append(counted.count)
        scheduler.resume()

    burst(library, scheduler, store, size, go)
    spent = counted.count - before[0]
    scheduler.shutdown()
    return {"batch_round_trips": spent / len(store.claimed)}


def restored(library: Library, backend: Backend, size: int) -> Result:
    """From start() on a store full of jobs that this process has to restore."""
    scheduler = library.scheduler(store := store_of(library, backend))
    return _burst(library, scheduler, store, size, scheduler.start)


def _burst(library: Library, scheduler: Any, store: Any, size: int, go: Callable[[], None]) -> Result:
    result = burst(library, scheduler, store, size, go)
    if library.ours:
        result |= {"claim_batch": statistics.mean(store.claimed), "end_batch": statistics.mean(store.ended)}
    scheduler.shutdown()
    return result


# --- several processes ---------------------------------------------------------------------------------------------------


def processes(library: Library, backend: Backend, size: int, workers: int = 4) -> Result:
    """A burst with several scheduler processes on one store, from when all of them may start to the last run and its written end."""
    context = multiprocessing.get_context("spawn")
    runs = context.RawArray("B", workers * size)
    executed, written = context.RawArray("Q", workers), context.RawArray("Q", workers)
    ready, stop, reports = context.Barrier(workers + 1), context.Event(), context.SimpleQueue()
    shared = (library.package, backend, size, runs, executed, written, ready, stop, reports)
    children = [
        context.Process(target=worker, args=(number, *shared), daemon=True) for number in range(workers)
    ]
    for child in children:
        child.start()
    ready.wait(TIMEOUT)
    begin = last = time.perf_counter()
    seen = -1
    while sum(executed) < size or (library.ours and sum(written) < size) or not all(counted(runs, size)):
        now = time.perf_counter()
        if sum(executed) != seen:
            seen, last = sum(executed), now
        if now - last > STALLED:
            break
        time.sleep(0.002)
    elapsed = (time.perf_counter() if all(counted(runs, size)) else last) - begin
    time.sleep(0.5)  # a second run of something, if there is one, is counted too
    stop.set()
    alive = [child for child in children if child.is_alive()]
    noted = [reports.get() for _ in alive]
    for child in children:
        child.join(10)
    counts = counted(runs, size)
    attempts, lost = (sum(numbers) for numbers in zip(*noted, strict=True))
    result = {"lost_percent": 100 * lost / attempts} if attempts else {}
    return result | {
        "runs_per_second": sum(map(bool, counts)) / elapsed,
        "doubles": sum(counts) - sum(map(bool, counts)),
        "missing": size - sum(map(bool, counts)),
        "least_share": min(executed) * workers / size,
    }


def counted(runs: Any, size: int) -> list[int]:
    """How often each job has run, over all processes."""
    return [
        sum(column)
        for column in zip(*(runs[begin : begin + size] for begin in range(0, len(runs), size)), strict=True)
    ]


def worker(
    number: int,
    package: str,
    backend: Backend,
    size: int,
    runs: Any,
    executed: Any,
    written: Any,
    ready: Any,
    stop: Any,
    reports: Any,
) -> None:
    """One of the processes."""
    library = Library(package)
    store = store_of(library, backend)
    scheduler = library.scheduler(store)
    lock = threading.Lock()

    def note(event: Any) -> None:
        with lock:
            runs[number * size + int(event.job_id.removeprefix("job"))] += 1
            executed[number] += 1

    scheduler.add_listener(note, library.events.EVENT_JOB_EXECUTED)
    ready.wait(TIMEOUT)
    scheduler.start()
    while not stop.wait(0.001):
        if library.ours:
            written[number] = store.finished
    # Where claims lock what they read, no comparison is lost, and there is nothing to count.
    reports.put((getattr(store, "claim_attempts", 0), getattr(store, "claims_lost", 0)))
    scheduler.shutdown()


# --- idle jobs beside a steady load --------------------------------------------------------------------------------------


def steady(library: Library, backend: Backend, _size: int, seconds: float = 20.0) -> Result:
    """Lateness and CPU of 200 jobs that run once a second, 5 ms apart, beside the jobs that are there and not due."""
    scheduler = library.scheduler(backend.store(library))
    scheduler.start()
    if backend.kind == "memory":
        for _ in range(_size):
            scheduler.add_job(noop, "interval", hours=1)
    lateness: list[float] = []

    def note(event: Any) -> None:
        number = int(event.job_id.removeprefix("steady"))
        lateness.append(STARTS[number] - event.scheduled_run_time.timestamp())

    grid = datetime.now(UTC).replace(microsecond=0)
    for number in range(STEADY_JOBS):
        start = grid + timedelta(seconds=number / STEADY_JOBS)
        scheduler.add_job(
            note_start, "interval", seconds=1, start_date=start, args=[number], id=f"steady{number}"
        )
    time.sleep(2.9 - time.time() % 1)  # until it has settled, and then from between two of them
    scheduler.add_listener(note, library.events.EVENT_JOB_EXECUTED)
    server, cpu, wall = server_cpu(backend.port), time.process_time(), time.perf_counter()
    time.sleep(seconds)
    wall, cpu, server = (
        time.perf_counter() - wall,
        time.process_time() - cpu,
        server_cpu(backend.port) - server,
    )
    measured = sorted(lateness)
    scheduler.shutdown()
    return {
        "p50_ms": 1000 * statistics.median(measured),
        "p99_ms": 1000 * measured[int(len(measured) * 0.99)],
        "cpu_percent": 100 * cpu / wall,
        "server_cpu_percent": 100 * server / wall,
        "runs_per_second": len(measured) / wall,
    }


# --- one look ------------------------------------------------------------------------------------------------------------


def look(library: Library, backend: Backend, _size: int) -> Result:
    """What a pass asks of a store in which nothing is due: the time of it, and how many round trips to the server it takes."""
    result = {"ms": 1000 * statistics.median(_looks(library, backend, lambda: 0)[0])}
    if backend.port:
        trips = RoundTrips(backend.port)
        result["round_trips"] = statistics.median(
            _looks(library, backend.through(trips.port), lambda: trips.count)[1]
        )
    return result


def _looks(library: Library, backend: Backend, asked: Callable[[], int]) -> tuple[list[float], list[int]]:
    """The seconds of each look, and by how much *asked* grew with it."""
    looked, spent = threading.Event(), [0.0]

    def timed(cls: type) -> type:
        """The store class, with a clock at the methods that a pass calls; the last of them ends the look."""
        methods = ("claim_due",) if library.ours else ("get_due_jobs", "get_next_run_time")

        def measured(name: str) -> Callable[..., Any]:
            original = getattr(cls, name)

            def method(self: Any, *args: Any, **kwargs: Any) -> Any:
                begin = time.perf_counter()
                result = original(self, *args, **kwargs)
                spent[0] += time.perf_counter() - begin
                if name == methods[-1]:
                    looked.set()
                return result

            return method

        members = {name: measured(name) for name in methods}
        return type("Timed", (cls,), members)

    scheduler = library.scheduler(backend.store(library, timed, poll_interval=3600))
    scheduler.start()
    wait_for(looked)
    times, trips = [], []
    for _ in range(LOOKS):
        time.sleep(0.002)
        looked.clear()
        spent[0], before = 0.0, asked()
        scheduler.wakeup()
        wait_for(looked)
        times.append(spent[0])
        trips.append(asked() - before)
    scheduler.shutdown()
    return times, trips


CASES: dict[str, Callable[..., Result]] = {
    "fill-due": fill_due,
    "fill-idle": fill_idle,
    "burst": known,
    "trips": trips,
    "restored": restored,
    "processes": processes,
    "steady": steady,
    "look": look,
}


def main(name: str, case: str, kind: str, url: str, size: str, *numbers: str) -> None:
    backend = Backend(kind, url)
    if name == "driver":
        bare = importlib.import_module("benchmarks.stores_drivers").runs_per_second
        result = {"runs_per_second": bare(backend, int(size), *map(int, numbers))}
    else:
        result = CASES[case](Library(name), backend, int(size), *map(int, numbers))
    print(json.dumps(result))


if __name__ == "__main__":
    # Stored under the module's own name, as in engine_cases.py.
    importlib.import_module("benchmarks.stores_cases").main(*sys.argv[1:])
