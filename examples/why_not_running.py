"""Why does this job not run? `explain_job` says so, in words and as data. Five jobs that do not, each for another reason."""

import logging
import time
from datetime import UTC, datetime, timedelta
from threading import Event

from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.scheduler.background import BackgroundScheduler

hanging, free = Event(), Event()


def hang() -> None:
    """As a network call without a timeout would."""
    hanging.set()
    free.wait(30)


def quick() -> None:
    pass


def fail() -> None:
    raise ConnectionError("the server is busy")


def main() -> None:
    # Without this the library's warnings go to standard error: they are Python's to show.
    logging.getLogger("mainspring").addHandler(logging.NullHandler())
    scheduler = BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(max_workers=2)})

    def kinds(job_id: str) -> set[str]:
        explanation = scheduler.explain_job(job_id)
        return {reason.kind for reason in (*explanation.obstacles, *explanation.notes)}

    def ask(heading: str, job_id: str, expected: set[str]) -> None:
        """Print the explanation as soon as it has these reasons among others."""
        end = time.monotonic() + 30
        while not expected <= kinds(job_id) and time.monotonic() < end:
            time.sleep(0.05)
        print(heading)
        for line in str(scheduler.explain_job(job_id)).splitlines():
            print("  |", line)
        print("  as data:", *sorted(kinds(job_id)))

    now = datetime.now(UTC)
    scheduler.add_job(quick, "interval", hours=1, id="early")
    ask("1. Nobody has started the scheduler.", "early", {"not_started"})
    scheduler.start()

    scheduler.add_job(quick, "interval", hours=1, id="elsewhere", executor="reports", next_run_time=now)
    ask("2. Its executor is not here.", "elsewhere", {"no_executor"})

    scheduler.add_job(
        hang, "interval", seconds=1, id="hanging", timeout=0.5, next_run_time=now, misfire_grace_time=60
    )
    hanging.wait(30)
    ask("3. Its last run hangs in a thread, which nobody can end.", "hanging", {"over_time_limit", "skipped"})
    free.set()

    scheduler.add_job(fail, id="failing", max_retries=2, retry_delay=600, misfire_grace_time=60)
    ask("4. It has failed, and is tried again, but not yet.", "failing", {"retry"})

    scheduler.add_job(quick, "date", run_date=now - timedelta(minutes=5), id="late")
    ask("5. Its time was over when the scheduler heard of it.", "late", {"gone"})
    scheduler.shutdown()


if __name__ == "__main__":
    main()
