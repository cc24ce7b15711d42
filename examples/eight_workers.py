"""Eight processes share one job store: each run takes place once, in one of them.

python eight_workers.py [URL] [WORKERS], where URL is that of a database (postgresql+psycopg://user:password@host/database, mysql+pymysql://...)
or of a Redis (redis://host:6379/0); without one, it is an SQLite file in a temporary folder. What stands in the table `eight_workers_jobs`, or under
the keys `{eight_workers}.*`, is removed first.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event
from typing import Any

from mainspring.events import EVENT_JOB_EXECUTED, JobExecutionEvent
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler

ONCE, EVERY, TIMES = 400, 10, 10
"""So many jobs that run once, and so many that run every half second, so many times."""


def store_at(url: str) -> BaseJobStore:
    # Looked at five times a second, so that all workers soon see what is added elsewhere: SQLite and MariaDB cannot tell them.
    if url.startswith("redis"):
        from mainspring.jobstores.redis import RedisJobStore

        return RedisJobStore(url=url, jobs_key="eight_workers", poll_interval=0.2)
    return SQLAlchemyJobStore(url=url, tablename="eight_workers_jobs", poll_interval=0.2)


def work() -> None:
    time.sleep(0.1)


def worker(url: str, ready: Barrier, stop: Event, told: "Queue[Any]") -> None:
    """One process: it runs jobs until it is told to stop, and tells of each run."""

    def tell(event: JobExecutionEvent) -> None:
        told.put((event.job_id, event.scheduled_run_time, os.getpid()))

    scheduler = BackgroundScheduler(jobstores={"default": store_at(url)})
    scheduler.add_listener(tell, EVENT_JOB_EXECUTED)
    scheduler.start()
    ready.wait(60)
    stop.wait()
    scheduler.shutdown()
    told.put(None)  # behind its last run


def add_jobs(url: str) -> int:
    """Add jobs, as a web server might that runs none itself. Answers how many runs they will have."""
    # However late, each by itself, and though the one before it still goes on.
    defaults = {"misfire_grace_time": None, "coalesce": False, "max_instances": TIMES}
    scheduler = BackgroundScheduler(jobstores={"default": store_at(url)}, job_defaults=defaults)
    scheduler.start(paused=True)
    scheduler.remove_all_jobs()
    now = datetime.now(UTC)
    # By name: a function of the main program would be known to this program only.
    jobs: list[dict[str, Any]] = [{"func": "eight_workers:work", "id": f"once {i}"} for i in range(ONCE)]
    half = timedelta(seconds=0.5)
    for i in range(EVERY):
        interval = {
            "trigger": "interval",
            "seconds": 0.5,
            "start_date": now,
            "end_date": now + half * (TIMES - 1),
        }
        jobs.append({"func": "eight_workers:work", "id": f"every {i}", "next_run_time": now, **interval})
    scheduler.add_jobs(jobs)
    scheduler.shutdown()
    return ONCE + EVERY * TIMES


def main(url: str, workers: int) -> bool:
    processes = multiprocessing.get_context("spawn")
    ready, stop, told = processes.Barrier(workers + 1), processes.Event(), processes.Queue()
    # Daemons, so that no worker outlives this process, whatever happens to it.
    started = [
        processes.Process(target=worker, args=(url, ready, stop, told), daemon=True) for _ in range(workers)
    ]
    runs: Counter[tuple[str, datetime]] = Counter()
    by: Counter[int] = Counter()

    def note(run: Any) -> None:
        job_id, time, pid = run
        runs[job_id, time] += 1
        by[pid] += 1

    try:
        for process in started:
            process.start()
        ready.wait(60)
        due = add_jobs(url)
        while len(runs) < due:
            note(told.get(timeout=30))
    finally:
        stop.set()  # also if the server is away: they would wait for ever
    for _ in started:  # whatever they tell until the last one has ended
        while (run := told.get(timeout=30)) is not None:
            note(run)
    for process in started:
        process.join()

    twice = [run for run, times in runs.items() if times > 1]
    print(
        f"{workers} workers on one store; runs that were due: {due}, that took place: {len(runs)}, more than once: {len(twice)}"
    )
    for number, process in enumerate(started, 1):
        print(f"worker {number}: {by[process.pid or 0]} runs")
    return len(runs) == due and not twice


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        where = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/jobs.sqlite"
        count = int(sys.argv[2]) if len(sys.argv) > 2 else 8
        sys.exit(0 if main(where, count) else 1)
