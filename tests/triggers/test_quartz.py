"""The crontab dialect "quartz".

The examples and what they mean are from the CronTrigger tutorial and from the API documentation of org.quartz.CronExpression, Quartz 2.3
(quartz-scheduler.org/documentation); what is refused is what that class refuses, as these and its published tests have it.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from mainspring.triggers import CronExpressionError, CronTrigger
from mainspring.triggers.cron.fields import FIELD_NAMES


def quartz(line: str) -> CronTrigger:
    return CronTrigger.from_crontab(line, timezone=UTC, dialect="quartz")


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        # The tutorial's examples.
        ("0 0 12 * * ?", "* * * * * 12 0 0"),
        ("0 15 10 ? * *", "* * * * * 10 15 0"),
        ("0 15 10 * * ?", "* * * * * 10 15 0"),
        ("0 15 10 * * ? *", "* * * * * 10 15 0"),
        ("0 15 10 * * ? 2005", "2005 * * * * 10 15 0"),
        ("0 * 14 * * ?", "* * * * * 14 * 0"),
        ("0 0/5 14 * * ?", "* * * * * 14 0/5 0"),
        ("0 0/5 14,18 * * ?", "* * * * * 14,18 0/5 0"),
        ("0 0-5 14 * * ?", "* * * * * 14 0-5 0"),
        ("0 10,44 14 ? 3 WED", "* 3 * * wed 14 10,44 0"),
        ("0 15 10 ? * MON-FRI", "* * * * mon-fri 10 15 0"),
        ("0 15 10 15 * ?", "* * 15 * * 10 15 0"),
        ("0 15 10 L * ?", "* * L * * 10 15 0"),
        ("0 15 10 L-2 * ?", "* * L-2 * * 10 15 0"),
        ("0 15 10 ? * 6L", "* * * * friL 10 15 0"),
        ("0 15 10 ? * 6L 2002-2005", "2002-2005 * * * friL 10 15 0"),
        ("0 15 10 ? * 6#3", "* * * * fri#3 10 15 0"),
        ("0 0 12 1/5 * ?", "* * 1/5 * * 12 0 0"),
        ("0 11 11 11 11 ?", "* 11 11 * * 11 11 0"),
        ("0/5 14,18,3-39,52 * ? JAN,MAR,SEP MON-FRI 2002-2010", "2002-2010 jan,mar,sep * * mon-fri * 14,18,3-39,52 0/5"),
        # 1 is Sunday, 7 is Saturday, and the week ends there.
        ("0 0 0 ? * 1", "* * * * sun 0 0 0"),
        ("0 0 0 ? * 7", "* * * * sat 0 0 0"),
        ("0 0 0 ? * 2-6", "* * * * mon-fri 0 0 0"),
        ("0 0 0 ? * L", "* * * * sat 0 0 0"),
        ("0 0 0 ? * 1L", "* * * * sunL 0 0 0"),
        ("0 0 0 ? * FRIL", "* * * * friL 0 0 0"),
        ("0 0 0 ? * TUE#1", "* * * * tue#1 0 0 0"),
        ("0 0 0 ? * 2/2", "* * * * mon,wed,fri 0 0 0"),
        ("0 0 0 ? * */3", "* * * * sun,wed,sat 0 0 0"),
        ("0 0 0 ? * 1,7", "* * * * sun,sat 0 0 0"),
        # Ranges that wrap around.
        ("0 0 22-2 ? NOV-FEB FRI-MON", "* nov-feb * * fri-mon 22-2 0 0"),
        ("0 0 0 ? * 6-2", "* * * * fri-mon 0 0 0"),
        # Working days.
        ("0 0 0 15W * ?", "* * 15W * * 0 0 0"),
        ("0 0 0 LW * ?", "* * LW * * 0 0 0"),
        ("0 0 0 L-3W * ?", "* * L-3W * * 0 0 0"),
        # "/n" is short for "*/n".
        ("/10 /15 * * /2 ? /4", "*/4 */2 * * * * */15 */10"),
        ("0 5,/20 * ? * /2", "* * * * sun,tue,thu,sat * 5,*/20 0"),
        # Ours: hashed fields, macros, years after 2099.
        ("H H(0-29)/10 H ? * H(2-6)", "* * * * H(mon-fri) H H(0-29)/10 H"),
        ("@daily", "* * * * * 0 0 0"),
        ("0 0 0 1 1 ? 2100", "2100 1 1 * * 0 0 0"),
    ],
)  # fmt: skip
def test_fields(line: str, fields: str) -> None:
    assert " ".join(str(field) for field in quartz(line).fields) == fields
    assert len(fields.split()) == len(FIELD_NAMES)


@pytest.mark.parametrize(
    ("line", "after", "following"),
    [
        # "15W": Friday the 14th if the 15th is a Saturday, Monday the 16th if it is a Sunday; "1W": Monday the 3rd if the 1st is a Saturday.
        ("0 0 9 15W * ?", (2026, 8, 1), (2026, 8, 14, 9)),
        ("0 0 9 15W * ?", (2026, 11, 1), (2026, 11, 16, 9)),
        ("0 0 9 1W * ?", (2026, 8, 1), (2026, 8, 3, 9)),
        ("0 0 9 LW * ?", (2026, 5, 1), (2026, 5, 29, 9)),
        ("0 0 9 L-3 * ?", (2026, 2, 1), (2026, 2, 25, 9)),
        ("0 0 9 ? * 6#5", (2026, 6, 1), (2026, 7, 31, 9)),
        ("0 0 9 ? * 5L", (2026, 6, 1), (2026, 6, 25, 9)),
        ("0 0 9 ? 2 L 2027", (2026, 6, 1), (2027, 2, 6, 9)),
    ],
)
def test_next(line: str, after: tuple[int, ...], following: tuple[int, ...]) -> None:
    start = datetime(*after, tzinfo=UTC)  # type: ignore[arg-type,misc]
    assert quartz(line).preview(1, start) == [datetime(*following, tzinfo=UTC)]  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("0 12 * * ?", "5 fields"),
        ("0 0 12 * * ? * *", "8 fields"),
        ("", "0 fields"),
        # Exactly one of the two days does not count.
        ("0 0 12 * * *", "a '?' is expected in one of the two"),
        ("0 0 12 1 * 2", "a '?' is expected in one of the two"),
        ("0 0 12 * * 2", "a '?' is expected in one of the two"),
        ("0 0 12 ? * ?", "a '?' is expected in one of the two"),
        ("0 0 ? * * ?", "hour='?'"),
        ("0 0 0 * ? ?", "month='?'"),
        ("0 0 0 ? ? 1", "month='?'"),
        ("0 0 0 1,? * 1", "a '?' is expected in one of the two"),
        # What stands for one day stands alone.
        ("0 43 9 1,5,29,L * ?", "'L' is for a single day"),
        ("0 43 9 ? * SAT,SUN,L", "'L' is for a single day"),
        ("0 43 9 ? * 6,7,L", "'L' is for a single day"),
        ("0 43 9 1,15W * ?", "'W' is for a single day"),
        ("0 43 9 ? * 6#3,2#1", "'#' is for a single day"),
        ("0 43 9 1-5W * ?", "day='1-5W'"),
        ("0 43 9 ? * 5L-7", "day_of_week='5L-7'"),
        ("0 43 9 last * ?", "'last' is not understood"),
        ("0 43 9 fri * ?", "'fri' is not understood"),
        ("0 0 0 ? * 0", "0 is not a weekday"),
        ("0 0 0 ? * 8", "8 is not a weekday"),
        ("0 0 0 ? * 6#6", "day_of_week='6#6'"),
        ("0 0 0 ? * 6#0", "day_of_week='6#0'"),
        ("0 0 0 L-31 * ?", "day='L-31'"),
        ("0 0 0 32 * ?", "day='32'"),
        ("0 0 0 0/5 * ?", "day='0/5'"),
        ("0 0 0 1 0 ?", "month='0'"),
        ("0 0 0 1 13 ?", "month='13'"),
        ("60 0 0 1 1 ?", "second='60'"),
        ("0/60 * * * * ?", "second='0/60'"),
        ("0 0 24 1 1 ?", "hour='24'"),
        ("0 0 0 1 1 ? 1969", "year='1969'"),
        ("0 0 0 1 1 ? 10000", "year='10000'"),
        ("0 0 0 1 1 ? H", "year='H'"),
        ("0 0 0 31 2 ?", "would never fire"),
        ("0 0 0 31W 4,6 ?", "would never fire"),
        ("0 0 0 29 2 ? 2026", "would never fire"),
    ],
)
def test_what_is_refused(line: str, part: str) -> None:
    with pytest.raises(CronExpressionError) as caught:
        quartz(line)
    assert part in str(caught.value)
