"""Crontab lines: what each dialect makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
        ("1,3,sun", "mon,wed,sun"),
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
        ("0 0 0 * * *", "6 fields"),
        ("@reboot", "@hourly"),
        ("@", "@hourly"),
        ("60 * * * *", "minute='60'"),
        ("* 24 * * *", "hour='24'"),
        ("* * 0 * *", "day='0'"),
        ("* * last * *", "day='last'"),
        ("* * L * *", "day='l'"),
        ("* * 15W * *", "day='15w'"),
        ("* * ? * *", "day='?'"),
        ("* * * 13 *", "month='13'"),
        ("* * * * 8", "day_of_week='8'"),
        ("* * * * 5L", "day_of_week='5l'"),
        ("* * * * 5#2", "day_of_week='5#2'"),
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


def test_day_or_weekday_saves_an_impossible_date() -> None:
    assert days("0 0 31 2 1", month=2) == [2, 9, 16, 23]


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="'unix' or 'apscheduler'"):
        CronTrigger.from_crontab("* * * * *", dialect="vixie")
    line: Any = 5
    with pytest.raises(TypeError, match="as text"):
        CronTrigger.from_crontab(line)


@settings(max_examples=1500, deadline=None)
@given(
    st.one_of(
        st.text(alphabet="0123456789*/-, @abcdefhijlmnorstuvwLW#?", max_size=24),
        st.lists(
            st.text(alphabet="0123456789*/-,abcdefhijlmnorstuvwLW#?", min_size=1, max_size=5),
            min_size=5,
            max_size=5,
        ).map(" ".join),
        st.text(max_size=20),
    ),
    st.sampled_from(["unix", "apscheduler"]),
)
def test_any_text_gives_a_trigger_or_the_one_error(line: str, dialect: str) -> None:
    try:
        trigger = CronTrigger.from_crontab(line, timezone=UTC, dialect=dialect)
    except CronExpressionError:
        return
    now = datetime(2026, 3, 1, tzinfo=UTC)
    following = trigger.get_next_fire_time(None, now)
    assert following is None or following >= now
    assert CronTrigger.from_state(trigger.get_state()) == trigger
