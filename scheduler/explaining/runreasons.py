"""`RunReasons`: what a job's runs, open ones and those that have ended here, tell of why it does not run, or did not lately."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

from ...executors.base import BaseExecutor
from ...jobstores.job import Job
from ...jobstores.owner import is_gone
from ...jobstores.policy import DEFAULT
from ...jobstores.record import Record, Run
from ...jobstores.transitions import RECOVERY_MARGIN
from ...triggers import calls_user_code
from ...triggers.instants import from_micros
from ..recent import RecentRun
from ..runs import has_ended
from .reasons import Reason, Situation, owner_words
from .timewords import clock_time, length, moment, relative

if TYPE_CHECKING:
    from ..ticket import Ticket


class RunReasons:
    """The part of an `Inquiry` that is about runs."""

    def __init__(
        self,
        situation: Situation,
        executors: Mapping[str, BaseExecutor],
        zone: tzinfo,
        now: int,
        recent: tuple[RecentRun, ...],
    ) -> None:
        self._engine, self._port = situation.engine, situation.port
        self._record, self._job = situation.record, situation.job
        self._situation = situation
        self._executors = executors
        self._zone, self._now, self._recent = zone, now, recent
        runs = () if situation.record is None else situation.record.runs
        self._runs = [run for run in runs if not has_ended(situation.port, run)]
        self._here = {ticket.run: ticket for ticket in situation.tickets}

    # -- its runs ----------------------------------------------------------------------------------------------------

    def _of_its_room(self, record: Record) -> Iterator[Reason]:
        claimed = [run for run in self._runs if run.state == "claimed"]
        job = self._job
        if job is not None and len(claimed) >= job.max_instances and record.state in ("active", "ended"):
            follows = {
                "skip": 'a fire time that comes meanwhile is skipped (while_running="skip")',
                "queue": 'a fire time that comes meanwhile waits, and runs once right after (while_running="queue")',
            }[job.while_running]
            what = f"{len(claimed)} of at most {job.max_instances} runs (max_instances) go on"
            who = "; ".join(self._whose(run) for run in claimed)
            rest = f": {follows}" if record.state == "active" else ""
            yield Reason("max_instances", f"{what} ({who}){rest}")
        listed = {run.run for run in self._runs}
        for ticket in self._situation.tickets:
            if self._record is None or ticket.run in listed:
                continue
            if not ticket.done and ticket.run in self._port.tickets:
                yield Reason(
                    "recovered_elsewhere",
                    "a run of it goes on here that is no longer this scheduler's: its lease was over, and it was recovered, or the job was removed and "
                    "added again; it keeps its slot of the executor until it has ended",
                    run_id=ticket.run_id,
                )

    def _of_waiting_runs(self, record: Record) -> Iterator[Reason]:
        for run in sorted(self._runs, key=lambda run: run.due):
            if run.state != "waiting":
                continue
            what = f"{_kind_words(run, self._job)} of {self._times(run)}"
            if run.blocked and record.state == "paused" and run.kind != "now":
                when = "waits until the job is resumed: resume_job()"
            elif run.blocked:
                when = "waits for room: as many runs of the job go on as max_instances allows"
            elif run.due > self._now:
                when = f"follows at {self._moment(run.due)}"
            else:
                when = f"is due since {self._moment(run.due)}, and waits for a scheduler to claim it"
            until = None if run.blocked or run.due <= self._now else self._shown(run.due)
            yield Reason(_WAITING[run.kind], f"{what} {when}", until, run.run_id)

    def _of_claimed_runs(self) -> Iterator[Reason]:
        for run in self._runs:
            if run.state != "claimed":
                continue
            limit = None if self._job is None else self._job.timeout
            since = 0 if run.claimed_at is None else self._now - run.claimed_at
            ticket = self._here.get(run.run)
            if limit is None or since <= limit * len(run.fire_times) * 1_000_000:
                pass
            elif ticket is None or ticket.started:
                yield Reason(
                    "over_time_limit",
                    f"a run of it ({self._whose(run)}) was claimed {length(since / 1e6)} ago, and its time limit (timeout) is {length(limit)}: it has waited "
                    "for a worker, or it goes on in a thread, which cannot be ended, and keeps its slot until it returns"
                    f"{'' if ticket is None else self._then(ticket)}",
                    run_id=run.run_id,
                )
            if run.lease_until is not None and run.owner is not None:
                yield from self._of_a_lease(run, run.owner, run.lease_until)

    def _then(self, ticket: Ticket) -> str:
        if ticket.retry_at is None:
            return ""
        retry = f"retry {ticket.open_run.retried + 1} of {ticket.policy.max_retries}"
        return f"; then attempt {ticket.attempt + 1} ({retry}) follows, not before {clock_time(self._shown(ticket.retry_at))}"

    def _of_a_lease(self, run: Run, owner: str, lease_until: int) -> Iterator[Reason]:
        again = run.recovery == "rerun" and run.incarnation is None and run.recovered < run.max_recoveries
        then = 'run again (recovery="rerun")' if again else 'listed as lost (recovery="skip")'
        if run.recovery == "rerun" and not again:
            then = f"given up, and listed as lost (max_recoveries={run.max_recoveries})"
        if self._is_here(run):
            if lease_until <= self._now:
                yield Reason(
                    "lease_over",
                    f"the lease of a run that goes on here was over at {self._moment(lease_until)}, since the store could not be written: another scheduler "
                    "may recover it",
                    run_id=run.run_id,
                )
            return
        what = f"a run of it was claimed by {owner_words(owner)}"
        gone = is_gone(owner)
        if not gone and lease_until > self._now:
            return
        # Of the searches, only this scheduler's are known here; others may be sooner, or, after an outage, the only ones.
        at = max(self._port.recover_at, 0 if gone else lease_until + RECOVERY_MARGIN)
        when = f"from {self._moment(at)} on" if at > self._now else "at the next search"
        if gone:
            text = f"{what}, which is gone: it is {then} {when}"
        else:
            text = f"{what}, whose lease was over at {self._moment(lease_until)}: unless that extends it, it is {then} {when}"
        yield Reason(
            "owner_gone" if gone else "lease_over",
            text,
            self._shown(at) if at > self._now else None,
            run.run_id,
        )

    # -- notes -------------------------------------------------------------------------------------------------------

    def _of_lost_runs(self) -> Iterator[Reason]:
        for run in self._runs:
            if run.state == "lost":
                yield Reason(
                    "lost",
                    f"its run of {self._times(run)} was lost with {owner_words(run.owner or '?')}, and whether it has completed is unknown: rerun_lost() runs "
                    "it again, dismiss_lost() lists it no longer",
                    run_id=run.run_id,
                )
        if self._record is not None and self._record.forgotten:
            yield Reason(
                "lost", f"{self._record.forgotten} more runs were lost before, which are no longer listed"
            )

    def _of_its_grace(self) -> Iterator[Reason]:
        """Whether what is overdue would be missed, if it was claimed now."""
        record, job = self._record, self._job
        if record is None or job is None or record.state != "active" or record.next_run_time is None:
            return
        grace, at = job.misfire_grace_time, record.next_run_time
        trigger: Any = job.trigger
        if job.coalesce and not calls_user_code(trigger) and not trigger.one_off:
            try:
                at = max(
                    at, trigger.previous_before(self._now + 1) or at
                )  # the run is for the last fire time
            except ValueError:
                pass  # it finds none within its bounds: that is told where it is asked for the next ones
        if grace is not None and self._now - at > grace * 1_000_000:
            yield Reason(
                "misfire",
                f"claimed now, it would count as missed: it would begin {length((self._now - at) / 1e6)} late, and its misfire_grace_time is {length(grace)}",
            )

    def _of_its_last_runs(self) -> Iterator[Reason]:
        job = self._job
        outcomes = [run.outcome for run in self._recent]
        for outcome, advice in (
            (
                "skipped",
                f"as many runs went on as max_instances allows; what helps: {_against_skips(job)}",
            ),
            (
                "missed",
                f"they would have begun later than misfire_grace_time allows{'' if job is None else _grace(job)}; what helps: a longer one (None: any), more "
                "workers for the executor (max_workers), or a scheduler that is not down, paused or busy when runs come due",
            ),
        ):
            if outcome in outcomes:
                number = outcomes.count(outcome)
                yield Reason(
                    outcome,
                    f"of the last {len(outcomes)} that this process has seen, {number} {outcome}: {advice}",
                )
        if outcomes and outcomes[0] == "not started":
            yield Reason("not_run", f"its last run was given up before it began: {self._recent[0].details}")
        if outcomes and outcomes[0] in ("failed", "timed out"):
            last = self._recent[0]
            if not self._is_tried_again(last):
                limit = "" if job is None else f" ({_retries(job)})"
                yield Reason(
                    "failed", f"its last run {last.outcome}, and no retry follows{limit}: {last.details}"
                )

    def _is_tried_again(self, failed: RecentRun) -> bool:
        """Whether a retry waits, or will when the run that has failed is written: one that is over its time limit in a thread goes on until then."""
        if any(run.kind == "retry" and run.state == "waiting" for run in self._runs):
            return True
        tickets = (*self._situation.tickets, *self._port.tickets.copy().values())
        return any(ticket.run_id == failed.run_id and ticket.retry_at is not None for ticket in tickets)

    # -- words -------------------------------------------------------------------------------------------------------

    def _is_here(self, run: Run) -> bool:
        return run.owner == self._engine.owner.name

    def _whose(self, run: Run) -> str:
        who = "this scheduler" if self._is_here(run) else owner_words(run.owner or "?")
        return who if run.claimed_at is None else f"{who} since {self._moment(run.claimed_at)}"

    def _times(self, run: Run) -> str:
        times = run.run_times
        more = f" and {len(times) - 1} more" if len(times) > 1 else ""
        return f"{clock_time(self._shown(times[0]))}{more}"

    def _ago(self, instant: int | None) -> str:
        return "before" if instant is None else relative(self._shown(instant), self._shown(self._now))

    def _shown(self, instant: int) -> datetime:
        return from_micros(instant, self._zone)

    def _moment(self, instant: int) -> str:
        return moment(self._shown(instant), self._shown(self._now))


_WAITING: Final = {
    "schedule": "given_back",
    "retry": "retry",
    "rerun": "rerun",
    "now": "asked_for",
    "queued": "queued",
}
"""A waiting run's kind to that of its reason."""


def _kind_words(run: Run, job: Job | None) -> str:
    if run.kind == "retry":
        of = "" if job is None or run.retried > job.max_retries else f" of {job.max_retries}"
        return f"attempt {run.attempt} (retry {run.retried}{of}) of the run"
    if run.kind == "rerun":
        return f"attempt {run.attempt} (the process of the one before is gone) of the run"
    return {
        "schedule": "the run (given back by a scheduler that did not start it)",
        "now": "the run that was asked for at the time",
        "queued": "the run (which found no room)",
    }[run.kind]


def _against_skips(job: Job | None) -> str:
    """What may help, of that which the job does not have."""
    helps = ["shorter or rarer runs", "a higher max_instances"]
    if job is None or job.timeout is None:
        helps.append("a timeout for runs that hang")
    if job is None or job.while_running == "skip":
        helps.append('while_running="queue", to run once right after')
    return f"{', '.join(helps[:-1])}, or {helps[-1]}"


def _retries(job: Job) -> str:
    """The options that say which failures are tried again, and how often."""
    some = job.max_retries > 0 and job.retry_on != DEFAULT.retry_on
    return f"max_retries={job.max_retries}{', retry_on=' + ', '.join(job.retry_on) if some else ''}"


def _grace(job: Job) -> str:
    return "" if job.misfire_grace_time is None else f" (now {length(job.misfire_grace_time)})"
