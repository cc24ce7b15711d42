"""The errors of imports; the tree is in the docstring of the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import ConflictingIdError, JobStoreError

ID_IS_TAKEN: Final = "its id is taken in this job store"

_NAMED: Final = 20
"""So many jobs are named in a message."""


class JobImportError(ValueError):
    """Some jobs cannot be imported: nothing was written. `problems` has all of them: pairs of an id and the reason."""

    def __init__(self, problems: Sequence[tuple[str, str]], heading: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__(
            _listed(heading or f"{counted(len(problems))} cannot be imported, so nothing was", self.problems)
        )


class ConflictingIdsError(JobImportError, ConflictingIdError):
    """The ids of some jobs are taken in the store: nothing was written. `job_ids` has all of them, `job_id` the first."""

    def __init__(self, job_ids: Sequence[str]) -> None:
        JobImportError.__init__(
            self,
            [(job_id, ID_IS_TAKEN) for job_id in job_ids],
            f'the ids of {counted(len(job_ids))} are taken in this job store, so nothing was imported; on_conflict="skip" leaves out such jobs',
        )
        self.job_ids = tuple(job_ids)
        self.job_id = self.job_ids[0]

    def __str__(self) -> str:
        return str(self.args[0])


class JobExportError(ValueError):
    """Some jobs cannot be exported: no file was written. `problems` has all of them: pairs of an id and the reason."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            _listed(
                f'{counted(len(problems))} cannot be exported, so no file was written; on_error="skip" leaves out such jobs',
                self.problems,
            )
        )


class ImportInProgressError(JobStoreError):
    """Another import into this store has not ended; its process lives, or cannot be asked from here."""

    def __init__(self, owner: str, seconds: float) -> None:
        host, pid = [*owner.split("/"), "?"][:2]
        super().__init__(
            f"another import into this job store has not ended: of the process {pid} on {host}. If that was killed where it cannot be seen from "
            f"here, call again in {max(1, round(seconds))} seconds: what it has left is removed then (or finished, if all was written)"
        )
        self.owner = owner
        self.seconds = seconds


class ImportUndoneError(JobStoreError):
    """Somebody else has removed what this import wrote (`remove_all_jobs`, or another import that took this one for dead)."""


def _listed(heading: str, problems: Sequence[tuple[str, str]]) -> str:
    """A heading, and below it what cannot be taken; most messages have room for a few."""
    if not problems:
        return heading
    lines = [f"{job_id!r}: {reason}" for job_id, reason in problems[:_NAMED]]
    if len(problems) > _NAMED:
        lines.append(f"and {len(problems) - _NAMED:,} more (all are in the attribute `problems`)")
    return "\n  ".join([f"{heading}:", *lines])


def counted(number: int) -> str:
    """A number of jobs in words."""
    return "1 job" if number == 1 else f"{number:,} jobs"
