"""A brute-force reading of cron expressions: it looks at every minute (or second) of a stretch of time and asks whether it matches.

It imports nothing of mainspring, and shares no idea with it: the real triggers compute, this one tries everything. What it knows of a zone is what zoneinfo says
about one moment after the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

ORDER = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
RANGES = {
    "year": (1970, 9999),
    "month": (1, 12),
    "day": (1, 31),
    "week": (1, 53),
    "day_of_week": (0, 6),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}
MINIMUM = {"month": "1", "day": "1", "hour": "0", "minute": "0", "second": "0"}
NAMES = {
    **{
        name: i + 1
        for i, name in enumerate(
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
        )
    },
    **{name: i for i, name in enumerate(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])},
}


class Moment(NamedTuple):
    """One moment of a stretch: its time UTC, what the wall shows, whether it has shown that before, and the wall times skipped right before it."""

    instant: datetime
    wall: datetime
    second_pass: bool
    skipped: tuple[datetime, ...]


@lru_cache(maxsize=64)
def moments(zone: str, begin: datetime, end: datetime, step: timedelta) -> tuple[Moment, ...]:
    """Every moment from *begin* until before *end* (UTC)."""
    found = []
    info = ZoneInfo(zone)
    before = (begin - step).astimezone(info).replace(tzinfo=None, fold=0)
    at = begin
    while at < end:
        local = at.astimezone(info)
        wall = local.replace(tzinfo=None, fold=0)
        skipped = []
        before += step
        while before < wall:
            skipped.append(before)
            before += step
        # Shown before: another, earlier moment has the same wall time. zoneinfo says so by fold.
        found.append(Moment(at, wall, local.fold == 1, tuple(skipped)))
        before = wall
        at += step
    return tuple(found)


def fire_times(
    fields: Mapping[str, str],
    zone: str,
    begin: datetime,
    end: datetime,
    *,
    step: timedelta = timedelta(minutes=1),
    either: bool = False,
    gap: str | None = None,
    overlap: str | None = None,
) -> list[datetime]:
    """The fire times from *begin* until before *end*, in UTC. Fields and policies that are left out have the documented defaults."""
    texts = complete(fields)
    wildcard = texts["hour"].startswith("*") or texts["minute"].startswith("*")
    times = {name: allowed(name, texts[name]) for name in ("hour", "minute", "second")}
    days: dict[date, bool] = {}

    def matches(wall: datetime) -> bool:
        if wall.minute not in times["minute"] or wall.hour not in times["hour"]:
            return False
        if wall.second not in times["second"]:
            return False
        day = wall.date()
        if day not in days:
            days[day] = day_matches(texts, day, either)
        return days[day]

    gap = gap or ("skip" if wildcard else "after")
    overlap = overlap or ("both" if wildcard else "first")
    seen = moments(zone, begin, end, step)
    again = {moment.wall for moment in seen if moment.second_pass}
    found = set()
    minutes = times["minute"]
    for instant, wall, second_pass, skipped in seen:
        # The minute first, for speed only: most of them do not match.
        if (
            wall.minute in minutes
            and matches(wall)
            and (overlap == "both" or wall not in again or second_pass == (overlap == "second"))
        ):
            found.add(instant)
        for i, lost in enumerate(skipped):
            if gap != "skip" and matches(lost):
                found.add(instant + step * i if gap == "shift" else instant)
    return sorted(at for at in found if at < end)


def complete(fields: Mapping[str, str]) -> dict[str, str]:
    """All eight fields: those less significant than the last one given are at their minimum, others that are left out are ``*``."""
    last = max((ORDER.index(name) for name in fields), default=len(ORDER))
    return {
        name: fields.get(name, MINIMUM.get(name, "*") if i > last else "*") for i, name in enumerate(ORDER)
    }


def day_matches(texts: Mapping[str, str], day: date, either: bool = False) -> bool:
    if (
        day.year not in allowed("year", texts["year"])
        or day.month not in allowed("month", texts["month"])
        or day.isocalendar()[1] not in allowed("week", texts["week"])
    ):
        return False
    by_day = any(_day_term(term, day) for term in texts["day"].split(","))
    by_weekday = any(_weekday_term(term, day) for term in texts["day_of_week"].split(","))
    return by_day or by_weekday if either else by_day and by_weekday


@lru_cache(maxsize=4096)
def allowed(name: str, text: str) -> frozenset[int]:
    return frozenset().union(*(_term(name, term) for term in text.split(",")))


def _term(name: str, term: str) -> set[int]:
    body, _, step = term.partition("/")
    low, high = RANGES[name]
    if body == "*":
        first, last = low, high
    else:
        ends = [NAMES[end] if end in NAMES else int(end) for end in body.split("-")]
        first = ends[0]
        last = ends[1] if len(ends) == 2 else (high if step else first)
    # Walk from the one end to the other, around the end of the field if need be, and note which ones are stepped on.
    at, taken, found = first, 0, set()
    while True:
        if taken % int(step or 1) == 0:
            found.add(at)
        if at == last:
            return found
        at = at + 1 if at < high else low
        taken += 1


def _day_term(term: str, day: date) -> bool:
    month = _month(day.replace(day=1))
    if found := re.fullmatch(r"(L(?:-\d+)?|\d+)W", term):
        meant = [d for d in month if _day_term(found[1], d)]
        working = [d for d in month if d.weekday() < 5]
        return bool(meant) and day == min(working, key=lambda d: abs(d - meant[0]))
    if found := re.fullmatch(r"L(?:-(\d+))?", term):
        return (month[-1] - day).days == int(found[1] or 0)
    if found := re.fullmatch(r"(1st|2nd|3rd|4th|5th|last)(?: (\w+))?", term):
        same = [d for d in month if found[2] is None or d.weekday() == NAMES[found[2]]]
        return day in (same[-1:] if found[1] == "last" else same[int(found[1][0]) - 1 :][:1])
    return day.day in allowed("day", term)


def _weekday_term(term: str, day: date) -> bool:
    found = re.fullmatch(r"(\w+?)(?:L|#(\d))", term)
    if not found:
        return day.weekday() in allowed("day_of_week", term)
    same = [d for d in _month(day.replace(day=1)) if d.weekday() in allowed("day_of_week", found[1])]
    return day in (same[-1:] if found[2] is None else same[int(found[2]) - 1 :][:1])


@lru_cache(maxsize=8192)
def _month(first: date) -> list[date]:
    return [d for d in (first + timedelta(days=i) for i in range(31)) if d.month == first.month]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]
