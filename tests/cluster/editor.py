"""A program that adds, edits, pauses and removes jobs on a store whose runs others take: `python -m tests.cluster.editor OPTIONS`.

Each call that changes fire times is noted with its begin and its end. A call that meets a store which cannot be reached is made again until it
succeeds: then it began with the first attempt. It begins when it reads its task (a line of JSON) on its standard input, goes on until shortly before the
jobs' end, resumes what is paused, says `edited` and how many calls it has made, and ends with its input.
"""

import json
import logging
import random
import sys
from collections.abc import Callable
from threading import Event
from typing import Any

from mainspring.jobstores.base import ConflictingIdError, JobLookupError
from mainspring.jobstores.errors import JobStoreError
from mainspring.scheduler.background import BackgroundScheduler

from tests.cluster.checking import Call
from tests.cluster.jobs import say
from tests.cluster.logbook import note_call, now
from tests.cluster.population import Job, as_datetime, definition, name_of
from tests.cluster.stores import SharedStore

JOBS = 30
"""Interval jobs of its own."""
PACE = 0.05  # seconds between two calls
REST = 2_000_000
"""Microseconds before the jobs' end in which it leaves them alone."""


class Editor:
    """Makes calls, one after the other, and notes them."""

    def __init__(self, scheduler: BackgroundScheduler, task: dict[str, Any]) -> None:
        self._scheduler = scheduler
        self._folder: str = task["folder"]
        self._recovery: str = task["recovery"]
        self._end: int = task["end"]
        self._ticks: dict[str, Job] = {name: Job(*job) for name, job in task["ticks"].items()}
        self._one_offs: int = task["one_offs"]
        self._random = random.Random(task["seed"])
        self._schedules: dict[str, Job] = {}
        """Those of its jobs that there are."""
        self._paused: set[str] = set()
        self._extras = 0
        self.calls = 0

    def work(self) -> None:
        """Until shortly before the end."""
        pace = Event()
        while now() < self._end - REST:
            number = self._random.random()
            if number < 0.3:
                self._edit_what_others_run()
            elif number < 0.5:
                self._add_one_off()
            else:
                self._change(name_of("edited", self._random.randrange(JOBS)))
            pace.wait(PACE)
        for job_id in sorted(self._paused):
            self._resume(job_id)

    def _edit_what_others_run(self) -> None:
        """An edit that must not touch any fire time, on a job that has its runs at the same time."""
        kind = self._random.randrange(3)
        if kind == 0:
            job_id = name_of("once", self._random.randrange(self._one_offs))
            self._call(lambda: self._scheduler.modify_job(job_id, name=f"renamed at {now()}"), JobLookupError)
            return
        job_id, job = self._random.choice([*self._ticks.items()])
        if kind == 1:
            self._call(
                lambda: self._scheduler.modify_job(job_id, max_instances=self._random.randrange(50, 100))
            )
        else:
            again = definition(self._folder, job_id, job, self._recovery)
            self._call(lambda: self._scheduler.add_job(**again, replace_existing=True))

    def _add_one_off(self) -> None:
        """Add one that is due soon, and perhaps remove it again, perhaps before that."""
        job_id = name_of("extra", self._extras)
        self._extras += 1
        job = Job(now() + self._random.randrange(500_000, 1_500_000))
        again = definition(self._folder, job_id, job, self._recovery)
        self._noted(job_id, lambda: self._scheduler.add_job(**again), job, ConflictingIdError)
        if self._random.random() < 0.3:
            self._remove(job_id, may_be_gone=True)

    def _change(self, job_id: str) -> None:
        """Do something with a job of its own."""
        job = self._schedules.get(job_id)
        if job is None:
            self._add(job_id)
        elif job_id in self._paused:
            self._random.choice([self._resume, self._resume, self._remove])(job_id)
        else:
            self._random.choice([self._pause, self._reschedule, self._reschedule, self._move, self._remove])(
                job_id
            )

    def _new_schedule(self) -> Job:
        # In the middle between others' fire times, so that nothing depends on which comes first.
        start = now() + self._random.randrange(300_000, 900_000)
        return Job(start, self._random.choice([300_000, 500_000, 700_000]), self._end)

    def _add(self, job_id: str) -> None:
        job = self._schedules[job_id] = self._new_schedule()
        new = definition(self._folder, job_id, job, self._recovery)
        self._noted(job_id, lambda: self._scheduler.add_job(**new), job, ConflictingIdError)

    def _reschedule(self, job_id: str) -> None:
        job = self._schedules[job_id] = self._new_schedule()
        self._noted(job_id, lambda: self._scheduler.reschedule_job(job_id, **job.trigger()), job)

    def _move(self, job_id: str) -> None:
        """Give its next run another time; behind it, it goes on as before."""
        old = self._schedules[job_id]
        first = now() + 700_000
        job = self._schedules[job_id] = Job(old.start, old.step, old.end, first)
        at = as_datetime(first)
        self._noted(job_id, lambda: self._scheduler.modify_job(job_id, next_run_time=at), job)

    def _pause(self, job_id: str) -> None:
        self._paused.add(job_id)
        self._noted(job_id, lambda: self._scheduler.pause_job(job_id))

    def _resume(self, job_id: str) -> None:
        self._paused.discard(job_id)
        self._noted(job_id, lambda: self._scheduler.resume_job(job_id), self._schedules[job_id])

    def _remove(self, job_id: str, may_be_gone: bool = False) -> None:
        self._schedules.pop(job_id, None)
        self._paused.discard(job_id)
        begin, again = now(), False
        while not self._succeeds(
            lambda: self._scheduler.remove_job(job_id), JobLookupError if again or may_be_gone else None
        ):
            again = True
        note_call(self._folder, Call(job_id, begin, now(), removed=True))

    def _noted(
        self,
        job_id: str,
        call: Callable[[], object],
        job: Job | None = None,
        done: type[Exception] | None = None,
    ) -> None:
        """Make a call that gives a job the fire times of this schedule, or none; `done` is what it raises when it is made again and had succeeded."""
        begin = now()
        self._call(call, None, done)
        times = () if job is None else job.times(begin)
        note_call(self._folder, Call(job_id, begin, now(), times))

    def _call(
        self,
        call: Callable[[], object],
        harmless: type[Exception] | None = None,
        done: type[Exception] | None = None,
    ) -> None:
        while not self._succeeds(call, harmless):
            harmless = done or harmless

    def _succeeds(self, call: Callable[[], object], harmless: type[Exception] | None) -> bool:
        self.calls += 1
        try:
            call()
        except JobStoreError:
            Event().wait(0.1)  # the store is away
            return False
        except Exception as error:
            if harmless is None or not isinstance(error, harmless):
                raise
        return True


def main() -> None:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=options["log_level"], format="%(asctime)s %(name)s %(levelname)s %(message)s")
    scheduler = BackgroundScheduler(jobstores={"default": SharedStore(**options["store"]).open()})
    scheduler.start(paused=True)
    say("started", "-")
    if task := sys.stdin.readline():
        editor = Editor(scheduler, json.loads(task))
        editor.work()
        say("edited", editor.calls)
        sys.stdin.read()
    scheduler.shutdown()


if __name__ == "__main__":
    main()
