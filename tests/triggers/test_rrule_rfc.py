"""`RRuleTrigger` on the examples of RFC 5545, section 3.8.5.3 (and of 3.3.10), in America/New_York as they are there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from mainspring.triggers.instants import to_micros
from mainspring.triggers.rrule import RRuleTrigger

NEW_YORK = ZoneInfo("America/New_York")
JANUARY = "1998-01: 1-31 / 1999-01: 1-31 / 2000-01: 1-31"

# Days are at 09:00. Three dots: the rule goes on for ever.
EXAMPLES = {
    "daily for 10 occurrences": ("19970902", "FREQ=DAILY;COUNT=10", "1997-09: 2-11"),
    "daily until December 24, 1997": (
        "19970902",
        "FREQ=DAILY;UNTIL=19971224T000000Z",
        "1997-09: 2-30 / 1997-10: 1-31 / 1997-11: 1-30 / 1997-12: 1-23",
    ),
    "every other day": (
        "19970902",
        "FREQ=DAILY;INTERVAL=2",
        "1997-09: 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 / 1997-10: 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 / 1997-11: 1 3 5 ...",
    ),
    "every 10 days, 5 occurrences": (
        "19970902",
        "FREQ=DAILY;INTERVAL=10;COUNT=5",
        "1997-09: 2 12 22 / 1997-10: 2 12",
    ),
    "every day in January, for 3 years": (
        "19980101",
        "FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA",
        JANUARY,
    ),
    "the same, daily": ("19980101", "FREQ=DAILY;UNTIL=20000131T140000Z;BYMONTH=1", JANUARY),
    "weekly for 10 occurrences": (
        "19970902",
        "FREQ=WEEKLY;COUNT=10",
        "1997-09: 2 9 16 23 30 / 1997-10: 7 14 21 28 / 1997-11: 4",
    ),
    "weekly until December 24, 1997": (
        "19970902",
        "FREQ=WEEKLY;UNTIL=19971224T000000Z",
        "1997-09: 2 9 16 23 30 / 1997-10: 7 14 21 28 / 1997-11: 4 11 18 25 / 1997-12: 2 9 16 23",
    ),
    "every other week": (
        "19970902",
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU",
        "1997-09: 2 16 30 / 1997-10: 14 28 / 1997-11: 11 25 / 1997-12: 9 23 / 1998-01: 6 20 / 1998-02: 3 17 ...",
    ),
    "on Tuesday and Thursday for five weeks": (
        "19970902",
        "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
        "1997-09: 2 4 9 11 16 18 23 25 30 / 1997-10: 2",
    ),
    "the same, counted": (
        "19970902",
        "FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH",
        "1997-09: 2 4 9 11 16 18 23 25 30 / 1997-10: 2",
    ),
    "every other week on Monday, Wednesday and Friday until December 24": (
        "19970901",
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
        "1997-09: 1 3 5 15 17 19 29 / 1997-10: 1 3 13 15 17 27 29 31 / 1997-11: 10 12 14 24 26 28 / 1997-12: 8 10 12 22",
    ),
    "every other week on Tuesday and Thursday, 8 occurrences": (
        "19970902",
        "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
        "1997-09: 2 4 16 18 30 / 1997-10: 2 14 16",
    ),
    "the first Friday for 10 occurrences": (
        "19970905",
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        "1997-09: 5 / 1997-10: 3 / 1997-11: 7 / 1997-12: 5 / 1998-01: 2 / 1998-02: 6 / 1998-03: 6 / 1998-04: 3 / 1998-05: 1 / 1998-06: 5",
    ),
    "the first Friday until December 24, 1997": (
        "19970905",
        "FREQ=MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR",
        "1997-09: 5 / 1997-10: 3 / 1997-11: 7 / 1997-12: 5",
    ),
    "every other month on the first and last Sunday, 10 occurrences": (
        "19970907",
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        "1997-09: 7 28 / 1997-11: 2 30 / 1998-01: 4 25 / 1998-03: 1 29 / 1998-05: 3 31",
    ),
    "the second-to-last Monday for 6 months": (
        "19970922",
        "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
        "1997-09: 22 / 1997-10: 20 / 1997-11: 17 / 1997-12: 22 / 1998-01: 19 / 1998-02: 16",
    ),
    "the third-to-the-last day": (
        "19970928",
        "FREQ=MONTHLY;BYMONTHDAY=-3",
        "1997-09: 28 / 1997-10: 29 / 1997-11: 28 / 1997-12: 29 / 1998-01: 29 / 1998-02: 26 ...",
    ),
    "the 2nd and 15th for 10 occurrences": (
        "19970902",
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15",
        "1997-09: 2 15 / 1997-10: 2 15 / 1997-11: 2 15 / 1997-12: 2 15 / 1998-01: 2 15",
    ),
    "the first and last day for 10 occurrences": (
        "19970930",
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        "1997-09: 30 / 1997-10: 1 31 / 1997-11: 1 30 / 1997-12: 1 31 / 1998-01: 1 31 / 1998-02: 1",
    ),
    "every 18 months on the 10th to 15th, 10 occurrences": (
        "19970910",
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "1997-09: 10-15 / 1999-03: 10-13",
    ),
    "every Tuesday, every other month": (
        "19970902",
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU",
        "1997-09: 2 9 16 23 30 / 1997-11: 4 11 18 25 / 1998-01: 6 13 20 27 / 1998-03: 3 10 17 24 31 ...",
    ),
    "in June and July for 10 occurrences": (
        "19970610",
        "FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
        " / ".join(f"{year}-06: 10 / {year}-07: 10" for year in range(1997, 2002)),
    ),
    "every other year in January, February and March, 10 occurrences": (
        "19970310",
        "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
        "1997-03: 10 / "
        + " / ".join(f"{year}-01: 10 / {year}-02: 10 / {year}-03: 10" for year in (1999, 2001, 2003)),
    ),
    "every third year on the 1st, 100th and 200th day, 10 occurrences": (
        "19970101",
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
        "1997-01: 1 / 1997-04: 10 / 1997-07: 19 / 2000-01: 1 / 2000-04: 9 / 2000-07: 18 / 2003-01: 1 / 2003-04: 10 / 2003-07: 19 / 2006-01: 1",
    ),
    "every 20th Monday of the year": (
        "19970519",
        "FREQ=YEARLY;BYDAY=20MO",
        "1997-05: 19 / 1998-05: 18 / 1999-05: 17 ...",
    ),
    "Monday of week number 20": (
        "19970512",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        "1997-05: 12 / 1998-05: 11 / 1999-05: 17 ...",
    ),
    "every Thursday in March": (
        "19970313",
        "FREQ=YEARLY;BYMONTH=3;BYDAY=TH",
        "1997-03: 13 20 27 / 1998-03: 5 12 19 26 / 1999-03: 4 11 18 25 ...",
    ),
    "every Thursday in June, July and August": (
        "19970605",
        "FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",
        "1997-06: 5 12 19 26 / 1997-07: 3 10 17 24 31 / 1997-08: 7 14 21 28 / 1998-06: 4 11 18 25 / 1998-07: 2 9 16 23 30 / 1998-08: 6 13 20 27 ...",
    ),
    "every Friday the 13th, but for the start": (
        "19970902",
        "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13\nEXDATE;TZID=America/New_York:19970902T090000",
        "1998-02: 13 / 1998-03: 13 / 1998-11: 13 / 1999-08: 13 / 2000-10: 13 ...",
    ),
    "the first Saturday that follows the first Sunday of the month": (
        "19970913",
        "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
        "1997-09: 13 / 1997-10: 11 / 1997-11: 8 / 1997-12: 13 / 1998-01: 10 / 1998-02: 7 / 1998-03: 7 / 1998-04: 11 / 1998-05: 9 / 1998-06: 13 ...",
    ),
    "U.S. Presidential Election Day": (
        "19961105",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "1996-11: 5 / 2000-11: 7 / 2004-11: 2 ...",
    ),
    "the third of Tuesday, Wednesday, Thursday in the next 3 months": (
        "19970904",
        "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
        "1997-09: 4 / 1997-10: 7 / 1997-11: 6",
    ),
    "the second-to-last weekday of the month": (
        "19970929",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
        "1997-09: 29 / 1997-10: 30 / 1997-11: 27 / 1997-12: 30 / 1998-01: 29 / 1998-02: 26 / 1998-03: 30 ...",
    ),
    "weeks that begin on Monday": (
        "19970805",
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
        "1997-08: 5 10 19 24",
    ),
    "weeks that begin on Sunday": (
        "19970805",
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
        "1997-08: 5 17 19 31",
    ),
    "a date that does not exist is left out": (
        "20070115",
        "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
        "2007-01: 15 30 / 2007-02: 15 / 2007-03: 15 30",
    ),
    "the last work day of the month (3.3.10)": (
        "19970930",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "1997-09: 30 / 1997-10: 31 / 1997-11: 28 / 1997-12: 31 ...",
    ),
}


def days(text: str) -> list[str]:
    found = []
    for month in text.removesuffix(" ...").split(" / "):
        name, _, numbers = month.partition(": ")
        for number in numbers.split():
            first, _, last = number.partition("-")
            found += [f"{name}-{day:02} 09:00" for day in range(int(first), int(last or first) + 1)]
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_days(name: str) -> None:
    start, rule, listed = EXAMPLES[name]
    expected = days(listed)
    trigger = RRuleTrigger(f"DTSTART;TZID=America/New_York:{start}T090000\nRRULE:{rule}")
    endless = listed.endswith("...")
    found = trigger.preview(len(expected) + 1, datetime(1990, 1, 1, tzinfo=UTC))
    assert [str(moment)[:16] for moment in found[: len(expected)]] == expected
    assert len(found) == len(expected) + endless
    assert all(moment.tzinfo == NEW_YORK for moment in found)
    # And from each of them on, asked by itself.
    fresh = RRuleTrigger(f"DTSTART;TZID=America/New_York:{start}T090000\nRRULE:{rule}")
    for before, after in zip(found[::-1][1:], found[::-1], strict=False):
        assert fresh.get_next_fire_time(before, before) == after
        assert fresh.previous_before(to_micros(after)) == to_micros(before)
    if not endless:
        assert fresh.get_next_fire_time(found[-1], found[-1]) is None


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # As the RFC has it, "every 3 hours from 9:00 AM to 5:00 PM", but its UNTIL is 17:00 UTC, an hour too early for 15:00 (errata).
        ("FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000Z", ["09:00", "12:00"]),
        ("FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T210000Z", ["09:00", "12:00", "15:00"]),
        (
            "FREQ=MINUTELY;INTERVAL=15;COUNT=6",
            ["09:00", "09:15", "09:30", "09:45", "10:00", "10:15"],
        ),
        ("FREQ=MINUTELY;INTERVAL=90;COUNT=4", ["09:00", "10:30", "12:00", "13:30"]),
    ],
)
def test_examples_within_a_day(rule: str, expected: list[str]) -> None:
    trigger = RRuleTrigger(f"DTSTART;TZID=America/New_York:19970902T090000\nRRULE:{rule}")
    found = trigger.preview(9, datetime(1990, 1, 1, tzinfo=UTC))
    assert [str(moment)[:16] for moment in found] == [f"1997-09-02 {time}" for time in expected]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40",
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16",
    ],
)
def test_every_20_minutes_from_9_to_16_40(rule: str) -> None:
    trigger = RRuleTrigger(f"DTSTART;TZID=America/New_York:19970902T090000\nRRULE:{rule}")
    first = datetime(1997, 9, 2, 9, tzinfo=NEW_YORK)
    expected = [first + timedelta(days=day, minutes=20 * number) for day in range(3) for number in range(24)]
    assert trigger.preview(72, datetime(1990, 1, 1, tzinfo=UTC)) == expected
