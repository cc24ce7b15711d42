"""The README's program: a job every second, and one that ends it all."""

from datetime import datetime, timedelta

from mainspring.scheduler.blocking import BlockingScheduler

scheduler = BlockingScheduler()


@scheduler.scheduled_job("interval", seconds=1)
def tick() -> None:
    print("tick", flush=True)


if __name__ == "__main__":
    soon = datetime.now() + timedelta(seconds=3.5)  # noqa: DTZ005 - naive: the scheduler's own, local zone
    scheduler.add_job(scheduler.shutdown, "date", run_date=soon)
    scheduler.start()
    print("ended in order")
