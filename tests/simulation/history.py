"""What the server's history tells, read afterwards: each claimed run with its end, and each fire time with its fate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from mainspring.jobstores.record import Record, Run

from tests.simulation.server import Commit

Ending: TypeAlias = Literal["open", "finished", "retried", "lost", "again", "returned", "removed"]


@dataclass(slots=True)
class ClaimedRun:
    """A run, from the claim on that gave it its number."""

    job_id: str
    incarnation: int
    run: Run
    claimed_at: int
    """When the claim was committed; all times here are the server's."""
    ended_at: int | None = None
    ending: Ending = "open"
    extended_at: int = 0
    """When its lease was extended last."""
    ended_by: str = ""
    """The process that wrote that it ended."""
    waited: bool = False
    """It had been claimed before: it was given back, or recovered."""
    payload: Any = None
    """That of its job when it was claimed."""
    retry: Run | None = None
    """The next attempt, which took its place."""
    ended_in: Commit | None = None
    """What wrote that it ended."""

    @property
    def boot(self) -> str:
        """The process that had claimed it."""
        machine, number, _, _ = (self.run.owner or "///").split("/")
        return f"{machine}.{number}"


@dataclass(slots=True)
class Fate:
    """What became of one fire time of one incarnation of a job."""

    taken_at: int | None = None
    """When it was taken from the schedule."""
    lost: bool = False
    skipped: bool = False
    """It waited for room, and a later one took its place."""
    removed: bool = False
    """A person has removed the job while it was open."""
    asked_again: int = 0
    """How often a person has had it run once more."""
    recovered: int = 0


@dataclass(slots=True)
class History:
    """All runs by their numbers, all fates by incarnation and fire time."""

    runs: dict[int, ClaimedRun] = field(default_factory=dict)
    fates: dict[tuple[int, int], Fate] = field(default_factory=dict)
    jobs: dict[int, str] = field(default_factory=dict)
    """The job's id, by incarnation."""
    taken: list[tuple[Commit, list[int]]] = field(default_factory=list)
    """Claims that moved a schedule, with the fire times that they took from it."""

    set_back: list[tuple[int, int, int]] = field(default_factory=list)
    """Incarnations whose schedule a person has set back, from when to when: what lies between may run once more."""

    def times_set_back(self, incarnation: int, time: int) -> int:
        """How often a fire time was due once more because of that."""
        return sum(number == incarnation and begin <= time < end for number, begin, end in self.set_back)

    asked: dict[int, tuple[str, int]] = field(default_factory=dict)
    """The runs that somebody asked for, by their numbers: of which job, and its incarnation."""

    def fate(self, incarnation: int, root: int, time: int) -> Fate:
        return self.fates.setdefault(self.key(incarnation, root, time), Fate())

    def key(self, incarnation: int, root: int, time: int) -> tuple[int, int]:
        """What identifies a fire time: with its incarnation; or, where there is none in a schedule, with the run that was asked for."""
        return (root if root in self.asked else incarnation), time


def told(commits: Iterable[Commit]) -> History:
    """The history that commits tell."""
    history = History()
    for commit in commits:
        before, after = commit.before, commit.after
        if after is not None:
            history.jobs[after.incarnation] = after.id
        old = {} if before is None else {run.run: run for run in before.runs}
        new = {} if after is None else {run.run: run for run in after.runs}
        for number, run in old.items():
            _follow(history, commit, before, run, new.get(number))  # type: ignore[arg-type]
        if after is None:
            if commit.is_claim:
                history.taken.append((commit, []))
            continue
        if (
            before is not None
            and before.incarnation == after.incarnation
            and before.revision != after.revision
        ):
            begin, end = after.fire_time, before.fire_time
            if end is None or before.state == "parked":
                end = 1 << 62  # its schedule may have been over
            if begin is not None and begin < end:
                history.set_back.append((after.incarnation, begin, end))
        fresh: list[int] = []
        for number, run in new.items():
            was = old.get(number)
            if run.kind == "now" and was is None and run.root is None and run.state == "waiting":
                history.asked[number] = after.id, after.incarnation
                history.jobs[number] = after.id
                history.fate(after.incarnation, number, run.fire_times[0]).taken_at = commit.time
            elif run.kind == "queued" and run.root is None and run.state == "waiting":
                _queued(history, commit, after, was, run)
            if run.state == "claimed" and (was is None or was.state != "claimed"):
                waited = _waited(old.values(), run)
                _claimed(history, commit, after, run, waited)
                if run.kind == "schedule" and not waited:
                    fresh += run.fire_times
            elif run.kind == "rerun" and run.state == "waiting" and was is None:
                for time in run.fire_times:
                    history.fate(_incarnation(after, run), run.run_id, time).asked_again += 1
        if commit.is_claim:
            history.taken.append((commit, fresh))
            for time in fresh:
                history.fate(after.incarnation, 0, time).taken_at = commit.time
    return history


def _queued(history: History, commit: Commit, record: Record, was: Run | None, run: Run) -> None:
    """A run waits for room: since now, or for a later fire time than before."""
    if was is not None and was.fire_times == run.fire_times:
        return
    if was is not None:
        history.fate(record.incarnation, was.run_id, was.fire_times[0]).skipped = True
    history.fate(record.incarnation, run.run_id, run.fire_times[0]).taken_at = commit.time


def _claimed(history: History, commit: Commit, record: Record, run: Run, waited: bool) -> None:
    history.runs[run.run] = ClaimedRun(
        record.id,
        _incarnation(record, run),
        run,
        commit.time,
        extended_at=commit.time,
        waited=waited,
        payload=commit.payload,
    )


def _follow(history: History, commit: Commit, before: Record, was: Run, run: Run | None) -> None:
    """What a commit made of a run that was there."""
    incarnation = _incarnation(before, was)
    fates = [history.fate(incarnation, was.run_id, time) for time in was.fire_times]
    removed = run is None and commit.after is None and commit.by_person
    if removed:
        for fate in fates:
            fate.removed = True
    if run is not None and run.state == "lost":
        for fate in fates:
            fate.lost = True
    if was.state != "claimed":
        return
    claimed = history.runs[was.run]
    if run is not None and run.state == "claimed":
        if run.lease_until != was.lease_until:
            claimed.extended_at = commit.time
        return
    ending: Ending
    if removed:
        ending = "removed"
    elif run is None:
        claimed.retry = _retry(commit, before, was)
        ending = "finished" if claimed.retry is None else "retried"
        if claimed.retry is not None and claimed.retry.attempt == was.attempt:
            ending = "returned"  # its executor had no room for it
    elif run.state == "lost":
        ending = "lost"
    elif run.recovered > was.recovered:
        ending = "again"
        for fate in fates:
            fate.recovered += 1
    else:
        ending = "returned"
    claimed.ended_at, claimed.ending, claimed.ended_by = commit.time, ending, commit.writer
    claimed.ended_in = commit


def _retry(commit: Commit, before: Record, was: Run) -> Run | None:
    """The attempt that took the place of a run, or what waits for it again."""
    runs = () if commit.after is None else commit.after.runs
    numbers = {run.run for run in before.runs}
    return next(
        (run for run in runs if run.state == "waiting" and run.root == was.run_id and run.run not in numbers),
        None,
    )


def _waited(runs: Iterable[Run], run: Run) -> bool:
    """Whether a run had been waiting before it was claimed."""
    return any(other.state == "waiting" and other.fire_times == run.fire_times for other in runs)


def _incarnation(record: Record, run: Run) -> int:
    return record.incarnation if run.incarnation is None else run.incarnation
