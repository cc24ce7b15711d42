"""`JobExplanation`: what `explain_job` answers, as data and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from ..recent import RecentRun
from ..runs import OpenRun
from .reasons import Reason, owner_words
from .timewords import clock_time, moment, relative

ExplainedState: TypeAlias = Literal[
    "pending", "active", "paused", "parked", "quarantined", "ended", "importing", "gone", "unknown"
]


SHOWN: Final = 10
"""So many of a kind are shown in words."""


@dataclass(frozen=True, slots=True)
class JobExplanation:
    """Why a job did or did not run lately, and what comes next; `str()` of it says it in words. All times are in the scheduler's zone."""

    job_id: str
    jobstore: str
    asked_at: datetime
    """When all this was so."""
    state: ExplainedState
    """As the job is stored; and `"pending"` (in no store yet), `"quarantined"` (this process cannot restore it), `"ended"` (no further fire time: it is there
    for its open runs), `"gone"` (no longer stored; this process remembers its last runs), `"unknown"` (its store does not answer)."""
    reason: str | None
    """Why it is parked or quarantined, or its state is unknown."""
    name: str | None
    """None, like `function` and `trigger`, where this process cannot restore the job."""
    function: str | None
    trigger: str | None
    """Its schedule in words (`describe()`)."""
    next_run_time: datetime | None
    """When it is to be dispatched next, jitter included."""
    next_fire_times: tuple[datetime, ...]
    """The next five fire times, or fewer if there are no more; one that is due by now comes first. Empty for a job that is paused or parked."""
    runs: tuple[OpenRun, ...]
    """Its open runs, of all schedulers on its store: those that go on, those that wait, those that were lost."""
    obstacles: tuple[Reason, ...]
    """What keeps it from running, or what its next runs wait for. Empty: nothing that this process knows."""
    notes: tuple[Reason, ...]
    """What else is to be known: what went wrong lately and what helps, lost runs, jitter."""
    recent: tuple[RecentRun, ...]
    """How its last runs ended, as far as this process has seen them; the latest first."""

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(job: JobExplanation) -> Iterator[str]:
    name = "" if job.name in (None, job.job_id) else f" ({job.name})"
    yield f'Job "{job.job_id}"{name} in job store "{job.jobstore}" is {_state(job)}'
    yield f"  asked at:    {clock_time(job.asked_at)}"
    if job.function is not None:
        yield f"  function:    {job.function}"
    if job.trigger is not None:
        yield f"  schedule:    {job.trigger}"
    if job.next_run_time is not None:
        yield f"  next run:    {moment(job.next_run_time, job.asked_at)}"
    if job.next_fire_times:
        times = (moment(time, job.asked_at) for time in job.next_fire_times)
        yield "  fire times:  " + "\n               ".join(times)
    if job.obstacles:
        yield "  What is in its way, or what it waits for:"
        yield from _some([reason.text for reason in job.obstacles])
    elif job.state == "active":
        yield "  Nothing that this process knows is in its way."
    if job.runs:
        yield "  Open runs:"
        yield from _some([_open_run(run, job.asked_at) for run in job.runs])
    if job.notes:
        yield "  To be known:"
        yield from (f"    - {reason.text}" for reason in job.notes)
    if job.recent:
        yield "  How its last runs ended, as far as this process has seen them:"
        yield from (f"    - {_recent_run(run, job.asked_at)}" for run in job.recent)
    elif job.state not in ("pending", "unknown"):
        yield "  This process has seen no run of it end."


def _some(texts: list[str]) -> Iterator[str]:
    """A list, of which only the first ones are shown if it is long: all of them are in the data."""
    yield from (f"    - {text}" for text in texts[:SHOWN])
    if len(texts) > SHOWN:
        yield f"    - … and {len(texts) - SHOWN} more"


def _state(job: JobExplanation) -> str:
    words: str = {
        "pending": "pending: it is in no store yet",
        "quarantined": "quarantined: this process cannot restore it",
        "ended": "at its end: no fire time is left, and it is there for its open runs",
        "gone": "gone",
        "unknown": "not to be found out about: its store does not answer",
    }.get(job.state, job.state)
    if job.state == "active" and job.next_run_time is not None:
        next_run = relative(job.next_run_time, job.asked_at)
        overdue = job.next_run_time < job.asked_at
        words += f", and was to run {next_run}" if overdue else f", next run {next_run}"
    return words


def _open_run(run: OpenRun, now: datetime) -> str:
    times = ", ".join(clock_time(time) for time in run.scheduled_run_times[:3])
    more = len(run.scheduled_run_times) - 3
    scheduled = f"of {times}" + (f" and {more} more" if more > 0 else "")
    attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
    if run.state == "waiting":
        held = ", blocked" if run.blocked else ""
        return f"waiting ({run.kind}{attempt}{held}): {scheduled}, due {moment(run.due, now)}"
    who = "this scheduler" if run.here else owner_words(run.owner or "?")
    since = "" if run.claimed_at is None else f" since {moment(run.claimed_at, now)}"
    if run.state == "lost":
        return f"lost ({run.kind}{attempt}): {scheduled}, claimed by {who}{since}"
    lease = "" if run.lease_until is None else f", its lease ends {relative(run.lease_until, now)}"
    if run.lease_until is not None and run.lease_until <= now:
        lease = f", its lease ended {relative(run.lease_until, now)}"
    return f"claimed ({run.kind}{attempt}): {scheduled}, by {who}{since}{lease}"


def _recent_run(run: RecentRun, now: datetime) -> str:
    scheduled = f", scheduled for {clock_time(run.scheduled_run_time)}"
    attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
    details = f": {run.details}" if run.details else ""
    return f"{moment(run.at, now)}: {run.outcome}{scheduled}{attempt}{details}"
