"""How a run ends: the engine's own ticket says what follows of a failure."""

from __future__ import annotations

import logging
from datetime import UTC
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from mainspring.executors.errors import JobTimeoutError
from mainspring.jobstores.policy import RunPolicy
from mainspring.jobstores.record import Outcome
from mainspring.scheduler.ticket import Ticket

from tests.explorer.violation import require
from tests.explorer.world import RETRY_DELAY, UNIT, Held, Names

_LOGGER = logging.getLogger("tests.explorer")
_LOGGER.disabled = True


def outcome_of(held: Held, names: Names) -> Outcome:
    """What is to be written of a run that has ended, as its ticket has it after all that an executor tells it."""
    failure = held.failure
    if failure is None:
        return Outcome(held.key.job_id, held.key.incarnation, held.key.run, held.key.owner)
    ticket = _ticket(held, names, failure.at)
    if not failure.places:
        ticket.postponed()
        return ticket.outcome()
    error: BaseException = JobTimeoutError("it took too long")
    if failure.hopeless:
        error = SystemExit("not worth another attempt")
    told = {ticket.failed(place, error) for place in failure.places}
    outcome = ticket.outcome()
    require(
        (told == {None}) == (outcome.retry is None), "what is said of the next attempt is not what is written"
    )
    return outcome


def _ticket(held: Held, names: Names, now: int) -> Ticket:
    engine = SimpleNamespace(
        clock=SimpleNamespace(micros=lambda: now),
        random=names,
        logger=_LOGGER,
    )
    recent = SimpleNamespace(note=lambda *what: None)
    port: Any = SimpleNamespace(
        engine=engine,
        shared=False,
        recent=recent,
        failed=lambda ticket: None,
        finished=lambda ticket, now: None,
    )
    record = SimpleNamespace(
        id=held.key.job_id, incarnation=held.key.incarnation, next_run_time=None, runs=()
    )
    run = SimpleNamespace(record=record, job=_job(held.care), run=held.run)
    return Ticket(port, cast("Any", run), None)


@cache
def _job(care: tuple[int, bool]) -> Any:
    max_retries, keep_failed = care
    policy = RunPolicy(
        max_retries=max_retries, retry_delay=RETRY_DELAY * UNIT / 1_000_000, keep_failed=keep_failed
    )
    return SimpleNamespace(name="job", timezone=UTC, _policy=policy)
