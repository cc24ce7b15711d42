"""A job that fails is tried again: after delays that grow, after a time limit, and, when all is of no use, by hand."""

import logging
import sys
import time
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_PARKED, EVENT_JOB_TIMEOUT
from mainspring.executors import current_run
from mainspring.executors.pool import ProcessPoolExecutor
from mainspring.scheduler.background import BackgroundScheduler

over: SimpleQueue[Any] = SimpleQueue()
parked: SimpleQueue[Any] = SimpleQueue()
begin = datetime.now(UTC)
mended = False


def say(line: str) -> None:
    # One write: a print() writes the line and its end apart, and the lines of several threads would run together.
    sys.stdout.write(f"  {(datetime.now(UTC) - begin).total_seconds():4.1f} s: {line}\n")


def attempt() -> int:
    run = current_run()
    return 1 if run is None else run.attempt


def fetch() -> str:
    """Two times out of three the server is busy."""
    if attempt() < 3:
        raise ConnectionError("the server is busy")
    return "the page"


def convert() -> str:
    """The first time it hangs. Runs in a worker process."""
    if attempt() == 1:
        time.sleep(60)
    return "converted"


def read() -> str:
    if not mended:
        raise FileNotFoundError("invoice.csv")
    return "the invoice"


def tell(event: Any) -> None:
    if event.exception is None:
        say(f"{event.job_id}, attempt {event.attempt}: {event.retval}")
    else:
        failed = "is over its time limit" if event.code == EVENT_JOB_TIMEOUT else repr(event.exception)
        follows = f"again at {event.retry_at:%H:%M:%S}" if event.retry_at else "that was the last one"
        say(f"{event.job_id}, attempt {event.attempt}: {failed}, {follows}")
    if event.is_last_attempt:
        over.put(event)


def main() -> None:
    global mended
    # Without this the library's warnings and tracebacks go to standard error: they are Python's to show.
    logging.getLogger("mainspring").addHandler(logging.NullHandler())

    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": {"type": "threadpool"}, "processes": ProcessPoolExecutor(max_workers=1)},
        job_defaults={"misfire_grace_time": None},
    )
    scheduler.add_listener(tell, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_TIMEOUT)
    scheduler.add_listener(parked.put, EVENT_JOB_PARKED)
    scheduler.start()

    print("1. Delays that grow: 0.4 s, then 0.8 s; only for errors that may pass.")
    scheduler.add_job(fetch, id="fetch", max_retries=5, retry_delay=0.4, backoff=2, retry_on=ConnectionError)
    over.get(timeout=30)

    print("2. A time limit: the worker process is killed, and the next attempt has a new one.")
    scheduler.add_job(convert, id="convert", executor="processes", timeout=1, max_retries=1, retry_delay=0)
    over.get(timeout=30)

    print("3. No retry helps, and the job must not be forgotten: keep_failed=True parks it.")
    job = scheduler.add_job(read, id="read", max_retries=1, retry_delay=0.4, keep_failed=True)
    over.get(timeout=30)
    say(f"read is parked: {parked.get(timeout=30).reason}")
    mended = True
    say("the file is there now: job.run_now()")
    job.run_now()
    over.get(timeout=30)
    print("  parked:", scheduler.get_parked_jobs())
    scheduler.shutdown()


if __name__ == "__main__":
    main()
