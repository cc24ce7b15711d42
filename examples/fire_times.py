"""Triggers, without a scheduler: ask one for its next times, also over a change to daylight-saving time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mainspring.triggers.base import BaseTrigger
from mainspring.triggers.cron import CronTrigger
from mainspring.triggers.date import DateTrigger
from mainspring.triggers.interval import IntervalTrigger

VIENNA = ZoneInfo("Europe/Vienna")


class Doubling(BaseTrigger):
    """A trigger of one's own is one method. This one waits a second, then two, four, eight..."""

    def __init__(self, start: datetime) -> None:
        self.start = start

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        if previous_fire_time is None:
            return self.start
        return previous_fire_time + max(previous_fire_time - self.start, timedelta(seconds=1))

    def __str__(self) -> str:
        return f"doubling[from {self.start}]"


def show(trigger: BaseTrigger, now: datetime, count: int = 4) -> None:
    print(trigger)
    previous: datetime | None = None
    for _ in range(count):
        previous = trigger.get_next_fire_time(previous, previous or now)
        if previous is None:
            print("    no more")
            break
        print("   ", previous)


def main() -> None:
    now = datetime(2026, 3, 27, 12, 0, tzinfo=VIENNA)
    show(DateTrigger(datetime(2026, 4, 1, 8, 0), timezone=VIENNA), now)  # noqa: DTZ001 - taken for Vienna's time
    show(IntervalTrigger(hours=8, start_date="2026-03-28 00:00:00", timezone=VIENNA), now)
    # 2:30 does not exist on 29 March 2026: that night's run comes right after the gap.
    show(CronTrigger(hour=2, minute=30, timezone=VIENNA), now)
    show(CronTrigger.from_crontab("*/20 9-17 * * *", timezone="UTC"), now)
    show(Doubling(datetime(2026, 1, 1, tzinfo=UTC)), now)


if __name__ == "__main__":
    main()
