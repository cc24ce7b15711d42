"""A program with a scheduler on a shared store, as the tests start several: `python -m tests.cluster.program OPTIONS`.

It says on its standard output what happens, and does what it reads on its standard input: `resume`, `leave` (a shutdown that does
not wait). When its input ends, it shuts down and ends.
"""

import json
import logging
import sys
from datetime import timedelta
from typing import Any, Final

from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_FOUND,
    EVENT_JOB_LOST,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_PARKED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    EVENT_JOB_TIMEOUT,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
)
from mainspring.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from mainspring.scheduler.background import BackgroundScheduler, BlockingScheduler

from tests.cluster.careful_jobs import note_outcome
from tests.cluster.jobs import say
from tests.cluster.logbook import note_end
from tests.cluster.population import EPOCH
from tests.cluster.stores import SharedStore

CODES: Final = {
    "submitted": EVENT_JOB_SUBMITTED,
    "executed": EVENT_JOB_EXECUTED,
    "error": EVENT_JOB_ERROR,
    "timeout": EVENT_JOB_TIMEOUT,
    "missed": EVENT_JOB_MISSED,
    "skipped": EVENT_JOB_MAX_INSTANCES,
    "removed": EVENT_JOB_REMOVED,
    "parked": EVENT_JOB_PARKED,
    "lost": EVENT_JOB_LOST,
    "found": EVENT_JOB_FOUND,
    "started": EVENT_SCHEDULER_STARTED,
    "stopped": EVENT_SCHEDULER_SHUTDOWN,
}
"""What the test calls events; which of them it wants to hear of is an option."""

WORDS: Final = {code: word for word, code in CODES.items()}


def tell(event: Any) -> None:
    """Say what has happened: the event, the job, and what its run was due at, in microseconds since the epoch."""
    words = [WORDS[event.code], getattr(event, "job_id", "-")]
    if event.code == EVENT_JOB_EXECUTED:
        words.append(due(event))
    say(*words)


def report(folder: str, event: Any) -> None:
    """Note that a run has ended, in the log outside the store."""
    note_end(folder, event.job_id, due(event))


def due(event: Any) -> int:
    """When it was due, in microseconds since the epoch."""
    return (event.scheduled_run_time - EPOCH) // timedelta(microseconds=1)  # type: ignore[no-any-return]


def main() -> None:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=options["log_level"], format="%(asctime)s %(name)s %(levelname)s %(message)s")
    executors: dict[str, Any] = {"default": ThreadPoolExecutor(options["workers"])}
    if options["processes"]:
        executors["processes"] = ProcessPoolExecutor(options["processes"])
    kind = BlockingScheduler if options["blocking"] else BackgroundScheduler
    scheduler = kind(
        jobstores={"default": SharedStore(**options["store"]).open()},
        executors=executors,
        lease=options["lease"],
        claim_window=options["claim_window"],
    )
    mask = 0
    for word in options["hear"]:
        mask |= CODES[word]
    scheduler.add_listener(tell, mask)
    if folder := options["log_folder"]:
        if options["careful"]:
            codes = EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_TIMEOUT
            scheduler.add_listener(lambda event: note_outcome(folder, WORDS[event.code], event), codes)
        else:
            scheduler.add_listener(lambda event: report(folder, event), EVENT_JOB_EXECUTED)
    scheduler.start(paused=options["paused"])
    if options["blocking"]:
        return
    for command in sys.stdin:
        if command == "resume\n":
            scheduler.resume()
        else:
            scheduler.shutdown(wait=False)
    if scheduler.running:
        scheduler.shutdown()


if __name__ == "__main__":
    main()
