"""Recurrence rules in plain words."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainspring.triggers.rrule.text import read_rule
from mainspring.triggers.rrule.words import rule_words

_START = datetime(2026, 1, 5, 9, 0)  # noqa: DTZ001  (a wall time; a Monday)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FREQ=DAILY", "every day at 09:00"),
        ("FREQ=WEEKLY", "every week on Monday at 09:00"),
        ("FREQ=MONTHLY", "every month on day 5 of the month at 09:00"),
        ("FREQ=YEARLY", "every year on 5 January at 09:00"),
        ("FREQ=YEARLY;BYMONTH=3,6", "every year on day 5 of the month in March and June at 09:00"),
        ("FREQ=DAILY;INTERVAL=10;COUNT=5", "every 10 days at 09:00, 5 times"),
        ("FREQ=DAILY;BYHOUR=9,17;BYMINUTE=30", "every day at 09:30 and 17:30"),
        ("FREQ=DAILY;UNTIL=19971224T000000Z", "every day at 09:00, until 1997-12-24 00:00 UTC"),
        (
            "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=MO,WE,FR",
            "every 2 weeks on Monday, Wednesday and Friday at 09:00, weeks beginning on Sunday",
        ),
        ("FREQ=MONTHLY;BYDAY=1FR;COUNT=10", "every month on the 1st Friday of the month at 09:00, 10 times"),
        ("FREQ=MONTHLY;BYDAY=-2MO", "every month on the 2nd last Monday of the month at 09:00"),
        (
            "FREQ=MONTHLY;BYMONTHDAY=-3",
            "every month on the 2nd day before the last day of the month at 09:00",
        ),
        ("FREQ=MONTHLY;BYMONTHDAY=2,15", "every month on days 2 and 15 of the month at 09:00"),
        ("FREQ=YEARLY;BYDAY=20MO", "every year on the 20th Monday of the year at 09:00"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "every year on Monday in week 20 of the year at 09:00"),
        ("FREQ=YEARLY;BYYEARDAY=1,-1", "every year on day 1 and the last day of the year at 09:00"),
        (
            "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
            "every year on the 4th Thursday of the month in November at 09:00",
        ),
        (
            "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
            "every month on Friday if that is day 13 of the month at 09:00",
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "every month on Monday to Friday at 09:00, of these only the last in each month",
        ),
        ("FREQ=HOURLY;INTERVAL=3", "every 3 hours"),
        ("FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12", "every 20 minutes in hours 9 to 12"),
        ("FREQ=YEARLY;BYEASTER=-2", "every year on the day 2 days before Easter Sunday at 09:00"),
        (
            "RRULE:FREQ=DAILY\nEXDATE:20260106T090000\nRDATE:20260107T100000",
            "every day at 09:00, and at 2026-01-07 10:00, except at 2026-01-06 09:00",
        ),
        (
            "RRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY;BYDAY=SU",
            "every day at 09:00, except (every week on Sunday at 09:00)",
        ),
        ("RRULE:FREQ=DAILY\nRRULE:FREQ=HOURLY", "(every day at 09:00) and (every hour)"),
        ("RDATE:20260107T100000,20260108T100000", "at 2026-01-07 10:00 and 2026-01-08 10:00"),
    ],
)
def test_rules(text: str, words: str) -> None:
    assert rule_words(read_rule(text), _START) == words


_PARTS = {
    "INTERVAL": ["2", "90"],
    "COUNT": ["1", "10"],
    "BYMONTH": ["1", "3,4,5", "2,12"],
    "BYMONTHDAY": ["1", "13,-1", "-2"],
    "BYYEARDAY": ["100", "-1"],
    "BYWEEKNO": ["20", "-1"],
    "BYDAY": ["MO", "MO,TU,WE,TH,FR", "SA,SU"],
    "BYHOUR": ["0", "9,10,11", "3,5"],
    "BYMINUTE": ["0", "30", "0,20"],
    "BYSECOND": ["0", "15", "0,30"],
    "BYSETPOS": ["1", "-1,2"],
    "BYEASTER": ["0", "-2"],
}


@given(
    st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"]),
    st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in _PARTS.items()}),
)
def test_every_part_is_told(freq: str, parts: dict[str, str]) -> None:
    def words(given: dict[str, str]) -> str:
        text = ";".join([f"FREQ={freq}", *(f"{name}={value}" for name, value in given.items())])
        return rule_words(read_rule(text), None)

    for name in parts:
        rest = {other: value for other, value in parts.items() if other != name}
        assert words(rest) != words(parts)
