"""Schedules before they run: in words, their next fire times, and what one may not expect of them in the year to come."""

from datetime import UTC, date, datetime

from mainspring.triggers.base import BaseTrigger
from mainspring.triggers.calendarinterval import CalendarIntervalTrigger
from mainspring.triggers.combining import OrTrigger
from mainspring.triggers.cron import CronTrigger
from mainspring.triggers.excluding import ExcludingTrigger
from mainspring.triggers.rrule import RRuleTrigger

VIENNA = "Europe/Vienna"
HOLIDAYS = [date(2027, 1, 6), date(2027, 5, 6), date(2027, 10, 26), date(2027, 12, 8)]


def show(trigger: BaseTrigger, start: datetime, end: datetime) -> None:
    print(trigger.describe())
    for fire_time in trigger.preview(3, start):
        print("   ", fire_time)
    for line in trigger.hazards(start, end):
        print("    beware:", line)


def main() -> None:
    start, end = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 12, 31, tzinfo=UTC)
    show(CronTrigger.from_crontab("30 2 * * *", VIENNA), start, end)
    show(CronTrigger.from_crontab("0 0 12 ? * FRI#2", VIENNA, dialect="quartz"), start, end)
    show(CalendarIntervalTrigger(months=1, hour=8, start_date=date(2027, 1, 31), timezone=VIENNA), start, end)
    # The last working day but one of each month, as a calendar program writes it.
    rule = "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2"
    show(RRuleTrigger(rule, start_date="2027-01-01 17:00:00", timezone=VIENNA), start, end)
    opening = CronTrigger(day_of_week="mon-fri", hour=9, timezone=VIENNA)
    saturday = CronTrigger(day_of_week="sat", hour=10, timezone=VIENNA)
    show(ExcludingTrigger(OrTrigger([opening, saturday]), HOLIDAYS), datetime(2027, 1, 5, tzinfo=UTC), end)


if __name__ == "__main__":
    main()
