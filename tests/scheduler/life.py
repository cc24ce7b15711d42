"""`Life`: what becomes of one job, told in words: the real decisions, transitions and edits on one record, without store, loop and executor."""

import logging
from dataclasses import replace
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

from mainspring.events import ManualClock
from mainspring.jobstores import edits, transitions
from mainspring.jobstores.job import Job
from mainspring.jobstores.record import Claim, Plan, Record, Run, RunKey, Transition, Written, is_over
from mainspring.scheduler import planning
from mainspring.scheduler.decision import decide
from mainspring.scheduler.recent import RecentRuns
from mainspring.scheduler.ticket import Ticket
from mainspring.triggers import BaseTrigger

from tests.jobstores.samples import work
from tests.scheduler.test_decision import START, micros, seconds

LEASE = 30


class Trouble(Exception):
    """What the job raises."""


class Life:
    """A job, its record, and who works on it. Each step is a word of a story; `log` has what came of them.

    It checks at each step what always holds: no more runs than `max_instances`, attempts numbered without a gap, one queued run at most,
    and a retry only where the options with which the attempt began allow one.
    """

    def __init__(self, trigger: BaseTrigger, **options: Any) -> None:
        self.random = Random(1)
        self.job = Job(None, id="a", func=work, trigger=trigger, **{"retry_delay": 10, **options})
        self.now = micros(0)
        self.boot = 1
        self.log: list[str] = []
        self.attempts: dict[int, list[int]] = {}
        self.tickets: dict[int, Ticket] = {}
        self.removed = False
        plan = planning.added(trigger, self.now, self.random)
        new = Record("a", 1, "default", None, plan.next_run_time, plan.fire_time, plan.state, (), 1, "", None)
        added = edits.add(None, new, "s")
        assert isinstance(added, Record)
        self.record: Record | None = added

    def tell(self, story: str) -> str:
        """Live through a story: words, each a step, with its arguments behind colons. Answers the log."""
        for step in story.split():
            name, *arguments = step.split(":")
            getattr(self, f"_{name}")(*arguments)
            self._check()
        return ", ".join(self.log)

    @property
    def end(self) -> str:
        """What is left of it: its state, with the first word of the reason, and its runs."""
        record = self.record
        if record is None:
            return "gone"
        words: list[str] = ["over" if is_over(record) else record.state]
        if record.reason:
            words.append(f"({record.reason.split(':')[0]})")
        words += [
            f"{run.kind}{'!' if run.blocked else ''}" if run.state == "waiting" else run.state
            for run in record.runs
        ]
        return " ".join(words)

    # -- time ------------------------------------------------------------------------------------------------------

    def _due(self) -> None:
        """Time passes until something can be claimed, and it is."""
        record = self._there()
        times = [run.due for run in record.runs if run.state == "waiting" and not run.blocked]
        if record.state == "active" and record.next_run_time is not None:
            times.append(record.next_run_time)
        assert times, f"nothing is due: {record}"
        self.now = max(self.now, min(times))
        self._claim()

    def _at(self, second: str) -> None:
        """It is so many seconds after the start, and what is due is claimed."""
        self.now = micros(float(second))
        self._claim()

    def _claim(self) -> None:
        before = self._there()
        found = decide(before, self.job, self.now, self.random)
        after = transitions.claim(
            before, found, owner=self.owner, now=self.now, lease_until=self.now + LEASE, stamp="s"
        )
        if found.skipped:
            self.log.append(f"skipped {' '.join(f'{seconds(time):g}' for time in found.skipped)}")
        self._write(after)
        if isinstance(after, Record):
            known = {run.run for run in before.runs if run.state == "claimed"}
            going_on = sum(run.state == "claimed" for run in after.runs)
            assert going_on <= max(len(known), self.job.max_instances)
            for run in after.runs:
                if run.state == "claimed" and run.run not in known:
                    self._start(after, run)

    def _start(self, record: Record, run: Run) -> None:
        numbers = self.attempts.setdefault(run.run_id, [])
        numbers.append(run.attempt)
        assert numbers == [*range(1, len(numbers) + 1)], "attempts are numbered without a gap"
        assert run.keeps == self.job._policy.leaves_behind(run.retried)
        self.log.append(f"{run.kind} {run.attempt}")
        self.tickets[run.run] = Ticket(self._port(), Claim(record, self.job._clone(), run), None)

    # -- ends ------------------------------------------------------------------------------------------------------

    def _ok(self) -> None:
        """The oldest of the runs that go on succeeds."""
        self._end(self._next_ticket())

    def _fail(self, *places: str) -> None:
        """It fails; with several run times, those at these places."""
        ticket = self._next_ticket()
        answers = {ticket.failed(int(place), Trouble("no")) for place in places or ("0",)}
        assert len(answers) == 1, "all that failed is tried again together"
        may = ticket.open_run.retried < ticket.policy.max_retries
        assert (answers.pop() is not None) == may
        self._end(ticket)

    def _missed(self) -> None:
        """It is not run: it would have begun too late."""
        ticket = self._next_ticket()
        ticket.missed(0, timedelta(seconds=30))
        self._end(ticket)

    def _end(self, ticket: Ticket) -> None:
        ticket.ended(None)
        before = self._there()
        after, _ = transitions.finish(before, ticket.outcome(), "s")
        del self.tickets[ticket.run]
        if isinstance(after, Record) and after.state == "parked" and before.state != "parked":
            self.log.append(f"parked {(after.reason or '').split(':')[0]}")
        self._write(after)

    def _crash(self) -> None:
        """The process dies, and another one accounts for its runs, at once."""
        gone, self.boot = self.owner, self.boot + 1
        after, found = transitions.recover(
            self._there(), now=self.now, boot_owner=self.owner, is_gone=lambda owner: owner == gone, stamp="s"
        )
        self.tickets.clear()
        self.log += [entry.run.state for entry in found if entry.run.state == "lost"]
        self.log += [f"parked {(entry.record.reason or '').split(':')[0]}" for entry in found if entry.parked]
        if found:
            self._write(after)

    def _back(self) -> None:
        """The run has not started, and is given back."""
        ticket = self._next_ticket()
        del self.tickets[ticket.run]
        self.attempts[ticket.run_id].pop()  # that was none
        self._write(transitions.give_back(self._there(), _key(ticket), "s"))

    # -- people ----------------------------------------------------------------------------------------------------

    def _pause(self) -> None:
        self._plan(planning.paused(self._there()))

    def _resume(self) -> None:
        self._plan(planning.resumed(self._there(), self.job.trigger, self.now, self.random))

    def _reschedule(self, second: str) -> None:
        """It gets a fire time of its own, once more."""
        self._plan(planning.moved(self._there(), micros(float(second))))

    def _edit(self, option: str, value: str) -> None:
        """An option is changed."""
        before, record = self.job.max_instances, self._there()
        self.job._modify(**{option: int(value) if value.isdigit() else value})
        after = edits.edit_definition(
            record,
            record,
            payload=None,
            executor="default",
            revision=record.revision + 1,
            unblock=self.job.max_instances > before,
            stamp="s",
        )
        self._write(after)

    def _now(self) -> None:
        """It is asked to run now."""
        run = Run(self.random.getrandbits(63), "now", (self.now,), self.now, "waiting")
        self._write(edits.run_now(self._there(), run, "s"))

    def _rerun(self) -> None:
        """Somebody has the lost run run again."""
        record = self._there()
        (lost,) = (run for run in record.runs if run.state == "lost")
        self._write(
            edits.rerun_lost(record, lost.run, new_run=self.random.getrandbits(63), now=self.now, stamp="s")
        )

    def _dismiss(self) -> None:
        """Somebody has seen the lost run."""
        record = self._there()
        (lost,) = (run for run in record.runs if run.state == "lost")
        self._write(edits.dismiss_lost(record, lost.run, "s"))

    def _remove(self) -> None:
        self._write(edits.remove(self._there(), None))

    def _over(self) -> None:
        """For people it is gone: nothing can be done with it."""
        record = self._there()
        assert is_over(record)
        assert edits.remove(record, None) is None
        assert edits.run_now(record, Run(1, "now", (0,), 0, "waiting"), "s") is None

    # -- parts -----------------------------------------------------------------------------------------------------

    @property
    def owner(self) -> str:
        return f"boot {self.boot}"

    def _there(self) -> Record:
        assert self.record is not None, f"the job is gone: {self.log}"
        return self.record

    def _plan(self, plan: Plan | None) -> None:
        record = self._there()
        if plan is not None:
            self._write(edits.edit_schedule(record, record, plan, revision=record.revision + 1, stamp="s"))

    def _write(self, after: Transition) -> None:
        assert after is not None, f"the write was refused: {self.record}"
        self.record = None if after is Written.DELETED else after

    def _next_ticket(self) -> Ticket:
        claimed = [run for run in self._there().runs if run.state == "claimed" and run.run in self.tickets]
        assert claimed, f"nothing runs: {self.record}"
        return self.tickets[claimed[0].run]

    def _port(self) -> Any:
        clock = SimpleNamespace(micros=lambda: self.now)
        engine = SimpleNamespace(
            clock=clock, random=self.random, logger=logging.getLogger("tests"), stopping=False
        )
        recent = RecentRuns(ManualClock(START))
        return SimpleNamespace(
            engine=engine,
            recent=recent,
            shared=True,
            granted_until=0.0,
            failed=lambda ticket: None,
            finished=lambda ticket, now: None,
        )

    def _check(self) -> None:
        if self.record is None:
            return
        runs = self.record.runs
        assert sum(run.kind == "queued" and run.state == "waiting" for run in runs) <= 1
        assert len({run.run for run in runs}) == len(runs)
        if self.record.state == "paused":
            assert all(run.blocked == (run.kind != "now") for run in runs if run.state == "waiting")
        sealed = transitions.seal(replace(self.record, stamp="s"), "s")
        assert sealed == self.record, "what was written is sealed"


def _key(ticket: Ticket) -> RunKey:
    return RunKey(ticket.job_id, ticket.incarnation, ticket.run, ticket.owner)
