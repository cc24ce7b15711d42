"""Job stores: memory forgets with the program; an SQLite file (any SQLAlchemy URL) keeps jobs for the next one."""

import tempfile
from pathlib import Path

from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler


def scheduler_on(file: Path) -> BackgroundScheduler:
    stores = {"default": MemoryJobStore(), "file": SQLAlchemyJobStore(url=f"sqlite:///{file}")}
    scheduler = BackgroundScheduler(jobstores=stores)
    scheduler.start()
    return scheduler


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "jobs.sqlite"

        first = scheduler_on(file)
        first.add_job(print, "interval", hours=1, args=["forgotten"], id="in memory")
        first.add_job(print, "cron", hour=5, args=["kept"], id="in the file", jobstore="file")
        print("before:", sorted(job.id for job in first.get_jobs()))
        first.shutdown()

        # As if the program had been started again.
        second = scheduler_on(file)
        print("after:", sorted(job.id for job in second.get_jobs()))
        second.print_jobs(jobstore="file")
        job = second.get_job("in the file")
        assert job is not None
        print("args:", job.args, "trigger:", job.trigger)
        second.shutdown()


if __name__ == "__main__":
    main()
