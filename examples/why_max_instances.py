"""Why "Execution of job ... skipped: maximum number of running instances reached (1)"? Made to happen, and explained.

A run is skipped when it is due while max_instances (1, unless you say otherwise) runs of the same job are still
going. It protects you: without it, a job that takes longer than its interval would pile up without end.
"""

import logging
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.events import EVENT_JOB_EXECUTED, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_SUBMITTED
from mainspring.scheduler.background import BackgroundScheduler


def say(line: str) -> None:
    # One write: a print() writes the line and its end apart, and the lines of several threads would run together.
    sys.stdout.write(f"{line}\n")


def work(seconds: float) -> None:
    time.sleep(seconds)


def watch(seconds_of_work: float, **options: Any) -> None:
    """A job every second that takes so long; four of its run times."""
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)

    def tell(event: Any) -> None:
        what = {
            EVENT_JOB_SUBMITTED: "starts",
            EVENT_JOB_EXECUTED: "has ended",
            EVENT_JOB_MAX_INSTANCES: "is SKIPPED",
        }[event.code]
        number = round((event.scheduled_run_time - begin).total_seconds()) + 1
        now = (datetime.now(UTC) - begin).total_seconds()
        say(f"  {now:4.1f} s: run {number} {what}")

    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_listener(tell, EVENT_JOB_SUBMITTED | EVENT_JOB_EXECUTED | EVENT_JOB_MAX_INSTANCES)
    scheduler.add_job(
        work,
        "interval",
        seconds=1,
        args=[seconds_of_work],
        next_run_time=begin,
        end_date=begin + timedelta(seconds=3),
        id="work",
        **options,
    )
    scheduler.start()
    time.sleep((begin - datetime.now(UTC)).total_seconds() + 3.5)
    scheduler.shutdown(wait=True)


def main() -> None:
    # To standard output, so that the library's own warnings stand among our lines.
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="  LOG %(message)s")

    print("1. Every second, a job that takes 1.5 s; max_instances is 1.")
    watch(1.5)
    print(
        "   Runs 2 and 4 were due while the run before each was still going. If skipping is right, leave it so."
    )
    print("2. If runs may overlap, allow it: max_instances=2 (and a pool with as many workers).")
    watch(1.5, max_instances=2)
    print("3. Or have the job take less than its interval (0.5 s here), by less work or a longer interval.")
    watch(0.5)


if __name__ == "__main__":
    main()
