"""The grammar of cron fields, and the errors: each names the field and the text."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mainspring.triggers import CronExpressionError, CronTrigger
from mainspring.triggers.cron.fields import FIELD_NAMES, DayRule, parse_field


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("minute", "*", list(range(60))),
        ("minute", "*/15", [0, 15, 30, 45]),
        ("minute", "5/15", [5, 20, 35, 50]),
        ("minute", "10-20/5", [10, 15, 20]),
        ("minute", "3,1,2,1", [1, 2, 3]),
        ("minute", "50-10/5", [0, 5, 10, 50, 55]),
        ("minute", "59-1", [0, 1, 59]),
        ("minute", "007", [7]),
        ("minute", "5-5", [5]),
        ("hour", "22-2", [0, 1, 2, 22, 23]),
        ("hour", "22-5/3", [1, 4, 22]),
        ("month", "jan,MAR", [1, 3]),
        ("month", "nov-feb", [1, 2, 11, 12]),
        ("month", "jun/3", [6, 9, 12]),
        ("day", "28-3", [1, 2, 3, 28, 29, 30, 31]),
        ("day_of_week", "0", [0]),
        ("day_of_week", "mon-fri/2", [0, 2, 4]),
        ("day_of_week", "fri-mon", [0, 4, 5, 6]),
        ("day_of_week", "sat-tue/2", [0, 5]),
        ("day_of_week", "sun", [6]),
        ("week", "50-2", [1, 2, 50, 51, 52, 53]),
        ("year", "2026-2030/2", [2026, 2028, 2030]),
    ],
)
def test_values(name: str, text: str, values: list[int]) -> None:
    assert list(parse_field(name, text.lower(), False).values) == values


REFUSED = [
    ("minute", "60"),
    ("minute", "-1"),
    ("minute", "1-"),
    ("minute", "1-2-3"),
    ("minute", "*/0"),
    ("minute", "*/60"),
    ("minute", "*5"),
    ("minute", "**"),
    ("minute", "1,,2"),
    ("minute", ","),
    ("minute", ""),
    ("minute", "1 2"),
    ("minute", "1.5"),
    ("minute", "٣"),
    ("minute", "999999999999999999999999"),
    ("minute", "*/99999999999999999999"),
    ("minute", "mon"),
    ("minute", "h()"),
    ("minute", "h(1)"),
    ("minute", "h(0-60)"),
    ("minute", "h/0"),
    ("minute", "h/61"),
    ("minute", "h(0-29)/31"),
    ("minute", "h-5"),
    ("minute", "hh"),
    ("minute", "*/h"),
    ("minute", "l"),
    ("year", "h"),
    ("year", "h(2026-2030)"),
    ("hour", "24"),
    ("hour", "5/"),
    ("hour", "5/x"),
    ("day", "0"),
    ("day", "32"),
    ("day", "2nd"),
    ("day", "6th fri"),
    ("day", "last fri sat"),
    ("day", "last-3"),
    ("day", "l-0"),
    ("day", "l-31"),
    ("day", "l3"),
    ("day", "l-"),
    ("day", "w"),
    ("day", "wl"),
    ("day", "0w"),
    ("day", "32w"),
    ("day", "1-5w"),
    ("day", "15w/2"),
    ("day", "fri#2"),
    ("day", "?"),
    ("day", "mon"),
    ("day", "h(0-5)"),
    ("month", "0"),
    ("month", "january"),
    ("month", "foo"),
    ("day_of_week", "7"),
    ("day_of_week", "mon-fri/2x"),
    ("day_of_week", "mon-fri2"),
    ("day_of_week", "monday"),
    ("day_of_week", "7#2"),
    ("day_of_week", "5#0"),
    ("day_of_week", "5#6"),
    ("day_of_week", "5#"),
    ("day_of_week", "#2"),
    ("day_of_week", "mon-fri#2"),
    ("day_of_week", "l"),
    ("day_of_week", "7l"),
    ("day_of_week", "fri-l"),
    ("day_of_week", "2w"),
    ("day_of_week", "?"),
    ("day_of_week", "last fri"),
    ("week", "0"),
    ("week", "54"),
    ("year", "1969"),
    ("year", "10000"),
    ("year", "2030-2020"),
    ("second", "?"),
]


@pytest.mark.parametrize(
    ("name", "text", "rules"),
    [
        ("day", "last", [DayRule(-1, None)]),
        ("day", "L", [DayRule(-1, None)]),
        ("day", "L,last", [DayRule(-1, None)]),
        ("day", "L-3", [DayRule(-4, None)]),
        ("day", "15W", [DayRule(15, None, True)]),
        ("day", "LW", [DayRule(-1, None, True)]),
        ("day", "L-2W", [DayRule(-3, None, True)]),
        ("day", "2nd fri,5th mon", [DayRule(2, 4), DayRule(5, 0)]),
        ("day", "last sun", [DayRule(-1, 6)]),
        ("day_of_week", "fri#2", [DayRule(2, 4)]),
        ("day_of_week", "4#2,0#1", [DayRule(2, 4), DayRule(1, 0)]),
        ("day_of_week", "friL", [DayRule(-1, 4)]),
        ("day_of_week", "4L", [DayRule(-1, 4)]),
    ],
)
def test_days_that_depend_on_the_month(name: str, text: str, rules: list[DayRule]) -> None:
    field = parse_field(name, text.lower(), False)
    assert list(field.rules) == rules
    assert (str(field), list(field.values), field.hashed) == (text, [], False)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("L , 15w,LAST,13", "L,15W,last,13"),
        ("l-3,lw,l-3w", "L-3,LW,L-3W"),
        ("2ND  Fri,LAST sun", "2nd fri,last sun"),
    ],
)
def test_fields_are_shown_in_one_form(given: str, shown: str) -> None:
    trigger = CronTrigger(day=given, day_of_week="FRI#2,monl", timezone=UTC)
    assert str(trigger) == f"cron[day='{shown}', day_of_week='fri#2,monL']"
    assert CronTrigger.from_state(trigger.get_state()) == trigger


def test_a_text_longer_than_any_list_of_values_is_refused() -> None:
    assert list(parse_field("minute", ",".join(map(str, range(60))), False).values) == list(range(60))
    with pytest.raises(CronExpressionError, match=r"4,000 characters are more than the 500") as caught:
        CronTrigger(minute="5," * 2000, timezone=UTC)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_what_is_not_understood_is_refused_by_name(name: str, text: str) -> None:
    fields: dict[str, Any] = {name: text}
    with pytest.raises(CronExpressionError) as caught:
        CronTrigger(**fields, timezone=UTC)
    assert name in str(caught.value)
    assert repr(text) in str(caught.value)
    assert (caught.value.field, caught.value.text) == (name, text)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("day_of_week", "7", "7 is not between 0 and 6: 0 is Monday, 6 Sunday"),
        ("day_of_week", "5-7", "0 is Monday, 6 Sunday"),
        ("minute", "*/90", "the step in '*/90' must be between 1 and 59"),
        ("minute", "h/90", "the step in 'h/90' must be between 1 and 59"),
        ("year", "0 5 * * *", "; a crontab line is made a trigger by CronTrigger.from_crontab(...)"),
        ("minute", "@daily", "; a crontab line is made a trigger by CronTrigger.from_crontab(...)"),
    ],
)
def test_the_error_says_what_to_do(name: str, text: str, part: str) -> None:
    with pytest.raises(CronExpressionError) as caught:
        parse_field(name, text, False)
    assert part in str(caught.value)


@pytest.mark.parametrize("name", FIELD_NAMES)
def test_what_is_not_understood_gets_the_forms_that_the_field_takes(name: str) -> None:
    """All of them are what the field understands, and H is there unless it is a year."""
    with pytest.raises(CronExpressionError, match="'1!' is not understood; expected are values ") as caught:
        parse_field(name, "1!", False)
    forms = str(caught.value).partition("expected are")[2].split("'")[1::2]
    for form in forms:
        parse_field(name, form.lower(), False)
    assert ("H" in forms) == (name != "year")
    assert ("2nd fri" in forms) == (name == "day")
    assert ("fri#2" in forms) == (name == "day_of_week")


def test_an_error_can_be_had_about_what_was_given() -> None:
    """`parse_field` sees lower case, and a crontab's weekdays by name: who knows the original has the error quote that."""
    with pytest.raises(CronExpressionError) as caught:
        parse_field("day", "1,1-5w", False)
    error = caught.value.as_given("1,1-5W")
    assert str(error).startswith("cron field day='1,1-5W': '1-5W' is not understood; ")
    assert (error.field, error.text) == ("day", "1,1-5W")
    assert "'2nd fri'" in str(error)
    assert "'2nd fri'" not in str(caught.value.as_given("1,1-5W", in_line=True))
    other = CronExpressionError("no date", None, "x")
    assert other.as_given("X") is other


def test_the_error_survives_pickling() -> None:
    error = CronExpressionError("what", "hour", "25")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.field, copy.text) == ("what", "hour", "25")


@pytest.mark.parametrize("value", [True, 2.5, [1, 2], {"a"}, b"5", object()])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"cron field minute: .*of several: '5,6'"):
        CronTrigger(minute=value, timezone=UTC)


@pytest.mark.parametrize(
    "fields",
    [
        {"day": 31, "month": "4,6"},
        {"day": 30, "month": "feb"},
        {"day": 31, "month": "2,4,6,9,11"},
        {"year": 2026, "month": 2, "day": 29},
        {"year": "2021-2023", "month": 2, "day": 29},
        {"week": 53, "month": "feb-nov"},
        {"week": 20, "month": "jan"},
        {"day": "1st mon", "day_of_week": "tue"},
        {"day": "5th mon", "month": 2, "year": "2025-2035"},
        {"day": "12-14", "week": 1},
    ],
)
def test_what_can_never_match_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(CronExpressionError, match="would never fire") as caught:
        CronTrigger(**fields, timezone=UTC)
    for name, value in fields.items():
        assert f"{name}='{value}'" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        ({"month": 2, "day": 29}, (2028, 2, 29)),
        ({"month": 2, "day": 29, "day_of_week": "sun"}, (2032, 2, 29)),
        ({"month": 2, "day": "5th sun"}, (2032, 2, 29)),
        ({"week": 53, "day_of_week": "sun"}, (2027, 1, 3)),
        ({"year": 9999, "month": 12, "day": 1}, (9999, 12, 1)),
        ({"week": 53, "day": 1, "day_of_week": "sat", "month": 1}, (2033, 1, 1)),
    ],
)
def test_rare_dates_are_found(fields: dict[str, Any], first: tuple[int, int, int]) -> None:
    found = CronTrigger(**fields, timezone=UTC).get_next_fire_time(None, datetime(2026, 3, 1, tzinfo=UTC))
    assert found == datetime(*first, tzinfo=UTC)


FIELD_TEXT = st.one_of(
    st.text(alphabet="0123456789*/-, abcdefhijlmnorstuvwLW#?", max_size=12),
    st.text(max_size=6),
    st.sampled_from(["last", "2nd fri", "last sun,*", "*/2", "1-5/2", "22-2", "fri-mon"]),
)


@settings(max_examples=1500, deadline=None)
@given(fields=st.dictionaries(st.sampled_from(FIELD_NAMES), FIELD_TEXT, min_size=1, max_size=3))
@example(fields={"year": "1970/4000", "day": "31", "month": "2-4"})
@example(fields={"year": "*/2", "month": "2", "day": "30,31"})
@example(fields={"week": "53", "day": "1"})
def test_any_text_gives_a_trigger_or_the_one_error(fields: dict[str, Any]) -> None:
    try:
        trigger = CronTrigger(**fields, timezone="Europe/Berlin")
    except CronExpressionError:
        return
    now = datetime(2026, 3, 1, tzinfo=UTC)
    following = trigger.get_next_fire_time(None, now)
    assert following is None or following >= now
    assert CronTrigger.from_state(trigger.get_state()) == trigger
