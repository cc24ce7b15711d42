"""Schedulers on one store with jobs that fail, take too long, wait for room and are asked to run, while processes are killed."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

from mainspring.jobstores.record import ParkedReason, Record

from tests.cluster import logbook
from tests.cluster.attempts import Findings, Logs, Plan, examine
from tests.cluster.careful_jobs import attempt, note_asked, read_attempts, read_calls, read_outcomes
from tests.cluster.population import SECOND, Job
from tests.cluster.processes import Place, SchedulerProcess, listen_until

SETTLING = 120.0  # seconds: all that is left has run by then, or been given up
PARKED = "keeps"
"""What the names of one-offs begin with that fail, and are kept."""
MAX_RECOVERIES = 10
"""More than there are kills."""
YEAR = 365 * 86_400 * SECOND


@dataclass(frozen=True)
class Careful:
    """What is to happen."""

    jobs: int = 10
    """Of each kind."""
    seconds: float = 30.0
    """In which they are due."""
    preparation: float = 6.0
    processes: int = 3
    kills: int = 5


@dataclass(frozen=True)
class Kind:
    """One kind of jobs."""

    step: float | None
    """Seconds; None: a one-off."""
    takes: float
    how: str
    limit: int = 1
    max_retries: int = 2
    options: tuple[tuple[str, Any], ...] = ()


KINDS = {
    "fails": Kind(1.0, 0.15, "raises", 2, options=(("backoff", 2),)),
    "queues": Kind(0.5, 0.3, "raises", max_retries=1, options=(("while_running", "queue"),)),
    "lasts": Kind(1.5, 0.25, "lasts", options=(("timeout", 0.5), ("retry_delay", 0))),
    "hangs": Kind(3.0, 0.1, "hangs", options=(("timeout", 0.5), ("while_running", "queue"))),
    "dies": Kind(3.0, 0.1, "dies", limit=2),
    "once": Kind(None, 0.1, "raises", limit=1, options=(("retry_jitter", 0.2),)),
    PARKED: Kind(None, 0.05, "raises", max_retries=1, options=(("keep_failed", True),)),
    "gone": Kind(None, 0.1, "raises", max_retries=100),
    "asked": Kind(-1, 0.1, "raises", limit=3, max_retries=1),
}
"""`asked` have no fire time in all this; `gone` fail until they are removed."""

ON_DEMAND = ("fails", "queues", "lasts", "asked")


class CarefulCluster:
    """A scenario at work in a place."""

    def __init__(self, place: Place, scenario: Careful) -> None:
        self._place = place
        self._scenario = scenario
        self._folder = str(place.folder)
        self._working: list[SchedulerProcess] = []
        self._kills: dict[int, int] = {}
        self._plans: dict[str, Plan] = {}
        self.parked_again = 0
        """Jobs that were kept, asked to run, and failed again."""

    def run(self) -> Findings:
        """All of it."""
        scenario = self._scenario
        for _ in range(scenario.processes):
            self._start()
        self._asker = self._place.start_editor("asker")
        for process in (*self._working, self._asker):
            process.wait_for("started")
        begin = logbook.now() + round(scenario.preparation * SECOND)
        with self._place.office() as office:
            office.add_jobs(self._definitions(begin))
        assert logbook.now() < begin + scenario.seconds * SECOND / 2, "this machine is too busy for the test"
        end = begin + round(scenario.seconds * SECOND)
        self._asker.tell(json.dumps(self._task(begin, end)))
        start = monotonic() + (begin - logbook.now()) / SECOND
        for number in range(scenario.kills):
            part = (number + 0.7) / (scenario.kills + 0.7)
            listen_until(self._listening(), start + math.floor(scenario.seconds * part * 2) / 2 + 0.1)
            self._kill()
        listen_until(self._listening(), start + scenario.seconds)
        self._asker.wait_for("edited")
        self._settle(end)
        findings = self._examined()
        findings.wrong += self._what_is_left(end)
        self._ask_what_is_parked(end)
        for process in self._listening():
            process.begin_to_end()
        for process in self._listening():
            assert process.ended() == 0, process.log()[-5_000:]
        again = self._examined()
        findings.wrong = sorted({*findings.wrong, *again.wrong})
        return findings

    def _start(self) -> None:
        process = self._place.start(
            ["started", "missed"],
            workers=6,
            claim_window=100,
            lease=2.0,
            log_folder=self._folder,
            processes=1,
            careful=True,
        )
        self._working.append(process)

    def _listening(self) -> list[SchedulerProcess]:
        return [*self._working, self._asker]

    # -- the jobs --------------------------------------------------------------------------------------------------

    def _definitions(self, begin: int) -> Iterator[dict[str, Any]]:
        scenario = self._scenario
        for name, kind in KINDS.items():
            in_processes = kind.how in ("hangs", "dies")
            # Each time one of these goes wrong a process is started, which is a second's work.
            for number in range(scenario.jobs // 2 if in_processes else scenario.jobs):
                recovery = ("skip", "rerun")[number % 2]
                job_id = f"{name}-{recovery}-{number}"
                options = dict(kind.options)
                bad = 1_000 if name in (PARKED, "gone") else number // 2 % (kind.max_retries + 2)
                timed = "timeout" in options
                plan = Plan(kind.limit, bad, kind.max_retries, recovery, MAX_RECOVERIES, timed)
                self._plans[job_id] = plan
                yield {
                    "func": attempt,
                    "args": [self._folder, job_id, kind.takes, bad, kind.how],
                    "id": job_id,
                    "name": job_id,
                    "executor": "processes" if in_processes else "default",
                    "misfire_grace_time": None,
                    "coalesce": True,
                    "max_instances": plan.limit,
                    "recovery": recovery,
                    "max_recoveries": plan.max_recoveries,
                    "max_retries": plan.max_retries,
                    "retry_delay": 0.2,
                    **options,
                    **self._schedule(kind, begin, number).trigger(),
                }

    def _schedule(self, kind: Kind, begin: int, number: int) -> Job:
        scenario = self._scenario
        part = number / scenario.jobs
        length = round(scenario.seconds * SECOND)
        if kind.step is None:
            return Job(begin + round(part * length * 0.9))
        if kind.step < 0:
            return Job(begin + YEAR)
        step = round(kind.step * SECOND)
        return Job(begin + round(part * step), step, begin + length)

    def _task(self, begin: int, end: int) -> dict[str, Any]:
        gone = [job_id for job_id in self._plans if job_id.startswith("gone")]
        half = (end - begin) // 2
        return {
            "folder": self._folder,
            "end": end,
            "asked": [job_id for job_id in self._plans if job_id.startswith(ON_DEMAND)],
            "removed": [
                (job_id, begin + half + place * half // len(gone)) for place, job_id in enumerate(gone)
            ],
        }

    # -- what happens ------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        """One dies, and another one takes its place."""
        killed = self._working.pop(0)
        self._kills[killed.pid] = logbook.now()
        killed.kill(hear=False)
        self._start()

    def _settle(self, end: int) -> None:
        """Until nothing is left to be done."""
        deadline = monotonic() + SETTLING
        while unsettled := [record for record in self._place.records() if not is_settled(record, end)]:
            assert monotonic() < deadline, f"still to be done: {unsettled[:5]}; {self._logs()}"
            listen_until(self._listening(), monotonic() + 0.3)

    def _ask_what_is_parked(self, end: int) -> None:
        """Jobs that have failed for the last time and are kept run when somebody asks, and are kept again."""
        parked = self._failed_jobs()
        with self._place.office() as office:
            for job_id in sorted(parked):
                note_asked(self._folder, job_id, office.run_job_now(job_id).run_id)
        self._settle(end)
        self.parked_again = len(self._failed_jobs())
        assert self._failed_jobs() == parked, "jobs that have failed again are kept again"

    def _failed_jobs(self) -> set[str]:
        return {
            record.id
            for record in self._place.records()
            if record.state == "parked" and (record.reason or "").startswith(ParkedReason.FAILED)
        }

    def _logs(self) -> str:
        return "\n".join(process.log()[-3_000:] for process in self._place.processes)

    # -- what came of it ---------------------------------------------------------------------------------------------

    def _examined(self) -> Findings:
        folder = self._place.folder
        asked, removed = read_calls(folder)
        lost = {
            run.run_id: run.attempt
            for record in self._place.records()
            for run in record.runs
            if run.state == "lost"
        }
        logs = Logs(
            self._plans, read_attempts(folder), read_outcomes(folder), lost, self._kills, asked, removed
        )
        findings = examine(logs)
        roots = Counter({each.root: 1 for each in logs.attempts if each.root not in asked})
        jobs = Counter(
            each.job for each in {each.root: each for each in logs.attempts if each.root in roots}.values()
        )
        for job_id, number in jobs.items():
            if KINDS[job_id.split("-")[0]].step is None and number > 1:
                findings.wrong.append(f"{job_id}: a one-off has had {number} runs")
        return findings

    def _what_is_left(self, end: int) -> Iterator[str]:
        """One-offs have run, and are gone; or they are kept, as they said, or since they were lost."""
        records = {record.id: record for record in self._place.records()}
        ran = {each.job for each in read_attempts(self._place.folder)}
        for job_id in self._plans:
            kind, record = job_id.split("-")[0], records.get(job_id)
            reason = None if record is None else record.reason or record.state
            if kind == "asked":
                if record is None or record.state != "active":
                    yield f"{job_id} is {reason}, and was to be there for a year"
                continue
            # What was lost of a job that had further runs stays listed when its schedule is over.
            if record is not None and record.state not in ("parked", "ended"):
                yield f"{job_id} is there still: {record}"
            if job_id not in ran and not (record is not None and record.runs):
                yield f"{job_id} has never run"
            is_kept = reason is not None and reason.startswith(ParkedReason.FAILED)
            is_lost = reason is not None and reason.startswith(ParkedReason.LOST)
            if not is_lost and reason != "ended" and is_kept != (kind == PARKED):
                yield f"{job_id} is {reason or 'gone'}"


def is_settled(record: Record, end: int) -> bool:
    """Whether nothing is going to happen to it before the year is over."""
    over = record.next_run_time is None or record.next_run_time > end + SECOND
    return over and all(run.state == "lost" for run in record.runs)
