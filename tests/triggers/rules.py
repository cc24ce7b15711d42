"""Random recurrence rules, what python-dateutil makes of them by walking from DTSTART, and when a wall time runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from hypothesis import strategies as st

FREQUENCIES = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"]
WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def at(*numbers: int) -> datetime:
    """A wall time."""
    return datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001


# Where rules of each frequency start: so near to the end of the calendar that dateutil's searches end before long, even those for what never comes.
STARTS = {
    "YEARLY": (at(9940, 1, 1), 40 * 365),
    "MONTHLY": (at(9980, 1, 1), 10 * 365),
    "WEEKLY": (at(9988, 1, 1), 5 * 365),
    "DAILY": (at(9990, 1, 1), 5 * 365),
    "HOURLY": (at(9997, 1, 1), 365),
    "MINUTELY": (at(9999, 8, 1), 60),
    "SECONDLY": (at(9999, 12, 1), 20),
}
LIMIT = at(9999, 12, 25)


def wall(moment: datetime) -> int:
    since = moment - at(1970, 1, 1)
    return since.days * 86_400 + since.seconds


def some(values: list[int] | list[str], most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(
        lambda found: ",".join(map(str, found))
    )


def signed(most: int, least: int = 1) -> list[int]:
    return [*range(-most, -least + 1), *range(least, most + 1)]


@st.composite
def rules(draw: st.DrawFn, counted: bool = True) -> tuple[str, datetime]:
    """A rule that dateutil reads rightly, and its start.

    Left out: weeks 1, 52 and 53 and those from the end, of which dateutil gets some days wrong; COUNT with BYSETPOS in weeks, for it takes the week of DTSTART
    to begin on that day; weekdays with and without a number in one list, from which it makes nothing.
    """
    freq = draw(st.sampled_from(FREQUENCIES))
    parts = [f"FREQ={freq}"]

    def maybe(chance: int, name: str, values: st.SearchStrategy[str]) -> None:
        if draw(st.integers(1, 100)) <= chance:
            parts.append(f"{name}={draw(values)}")

    maybe(50, "INTERVAL", st.sampled_from([2, 3, 4, 5, 7, 12, 17, 24, 25, 60, 90, 1440, 1441]).map(str))
    maybe(25, "BYMONTH", some(list(range(1, 13)), 6))
    days = draw(st.sampled_from(["", "", "monthday", "yearday", "weekno", "easter"]))
    if days == "monthday":
        parts.append(f"BYMONTHDAY={draw(some(signed(31), 5))}")
    elif days == "yearday":
        parts.append(f"BYYEARDAY={draw(some(signed(366), 9))}")
    elif days == "weekno":
        parts.append(f"BYWEEKNO={draw(some(list(range(2, 52)), 9))}")
    elif days == "easter":
        parts.append(f"BYEASTER={draw(some(list(range(-60, 61))))}")
    numbers = [1, 2, 3, 4, 5, -1, -2, -5] if freq == "MONTHLY" or "BYMONTH=" in str(parts) else [1, 20, -30]
    if freq in ("YEARLY", "MONTHLY") and days != "weekno":
        maybe(20, "BYDAY", some([f"{n}{day}" for n in numbers for day in WEEKDAYS]))
    if "BYDAY" not in parts[-1]:
        maybe(30, "BYDAY", some(WEEKDAYS, 5))
    maybe(30, "BYHOUR", some(list(range(24)), 5))
    maybe(30, "BYMINUTE", some(list(range(60)), 5))
    maybe(30, "BYSECOND", some(list(range(60))))
    maybe(20, "BYSETPOS", some([1, 2, 3, 7, -1, -2, -3, -10, 366]))
    parts.append(f"WKST={draw(st.sampled_from(WEEKDAYS))}")
    if counted and not (freq == "WEEKLY" and "BYSETPOS" in parts[-2]):
        maybe(20, "COUNT", st.sampled_from(["1", "2", "10", "70"]))
    base, span = STARTS[freq]
    return ";".join(parts), base + timedelta(seconds=draw(st.integers(0, span * 86_400)))


def expand(text: str, start: datetime, most: int = 150) -> list[datetime]:
    """The first *most* times before `LIMIT`, by dateutil."""
    from_start = start
    if "FREQ=WEEKLY" in text and "BYSETPOS" in text:
        # It counts from DTSTART in the first week, where RFC 5545 counts from the week's first day: so let it start there.
        if "BYDAY" not in text and not any(
            part in text for part in ("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYEASTER")
        ):
            text += f";BYDAY={WEEKDAYS[start.weekday()]}"
        first = WEEKDAYS.index(text.partition("WKST=")[2][:2])
        start -= timedelta(days=(start.weekday() - first) % 7)
    found: list[datetime] = []
    try:
        for moment in rrulestr(text, dtstart=start):
            if moment >= LIMIT or len(found) == most:
                break
            if moment >= from_start:
                found.append(moment)
    except (ValueError, OverflowError):
        # It says so if hours that are asked for are never reached, and stumbles at the end of the calendar.
        pass
    return found


@lru_cache(maxsize=10_000)
def runs(wall: datetime, zone: str, gap: str, overlap: str) -> tuple[datetime, ...]:
    """When a wall time runs, found by asking zoneinfo about one moment after the other."""
    info = ZoneInfo(zone)
    both = [wall.replace(tzinfo=info, fold=fold).astimezone(UTC) for fold in (0, 1)]
    existing = sorted({moment for moment in both if moment.astimezone(info).replace(tzinfo=None) == wall})
    if len(existing) == 2:
        return tuple({"first": existing[:1], "second": existing[1:], "both": existing}[overlap])
    if existing or gap == "skip":
        return tuple(existing)
    # By the offset before the change: as much later as the clock was put forward.
    late = max(both)
    if gap == "shift":
        return (late,)
    offset = late.astimezone(info).utcoffset()
    while (late - timedelta(minutes=1)).astimezone(info).utcoffset() == offset:
        late -= timedelta(minutes=1)
    return (late,)
