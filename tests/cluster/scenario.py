"""Four schedulers and an editor on one store, things that happen to them, and whether every run that was due took place."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from mainspring.jobstores.record import Record
from mainspring.jobstores.transitions import RECOVERY_MARGIN

from tests.cluster import logbook
from tests.cluster.checking import Call, Line, Report, Verdict, expect, judge, lateness_of
from tests.cluster.population import SECOND, definition, in_micros, one_offs, ticks
from tests.cluster.processes import Place, SchedulerProcess, listen_until

PROCESSES = 4
UNDISTURBED_LEASE = 30.0
"""Seconds: where nothing is to be outwaited, a busy machine should not keep a process from extending its leases in time."""
SETTLING = 120.0  # seconds: all that is left has run by then, or been given up
HEARD = ["started", "error", "missed", "skipped", "parked", "lost", "found"]
NEVER = {"error", "missed", "skipped"}


@dataclass(frozen=True)
class Scenario:
    """What is to happen. Faults: `kill` and `freeze` of a scheduler, `outage` of the server."""

    recovery: str
    faults: tuple[str, ...] = ()
    one_offs: int = 5_000
    intervals: int = 200
    seconds: float = 30.0
    """In which they are due."""
    preparation: float = 10.0
    """Seconds before that, in which all of them can be added."""
    workers: int = 8
    """Of each process: so few that runs wait for one in each burst, claimed and not begun."""
    lease: float = 1.0
    """Seconds."""
    down: float = 3.0
    """Seconds of an outage."""


@dataclass
class Result:
    """What came of it."""

    verdict: Verdict
    calls: int
    """That the editor has made."""
    lateness: float
    """Seconds: that of the latest run."""
    evidence: list[str]
    """All that is known of the jobs that were not run as they should."""
    least_share: float
    """What the process has run that was neither killed nor frozen and ran least, as a part of its fair share."""


class Cluster:
    """A scenario at work in a place."""

    def __init__(self, place: Place, scenario: Scenario) -> None:
        self._place = place
        self._scenario = scenario
        self._folder = str(place.folder)
        self._working: list[SchedulerProcess] = []
        self._frozen: SchedulerProcess | None = None
        self._hurt: set[int] = set()
        """The processes that were killed or frozen."""

    def run(self) -> Result:
        """All of it."""
        scenario = self._scenario
        for _ in range(PROCESSES):
            self._start()
        self._editor = self._place.start_editor()
        for process in self._listening():
            process.wait_for("started")
        calls = self._add_jobs()
        begin = min(time for call in calls for time in call.times)
        start = monotonic() + (begin - logbook.now()) / SECOND
        self._editor.tell(json.dumps(self._task(begin)))
        for offset, act in self._timeline():
            listen_until(self._listening(), start + offset)
            act()
        self._settle(start + scenario.seconds)
        return self._judged(calls)

    def _start(self) -> None:
        scenario = self._scenario
        lease = scenario.lease if scenario.faults else UNDISTURBED_LEASE
        process = self._place.start(
            HEARD, workers=scenario.workers, claim_window=1_000, lease=lease, log_folder=self._folder
        )
        self._working.append(process)

    def _listening(self) -> list[SchedulerProcess]:
        return [*self._working, self._editor]

    def _add_jobs(self) -> list[Call]:
        """Add all jobs, while the schedulers are at work; those calls."""
        scenario, begun = self._scenario, logbook.now()
        begin = begun + round(scenario.preparation * SECOND)
        jobs = {
            **ticks(scenario.intervals, begin, scenario.seconds),
            **one_offs(scenario.one_offs, begin, scenario.seconds),
        }
        self._ticks = {name: job for name, job in jobs.items() if job.step is not None}
        with self._place.office() as office:
            office.add_jobs(
                definition(self._folder, name, job, scenario.recovery) for name, job in jobs.items()
            )
        ended = logbook.now()
        # What was due before counts either way; the rest is to be worth the test.
        assert ended < begin + scenario.seconds * SECOND / 2, "this machine is too busy for the test"
        return [Call(name, begun, ended, job.times(begun)) for name, job in jobs.items()]

    def _task(self, begin: int) -> dict[str, Any]:
        """What the editor is told."""
        return {
            "folder": self._folder,
            "recovery": self._scenario.recovery,
            "end": begin + round(self._scenario.seconds * SECOND),
            "ticks": {name: (job.start, job.step, job.end) for name, job in self._ticks.items()},
            "one_offs": self._scenario.one_offs,
            "seed": begin,
        }

    # -- what happens ------------------------------------------------------------------------------------------------

    def _timeline(self) -> list[tuple[float, Callable[[], None]]]:
        """When what happens, in seconds after the first fire time. Faults overlap: one at a time would be the easier case."""
        scenario = self._scenario
        happens: list[tuple[float, Callable[[], None]]] = []
        if "freeze" in scenario.faults:
            # Longer than a lease, and the time that others wait after its end before they take a run for lost.
            frozen = scenario.lease + RECOVERY_MARGIN / SECOND + 2.0
            begin = self._in_a_burst(0.15)
            happens += [(begin, self._freeze), (begin + frozen, self._thaw)]
        if "kill" in scenario.faults:
            happens += [(self._in_a_burst(0.3), self._kill)]
        if "outage" in scenario.faults:
            server = self._place.server
            assert server is not None
            begin = self._in_a_burst(0.45)
            happens += [(begin, server.kill), (begin + scenario.down, server.start)]
            if scenario.seconds >= 20:
                begin = self._in_a_burst(0.75)
                happens += [(begin, server.stop), (begin + scenario.down, server.start)]
        return sorted(happens, key=lambda each: each[0])

    def _in_a_burst(self, part: float) -> float:
        """About after this part of the time, when there is much to do."""
        return math.floor(self._scenario.seconds * part) + 0.03

    def _kill(self) -> None:
        """One dies, and another one takes its place."""
        killed = self._working.pop(0)
        self._hurt.add(killed.pid)
        killed.kill()
        self._start()

    def _freeze(self) -> None:
        """With SQLite, one that is stopped in the middle of a write would stop all others: its lock is the only one."""
        self._frozen = self._working[-1]
        self._hurt.add(self._frozen.pid)
        if self._place.store.kind == "sqlite":
            self._frozen.freeze()
        else:
            self._frozen.stop()

    def _thaw(self) -> None:
        assert self._frozen is not None
        self._frozen.thaw()

    def _settle(self, end: float) -> None:
        """Until nothing is left to be done, and everybody has gone."""
        listen_until(self._listening(), end)
        self._editor.wait_for("edited")
        deadline = monotonic() + SETTLING
        while unsettled := [record for record in self._place.records() if not is_settled(record)]:
            assert monotonic() < deadline, f"still to be done: {unsettled[:5]}; {self._logs()}"
            listen_until(self._listening(), monotonic() + 0.3)
        for process in self._listening():
            assert process.end() == 0, process.log()[-5_000:]
        for process in self._place.processes:
            assert not NEVER & process.count.keys(), (process.count, process.log()[-5_000:])

    def _logs(self) -> str:
        return "\n".join(process.log()[-3_000:] for process in self._place.processes)

    # -- what came of it ---------------------------------------------------------------------------------------------

    def _judged(self, calls: list[Call]) -> Result:
        scenario = self._scenario
        lines, reports = logbook.read_lines(self._place.folder), logbook.read_reports(self._place.folder)
        somebody_died = bool({"kill", "freeze"} & {*scenario.faults})
        lateness = lateness_of(reports)
        calls = calls + logbook.read_calls(self._place.folder)
        lost = self._lost()
        verdict = judge(
            expect(calls, lateness, losses_are_forgotten=somebody_died),
            lines,
            reports,
            lost,
            at_most_once=scenario.recovery == "skip",
            all_reported="kill" not in scenario.faults,
        )
        ran = Counter(line.pid for line in lines)
        whole = [
            process.pid for process in self._place.processes[:PROCESSES] if process.pid not in self._hurt
        ]
        wrong = {job for job, _ in (*verdict.doubles, *verdict.missing, *verdict.unexpected)}
        log: list[Call | Line | Report] = [*calls, *lines, *reports]
        known = sorted(str(each) for each in log if each.job in wrong)
        return Result(
            verdict,
            evidence=[*known, *(f"lost: {job} {lost[job]}" for job in wrong if job in lost)],
            calls=int(self._editor.said[-1][1]),
            lateness=max((report.time - report.due for report in reports), default=0) / SECOND,
            least_share=min(ran[pid] for pid in whole) * PROCESSES / len(lines),
        )

    def _lost(self) -> dict[str, list[int]]:
        lost: dict[str, list[int]] = defaultdict(list)
        with self._place.office() as office:
            for run in office.get_lost_runs():
                lost[run.job_id] += [in_micros(time) for time in run.scheduled_run_times]
        return lost


def is_settled(record: Record) -> bool:
    """Whether nothing is going to happen to it."""
    return record.next_run_time is None and all(run.state == "lost" for run in record.runs)
