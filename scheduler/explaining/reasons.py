"""`Reason`: why a job does not run now, or did not lately; and those that need no record: of stores, and of jobs that are in none yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ...executors.base import BaseExecutor
from ...jobstores.errors import JobRestoreError, described
from ...jobstores.job import Job
from ...jobstores.record import Record
from ...triggers.instants import from_micros
from .timewords import moment

if TYPE_CHECKING:
    from ..engine import Engine
    from ..port import Port
    from ..ticket import Ticket


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, for programs and for people."""

    kind: str
    """One word, such as `"paused"` or `"max_instances"`; docs/runs.md lists them."""
    text: str
    """The same as a clause in plain words: what it is, and what helps."""
    until: datetime | None = None
    """When it is over by itself, or looked into again, as far as that is known."""
    run_id: int | None = None
    """The open run that it is about, if it is about one."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What was read of a job. None: its record cannot be read, or its job not be made."""

    engine: Engine
    port: Port
    record: Record | None
    job: Job | None
    error: JobRestoreError | None
    tickets: list[Ticket]
    """Its runs here that had not ended before the record was read: one that is not in the record then, and goes on still, was taken away."""


def owner_words(owner: str) -> str:
    """An owner of runs as people know it."""
    parts = owner.split("/")
    return f"process {parts[1]} on {parts[0]}" if len(parts) == 4 else f"scheduler {owner}"


def no_executor(alias: str, executors: Mapping[str, BaseExecutor], shared: bool) -> Reason:
    """A job names an executor that is not here."""
    known = ", ".join(f'"{known}"' for known in sorted(executors)) or "none"
    others = ", or start a scheduler on this job store that has it" if shared else ""
    return Reason(
        "no_executor",
        f'this scheduler has no executor "{alias}" (it has {known}), and does not run it: add_executor(...){others}, or change the job\'s executor',
    )


def store_reasons(port: Port, now: datetime) -> Iterator[Reason]:
    """Why nothing is claimed from a store, or put into it."""
    outage, zone = port.outage, now.tzinfo
    assert zone is not None  # `now` is in the scheduler's zone
    if outage is None:
        if not port.opened:
            yield Reason("not_opened", f'job store "{port.alias}" is being opened')
        return
    since = moment(from_micros(outage.since, zone), now)
    kind, what = ("outage", "does not answer") if port.opened else ("not_opened", "cannot be opened")
    if outage.answers:
        text = f'job store "{port.alias}" did not answer since {since}, and does so again: it is looked at at once'
        yield Reason(kind, text)
        return
    retry_at = from_micros(outage.retry_at, zone)
    next_try = "now" if port.trying else moment(retry_at, now)
    yield Reason(
        kind,
        f'job store "{port.alias}" {what} since {since} (attempts so far: {outage.failures}): {described(outage.error)}; tried again at {next_try}',
        None if port.trying else retry_at,
    )


def pending_reasons(
    engine: Engine | None,
    port: Port | None,
    jobstore: str,
    has_store: bool,
    executor: str,
    executors: Mapping[str, BaseExecutor],
    now: datetime,
) -> list[Reason]:
    """Why a job is in no store yet."""
    reasons: list[Reason] = []
    if engine is None:
        reasons.append(
            Reason(
                "not_started",
                f'the scheduler is not started: the job gets into job store "{jobstore}" then, by start()',
            )
        )
        if not has_store and jobstore != "default":
            reasons.append(
                Reason(
                    "no_store",
                    f'this scheduler has no job store "{jobstore}", and cannot be started without: add_jobstore(...)',
                )
            )
    elif port is None:
        reasons.append(
            Reason("starting", f'the scheduler is being started, and has no job store "{jobstore}" yet')
        )
    else:
        reasons += store_reasons(port, now)
        if port.refused_for is not None and port.pending_at is not None:
            at = from_micros(port.pending_at, now.tzinfo)  # type: ignore[arg-type]
            reasons.append(
                Reason(
                    "refused",
                    f'job store "{jobstore}" refuses what is pending for it: {port.refused_for}; tried again at {moment(at, now)}. Remove or change the '
                    "job that is refused",
                    at,
                )
            )
        if not reasons:
            reasons.append(Reason("starting", f'it is about to get into job store "{jobstore}"'))
    if executor not in executors and not (engine is None and executor == "default"):
        reasons.append(no_executor(executor, executors, shared=False))
    return reasons
