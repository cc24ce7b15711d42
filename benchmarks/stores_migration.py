"""The measurements of the migration, for stores.py: `python -m benchmarks.stores_migration FOLDER SIZE`, in a process of its own.

The old store is a table that APScheduler has made, with the states of its own jobs of all kinds. What is printed is one JSON object: the seconds of
the whole migration (read, checked, written, released), and by how many MB it made the process larger.
"""

import json
import pickle
import resource
import sqlite3
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

WORKING = 100
"""So many jobs are migrated first: what is imported and cached once is not what grows with the jobs."""


def example(number: int = 0, text: str = "", times: Any = ()) -> None:
    """What the jobs call."""


def old_store(file: Path, size: int) -> str:
    """An old store of so many jobs: cron triggers, intervals and dates in turns."""
    from apscheduler.job import Job
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.triggers.cron import CronTrigger
    from apscheduler.triggers.date import DateTrigger
    from apscheduler.triggers.interval import IntervalTrigger

    url = f"sqlite:///{file}"
    start = datetime(2099, 1, 1, tzinfo=UTC)
    store = SQLAlchemyJobStore(url)
    store.start(SimpleNamespace(timezone=UTC), "default")
    store.shutdown()

    def state(index: int) -> tuple[str, float, bytes]:
        kinds: list[Any] = [
            CronTrigger(
                hour=index % 24,
                minute="*/5",
                day_of_week="mon-fri",
                timezone="Europe/Berlin",
                start_date=start,
            ),
            IntervalTrigger(minutes=1 + index % 60, start_date=start, timezone="Europe/Berlin"),
            DateTrigger(start + timedelta(seconds=index)),
        ]
        trigger = kinds[index % 3]
        time = trigger.get_next_fire_time(None, start)
        options: dict[str, Any] = {
            "executor": "default",
            "misfire_grace_time": 60,
            "coalesce": True,
            "max_instances": 1,
        }
        job = Job(
            SimpleNamespace(timezone=UTC),
            id=f"job {index:06}",
            func="benchmarks.stores_migration:example",
            name="example",
            args=(),
            kwargs={"number": index, "text": "some text", "times": [start]} if index % 5 == 0 else {},
            trigger=trigger,
            next_run_time=time,
            **options,
        )
        return job.id, time.timestamp(), pickle.dumps(job.__getstate__(), pickle.HIGHEST_PROTOCOL)

    with sqlite3.connect(file) as connection:
        connection.executemany("INSERT INTO apscheduler_jobs VALUES (?, ?, ?)", map(state, range(size)))
    connection.close()
    return url


def megabytes() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    folder, size = Path(sys.argv[1]), int(sys.argv[2])
    old = folder / f"old {size}.sqlite"
    if not old.exists():
        old_store(old, size)
        old_store(folder / f"working {size}.sqlite", WORKING)
        print(json.dumps({"made": size}))
        return

    from mainspring.jobstores.migration import migrate

    new = folder / f"new {size}.sqlite"
    new.unlink(missing_ok=True)
    working = migrate(f"sqlite:///{folder}/working {size}.sqlite", f"sqlite:///{new}", dry_run=False)
    new.unlink()
    before, started = megabytes(), time.perf_counter()
    report = migrate(f"sqlite:///{old}", f"sqlite:///{new}", dry_run=False)
    seconds = time.perf_counter() - started
    if (working.taken, report.taken) != (WORKING, size):
        raise SystemExit(f"not all jobs were taken: {report}")
    print(json.dumps({"seconds": seconds, "mb": megabytes() - before}))


if __name__ == "__main__":
    main()
