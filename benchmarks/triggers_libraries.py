"""The libraries that triggers.py measures, behind one interface, and the expressions that it gives them."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from itertools import chain, islice, repeat
from typing import Any
from zoneinfo import ZoneInfo

# All libraries get the same object. datetime.timezone.utc stands for UTC: cronsim takes a shorter way for it than for ZoneInfo("UTC").
ZONES: dict[str, tzinfo] = {"UTC": UTC, "America/New_York": ZoneInfo("America/New_York")}

FIRST_YEAR, YEARS = (
    2026,
    20,
)  # iterations begin with the first of these years, random instants are drawn from all of them


@dataclass(frozen=True)
class Row:
    """One expression: as a crontab line (None: there is none), and as keyword fields if ours and APScheduler's are made from those."""

    text: str | None
    fields: Mapping[str, int | str] = field(default_factory=dict)
    title: str = ""

    @property
    def name(self) -> str:
        shown = self.text or ", ".join(f"{name}={value}" for name, value in self.fields.items())
        return self.title or f"`{shown}`"


#: The line means "the 13th or a Friday" to everybody but APScheduler, to whom both must match: it is measured in both meanings.
EITHER = Row("0 12 13 * fri", title="`0 12 13 * fri`, 13th or Friday")
BOTH = Row(
    None, {"minute": 0, "hour": 12, "day": 13, "day_of_week": "fri"}, "`0 12 13 * fri`, Friday the 13th"
)

CRON_ROWS = [
    Row("* * * * *"),
    Row("*/5 * * * *"),
    Row("0 9 * * mon-fri"),
    Row("0 0 1 1 *"),
    Row("0 0 29 2 *"),
    EITHER,
    BOTH,
    Row("30 2 * * *"),
    # APScheduler has no crontab text for these two, only keywords; ours takes the same.
    Row("0 0 L * *", {"minute": 0, "hour": 0, "day": "last"}),
    Row("0 0 * * mon#2", {"minute": 0, "hour": 0, "day": "2nd mon"}),
    Row("*/15 9-17 * * mon-fri"),
]

INTERVALS: list[dict[str, int]] = [{"seconds": 1}, {"minutes": 5}, {"hours": 8}, {"days": 1}]

#: No date matches. Some are found out by a look at the months, others by going through the years.
NEVER_ROWS = [
    Row("0 0 31 2 *"),
    Row("0 0 30 2 *"),
    Row("0 0 31 4,6 *"),
    Row("0 0 31 2,4,6,9,11 *"),
    Row(None, {"day": 31, "month": "4,6"}),
    Row(None, {"year": 2100, "month": 2, "day": 29}),
    Row(None, {"year": "1971-9999/2", "month": 2, "day": 29}),
    Row(None, {"year": "2025-2027", "month": 2, "day": "5th mon"}),
    Row(None, {"year": 2026, "month": 1, "day": 13, "day_of_week": "fri"}),
    Row(None, {"month": 6, "week": 1}),
    Row(None, {"month": 7, "week": 53}),
    Row(None, {"year": "2022-2025", "week": 53}),
    Row(None, {"year": "2001-9999/400", "week": 53}),
    Row(None, {"year": "1970-9999/4", "month": 12, "day": 28, "week": 1}),
]

#: DTSTART is the start of the measurements; asked about are instants in the last tenth of so many days after it.
RULES = {
    "FREQ=MINUTELY": 150,
    "FREQ=DAILY;BYHOUR=9,17": 3_650,
    "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=9": 3_650,
    "FREQ=MONTHLY;BYDAY=-1FR": 3_650,
}


def start_in(zone: tzinfo) -> datetime:
    return datetime(FIRST_YEAR, 1, 1, tzinfo=zone)


# --- libraries -------------------------------------------------------------------------------------------------------


class Library(ABC):
    """One library, as the measurements use it."""

    #: What is raised for an expression that never matches, or where the calendar ends.
    ends: tuple[type[Exception], ...] = (ValueError, OverflowError, StopIteration)

    @abstractmethod
    def has(self, row: Row) -> bool:
        """Whether it can say that."""

    @abstractmethod
    def make(self, row: Row, zone: tzinfo) -> Any:
        """The row's trigger, ready to be asked."""

    @abstractmethod
    def make_all(self, lines: Sequence[str], zone: tzinfo) -> None:
        """Make a trigger of each crontab line."""

    @abstractmethod
    def ask(self, made: Any, instants: Sequence[datetime]) -> datetime | None:
        """Ask for the first fire time after each instant; the last answer."""

    @abstractmethod
    def walk(self, made: Any, start: datetime, count: int) -> None:
        """Ask for *count* fire times one after the other, and begin anew at *start* where they end."""

    @abstractmethod
    def times(self, made: Any, start: datetime) -> Iterator[datetime]:
        """The same fire times, to be looked at."""


class Triggers(Library):
    """mainspring and APScheduler 3: a trigger is asked for the fire time after the previous one, as the scheduler does it."""

    def __init__(self, package: str) -> None:
        self.ours = package == "mainspring"
        self.cron = importlib.import_module(f"{package}.triggers.cron").CronTrigger
        self.interval = importlib.import_module(f"{package}.triggers.interval").IntervalTrigger

    def has(self, row: Row) -> bool:
        return self.ours or row is not EITHER

    def make(self, row: Row, zone: tzinfo) -> Any:
        return (
            self.cron(**row.fields, timezone=zone) if row.fields else self.cron.from_crontab(row.text, zone)
        )

    def make_all(self, lines: Sequence[str], zone: tzinfo) -> None:
        make = self.cron.from_crontab
        for line in lines:
            make(line, zone)

    def rule(self, rule: str, start: datetime) -> Any:
        cls = importlib.import_module("mainspring.triggers.rrule").RRuleTrigger
        return cls(rule, start_date=start, timezone=start.tzinfo)

    def ask(self, made: Any, instants: Sequence[datetime]) -> datetime | None:
        get, fire = made.get_next_fire_time, None
        for instant in instants:
            fire = get(None, instant)
        return fire

    def walk(self, made: Any, start: datetime, count: int) -> None:
        get = made.get_next_fire_time
        fire = get(None, start)
        for _ in repeat(None, count):
            fire = get(fire, fire) or get(None, start)

    def follow(self, made: Any, previous: Sequence[datetime]) -> None:
        """Ask for the fire time after each of *previous*."""
        get = made.get_next_fire_time
        for fire in previous:
            get(fire, fire)

    def times(self, made: Any, start: datetime) -> Iterator[datetime]:
        get = made.get_next_fire_time
        fire = get(None, start)
        while fire is not None:
            yield fire
            fire = get(fire, fire)


class Iterators(Library):
    """croniter and cronsim: an object made with an instant is an iterator over the fire times after it."""

    #: What makes that object, of a crontab line and the instant.
    begin: Callable[[str, datetime], Iterator[datetime]]

    def has(self, row: Row) -> bool:
        return row.text is not None

    def make(self, row: Row, zone: tzinfo) -> Any:
        return row.text

    def make_all(self, lines: Sequence[str], zone: tzinfo) -> None:
        begin, start = self.begin, start_in(zone)
        for line in lines:
            begin(line, start)

    def walk(self, made: Any, start: datetime, count: int) -> None:
        remaining = repeat(None, count)
        while True:
            fires = self.begin(made, start)
            try:
                for _ in remaining:
                    next(fires)
                return
            except self.ends:
                pass  # the calendar's end: the question was asked, and counts

    def times(self, made: Any, start: datetime) -> Iterator[datetime]:
        # From just before it: ours and APScheduler's have the start itself among them.
        fires = self.begin(made, start - timedelta(seconds=1))
        try:
            while True:
                yield next(fires)
        except self.ends:
            return


class Croniter(Iterators):
    """Its objects can be set to another start: for single calls, one is made, and asked from each instant."""

    def __init__(self) -> None:
        self.begin = partial(importlib.import_module("croniter").croniter, ret_type=datetime)

    def ask(self, made: Any, instants: Sequence[datetime]) -> datetime | None:
        made_once: Any = self.begin(made, instants[0])
        get, fire = made_once.get_next, None
        for instant in instants:
            fire = get(datetime, instant)
        return fire


class Cronsim(Iterators):
    """Its objects cannot be set to another start: each single call is a new one, which reads the expression."""

    def __init__(self) -> None:
        module = importlib.import_module("cronsim")
        self.begin = module.CronSim
        self.ends = (*self.ends, module.CronSimError)

    def ask(self, made: Any, instants: Sequence[datetime]) -> datetime | None:
        begin, fire = self.begin, None
        for instant in instants:
            fire = next(begin(made, instant))
        return fire


class Dateutil:
    """Its rules are fastest as iterators; a single call can only be `after`."""

    def __init__(self) -> None:
        self.rrulestr = importlib.import_module("dateutil.rrule").rrulestr

    def rule(self, rule: str, start: datetime) -> Any:
        return self.rrulestr(rule, dtstart=start)

    def ask(self, made: Any, instants: Sequence[datetime]) -> datetime | None:
        fire = None
        for instant in instants:
            fire = made.after(instant, inc=True)
        return fire

    def walk(self, made: Any, start: datetime, count: int) -> None:
        for _ in islice(chain.from_iterable(repeat(made)), count):
            pass


def library_named(name: str) -> Library:
    """That library. Only the one that is measured is imported."""
    if name in ("mainspring", "apscheduler"):
        return Triggers(name)
    return {"croniter": Croniter, "cronsim": Cronsim}[name]()


def library_of_rules(name: str) -> Triggers | Dateutil:
    return Dateutil() if name == "dateutil" else Triggers(name)
