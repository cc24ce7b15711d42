"""Triggers in plain words: tables of what is said, and that nothing that restricts is left out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import BaseTrigger, CronTrigger, DateTrigger, IntervalTrigger
from mainspring.triggers.calendarinterval import CalendarIntervalTrigger
from mainspring.triggers.combining import AndTrigger, OrTrigger
from mainspring.triggers.cron.words import cron_words
from mainspring.triggers.description import describe, length_words
from mainspring.triggers.excluding import ExcludingTrigger
from mainspring.triggers.rrule import RRuleTrigger

from tests.triggers.oracle import ORDER
from tests.triggers.schedules import DAY_RULES, field_texts

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("5/15 * * * *", "every 15 minutes (00:05, 00:20, …)"),
        ("0 9 * * mon-fri", "at 09:00, Monday to Friday"),
        ("0 0 1 1 *", "at 00:00 on 1 January"),
        ("0 0 29 2 *", "at 00:00 on 29 February"),
        ("0 12 13 * fri", "at 12:00 on day 13 of the month or on Friday"),
        ("0 12 1-7 6 mon-fri", "at 12:00 on days 1 to 7 of the month or from Monday to Friday, in June"),
        ("30 2 * * *", "every day at 02:30"),
        ("*/15 9-17 * * mon-fri", "every 15 minutes between 09:00 and 17:45, Monday to Friday"),
        ("0 * * * *", "every hour"),
        ("15 * * * *", "every hour at minute 15"),
        ("0 */2 * * *", "every 2 hours"),
        ("30 */2 * * *", "every 2 hours (00:30, 02:30, …)"),
        ("0 */5 * * *", "every 5 hours between 00:00 and 20:00"),
        ("0 9-17 * * *", "every hour between 09:00 and 17:00"),
        ("0 8-12,14-18 * * *", "every hour between 08:00 and 12:00 and between 14:00 and 18:00"),
        ("30 9,12,15,18 * * *", "every day at 09:30, 12:30, 15:30 and 18:30"),
        (
            "*/10 22-2 * * fri",
            "every 10 minutes between 00:00 and 02:50 and between 22:00 and 23:50 on Friday",
        ),
        ("*/7 * * * *", "at every 7th minute from 0 to 56 of every hour"),
        ("*/7 9-17 * * *", "at every 7th minute from 0 to 56 in hours 9 to 17"),
        ("0-10,30 9-17 * * *", "at minutes 0 to 10 and 30 in hours 9 to 17"),
        ("* 9,11,13,15 * * *", "every minute in hours 9, 11, 13 and 15"),
        ("0 0 */2 * *", "at 00:00 on every 2nd day from 1 to 31 of the month"),
        ("0 3 * 3-10 *", "every day at 03:00 from March to October"),
        ("0 3 1,15 11-2 *", "at 03:00 on days 1 and 15 of November to February"),
        ("0 3 * * sat,sun", "at 03:00 on Saturday and Sunday"),
        ("0 3 * * */2", "at 03:00 on Tuesday, Thursday, Saturday and Sunday"),
        ("@weekly", "at 00:00 on Sunday"),
        ("0 3 1-31 * fri", "every day at 03:00"),  # one of the two is always true
    ],
)
def test_crontab(expression: str, words: str) -> None:
    assert describe(CronTrigger.from_crontab(expression, "UTC")) == f"{words}, UTC"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"day": "last", "hour": 2, "minute": 30}, "at 02:30 on the last day of the month"),
        ({"day": "2nd fri,last sun,3"}, "at 00:00 on day 3, the 2nd Friday and the last Sunday of the month"),
        ({"day": "L"}, "at 00:00 on the last day of the month"),
        ({"day": "L-1"}, "at 00:00 on the day before the last day of the month"),
        ({"day": "L-3"}, "at 00:00 on the 3rd day before the last day of the month"),
        ({"day": "15W"}, "at 00:00 on the working day (Monday to Friday) nearest to day 15 of the month"),
        ({"day": "LW"}, "at 00:00 on the last working day (Monday to Friday) of the month"),
        ({"day_of_week": "fri#2"}, "at 00:00 on the 2nd Friday of the month"),
        ({"day_of_week": "friL,mon"}, "at 00:00 on Monday and the last Friday of the month"),
        ({"day_of_week": "friL", "day": "20-25"}, "at 00:00 on days 20 to 25 of the month if that is the last Friday of the month"),
        ({"day": 13, "day_of_week": "fri"}, "at 00:00 on Friday the 13th"),
        ({"day": 13, "day_of_week": "fri", "month": "1,2"}, "at 00:00 on Friday the 13th, in January and February"),
        ({"day": "1-7", "day_of_week": "mon,tue"}, "at 00:00 on days 1 to 7 of the month if that is Monday or Tuesday"),
        ({"day": "last", "month": "1-6"}, "at 00:00 on the last day of January to June"),
        ({"month": "*/3"}, "at 00:00 on day 1 of January, April, July and October"),
        ({"day_of_week": "fri-mon", "hour": 5}, "at 05:00, Friday to Monday"),
        ({"week": 53}, "every day at 00:00 in ISO week 53"),
        ({"week": "1-10,20", "day_of_week": "sat,sun"}, "at 00:00 on Saturday and Sunday in ISO weeks 1 to 10 and 20"),
        ({"year": 2027}, "at 00:00 on 1 January 2027"),
        ({"year": "2026-2028", "month": 5}, "at 00:00 on 1 May in 2026 to 2028"),
        ({"year": "2026-9999"}, "at 00:00 on 1 January from 2026 on"),
        ({"year": "2024/4", "hour": "*"}, "every hour in every 4th year from 2024 to 9996"),
        ({"second": "*"}, "every second"),
        ({"second": "*/10"}, "every 10 seconds"),
        ({"second": "*/15", "hour": 3}, "every 15 seconds between 03:00:00 and 03:59:45"),
        ({"second": 30, "minute": "*/5"}, "every 5 minutes (00:00:30, 00:05:30, …)"),
        ({"second": 30, "minute": "*", "hour": "9-17"}, "every minute between 09:00:30 and 17:59:30"),
        ({"second": "5-7", "minute": "*"}, "at seconds 5 to 7 of every minute"),
        ({"second": "*", "minute": "0,20"}, "every second in minutes 0 and 20 of every hour"),
        ({"second": 30, "minute": "0,20-23"}, "at second 30 in minutes 0 and 20 to 23 of every hour"),
        ({"hour": "H", "minute": "H"}, "at minute H in hour H, where each H is a number of the job's own"),
        ({"minute": "H/15"}, "at every 15th minute from H of every hour, where H is a number of the job's own"),
        ({"day": "H", "hour": 4}, "at 04:00 on day H of the month, where H is a number of the job's own"),
    ],
)  # fmt: skip
def test_cron(fields: dict[str, Any], words: str) -> None:
    assert describe(CronTrigger(**fields, timezone=BERLIN)) == f"{words}, {BERLIN}"


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (
            CronTrigger(hour=5, start_date="2026-01-01", end_date="2026-12-24 18:00:30", timezone=BERLIN, jitter=90),
            "every day at 05:00, Europe/Berlin, from 2026-01-01 00:00, until 2026-12-24 18:00:30, "
            "up to 1 minute and 30 seconds later at random",
        ),
        (
            CronTrigger(hour=2, timezone=BERLIN, gap="shift", overlap="both"),
            "every day at 02:00, Europe/Berlin, times that a clock change skips run as much later as it skips, "
            "times that come twice run both times",
        ),
        (
            CronTrigger(minute="*/5", timezone=BERLIN, gap="skip", overlap="first"),
            "every 5 minutes, Europe/Berlin, times that come twice run the first time",
        ),
        (
            IntervalTrigger(hours=8, start_date="2026-03-28", timezone="Europe/Vienna"),
            "every 8 hours, Europe/Vienna, from 2026-03-28 00:00",
        ),
        (
            IntervalTrigger(minutes=1, timezone="UTC", end_date="2026-03-28"),
            "every minute, the first time that long after the job is added, UTC, until 2026-03-28 00:00",
        ),
        (IntervalTrigger(days=1, start_date="2026-03-28", timezone=BERLIN), f"every 24 hours, {BERLIN}, from 2026-03-28 00:00"),
        (
            IntervalTrigger(weeks=1, start_date="2026-03-28 05:00:00.25", timezone=BERLIN),
            f"every week of elapsed time, {BERLIN}, from 2026-03-28 05:00:00.250000",
        ),
        (DateTrigger("2026-11-22 05:00:00", BERLIN), f"once, at 2026-11-22 05:00, {BERLIN}"),
        (DateTrigger(), "once, when the job is added"),
        (
            CalendarIntervalTrigger(days=1, hour=5, timezone=BERLIN),
            f"every day at 05:00, from the day on which the job is added, {BERLIN}",
        ),
        (
            CalendarIntervalTrigger(months=2, start_date="2026-01-31", timezone=BERLIN, gap="skip"),
            "every 2 months at 00:00 on day 31 of the month, left out where there is no such day, "
            "Europe/Berlin, from 2026-01-31, times that a clock change skips do not run",
        ),
        (
            CalendarIntervalTrigger(years=1, hour=5, start_date="2024-02-29", end_date=date(2060, 1, 1), timezone=BERLIN),
            "every year at 05:00 on 29 February, left out where there is no such day, Europe/Berlin, from 2024-02-29, until 2060-01-01",
        ),
        (
            CalendarIntervalTrigger(years=1, months=6, weeks=2, start_date="2026-01-01", timezone=BERLIN),
            "every 1 year, 6 months and 2 weeks at 00:00, Europe/Berlin, from 2026-01-01",
        ),
        (
            RRuleTrigger("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-05 09:30:00", BERLIN, end_date="2030-01-01", jitter=60, overlap="both"),
            "every month on the last Friday of the month at 09:30, Europe/Berlin, from 2026-01-05 09:30, until 2030-01-01 00:00, "
            "times that come twice run both times, up to 1 minute later at random",
        ),
        (RRuleTrigger("FREQ=HOURLY;INTERVAL=2", timezone="UTC"), "every 2 hours, UTC"),
    ],
)  # fmt: skip
def test_everything_else(trigger: BaseTrigger, words: str) -> None:
    assert describe(trigger) == words


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (
            OrTrigger([CronTrigger(hour=2, timezone=BERLIN, jitter=3), CronTrigger(hour=4, timezone="UTC")], jitter=5),
            "(every day at 02:00, Europe/Berlin) or (every day at 04:00, UTC), up to 5 seconds later at random",
        ),
        (
            AndTrigger([CronTrigger(hour=2, timezone=BERLIN), CronTrigger(day_of_week="fri", hour="0-3", timezone=BERLIN)]),
            "(every day at 02:00, Europe/Berlin) and at the same moment (every hour between 00:00 and 03:00 on Friday, Europe/Berlin)",
        ),
        (
            ExcludingTrigger(CronTrigger(hour=2, timezone=BERLIN), ["2026-12-25", date(2026, 12, 26), "2026-12-31 02:00:00"]),
            "every day at 02:00, Europe/Berlin, except on 2026-12-25 and 2026-12-26, except at 2026-12-31 02:00",
        ),
        (
            ExcludingTrigger(
                IntervalTrigger(hours=2, start_date="2026-01-01", timezone="UTC"),
                [date(2026, 1, day) for day in range(2, 21)],
                [CronTrigger(day_of_week="sat,sun", hour="*", minute="*", second="*", timezone="UTC")],
            ),
            "every 2 hours, UTC, from 2026-01-01 00:00, except on 19 days from 2026-01-02 to 2026-01-20, "
            "except when this fires: (every second on Saturday and Sunday, UTC)",
        ),
    ],
)  # fmt: skip
def test_triggers_made_of_triggers(trigger: BaseTrigger, words: str) -> None:
    assert describe(trigger) == words


def test_a_bound_trigger_says_what_was_settled() -> None:
    trigger = IntervalTrigger(hours=8, timezone="UTC").bind(datetime(2026, 1, 1, tzinfo=UTC), "job")
    assert describe(trigger) == "every 8 hours, UTC, from 2026-01-01 08:00"
    hashed = CronTrigger(hour=4, minute="H(30-30)", timezone="UTC")
    assert describe(hashed) == "at minute H(30-30) in hour 4, where H is a number of the job's own, UTC"
    assert describe(hashed.bind(datetime(2026, 1, 1, tzinfo=UTC), "job")) == "every day at 04:30, UTC"


class Tides(BaseTrigger):
    """Somebody's own."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return None

    def __str__(self) -> str:
        return "with the tide"


def test_the_trigger_of_somebody_else_is_its_text_or_what_it_says_itself() -> None:
    class TidesInWords(Tides):
        def describe(self) -> str:
            return "at high tide"

    assert describe(Tides()) == "with the tide"
    assert describe(OrTrigger([Tides(), TidesInWords()])) == "(with the tide) or (at high tide)"


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(weeks=2), "2 weeks"),
        (timedelta(days=10), "10 days"),
        (timedelta(days=1, hours=12, seconds=1.25), "1 day, 12 hours and 1.25 seconds"),
        (timedelta(microseconds=1), "0.000001 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(0), "0 seconds"),
    ],
)
def test_lengths(length: timedelta, words: str) -> None:
    assert length_words(length) == words


_CHANGED = st.sampled_from(ORDER)
_TEXTS = {
    name: st.one_of(st.just("*"), field_texts(name), *([DAY_RULES] if name == "day" else []))
    for name in ORDER
} | {"year": st.sampled_from(["*", "2026", "2026,2028", "2026-2030", "2000/4", "2026-9999"])}


@settings(max_examples=300)
@given(st.fixed_dictionaries({}, optional=_TEXTS), st.data(), st.booleans())
def test_fields_that_match_other_times_are_told_in_other_words(
    fields: dict[str, str], data: st.DataObject, either: bool
) -> None:
    """What every field says is in the words: change the values of one, and the words change."""
    name = data.draw(_CHANGED)
    changed = {**fields, name: data.draw(_TEXTS[name])}
    try:
        first, second = (CronTrigger(**texts, timezone="UTC") for texts in (fields, changed))
    except ValueError:
        return  # no date matches
    same = [(a.values, a.rules) for a in first.fields] == [(b.values, b.rules) for b in second.fields]
    if either:
        # One of the two that matches every day makes the other one, and the words for it, go away.
        same = same or any(
            len(t.fields[2].values) == 31 or len(t.fields[4].values) == 7 for t in (first, second)
        )
    if not same:
        assert cron_words(first.fields, either) != cron_words(second.fields, either)
