"""What can be made wrong on purpose: each is a fault that the simulation must find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from unittest.mock import patch

from mainspring.jobstores import edits, sharedstore, transitions
from mainspring.scheduler import port, ticket

from tests.simulation import flaws_of_care

if TYPE_CHECKING:
    from tests.simulation.world import World

Flaw: TypeAlias = "Callable[[World], AbstractContextManager[None]]"


@contextmanager
def none(world: World) -> Iterator[None]:
    """Nothing is wrong."""
    yield


@contextmanager
def store_ignores_stamps(world: World) -> Iterator[None]:
    """A write does not ask whether the record is still as it was read."""
    world.server.honours_stamps = False
    yield


@contextmanager
def store_never_reads_back(world: World) -> Iterator[None]:
    """A write whose answer got lost counts as not written."""
    world.reads_back = False
    yield


@contextmanager
def lease_is_not_checked(world: World) -> Iterator[None]:
    """A run is started without a look at its lease."""
    with patch.object(ticket.Ticket, "may_start", lambda ticket: True):
        yield


@contextmanager
def recovered_without_margin(world: World) -> Iterator[None]:
    """A run is recovered as soon as its lease is over by anybody's clock."""
    real = transitions.recover

    def recover(*args: Any, **options: Any) -> Any:
        return real(*args, **{**options, "patience": 0})

    with patch.object(transitions, "recover", recover), patch.object(transitions, "RECOVERY_MARGIN", 0):
        yield


@contextmanager
def recovered_by_whoever_was_cut_off(world: World) -> Iterator[None]:
    """After an outage, runs are recovered before their owners could extend their leases."""
    real = sharedstore.SharedJobStore.recover

    def recover(store: Any, now: int, over_at: int | None = None) -> Any:
        return real(store, now, now)

    with patch.object(sharedstore.SharedJobStore, "recover", recover):
        yield


@contextmanager
def leases_are_not_extended(world: World) -> Iterator[None]:
    """The keeper does nothing."""
    with patch.object(port.Port, "extend", lambda self, tickets: []):
        yield


@contextmanager
def ends_are_forgotten(world: World) -> Iterator[None]:
    """The ends of runs that could not be written are not written later."""
    real = port.Port._write_ends

    def write(self: Any, tickets: Any, result: Any) -> None:
        try:
            real(self, tickets, result)
        except Exception:
            self._ended.clear()
            raise

    with patch.object(port.Port, "_write_ends", write):
        yield


@contextmanager
def doubtful_claims_are_forgotten(world: World) -> Iterator[None]:
    """Runs that a claim may have taken, whose answer got lost, are not given back."""
    with patch.object(sharedstore.SharedJobStore, "_give_back_doubtful", lambda self: self._in_doubt.clear()):
        yield


@contextmanager
def edits_ignore_revisions(world: World) -> Iterator[None]:
    """An edit of the definition does not ask whether there was another one since it read."""
    real = edits.edit_definition

    def edit(record: Any, seen: Any, **options: Any) -> Any:
        return real(record, record, **options)

    with patch.object(edits, "edit_definition", edit):
        yield


@contextmanager
def schedule_edits_ignore_claims(world: World) -> Iterator[None]:
    """An edit of the schedule does not ask whether there was a claim since it read."""
    real = edits.edit_schedule

    def edit(record: Any, seen: Any, plan: Any, **options: Any) -> Any:
        return real(record, record, plan, **options)

    with patch.object(edits, "edit_schedule", edit):
        yield


@contextmanager
def skip_is_run_again(world: World) -> Iterator[None]:
    """What was lost under skip is run again."""
    real = transitions.recover

    def recover(record: Any, **options: Any) -> Any:
        runs = tuple(replace(run, recovery="rerun") for run in record.runs)
        return real(replace(record, runs=runs), **options)

    with patch.object(transitions, "recover", recover):
        yield


FLAWS: Final[dict[str, Flaw]] = {
    flaw.__name__: flaw
    for flaw in (
        none,
        store_ignores_stamps,
        store_never_reads_back,
        lease_is_not_checked,
        recovered_without_margin,
        recovered_by_whoever_was_cut_off,
        leases_are_not_extended,
        ends_are_forgotten,
        doubtful_claims_are_forgotten,
        edits_ignore_revisions,
        schedule_edits_ignore_claims,
        skip_is_run_again,
        *flaws_of_care.FLAWS,
    )
}
"""By name."""
