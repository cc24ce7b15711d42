"""Jobs as APScheduler 3 pickles them: made by itself."""

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any


def apscheduler_pickles() -> Iterator[bytes]:
    """What its stores keep, of jobs that would all run at once."""
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.start(paused=True)
    start = datetime(2026, 3, 2, tzinfo=UTC)
    triggers: list[dict[str, Any]] = [
        {"trigger": "date", "run_date": start},
        {"trigger": "interval", "seconds": 1, "start_date": start},
        {"trigger": "cron", "second": "*"},
    ]
    for trigger in triggers:
        for func in ("os:system", "operator:add", "tests.hostile.good:run"):
            job = scheduler.add_job(func, args=[1] if func == "os:system" else [1, timedelta(1)], **trigger)
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                yield pickle.dumps(job.__getstate__(), protocol)
                yield pickle.dumps(job, protocol)
    scheduler.shutdown(wait=False)
