"""A program that asks jobs to run, and removes some between two of their attempts: `python -m tests.cluster.asker OPTIONS`.

It begins when it reads its task (a line of JSON) on its standard input, goes on until its end, says `edited`, and ends with its input. It notes each run
that it was answered, and each job that it has removed.
"""

import json
import logging
import random
import sys
from pathlib import Path
from threading import Event
from typing import Literal

from mainspring.jobstores.errors import JobLookupError
from mainspring.scheduler.background import BackgroundScheduler

from tests.cluster.careful_jobs import note_asked, note_removed, read_attempts
from tests.cluster.jobs import say
from tests.cluster.logbook import now
from tests.cluster.stores import SharedStore

PACE = 0.04  # seconds between two calls


def main() -> None:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=options["log_level"], format="%(asctime)s %(name)s %(levelname)s %(message)s")
    scheduler = BackgroundScheduler(jobstores={"default": SharedStore(**options["store"]).open()})
    scheduler.start(paused=True)
    say("started", "-")
    if task := sys.stdin.readline():
        calls = work(scheduler, **json.loads(task))
        say("edited", calls)
        sys.stdin.read()
    scheduler.shutdown()


def work(
    scheduler: BackgroundScheduler, folder: str, end: int, asked: list[str], removed: list[tuple[str, int]]
) -> int:
    """Ask any of these jobs to run, one after the other, until the end, and remove each of those at its time, or when it has begun if that is
    later (one that was lost before stays); how many calls that were.
    """
    luck, pace, calls = random.Random(end), Event(), 0
    left = sorted(removed, key=lambda each: -each[1])
    while left or now() < end:
        calls += 1
        if left and left[-1][1] <= now() and (fate := fate_of(scheduler, folder, left[-1][0])):
            job_id, _ = left.pop()
            if fate == "begun":
                scheduler.remove_job(job_id)
                note_removed(folder, job_id)
        else:
            job_id = luck.choice(asked)
            try:
                note_asked(folder, job_id, scheduler.run_job_now(job_id).run_id)
            except JobLookupError:
                pass  # its schedule is over, and its last run
        pace.wait(PACE)
    return calls


def fate_of(scheduler: BackgroundScheduler, folder: str, job_id: str) -> Literal["begun", "lost"] | None:
    """Whether this one-off has begun, or was lost before that; None: neither, a busy machine is late with it."""
    if any(each.job == job_id for each in read_attempts(Path(folder))):
        return "begun"
    if any(job.job_id == job_id for job in scheduler.get_parked_jobs()):
        return "lost"
    return None


if __name__ == "__main__":
    main()
