"""What a migration reports: how many jobs were taken, which ones not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ..transfer.errors import counted

__all__ = ["JobOutcome", "MigrationRefusedError", "MigrationReport"]

KEPT: Final = 1_000
"""So many outcomes a report keeps; beyond, it only counts."""
_SHOWN: Final = 20
_SAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What becomes of one job."""

    job_id: str
    outcome: Literal["taken", "skipped", "refused"]
    """`"skipped"`: its id is taken in the new store, and `on_conflict="skip"` leaves that job alone."""
    reason: str | None = None
    """Why it cannot be taken, and what can be done about it."""
    notes: tuple[str, ...] = ()
    """What is different from what it was."""
    func: str | None = None
    """The reference of its function, by its new name; None if it could not be read."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.job_id,
            "outcome": self.outcome,
            "func": self.func,
            "reason": self.reason,
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class MigrationReport:
    """What came of a migration, or would come of it. `str()` of it is for people."""

    source: str
    target: str | None
    dry_run: bool
    written: bool = False
    """Whether the jobs are in the new store now."""
    taken: int = 0
    """Jobs that can be taken, or were. Those with notes are among them."""
    skipped: int = 0
    refused: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    """Each note, and for how many jobs it stands."""
    functions: Counter[str] = field(default_factory=Counter)
    """The functions of the jobs that are taken, and how many have each: whoever could write to the old store has named them."""
    details: list[JobOutcome] = field(default_factory=list)
    """The first thousand jobs that were skipped or refused, or have notes. `on_outcome` of `migrate` is told of all."""
    resumed: bool = False
    """An earlier call had written everything, and was killed before all was released: this one has finished that, and looked no further."""

    @property
    def jobs(self) -> int:
        """So many jobs the old store has."""
        return self.taken + self.skipped + self.refused

    def add(self, outcome: JobOutcome) -> None:
        """Count one job."""
        if outcome.outcome == "taken":
            self.taken += 1
            self.functions[outcome.func or "?"] += 1
        elif outcome.outcome == "skipped":
            self.skipped += 1
        else:
            self.refused += 1
        self.notes.update(outcome.notes)
        if (outcome.notes or outcome.outcome != "taken") and len(self.details) < KEPT:
            self.details.append(outcome)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the details."""
        return {
            "source": self.source,
            "target": self.target,
            "dry_run": self.dry_run,
            "written": self.written,
            "jobs": self.jobs,
            "taken": self.taken,
            "skipped": self.skipped,
            "refused": self.refused,
            "notes": dict(self.notes),
            "functions": dict(self.functions),
            "resumed": self.resumed,
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"old store: {self.source}"
        yield f"new store: {self.target or 'not given'}"
        if self.resumed:
            yield ""
            yield (
                f"{counted(self.taken)} that an earlier migration had written, before it was killed, have been released now. The old store was not "
                "read again."
            )
            return
        yield ""
        verb = "taken" if self.written else "can be taken"
        parts = [f"{self.taken:,} {verb}"]
        if self.skipped:
            parts.append(f"{self.skipped:,} skipped, since their ids are taken in the new store")
        parts.append(f"{self.refused:,} {'left out' if self.written else 'cannot be'}")
        yield f"{counted(self.jobs)}: {', '.join(parts)}"
        yield from self._refusals()
        yield from self._notes()
        yield from self._functions()

    def _refusals(self) -> Iterator[str]:
        refused = [one for one in self.details if one.outcome == "refused"]
        if refused:
            yield ""
            yield "Cannot be taken:"
            for one in refused[:_SHOWN]:
                yield f"  {one.job_id!r}: {one.reason}"
            if self.refused > _SHOWN:
                yield f"  and {self.refused - _SHOWN:,} more (--json names all)"

    def _notes(self) -> Iterator[str]:
        if self.notes:
            yield ""
            yield "What is different:"
            for note, number in self.notes.most_common():
                samples = [repr(one.job_id) for one in self.details if note in one.notes][:_SAMPLES]
                more = ", …" if number > len(samples) else ""
                yield f"  {note} ({counted(number)}: {', '.join(samples)}{more})"

    def _functions(self) -> Iterator[str]:
        if self.functions:
            yield ""
            yield "What they call:"
            for name, number in self.functions.most_common(_SHOWN):
                yield f"  {name} ({counted(number)})"
            if len(self.functions) > _SHOWN:
                yield f"  and {len(self.functions) - _SHOWN:,} more functions (--json names all)"


class MigrationRefusedError(ValueError):
    """Some jobs cannot be taken, so nothing was written; `report` names them. `skip_refused=True` takes the others."""

    def __init__(self, report: MigrationReport) -> None:
        super().__init__(
            f"{counted(report.refused)} of {report.jobs:,} cannot be taken, so nothing was written; skip_refused=True leaves them out.\n{report}"
        )
        self.report = report
