"""What the tests of triggers share: days on which clocks change, random cron expressions, and lists of fire times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from mainspring.triggers import CronTrigger, InstantTrigger
from mainspring.triggers.instants import from_micros, to_micros

from tests.triggers.oracle import RANGES

MICROSECOND = timedelta(microseconds=1)

# Zone and a UTC day in whose neighbourhood its clock changes, with what is special about it.
CHANGES = {
    "Berlin, spring": ("Europe/Berlin", "2026-03-29"),
    "Berlin, autumn": ("Europe/Berlin", "2026-10-25"),
    "Berlin, after 2037": ("Europe/Berlin", "2090-03-26"),
    "Berlin, far future": ("Europe/Berlin", "2501-03-27"),
    "New York, spring": ("America/New_York", "2026-03-08"),
    "New York, autumn": ("America/New_York", "2026-11-01"),
    "Lord Howe, half an hour on": ("Australia/Lord_Howe", "2026-10-03"),
    "Lord Howe, half an hour back": ("Australia/Lord_Howe", "2026-04-04"),
    "Cairo, gap at midnight": ("Africa/Cairo", "2024-04-25"),
    "Cairo, back at midnight": ("Africa/Cairo", "2024-10-31"),
    "Apia, a day skipped": ("Pacific/Apia", "2011-12-30"),
    "Apia, autumn": ("Pacific/Apia", "2012-03-31"),
    "Kwajalein, a day skipped": ("Pacific/Kwajalein", "1993-08-21"),
    "Manila, in the past": ("Asia/Manila", "1978-03-21"),
    "Tehran, gap at midnight": ("Asia/Tehran", "2021-03-21"),
    "Sao Paulo, gap at midnight": ("America/Sao_Paulo", "2018-11-04"),
    "Nuuk, gap at 22:00": ("America/Nuuk", "2024-03-31"),
    "Troll, two hours": ("Antarctica/Troll", "2026-03-29"),
    "Troll, two hours back": ("Antarctica/Troll", "2026-10-25"),
    "Dublin, negative DST": ("Europe/Dublin", "2026-03-29"),
    "Casablanca, Ramadan begins": ("Africa/Casablanca", "2026-02-15"),
    "Casablanca, Ramadan ends": ("Africa/Casablanca", "2026-03-22"),
    "Caracas, half an hour for good": ("America/Caracas", "2016-05-01"),
    "UTC, a leap day": ("UTC", "2028-02-29"),
}


def cron(fields: Mapping[str, Any], zone: str) -> CronTrigger:
    return CronTrigger(**fields, timezone=zone)


def window(change: str, days: int = 2) -> tuple[str, datetime, datetime]:
    """The zone of a change, and begin and end of a stretch around it."""
    zone, day = CHANGES[change]
    middle = datetime.fromisoformat(day).replace(tzinfo=UTC, hour=12)
    return zone, middle - timedelta(days=days), middle + timedelta(days=days)


def fires_between(
    trigger: InstantTrigger, begin: datetime, end: datetime, limit: int = 100_000
) -> list[datetime]:
    """The fire times from *begin* until before *end*, in UTC, by `next_after`."""
    found = []
    instant = trigger.next_after(to_micros(begin) - 1)
    last = to_micros(end)
    while instant is not None and instant < last:
        found.append(from_micros(instant, UTC))
        assert len(found) < limit
        following = trigger.next_after(instant)
        assert following is None or following > instant
        instant = following
    return found


def fires_backwards(trigger: InstantTrigger, begin: datetime, end: datetime) -> list[datetime]:
    """The same list by `previous_before`, in its order."""
    found = []
    instant = trigger.previous_before(to_micros(end))
    first = to_micros(begin)
    while instant is not None and instant >= first:
        found.append(from_micros(instant, UTC))
        earlier = trigger.previous_before(instant)
        assert earlier is None or earlier < instant
        instant = earlier
    return found[::-1]


def count(trigger: InstantTrigger, begin: datetime, end: datetime) -> int:
    """How many fire times are from *begin* until before *end*, by `count_between`."""
    return trigger.count_between(to_micros(begin) - 1, to_micros(end) - 1)


@st.composite
def field_texts(draw: st.DrawFn, name: str) -> str:
    """A cron field's text: stars, values, ranges that may wrap around, steps, lists."""
    low, high = RANGES[name]
    values = st.integers(low, high)
    steps = st.integers(1, min(high - low, 20))

    def term() -> str:
        shape = draw(st.sampled_from(["value", "value", "range", "range/step", "value/step", "*/step"]))
        if shape == "value":
            return str(draw(values))
        if shape == "*/step":
            return f"*/{draw(steps)}"
        if shape == "value/step":
            return f"{draw(values)}/{draw(steps)}"
        text = f"{draw(values)}-{draw(values)}"
        return f"{text}/{draw(steps)}" if shape == "range/step" else text

    return ",".join(term() for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))))


WEEKDAYS = st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
WEEKDAY_RULES = st.one_of(
    st.builds("{}L".format, WEEKDAYS),
    st.builds("{}#{}".format, st.one_of(WEEKDAYS, st.integers(0, 6)), st.integers(1, 5)),
)
DAY_RULES = st.one_of(
    st.sampled_from(["last", "L", "LW", "L-3", "L-30", "L-1W"]),
    st.builds("{}W".format, st.integers(1, 31)),
    st.builds("{} {}".format, st.sampled_from(["1st", "2nd", "3rd", "4th", "5th", "last"]), WEEKDAYS),
)


@st.composite
def cron_fields(draw: st.DrawFn) -> dict[str, str]:
    """Fields of a cron trigger that matches something within every few weeks, in most cases."""
    fields = {}
    if draw(st.booleans()):
        fields["minute"] = draw(st.one_of(st.just("*"), field_texts("minute")))
    if draw(st.booleans()):
        fields["hour"] = draw(
            st.one_of(st.just("*"), st.sampled_from(["0", "1", "2", "3"]), field_texts("hour"))
        )
    if not fields:
        fields["hour"] = "0-3"
    days = draw(st.sampled_from(["every", "every", "day", "weekday", "week", "month"]))
    if days == "day":
        fields["day"] = draw(st.one_of(field_texts("day"), DAY_RULES))
    elif days == "weekday":
        fields["day_of_week"] = draw(
            st.one_of(
                field_texts("day_of_week"), st.builds("{}-{}".format, WEEKDAYS, WEEKDAYS), WEEKDAY_RULES
            )
        )
    elif days == "week":
        fields["week"] = draw(field_texts("week"))
    elif days == "month":
        fields["month"] = draw(field_texts("month"))
    return fields
