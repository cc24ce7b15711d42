"""What an import is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..job import Job
from ..record import Plan, Record, Run

OnConflict: TypeAlias = Literal["error", "skip"]
"""What becomes of a job whose id is taken in the store."""

Phase: TypeAlias = Literal["exporting", "checking", "writing", "releasing"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job that comes from elsewhere, with its schedule as it stands there."""

    job: Job
    """Its own object: a memory store keeps it."""
    plan: Plan
    """What its record is to be when it is released; a time that has passed stays as it is, and is overdue then."""
    runs: tuple[Run, ...] = ()
    """The runs that travel with it: waiting and lost ones. A claimed run belongs to the process in which it goes on."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A job that cannot be made of what was read. A source yields it in an arrival's place, so that all of them are named at once."""

    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import (or an export) is."""

    phase: Phase
    """`"exporting"`; and of an import: `"checking"`: everything is read and checked, and nothing written; `"writing"`; `"releasing"`: all is there, and begins to count."""
    done: int
    """Jobs that are through this phase."""
    total: int | None
    """Of so many; None as long as nobody knows."""


OnProgress: TypeAlias = Callable[[Progress], object]
OnReleased: TypeAlias = Callable[[list[Record]], object]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What came of an import."""

    imported: int
    """Jobs that are in the store by it."""
    skipped: tuple[str, ...] = ()
    """Ids that were taken, and left alone (`on_conflict="skip"`)."""
    resumed: bool = False
    """An earlier call of the same import had written everything, and was killed before all was released: this call has finished that."""
    finished: int = 0
    """Jobs of other imports that were killed in the same way, and which were released first."""
    undone: int = 0
    """Jobs that imports which were killed sooner had left, and which were removed first."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What came of an export."""

    exported: int
    """Jobs that are in the file."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Jobs that are not, with the reason (`on_error="skip"`): pairs of an id and text."""
    going_on: int = 0
    """Runs that went on while it was written. They stay where they are: the file has what comes behind them."""
