"""The text of recurrence rules: what is read of it, its normal form, and what is refused with which words."""

from __future__ import annotations

import calendar
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from mainspring.triggers.rrule.text import DAILY, MONTHLY, YEARLY, Moment, read_rule

from tests.triggers.rules import at, wall


def test_parts() -> None:
    (parts,) = read_rule(
        "rrule:freq=monthly;interval=2;wkst=su;count=5;bymonth=3,1,3;bymonthday=-1,15;byday=mo,-1fr;"
        "byhour=9,8;byminute=0;bysecond=30;bysetpos=-1,1;byeaster=0;byyearday=1,-1;"
    ).rules
    assert (parts.freq, parts.interval, parts.wkst, parts.count, parts.until) == (MONTHLY, 2, 6, 5, None)
    assert (parts.month, parts.monthday, parts.yearday) == ((1, 3), (-1, 15), (-1, 1))
    assert parts.weekday == ((0, 0), (4, -1))
    assert (parts.hour, parts.minute, parts.second) == ((8, 9), (0,), (30,))
    assert (parts.setpos, parts.easter, parts.weekno) == ((-1, 1), (0,), ())


def test_what_is_not_given_is_left_open() -> None:
    (parts,) = read_rule("FREQ=YEARLY").rules
    assert (parts.freq, parts.interval, parts.wkst, parts.count, parts.until) == (YEARLY, 1, 0, None, None)
    given = (parts.month, parts.monthday, parts.weekday, parts.hour, parts.minute, parts.second, parts.setpos)
    assert not any(given)


def test_a_week_begins_on_monday_whatever_the_program_has_set() -> None:
    before = calendar.firstweekday()
    calendar.setfirstweekday(calendar.SUNDAY)
    try:
        assert read_rule("FREQ=WEEKLY;BYDAY=TU;INTERVAL=3").rules[0].wkst == 0
    finally:
        calendar.setfirstweekday(before)


def test_lines() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    read = read_rule(
        """
        DTSTART;TZID=Europe/Berlin:20260329T023000
        RRULE:FREQ=DAILY;UNTIL=20260401
        RRULE:FREQ=WEEKLY;UNTIL=20260401T120000Z
        EXRULE:FREQ=DAILY;BYDAY=SU;COUNT=3
        RDATE:20260501T000000,20260502T000000
        RDATE;VALUE=DATE:20260503
        EXDATE;TZID="UTC+02:00":20260401T023000
        EXDATE:20260402T003000Z
        """
    )
    assert read.start == Moment(wall(at(2026, 3, 29, 2, 30)), berlin)
    assert [parts.until for parts in read.rules] == [
        Moment(wall(at(2026, 4, 1)), None),
        Moment(wall(at(2026, 4, 1, 12)), UTC),
    ]
    assert [(parts.freq, parts.count) for parts in read.exrules] == [(DAILY, 3)]
    assert read.rdates == tuple(Moment(wall(at(2026, 5, day)), None) for day in (1, 2, 3))
    assert [moment.wall for moment in read.exdates] == [
        wall(at(2026, 4, 1, 2, 30)),
        wall(at(2026, 4, 2, 0, 30)),
    ]
    assert [str(moment.zone) for moment in read.exdates] == ["UTC+02:00", "UTC"]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("FREQ=DAILY;BYHOUR=9", "FREQ=DAILY;BYHOUR=9"),
        ("RRULE:freq=daily;byhour=9;", "FREQ=DAILY;BYHOUR=9"),
        ("  FREQ=DAILY;\n  BYHOUR=9 ", "FREQ=DAILY;BYHOUR=9"),
        # All on one line, as dateutil takes it, and folded lines, as RFC 5545 writes them.
        ("DTSTART:20260101T000000 RRULE:FREQ=DAILY", "DTSTART:20260101T000000\nRRULE:FREQ=DAILY"),
        ("dtstart;tzid=Europe/Berlin:20260101t000000\r\nFREQ=DAILY", None),
        (
            "DTSTART;TZID=Europe/Berlin:20260101T000000\r\nRRULE:FREQ=DAILY;BYMO\r\n NTH=1\r\n",
            "DTSTART;TZID=Europe/Berlin:20260101T000000\nRRULE:FREQ=DAILY;BYMONTH=1",
        ),
    ],
)
def test_normal_form(text: str, normal: str | None) -> None:
    if normal is None:
        with pytest.raises(ValueError, match="is not a date"):
            read_rule(text)
        return
    assert read_rule(text).text == normal
    assert read_rule(normal) == read_rule(text)


REFUSED = {
    "": "the text is empty",
    "   \n ": "the text is empty",
    "FREQ=SOMETIMES": "FREQ must be one of YEARLY, MONTHLY",
    "INTERVAL=2": "FREQ must be one of",
    "FREQ=DAILY;BYHUOR=9": "'BYHUOR=9' is not understood: the parts known are BYDAY",
    "FREQ=DAILY;BYHOUR": "'BYHOUR' is not understood",
    "FREQ=DAILY;RSCALE=CHINESE": "'RSCALE=CHINESE' is not understood",
    "FREQ=DAILY;BYHOUR=": "BYHOUR",
    "FREQ=DAILY;BYHOUR=nine": "BYHOUR",
    "FREQ=DAILY;BYHOUR=24": "BYHOUR must be 0 to 23, got 24",
    "freq=daily;byhour=nine": "'freq=daily;byhour=nine': BYHOUR must be 0 to 23, got 'nine'",
    "FREQ=DAILY;BYHOUR=1_0": "BYHOUR must be 0 to 23, got '1_0'",
    "FREQ=DAILY;BYHOUR=٣": "BYHOUR must be 0 to 23, got '٣'",
    # Numbers that dateutil hands on to C, and those of other scripts.
    "FREQ=DAILY;BYHOUR=9999999999": "'FREQ=DAILY;BYHOUR=9999999999': BYHOUR must be 0 to 23",
    "FREQ=DAILY;BYSECOND=9999999999": "BYSECOND must be 0 to 59",
    "FREQ=DAILY;BYHOUR=" + 5_000 * "9": "BYHOUR must be 0 to 23",
    "FREQ=MONTHLY;BYDAY=99999999999MO": "got '99999999999MO'",
    "FREQ=MONTHLY;BYDAY=١MO": "got '١MO'",
    "FREQ=MONTHLY;BYDAY=1_0MO": "got '1_0MO'",
    "FREQ=DAILY;INTERVAL=١": "INTERVAL must be a positive integer, got '١'",
    "FREQ=WEEKLY;BYDAY=Mon": "'FREQ=WEEKLY;BYDAY=Mon': BYDAY: expected MO, TU, WE, TH, FR, SA, SU, or one with its number",
    "FREQ=WEEKLY;BYDAY=MO,tue": "got 'tue'",
    "FREQ=WEEKLY;BYDAY=MO,": "got ''",
    "FREQ=WEEKLY;WKST=monday": "WKST: expected MO, TU, WE, TH, FR, SA, SU; got 'monday'",
    "FREQ=WEEKLY;WKST=": "WKST: expected MO, TU",
    "FREQ=HOURLY;BYHOUR=24": "BYHOUR must be 0 to 23, got 24",
    "FREQ=HOURLY;BYMINUTE=-1": "BYMINUTE must be 0 to 59, got -1",
    "FREQ=SECONDLY;BYSECOND=60": "BYSECOND must be 0 to 59, got 60",
    "FREQ=DAILY;BYMONTH=13": "BYMONTH must be 1 to 12, got 13",
    "FREQ=DAILY;BYMONTHDAY=0": "BYMONTHDAY must be 1 to 31 or -31 to -1, got 0",
    "FREQ=DAILY;BYMONTHDAY=5,0": "BYMONTHDAY must be 1 to 31 or -31 to -1, got 0",
    "FREQ=DAILY;BYMONTHDAY=-32": "BYMONTHDAY must be 1 to 31 or -31 to -1, got -32",
    "FREQ=DAILY;BYYEARDAY=367": "BYYEARDAY must be 1 to 366",
    "FREQ=DAILY;BYWEEKNO=54": "BYWEEKNO must be 1 to 53",
    "FREQ=DAILY;BYSETPOS=0": "BYSETPOS",
    "FREQ=DAILY;BYDAY=": "BYDAY",
    "FREQ=DAILY;BYDAY=FUNDAY": "BYDAY",
    "FREQ=DAILY;BYDAY=5": "BYDAY",
    "FREQ=DAILY;BYDAY=2MO": "a number before a weekday",
    "FREQ=WEEKLY;BYDAY=MO,-1FR": "a number before a weekday",
    "FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO": "a number before a weekday",
    "FREQ=YEARLY;BYDAY=54MO": "must be 1 to 53",
    "FREQ=YEARLY;BYDAY=0MO": "BYDAY",
    "FREQ=DAILY;INTERVAL=0": "INTERVAL must be a positive integer, got '0'",
    "FREQ=DAILY;INTERVAL=-1": "INTERVAL must be a positive integer, got '-1'",
    "FREQ=DAILY;INTERVAL=1.5": "INTERVAL must be a positive integer, got '1.5'",
    "FREQ=DAILY;COUNT=0": "COUNT must be a positive integer, got '0'",
    "FREQ=DAILY;COUNT=2;UNTIL=20260101": "both COUNT and UNTIL",
    "FREQ=DAILY;FREQ=WEEKLY": "FREQ is given twice",
    "FREQ=DAILY;BYDAY=MO;BYWEEKDAY=TU": "BYDAY is given twice",
    # Dates that dateutil would complete with today's.
    "FREQ=DAILY;UNTIL=2026": "'2026' is not a date: expected 20260131",
    "FREQ=DAILY;UNTIL=20261301": "'20261301' is not a date: month must be",
    "FREQ=DAILY;UNTIL=20260101T2500": "is not a date",
    "DTSTART:10:00 RRULE:FREQ=DAILY": "'10:00' is not a date",
    "DTSTART:20260101,20260102 RRULE:FREQ=DAILY": "more than one DTSTART",
    "DTSTART:20260101 DTSTART:20260101 RRULE:FREQ=DAILY": "more than one DTSTART",
    "DTSTART;TZID=Mars/Olympus:20260101T000000 RRULE:FREQ=DAILY": "no time zone named 'Mars/Olympus'",
    "DTSTART;TZID=UTC:20260101T000000Z RRULE:FREQ=DAILY": "UTC by its Z",
    "DTSTART;LANG=de:20260101T000000 RRULE:FREQ=DAILY": "'LANG=de' are not understood",
    "RDATE;VALUE=PERIOD:20260101T000000/PT5H": "'VALUE=PERIOD' are not understood",
    "RRULE;X=1:FREQ=DAILY": "RRULE takes no parameters",
    "EXDATE:20260101T000000": "neither an RRULE nor an RDATE",
    "DTSTART:20260101T000000": "neither an RRULE nor an RDATE",
    "SUMMARY:breakfast": "the lines known are DTSTART",
    "every day": "rule: 'every day' is not understood: expected 'FREQ=…;…'",
    "FREQ=DAILY; every day": "'FREQ=DAILY; every day': 'every day' is not understood",
    "freq=daily;\n  Until=tomorrow;": "'tomorrow' is not a date",
    "DTSTART:2026-Jan RRULE:FREQ=DAILY": "'DTSTART:2026-Jan': '2026-Jan' is not a date",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"^rule: ") as caught:
        read_rule(text)
    assert REFUSED[text] in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 100_000,
        "FREQ=DAILY;" + "x" * 100_000,
        "FREQ=DAILY;BYDAY=" + "x" * 100_000,
        "DTSTART:" + "x" * 100_000,
    ],
)
def test_an_error_does_not_repeat_a_whole_file(text: str) -> None:
    with pytest.raises(ValueError, match=r"^rule: ") as caught:
        read_rule(text)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("text", [";FREQ=DAILY; ;", " ; FREQ = DAILY;;"])
def test_blanks_and_semicolons_around_parts_do_not_count(text: str) -> None:
    assert read_rule(text).text == "FREQ=DAILY"
