"""Jobs of every kind, with every kind of schedule and run, to be moved; and the stores between which they are."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.record import Plan, Run
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers import (
    AndTrigger,
    BaseTrigger,
    CalendarIntervalTrigger,
    CronTrigger,
    DateTrigger,
    ExcludingTrigger,
    IntervalTrigger,
    OrTrigger,
    RRuleTrigger,
)

from tests.cluster.stores import SERVERS, SharedStore
from tests.jobstores.driving import NOW, START, micros, new_job, waiting_run
from tests.jobstores.samples import EveryMinute, Mailer
from tests.jobstores.stored_values import Level, Point
from tests.jobstores.test_owned import StateStore
from tests.servers.asking import shared_server

KINDS = ("memory", "own", "sqlite", "pickle", *SERVERS)
"""Stores by name: `own` is one that was written for APScheduler's contract alone, `pickle` keeps pickles."""

BERLIN = ZoneInfo("Europe/Berlin")

TRIGGERS: dict[str, BaseTrigger] = {
    "date": DateTrigger(START, timezone="UTC"),
    "interval": IntervalTrigger(minutes=7, start_date=START, timezone=BERLIN, jitter=3),
    "cron": CronTrigger(hour="*/3", minute=5, day_of_week="mon-fri", timezone=BERLIN),
    "crontab": CronTrigger.from_crontab("0 4 8-14 * 1", timezone="UTC"),
    "calendar": CalendarIntervalTrigger(
        months=1, hour=5, start_date=date(2026, 1, 31), timezone=BERLIN, gap="skip"
    ),
    "rrule": RRuleTrigger("FREQ=MONTHLY;BYDAY=-1FR;COUNT=5", start_date=START, timezone=BERLIN),
    "and": AndTrigger(
        [CronTrigger(hour="*", timezone="UTC"), CronTrigger(day="1-7", hour="*/2", timezone="UTC")]
    ),
    "or": OrTrigger([CronTrigger(hour=5, timezone="UTC"), CronTrigger(day=1, timezone="UTC")]),
    "excluding": ExcludingTrigger(
        CronTrigger(hour=5, timezone="UTC"), triggers=[CronTrigger(day=1, hour=5, timezone="UTC")]
    ),
    "a user's": EveryMinute(),
}

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "plain": (None, True, 1, 1.5, 'é\n"\\\u2028', [1, {"a": None}]),
    "tagged": (b"\x00\xff", (1, (2,)), {1: "a"}, {1, 2}, UUID(int=5), timedelta(1), date(2026, 1, 1)),
    "times": (START, datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN), BERLIN, UTC),
    "classes": (Level.LOW, Point(1, (2,)), Path("/a")),
    "not in UTF-8": ("\ud83d", "\udcff", 10**400, float("inf")),
}


def populate(store: BaseJobStore) -> None:
    """Jobs with every kind of trigger, argument, option, state and run."""
    plan = Plan(micros(60), micros(59))
    lost = Run(
        7, "schedule", (NOW,), NOW, "lost", owner="another/1/2/3", claimed_at=NOW, recovery="rerun", root=5
    )
    items: list[tuple[Any, Plan]] = []
    for name, trigger in TRIGGERS.items():
        items.append((new_job(f"trigger {name}", trigger=trigger), plan))
    for name, args in ARGUMENTS.items():
        items.append((new_job(f"args {name}", args=args, kwargs={"same": args}), plan))
    items += [
        (new_job("ünïcode \n\t id", func=Mailer("me").send, args=["hello"]), plan),
        (new_job("a class method", func=Mailer.check), plan),
        (
            new_job(
                "options",
                name="a name",
                executor="another",
                misfire_grace_time=7.5,
                coalesce=False,
                max_instances=3,
                recovery="rerun",
                max_recoveries=5,
                timeout=60,
                max_retries=4,
                retry_delay=2.5,
                backoff=2,
                max_delay=600,
                retry_jitter=1,
                retry_on=(OSError, "builtins:ValueError"),
                keep_failed=True,
                while_running="queue",
            ),
            plan,
        ),
        (new_job("overdue"), Plan(micros(-5_000), micros(-5_000))),
        (new_job("paused"), Plan(None, micros(60), "paused")),
        (new_job("without a fire time"), Plan(None, None, "paused")),
        (new_job("parked"), Plan(None, micros(60), "parked", "trigger: it raised")),
        (
            new_job("waits"),
            Plan(micros(60), micros(60), runs=(waiting_run(1), waiting_run(2, NOW, "retry"))),
        ),
        (new_job("ended"), Plan(None, None, "ended", runs=(waiting_run(3, NOW, "retry"),))),
        (new_job("lost"), Plan(None, NOW, "parked", "lost: its run", runs=(lost,))),
    ]
    store.insert(items)


@contextmanager
def stores(kind: str, folder: Path) -> Iterator[Callable[[], BaseJobStore]]:
    """What makes stores of a kind, all on the same storage."""
    folder.mkdir(exist_ok=True)
    if kind == "memory":
        memory = MemoryJobStore()
        yield lambda: memory
    elif kind == "own":
        own = StateStore()
        yield lambda: own
    elif kind == "pickle":
        yield lambda: SQLAlchemyJobStore(f"sqlite:///{folder}/pickles.sqlite", serializer="pickle")
    elif kind == "sqlite":
        yield lambda: SQLAlchemyJobStore(f"sqlite:///{folder}/jobs.sqlite")
    else:
        shared = SharedStore(kind, shared_server(SERVERS[kind]).url, f"moving_{uuid4().hex}")
        try:
            yield shared.open
        finally:
            shared.clear()


@contextmanager
def scheduler_on(store: BaseJobStore, **options: Any) -> Iterator[VirtualScheduler]:
    """A scheduler that is started, paused, on a store."""
    scheduler = VirtualScheduler(start=START, jobstores={"default": store}, **options)
    scheduler.start(paused=True)
    try:
        yield scheduler
    finally:
        scheduler.shutdown()


def exported(scheduler: VirtualScheduler) -> dict[str, dict[str, Any]]:
    """What a scheduler exports, by id."""
    file = StringIO()
    scheduler.export_jobs(file)
    return {entry["id"]: entry for entry in json.loads(file.getvalue())["jobs"]}
