"""Hashed cron fields: what they may become, that they stay so for ever, and that they spread."""

from __future__ import annotations

from collections import Counter

import pytest
from mainspring.triggers import CronExpressionError
from mainspring.triggers.cron.days import any_date
from mainspring.triggers.cron.fields import FIELD_NAMES, parse_field, parse_fields
from mainspring.triggers.cron.hashed import job_seed, settle


def settled(seed: int, fields: dict[str, str], either: bool = False) -> dict[str, str]:
    texts = [fields.get(name) for name in FIELD_NAMES]
    found = settle(texts, seed, either)
    return {name: text for name, text in zip(FIELD_NAMES, found, strict=True) if text is not None}


PINNED = [
    ("backup", {"minute": "h"}, {"minute": "20"}),
    ("backup", {"minute": "h", "second": "h", "hour": "h"}, {"hour": "0", "minute": "20", "second": "33"}),
    ("backup", {"day": "h", "month": "h", "week": "*"}, {"month": "aug", "day": "9", "week": "*"}),
    ("backup", {"day_of_week": "h(mon-fri)", "week": "h"}, {"week": "51", "day_of_week": "thu"}),
    ("backup", {"minute": "h/15"}, {"minute": "5-59/15"}),
    ("backup", {"minute": "h(0-29)/10,h(30-59)"}, {"minute": "0-29/10,50"}),
    ("backup", {"hour": "h(22-5)/3"}, {"hour": "22,1,4"}),
    ("Sicherung \N{LATIN SMALL LETTER U WITH DIAERESIS}ber Nacht", {"minute": "h"}, {"minute": "10"}),
    ("", {"minute": "h"}, {"minute": "40"}),
    ("\ud800", {"minute": "h"}, {"minute": "58"}),
]


@pytest.mark.parametrize(("job_id", "fields", "expected"), PINNED)
def test_the_values_of_a_job_for_ever(job_id: str, fields: dict[str, str], expected: dict[str, str]) -> None:
    # Stored jobs have run at these times: a change here would move them.
    assert settled(job_seed(job_id), fields) == expected


def test_the_seed_of_a_job_for_ever() -> None:
    assert job_seed("backup") == 13716494436197716890


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("second", "h", range(60)),
        ("minute", "h", range(60)),
        ("hour", "h", range(24)),
        ("day", "h", range(1, 29)),
        ("month", "h", range(1, 13)),
        ("week", "h", range(1, 53)),
        ("day_of_week", "h", range(7)),
        ("minute", "h(10-19)", range(10, 20)),
        ("hour", "h(22-2)", [0, 1, 2, 22, 23]),
        ("day", "h(29-31)", [29, 30, 31]),
        ("day_of_week", "h(sat-mon)", [0, 5, 6]),
        ("month", "h(mar-may)", [3, 4, 5]),
    ],
)
def test_a_value_of_the_range_and_all_of_them_alike(name: str, text: str, values: range) -> None:
    field = parse_field(name, text, False)
    assert field.hashed
    assert list(field.values) == list(values), "until it is settled, a field stands for all it may become"
    jobs = 200 * len(values)
    found: Counter[int] = Counter()
    for i in range(jobs):
        (text_of_job,) = settled(job_seed(f"job {i}"), {name: text}).values()
        (value,) = parse_field(name, text_of_job, False).values
        found[value] += 1
    assert sorted(found) == list(values)
    # Of 200 on the average: five standard deviations.
    assert all(130 < count < 270 for count in found.values())


@pytest.mark.parametrize(
    ("name", "text", "step", "low", "high"),
    [
        ("minute", "h/15", 15, 0, 59),
        ("minute", "h(0-29)/10", 10, 0, 29),
        ("minute", "h/7", 7, 0, 59),
        ("minute", "h/60", 60, 0, 59),
        ("minute", "h(5-9)/5", 5, 5, 9),
        ("day", "h/3", 3, 1, 28),
        ("month", "h/6", 6, 1, 12),
    ],
)
def test_steps(name: str, text: str, step: int, low: int, high: int) -> None:
    beginnings = set()
    for i in range(60 * step):
        (text_of_job,) = settled(job_seed(f"job {i}"), {name: text}).values()
        values = list(parse_field(name, text_of_job, False).values)
        assert values == list(range(values[0], high + 1, step))
        beginnings.add(values[0])
    assert sorted(beginnings) == list(range(low, low + step))


def test_steps_go_on_over_the_end_of_the_field() -> None:
    found = {settled(job_seed(str(i)), {"hour": "h(22-5)/3"})["hour"] for i in range(100)}
    assert found == {"22,1,4", "23,2,5", "0,3"}


def test_the_fields_of_a_job_are_independent() -> None:
    pairs = Counter(
        (fields["minute"], fields["second"])
        for fields in (settled(job_seed(f"job {i}"), {"minute": "h", "second": "h"}) for i in range(10_000))
    )
    assert len(pairs) > 3_000  # of 3,600; 224 would be missing


def test_all_terms_of_a_field_draw_the_same_number() -> None:
    for i in range(100):
        first, second = settled(job_seed(str(i)), {"minute": "h(0-9),h(30-39)"})["minute"].split(",")
        assert int(second) == int(first) + 30


def test_what_is_not_hashed_stays() -> None:
    fields = {"year": "2027", "month": "mar", "day": "last,15w", "week": "*", "hour": "*/2", "minute": "0"}
    assert settled(5, fields) == fields


@pytest.mark.parametrize(
    ("fields", "either"),
    [
        ({"day": "31", "month": "h"}, False),
        ({"day": "h(29-31)", "month": "2"}, False),
        ({"day": "h(30-31),h(29-31)/3", "month": "h(2-4)"}, False),
        ({"day": "h", "month": "h", "week": "h", "day_of_week": "h"}, False),
        ({"year": "2027", "day": "h", "month": "h", "week": "h", "day_of_week": "h"}, False),
        ({"day": "31w", "month": "h", "day_of_week": "h"}, False),
        ({"day": "31", "month": "2", "day_of_week": "h"}, True),
        ({"day": "h(20-31)", "day_of_week": "mon#5", "month": "h(2-3)"}, False),
    ],
)
def test_some_date_always_matches(fields: dict[str, str], either: bool) -> None:
    for i in range(50):
        found = settled(job_seed(str(i)), fields, either)
        assert "h" not in "".join(text for name, text in found.items() if name != "day_of_week")
        assert any_date(parse_fields([found.get(name) for name in FIELD_NAMES]), either)


def test_no_date_at_all_is_refused() -> None:
    with pytest.raises(CronExpressionError, match=r"month='H\(4-4\)', day='31': it would never fire"):
        settled(5, {"day": "31", "month": "h(4-4)"})
