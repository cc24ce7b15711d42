"""Crontab lines: what the dialects make of them ("quartz" has a file of its own)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from mainspring.triggers import CronExpressionError, CronTrigger


def texts(expression: str, dialect: str = "unix") -> dict[str, str]:
    trigger = CronTrigger.from_crontab(expression, timezone=UTC, dialect=dialect)
    return {field.name: str(field) for field in trigger.fields}


@pytest.mark.parametrize(
    ("weekday", "names"),
    [
        ("*", "*"),
        ("0", "sun"),
        ("7", "sun"),
        ("1", "mon"),
        ("6", "sat"),
        ("SUN", "sun"),
        ("1-5", "mon-fri"),
        ("mon-fri", "mon-fri"),
        ("5-7", "fri-sun"),
        ("0-2", "sun-tue"),
        ("5-1", "fri-mon"),
        ("fri-sun", "fri-sun"),
        ("sun-mon", "sun,mon"),
        ("7-2", "sun-tue"),
        ("0-7", "mon-sun"),
        ("0-6", "mon-sun"),
        ("*/2", "sun,tue,thu,sat"),
        ("*/7", "sun"),
        ("1-5/2", "mon,wed,fri"),
        ("1-7/2", "mon,wed,fri,sun"),
        ("3/2", "wed,fri,sun"),
        ("7/2", "sun"),
        ("5/3", "fri"),
        ("1,3,sun", "mon,wed,sun"),
        ("?", "*"),
        ("5L", "friL"),
        ("FRIL", "friL"),
        ("0L,7L", "sunL,sunL"),
        ("5#2", "fri#2"),
        ("7#1,mon#3", "sun#1,mon#3"),
        ("H", "H"),
        ("H(1-5)", "H(mon-fri)"),
        ("h(0-7)/2", "H(sun-sat)/2"),
        ("H/2", "H/2"),
    ],
)
def test_unix_weekdays(weekday: str, names: str) -> None:
    assert texts(f"0 0 * * {weekday}")["day_of_week"] == names


@pytest.mark.parametrize(
    ("line", "months"),
    [
        ("0 0 1 1-3 *", "1-3"),
        ("0 0 1 JAN,mar *", "jan,mar"),
        ("0 0 1 */2 *", "*/2"),
        ("0 0 1 nov-feb *", "nov-feb"),
    ],
)
def test_unix_months(line: str, months: str) -> None:
    assert texts(line)["month"] == months


@pytest.mark.parametrize(
    ("day", "shown"),
    [
        ("?", "*"),
        ("l", "L"),
        ("L-3", "L-3"),
        ("15W", "15W"),
        ("lw", "LW"),
        ("1,15W,LW,L-2w", "1,15W,LW,L-2W"),
        ("H", "H"),
        ("H(1-10)/3,31", "H(1-10)/3,31"),
    ],
)
def test_unix_days_of_the_month(day: str, shown: str) -> None:
    assert texts(f"0 0 {day} * ?")["day"] == shown


def test_six_fields_begin_with_the_second() -> None:
    assert texts("30 1 2 3 4 5") == {**texts("1 2 3 4 5"), "second": "30"}
    assert texts("*/10 * * * * *")["second"] == "*/10"


def test_fields_have_their_places() -> None:
    assert texts("1 2 3 4 5") == {
        "year": "*",
        "month": "4",
        "day": "3",
        "week": "*",
        "day_of_week": "fri",
        "hour": "2",
        "minute": "1",
        "second": "0",
    }


@pytest.mark.parametrize(
    ("macro", "line"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @ANNUALLY ", "0 0 1 1 *"),
    ],
)
def test_macros(macro: str, line: str) -> None:
    assert texts(macro) == texts(line)
    assert texts(macro, "apscheduler") == texts(line)


def days(line: str, month: int = 6) -> list[int]:
    """The days of that month of 2026 (June 2026 begins on a Monday) on which the line fires."""
    trigger = CronTrigger.from_crontab(line, timezone=UTC)
    found = []
    at = trigger.get_next_fire_time(None, datetime(2026, month, 1, tzinfo=UTC))
    while at is not None and (at.year, at.month) == (2026, month):
        found.append(at.day)
        at = trigger.get_next_fire_time(at, at)
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 0 13 * *", [13]),
        ("0 0 * * 5", [5, 12, 19, 26]),
        # Neither begins with a star: either is enough.
        ("0 0 13 * 5", [5, 12, 13, 19, 26]),
        ("0 0 1-2 * 1", [1, 2, 8, 15, 22, 29]),
        ("0 0 1 * 0-7", list(range(1, 31))),
        # One begins with a star, be it a stepped one: both must match.
        ("0 0 */10 * 1", [1]),
        ("0 0 1-7 * */7", [7]),
        # A star that is not at the beginning is none to Vixie cron.
        ("0 0 31,* * 5", list(range(1, 31))),
        # "?" is a star as well.
        ("0 0 ? * 5", [5, 12, 19, 26]),
        ("0 0 13 * ?", [13]),
        ("0 0 ? * ?", list(range(1, 31))),
        ("0 0 * * 5#2", [12]),
        ("0 0 13 * 5#2", [12, 13]),
        ("0 0 */2 * friL", []),
        ("0 0 L * *", [30]),
        ("0 0 L-3 * *", [27]),
        ("0 0 L * 1", [1, 8, 15, 22, 29, 30]),
        ("0 0 14W,LW * *", [15, 30]),
    ],
)
def test_day_of_month_and_weekday(line: str, expected: list[int]) -> None:
    assert days(line) == expected


def test_the_apscheduler_dialect() -> None:
    trigger = CronTrigger.from_crontab("0 5 1-7 * 0", timezone=UTC, dialect="apscheduler")
    # Weekday 0 is Monday, and both must match: the first Monday of the month.
    found = trigger.get_next_fire_time(None, datetime(2026, 6, 2, tzinfo=UTC))
    assert found == datetime(2026, 7, 6, 5, tzinfo=UTC)
    assert trigger == CronTrigger(minute="0", hour="5", day="1-7", month="*", day_of_week="0", timezone=UTC)
    with pytest.raises(CronExpressionError, match="day_of_week='7'"):
        CronTrigger.from_crontab("0 5 * * 7", timezone=UTC, dialect="apscheduler")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 0 0 0 * * *", "7 fields"),
        (
            "CRON_TZ=Europe/Berlin 0 0 * * *",
            "leave out 'CRON_TZ=Europe/Berlin', and give timezone='Europe/Berlin'",
        ),
        ("tz=UTC 0 0 * * *", "leave out 'tz=UTC', and give timezone='UTC'"),
        ("0 8 * * * /usr/bin/backup", "a command behind its 5 fields: leave out '/usr/bin/backup'"),
        ("0 8 * * 1-5  root  /usr/bin/Backup -q", "leave out 'root  /usr/bin/Backup -q'"),
        ("0 0 8 * * * /bin/true", "a command behind its 6 fields: leave out '/bin/true'"),
        ("@daily /usr/bin/backup", "a command behind @daily: leave out '/usr/bin/backup'"),
        ("0 8 * * * # every day at 8", "has a comment: leave out '# every day at 8'"),
        ("# 0 8 * * *", "has a comment"),
        ("0 8 * * *\t#", "has a comment: leave out '#'"),
        ("0 0 1\n* *", "is broken over several lines"),
        ("0 0 1\r* *", "is broken over several lines"),
        ("0 0 * * *\n0 1 * * *", "is broken over several lines"),
        # Neither a command nor a comment.
        ("0 0 8 * * monday", "day_of_week='monday'"),
        ("0 0 25 * * mon", "hour='25'"),
        ("0 0 0 * * 1 2", "7 fields"),
        ("@every 5m", "IntervalTrigger"),
        ("@reboot", "added without a trigger"),
        ("@every", "@hourly"),
        ("@", "@hourly"),
        ("60 * * * *", "minute='60'"),
        ("* 24 * * *", "hour='24'"),
        ("* * 0 * *", "day='0'"),
        ("* * last * *", "day='last'"),
        ("* * 2nd * *", "day='2nd'"),
        ("* * 1,? * *", "day='1,?'"),
        ("? * * * *", "minute='?'"),
        ("* * * ? *", "month='?'"),
        ("* * 15W/2 * *", "day='15W/2'"),
        ("* * W * *", "day='W'"),
        ("* * WL * *", "day='WL': 'WL' is not understood"),
        ("* * L * L", "day_of_week='L'"),
        ("* * * 13 *", "month='13'"),
        ("* * * * 8", "day_of_week='8'"),
        ("* * * * 8L", "day_of_week='8L'"),
        ("* * * * 5#6", "day_of_week='5#6'"),
        ("* * * * 1-5#2", "day_of_week='1-5#2'"),
        ("* * * * 1,?", "day_of_week='1,?'"),
        ("* * * * H(1-8)", "day_of_week='H(1-8)'"),
        ("* * * * */8", "day_of_week='*/8'"),
        ("* * * * */0", "day_of_week='*/0'"),
        ("* * * * monday", "day_of_week='monday'"),
        ("* * * * mon-", "day_of_week='mon-'"),
        ("* * * * 1,", "day_of_week='1,'"),
        ("0 0 31 2 *", "would never fire"),
        ("0 0 31 4,6 *", "would never fire"),
    ],
)
def test_what_is_not_understood_is_refused(line: str, part: str) -> None:
    with pytest.raises(CronExpressionError) as caught:
        CronTrigger.from_crontab(line, timezone=UTC)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("line", "field", "given", "piece"),
    [
        ("0 0 1-5W * *", "day", "1-5W", "'1-5W' is not understood"),
        ("H(0-70) 0 * * *", "minute", "H(0-70)", "70 is not between 0 and 59"),
        ("R 0 * * *", "minute", "R", "'R' is not a value of this field; expected are values 0 to 59, "),
        ("0 0 1 Foo *", "month", "Foo", "'Foo' is not a value of this field; its names are jan"),
        ("0 0 * * Mon,H(1-5)/9", "day_of_week", "Mon,H(1-5)/9", "the step in 'H(1-5)/9' must be"),
        ("0 0 * * MON,1-5X", "day_of_week", "MON,1-5X", "'1-5X' is not understood; weekdays are 0 to 7"),
    ],
)
def test_what_was_given_is_quoted(line: str, field: str, given: str, piece: str) -> None:
    with pytest.raises(CronExpressionError) as caught:
        CronTrigger.from_crontab(line, timezone=UTC)
    assert str(caught.value).startswith(f"cron field {field}={given!r}: {piece}")
    assert (caught.value.field, caught.value.text) == (field, given)
    # What a line's field does not take is not offered for it.
    assert "2nd fri" not in str(caught.value)


def test_day_or_weekday_saves_an_impossible_date() -> None:
    assert days("0 0 31 2 1", month=2) == [2, 9, 16, 23]


def test_a_line_longer_than_any_that_makes_sense_is_refused() -> None:
    with pytest.raises(CronExpressionError, match=r"10,008 characters, more than the 2,000") as caught:
        CronTrigger.from_crontab("1" * 10_000 + " * * * *", timezone=UTC)
    assert len(str(caught.value)) < 200


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="'unix', 'quartz' or 'apscheduler'"):
        CronTrigger.from_crontab("* * * * *", dialect="vixie")
    wrong: Any
    for wrong in ([], None, 5):
        with pytest.raises(TypeError, match=r"^dialect: expected 'unix', 'quartz' or 'apscheduler', got "):
            CronTrigger.from_crontab("* * * * *", dialect=wrong)
    line: Any = 5
    with pytest.raises(TypeError, match="as text"):
        CronTrigger.from_crontab(line)


# The table of dialects in docs/triggers.md: what each of them writes for the same schedule.
DIALECTS: dict[str, tuple[str, list[str], list[str], list[str]]] = {
    # keywords for it: unix, quartz, apscheduler
    "day=last": ("last", ["0 0 L * *"], ["0 0 0 L * ?"], ["0 0 L * *", "0 0 last * *"]),
    "day=L-3": ("L-3", ["0 0 L-3 * *"], ["0 0 0 L-3 * ?"], ["0 0 L-3 * *"]),
    "day=15W": ("15W", ["0 0 15W * *"], ["0 0 0 15W * ?"], ["0 0 15W * *"]),
    "day=LW": ("LW", ["0 0 LW * *"], ["0 0 0 LW * ?"], ["0 0 LW * *"]),
    "day=2nd fri": (
        "2nd fri",
        ["0 0 * * fri#2", "0 0 * * 5#2"],
        ["0 0 0 ? * fri#2", "0 0 0 ? * 6#2"],
        ["0 0 * * fri#2", "0 0 * * 4#2"],
    ),
    "day=last fri": (
        "last fri",
        ["0 0 * * friL", "0 0 * * 5L"],
        ["0 0 0 ? * friL", "0 0 0 ? * 6L"],
        ["0 0 * * friL", "0 0 * * 4L"],
    ),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_the_dialects_write_the_same_schedule_in_their_own_ways(name: str) -> None:
    day, *lines = DIALECTS[name]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    expected = CronTrigger(day=day, timezone=UTC).preview(30, start)
    for dialect, texts in zip(("unix", "quartz", "apscheduler"), lines, strict=True):
        for text in texts:
            found = CronTrigger.from_crontab(text, UTC, dialect).preview(30, start)
            assert found == expected, (dialect, text)
