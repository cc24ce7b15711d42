"""Virtual time: a year of schedules in a moment, on the real engine. For your own tests."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from mainspring.scheduler.virtual import VirtualScheduler


def main() -> None:
    scheduler = VirtualScheduler(start=datetime(2027, 1, 1, tzinfo=UTC))
    scheduler.start()
    runs: Counter[str] = Counter()

    def count(what: str) -> None:
        runs[what] += 1
        if what == "monthly":
            print(f"{scheduler.now:%Y-%m-%d %H:%M} monthly report")

    scheduler.add_job(count, "cron", day=1, hour=6, args=["monthly"])
    scheduler.add_job(count, "cron", day_of_week="mon-fri", hour=8, args=["workday"])
    scheduler.add_job(count, "interval", hours=6, args=["every six hours"])
    scheduler.advance(timedelta(days=365))
    print(dict(sorted(runs.items())))
    scheduler.shutdown()


if __name__ == "__main__":
    main()
