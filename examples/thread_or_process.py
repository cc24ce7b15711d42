"""Executors: threads for jobs that wait, processes for jobs that compute, "debug" to run them in the loop itself."""

import os
import sys
import threading
from datetime import UTC, datetime

from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from mainspring.executors.debug import DebugExecutor
from mainspring.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from mainspring.scheduler.background import BackgroundScheduler


def say(line: str) -> None:
    # One write: a print() writes the line and its end apart, and the lines of several threads would run together.
    sys.stdout.write(f"{line}\n")


def where() -> tuple[int, str]:
    return os.getpid(), threading.current_thread().name


def main() -> None:
    scheduler = BackgroundScheduler(
        executors={
            "default": ThreadPoolExecutor(max_workers=4),
            "processes": ProcessPoolExecutor(max_workers=2),
            "inline": DebugExecutor(),
        }
    )

    def tell(event: JobExecutionEvent) -> None:
        if event.exception is not None:
            say(f"{event.job_id}: {event.exception!r}")
        else:
            pid, thread = event.retval
            which = "this process" if pid == os.getpid() else "another process"
            say(f"{event.job_id}: {which}, thread {thread}")

    scheduler.add_listener(tell, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    now = datetime.now(UTC)
    for executor in ("default", "processes", "inline"):
        scheduler.add_job(
            where, "date", run_date=now, id=executor, executor=executor, misfire_grace_time=None
        )
    scheduler.start()
    scheduler.shutdown(wait=True)


if __name__ == "__main__":
    main()
