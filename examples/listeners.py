"""Events: be told what happened, by a mask of codes or by the class of the event."""

import logging
import sys
from datetime import UTC, datetime, timedelta
from threading import Semaphore

from mainspring.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_REMOVED,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from mainspring.scheduler.background import BackgroundScheduler

ended = Semaphore(0)


def divide(a: int, b: int) -> float:
    return a / b


def say(line: str) -> None:
    # One write: a print() writes the line and its end apart, and the lines of several threads would run together.
    sys.stdout.write(f"{line}\n")


def on_outcome(event: JobExecutionEvent) -> None:
    if event.code == EVENT_JOB_EXECUTED:
        say(f"{event.job_id} returned {event.retval}")
    else:
        say(f"{event.job_id} raised {event.exception!r}")
    ended.release()


def on_submission(event: JobSubmissionEvent) -> None:
    say(f"{event.job_id} was submitted")


def on_life(event: JobEvent) -> None:
    say(f"{event.job_id} was {'added' if event.code == EVENT_JOB_ADDED else 'removed'}")


def main() -> None:
    # Without this the library's warnings and tracebacks go to standard error: they are Python's to show.
    logging.getLogger("mainspring").addHandler(logging.NullHandler())

    scheduler = BackgroundScheduler()
    scheduler.add_listener(on_life, EVENT_JOB_ADDED | EVENT_JOB_REMOVED)
    scheduler.add_listener(on_submission, JobSubmissionEvent)
    scheduler.add_listener(on_outcome, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.start()
    now = datetime.now(UTC)
    scheduler.add_job(divide, "date", run_date=now, args=(1, 4), id="good", misfire_grace_time=None)
    scheduler.add_job(divide, "date", run_date=now, args=(1, 0), id="bad", misfire_grace_time=None)
    scheduler.add_job(
        divide, "interval", start_date=now + timedelta(days=1), hours=1, args=(1, 1), id="later"
    )
    scheduler.remove_job("later")
    for _ in ("good", "bad"):
        ended.acquire(timeout=10)
    scheduler.shutdown()


if __name__ == "__main__":
    main()
