"""Old stores and old states, as APScheduler writes them."""

import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from apscheduler.job import Job as OldAPSchedulerJob
from apscheduler.schedulers.background import BackgroundScheduler
from mainspring.jobstores.migration.jobs import OldJob, Reader
from mainspring.jobstores.migration.renaming import Renaming
from mainspring.jobstores.serialization.allowlist import AllowedCallables
from mainspring.jobstores.transfer import Arrival
from mainspring.triggers.instants import to_micros

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""Where nothing depends on the present moment."""

FUNCTION = "tests.migration.shop:deliver"


@contextmanager
def scheduler_on(store: Any) -> Iterator[Any]:
    """A scheduler of APScheduler's on one of its stores, which starts no job."""
    scheduler = BackgroundScheduler(jobstores={"default": store}, timezone="UTC")
    scheduler.start(paused=True)
    try:
        yield scheduler
    finally:
        # The pause ends with the shutdown, so what is due must not be run by it either.
        scheduler.shutdown()


def state(trigger: Any, next_run_time: Any = "first", protocol: int = 5, **options: Any) -> bytes:
    """The pickled state of a job, as APScheduler's stores keep it."""
    if next_run_time == "first":
        next_run_time = trigger.get_next_fire_time(None, NOW)
    given: dict[str, Any] = {
        **{"id": "job", "func": FUNCTION, "args": (), "kwargs": {}, "name": "a job", "executor": "default"},
        **{"misfire_grace_time": 1, "coalesce": True, "max_instances": 1},
        **options,
    }
    job = OldAPSchedulerJob(
        SimpleNamespace(timezone=UTC), trigger=trigger, next_run_time=next_run_time, **given
    )
    return pickle.dumps(job.__getstate__(), protocol)


def reader(
    allow: Iterable[str] = (), rename: dict[str, str] | None = None, check_callables: bool = False
) -> Reader:
    """A reader of old jobs, at `NOW`."""
    allowed = AllowedCallables(allow) if allow else None
    return Reader(allowed, Renaming(rename or {}), check_callables, to_micros(NOW))


def arrival(
    data: bytes, job_id: str = "job", time: float | str | None = "its own", **options: Any
) -> tuple[Arrival, list[str]]:
    """What becomes of a pickled state. `time` is what the old store keeps beside it."""
    if time == "its own":
        moment = pickle.loads(data)["next_run_time"]
        time = None if moment is None else moment.timestamp()
    assert not isinstance(time, str)
    return reader(**options).arrival(OldJob(job_id, data, time))


def sqlite_store(file: Path, rows: Iterable[tuple[str, float | None, bytes | None]]) -> str:
    """A table like APScheduler's, with these rows; the URL of it."""
    with sqlite3.connect(file) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS apscheduler_jobs (id VARCHAR(191) NOT NULL PRIMARY KEY, next_run_time FLOAT, job_state BLOB)"
        )
        connection.executemany("INSERT INTO apscheduler_jobs VALUES (?, ?, ?)", list(rows))
    connection.close()
    return f"sqlite:///{file}"


def fire_times(
    following: Callable[[datetime], datetime | None], first: datetime, number: int = 100
) -> list[datetime]:
    """The first time and those that follow, in UTC."""
    times = [first]
    while len(times) < number and (time := following(times[-1])) is not None:
        times.append(time)  # as it is: which pass of an hour it is in is a matter of its zone
    return [time.astimezone(UTC) for time in times]
