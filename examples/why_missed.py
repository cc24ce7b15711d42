"""Why "Run time of job ... was missed by 0:00:01.2"? Both causes, made to happen, and what helps against each.

A run is missed when it starts later than its scheduled time plus misfire_grace_time (1 second, unless you say
otherwise). It can lose that time in two places: in the executor's queue, because all workers are busy; or before
that, because the scheduler was stopped, paused, or asleep with the machine.
"""

import logging
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.events import EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, JobExecutionEvent
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.scheduler.background import BackgroundScheduler

SECOND = timedelta(seconds=1)


def say(line: str) -> None:
    # One write: a print() writes the line and its end apart, and the lines of several threads would run together.
    sys.stdout.write(f"{line}\n")


def work() -> None:
    time.sleep(1.2)


def quick() -> None:
    pass


def tell(event: JobExecutionEvent) -> None:
    outcome = "ran" if event.code == EVENT_JOB_EXECUTED else "was MISSED"
    late, queued = event.late or timedelta(), event.queued or timedelta()
    say(
        f"  job {event.job_id} {outcome}: started {late / SECOND:.1f} s late, {queued / SECOND:.1f} s of that in the queue"
    )


def scheduler_with(workers: int) -> BackgroundScheduler:
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(workers)}, timezone=UTC)
    scheduler.add_listener(tell, EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)
    return scheduler


def three_jobs_at_once(workers: int, **options: Any) -> None:
    scheduler = scheduler_with(workers)
    at = datetime.now(UTC) + 0.2 * SECOND
    for name in ("A", "B", "C"):
        scheduler.add_job(work, "date", run_date=at, id=name, name=name, **options)
    scheduler.start()
    # Once they are due: what waits in the pool's queue is finished (run or found missed) by an orderly shutdown.
    time.sleep(0.5)
    scheduler.shutdown(wait=True)


def scheduler_away(**options: Any) -> None:
    scheduler = scheduler_with(1)
    scheduler.start()
    scheduler.add_job(quick, "date", run_date=datetime.now(UTC) + 0.3 * SECOND, id="D", name="D", **options)
    scheduler.pause()  # as a machine that sleeps, or a program that is being restarted, would be away
    time.sleep(1.8)
    scheduler.resume()
    time.sleep(0.5)
    scheduler.shutdown(wait=True)


def main() -> None:
    # To standard output, so that the library's own warnings stand among our lines.
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="  LOG %(message)s")

    print(
        "1. The pool is too small: three jobs of 1.2 s are due at the same moment, and there is one worker."
    )
    three_jobs_at_once(workers=1)
    print("   B and C waited in the queue for longer than the grace of 1 s.")
    print("   Remedy: as many workers as jobs that have to run at once: ThreadPoolExecutor(max_workers=3).")
    three_jobs_at_once(workers=3)

    print("2. The grace is too short: the scheduler was away for 1.5 s when the job was due.")
    scheduler_away()
    print("   Nothing queued; the time was lost before. Remedy: say how late a run still makes sense,")
    print("   misfire_grace_time=60 (seconds), or None: however late.")
    scheduler_away(misfire_grace_time=60)

    print(
        "3. The same remedy for the queue, where the runs may as well come one after the other: misfire_grace_time=60."
    )
    three_jobs_at_once(workers=1, misfire_grace_time=60)


if __name__ == "__main__":
    main()
