"""A process with a real scheduler over a store full of hostile records: what it did, as one line of JSON.

Started with the kind of store, its url, its place, and the options of the store as JSON; reads from its input what it waits for.
"""

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import Condition
from typing import Any

from mainspring.events import EVENT_JOB_EXECUTED, EVENT_JOB_QUARANTINED, EVENT_JOBSTORE_FAILED
from mainspring.executors.threads import ThreadPoolExecutor
from mainspring.jobstores.errors import JobLookupError
from mainspring.scheduler.background import BackgroundScheduler

from tests.hostile import bystander, good
from tests.hostile.malice import CANARY
from tests.hostile.storages import STORAGES

TIMEOUT = 200.0  # seconds

_EVENTS = (
    *(
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.chdir",
        "os.putenv",
    ),
    *(
        "os.remove",
        "os.rmdir",
        "subprocess.Popen",
        "pty.spawn",
        "shutil.rmtree",
        "ctypes.dlopen",
        "code.__new__",
    ),
    *("webbrowser.open", "builtins.input", "builtins.breakpoint"),
)
_MODULES = {
    "tests.hostile.forbidden",
    "this",
    "antigravity",
    "pty",
    "code",
    "runpy",
    "cProfile",
    "profile",
    "trace",
}

noticed: list[str] = []
"""What the interpreter was seen to do."""


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _EVENTS:
        noticed.append(f"{event} {arguments!r:.200}")
    elif event == "import" and arguments[0] in _MODULES:
        noticed.append(f"import {arguments[0]}")
    elif event == "open" and str(arguments[0]).endswith(CANARY):
        noticed.append(f"open {arguments[0]}")


class Heard:
    """The ids of the jobs that events were about; can be waited for."""

    def __init__(self) -> None:
        self.ids: dict[int, set[str]] = {EVENT_JOB_EXECUTED: set(), EVENT_JOB_QUARANTINED: set()}
        self.failures: list[str] = []
        self._changed = Condition()

    def __call__(self, event: Any) -> None:
        with self._changed:
            if event.code == EVENT_JOBSTORE_FAILED:
                self.failures.append(repr(event.exception))
            else:
                self.ids[event.code].add(event.job_id)
            self._changed.notify_all()

    def wait(self, code: int, ids: Iterable[str]) -> list[str]:
        """Wait until something was said of all these; answers those of which nothing was."""
        wanted = set(ids)
        with self._changed:
            self._changed.wait_for(lambda: self.failures or wanted <= self.ids[code], TIMEOUT)
            return sorted(wanted - self.ids[code])


def main() -> None:
    kind, url, place, options = sys.argv[1:]
    asked = json.load(sys.stdin)
    logging.getLogger("mainspring").addHandler(logging.NullHandler())
    logging.getLogger("mainspring").propagate = False
    store = STORAGES[kind](url, place).store(**json.loads(options))
    scheduler = BackgroundScheduler(
        jobstores={"default": store},
        executors={"default": ThreadPoolExecutor(4), "processes": ThreadPoolExecutor(1)},
    )
    heard = Heard()
    scheduler.add_listener(heard, EVENT_JOB_EXECUTED | EVENT_JOB_QUARANTINED | EVENT_JOBSTORE_FAILED)
    sys.addaudithook(watch)
    scheduler.start()
    answer: dict[str, Any] = {"not run": heard.wait(EVENT_JOB_EXECUTED, asked["good"])}
    answer["not quarantined"] = heard.wait(EVENT_JOB_QUARANTINED, asked["quarantined"])
    answer["listed"] = {job.job_id: job.reason for job in scheduler.get_quarantined_jobs()}
    answer["shown"] = [job.id for job in scheduler.get_jobs()]
    answer["runs"] = [
        len(scheduler.get_runs()),
        len(scheduler.get_lost_runs()),
        len(scheduler.get_parked_jobs()),
    ]
    answer["explained"] = {job_id: explained(scheduler, job_id) for job_id in asked["sample"]}
    answer["asked for"] = {job_id: asked_for(scheduler, job_id) for job_id in asked["sample"]}
    answer["ran"] = [*good.RAN]  # before they are edited: that makes some of them whole
    answer["edited"] = sorted({edited(scheduler, job_id) for job_id in asked["sample"]})
    answer["not removed"] = [job_id for job_id in asked["sample"] if not removed(scheduler, job_id)]
    scheduler.add_job(good.run, args=["afterwards"], id="afterwards", misfire_grace_time=None)
    answer["not run afterwards"] = heard.wait(EVENT_JOB_EXECUTED, ["afterwards"])
    scheduler.shutdown()
    answer |= {"noticed": noticed, "failures": heard.failures, "called": [*bystander.CALLED]}
    answer |= {
        "files": sorted(path.name for path in Path().iterdir()),
        "forbidden": "tests.hostile.forbidden" in sys.modules,
    }
    print(json.dumps(answer))


def explained(scheduler: BackgroundScheduler, job_id: str) -> list[str]:
    answer = scheduler.explain_job(job_id)
    return [answer.state, answer.reason or "", str(answer)]


def asked_for(scheduler: BackgroundScheduler, job_id: str) -> str:
    """What `get_job` does."""
    try:
        return "a job" if scheduler.get_job(job_id) else "nothing"
    except Exception as error:
        return type(error).__name__


def edited(scheduler: BackgroundScheduler, job_id: str) -> str:
    try:
        scheduler.modify_job(job_id, name="edited")
        return "edited"
    except Exception as error:
        return type(error).__name__


def removed(scheduler: BackgroundScheduler, job_id: str) -> bool:
    try:
        scheduler.remove_job(job_id)
    except JobLookupError:
        return job_id in good.RAN  # made whole by the edit, it has run for the last time
    return True


if __name__ == "__main__":
    main()
