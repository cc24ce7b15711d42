"""The program that people know from tutorials: one factory for the whole application, jobs kept in an SQLite file.

    python examples/schedule_factory.py              # a demonstration of some ten seconds
    python examples/schedule_factory.py --minutes 2  # ... that stays for two whole minutes, to see the minute job run

The jobs stand in jobs.sqlite in the current folder. Start the program twice: the second time it finds them there.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Self

from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from mainspring.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from mainspring.jobstores.job import Job
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler


class ScheduleFactory:
    """The application's one scheduler: however often it is made, it is the same object."""

    _instance: Self | None = None
    _lock = Lock()
    scheduler: BackgroundScheduler

    def __new__(cls) -> Self:
        with cls._lock:
            if cls._instance is None:
                cls._instance = super().__new__(cls)
                cls._instance.scheduler = cls._configured()
            return cls._instance

    @staticmethod
    def _configured() -> BackgroundScheduler:
        scheduler = BackgroundScheduler(
            jobstores={"default": SQLAlchemyJobStore(url="sqlite:///jobs.sqlite")},
            executors={
                "default": ThreadPoolExecutor(max_workers=30),
                "processpool": ProcessPoolExecutor(max_workers=30),
            },
            job_defaults={"coalesce": False, "max_instances": 3},
            daemonic=False,
        )
        scheduler.add_listener(listen, EVENT_JOB_MAX_INSTANCES | EVENT_JOB_MISSED | EVENT_JOB_ERROR)
        return scheduler

    def start(self) -> None:
        self.scheduler.start()

    def shutdown(self) -> None:
        self.scheduler.shutdown()

    def add_job(
        self,
        func: Callable[..., Any],
        *,
        job_id: str,
        minutes: int = 0,
        seconds: int = 0,
        args: tuple[Any, ...] = (),
        jobstore: str = "default",
        executor: str = "default",
    ) -> Job:
        """Run *func* every so many minutes and seconds, the first time at the next whole minute. A job of less than a
        minute begins at the next whole second instead.

        The first run time is what the interval counts from: so a job of minutes runs on the whole minute for ever.
        """
        return self.scheduler.add_job(
            func,
            "interval",
            minutes=minutes,
            seconds=seconds,
            args=args,
            id=job_id,
            next_run_time=next_whole_minute() if minutes else next_whole_second(),
            misfire_grace_time=30,
            max_instances=3,
            jobstore=jobstore,
            executor=executor,
            replace_existing=True,  # the job may stand in the file from the last start
        )

    def remove_job(self, job_id: str) -> None:
        self.scheduler.remove_job(job_id)

    def modify_job(self, job_id: str, seconds: int) -> Job:
        """Give the job another interval; it keeps counting from the same whole minute."""
        return self.scheduler.modify_job(job_id=job_id, seconds=seconds)


def next_whole_minute() -> datetime:
    # Naive, as tutorials have it: the scheduler takes it for its own time zone, which is the local one here.
    return datetime.now().replace(second=0, microsecond=0) + timedelta(minutes=1)  # noqa: DTZ005


def next_whole_second() -> datetime:
    return datetime.now().replace(microsecond=0) + timedelta(seconds=1)  # noqa: DTZ005


def listen(ev: Any) -> None:
    """What went wrong, by its code. Each of the three attributes answers on each of the three events."""
    if ev.code == EVENT_JOB_ERROR:
        where = [line.strip() for line in ev.traceback.splitlines() if "File" in line][-1]
        say(f"ERROR: job {ev.job_id!r} of {ev.scheduled_run_time:%X} raised {ev.exception!r}: {where}")
    elif ev.code == EVENT_JOB_MISSED:
        say(
            f"MISSED: job {ev.job_id!r} of {ev.scheduled_run_time:%X} was not started in time ({ev.traceback})"
        )
    elif ev.code == EVENT_JOB_MAX_INSTANCES:
        say(
            f"MAX_INSTANCES: job {ev.job_id!r} of {ev.scheduled_run_time:%X} was skipped: three of it are running"
        )


def say(text: str) -> None:
    # One write: a print() writes the line and its end apart, and the lines of several threads would run together.
    sys.stdout.write(f"{datetime.now():%H:%M:%S.%f} {text}\n")  # noqa: DTZ005
    sys.stdout.flush()


# --- the jobs --------------------------------------------------------------------------------------------------------


def report(what: str) -> None:
    say(f"report on {what}, in process {os.getpid()}")


def divide(number: int) -> float:
    return number / 0


def overlap() -> None:
    time.sleep(3.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--minutes", type=int, default=0, help="whole minutes to stay for (default: some seconds)"
    )
    minutes = parser.parse_args().minutes

    factory = ScheduleFactory()
    assert ScheduleFactory() is factory
    factory.start()
    try:
        demonstrate(factory, minutes)
    finally:
        # Whatever happens: a scheduler with daemonic=False keeps the program alive until it is shut down.
        say("shutting down: what is running is waited for; job 'minute' stays in jobs.sqlite")
        factory.shutdown()
    say("done")


def demonstrate(factory: ScheduleFactory, minutes: int) -> None:
    say(
        f"started process {os.getpid()}; from the last start there are {len(factory.scheduler.get_jobs())} jobs"
    )
    job = factory.add_job(report, job_id="minute", minutes=1, args=("the minute",))
    say(f"job 'minute' runs on the whole minute: {upcoming(job)}")
    job = factory.modify_job(job_id="minute", seconds=120)
    say(f"job 'minute', modified to 120 seconds: {upcoming(job)}")
    factory.modify_job(job_id="minute", seconds=60)

    factory.add_job(report, job_id="in a thread", seconds=1, args=("the second",))
    factory.add_job(report, job_id="in a process", seconds=2, args=("two seconds",), executor="processpool")
    factory.add_job(divide, job_id="failing", seconds=4, args=(1,))
    factory.add_job(
        overlap, job_id="overlapping", seconds=1
    )  # takes 3.5 s, so that the fourth one is one too many

    time.sleep(6)
    for job_id in ("in a thread", "in a process", "failing", "overlapping"):
        factory.remove_job(job_id)
    if minutes:
        say(f"now only the minute job is left, for {minutes} whole minutes")
        end = next_whole_minute() + timedelta(minutes=minutes - 1, seconds=1)
        time.sleep((end - datetime.now()).total_seconds())  # noqa: DTZ005


def upcoming(job: Job) -> str:
    """The next three run times, asked of the job's trigger as the scheduler asks it."""
    times = [job.next_run_time]
    while len(times) < 3 and times[-1] is not None:
        times.append(job.trigger.get_next_fire_time(times[-1], times[-1]))
    return ", ".join(f"{at:%H:%M:%S}" for at in times if at is not None)


if __name__ == "__main__":
    # A job is stored by its function's name. As "__main__" that would be found by no program but this one; under the
    # file's own name every program can run it that has this folder on its path.
    from importlib import import_module

    import_module("schedule_factory").main()
