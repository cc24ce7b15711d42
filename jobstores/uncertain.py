"""Writes of which it is not known whether they were done: the connection failed between the request and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from .errors import JobStoreError

Stamps: TypeAlias = Mapping[str, "tuple[str | None, str | None]"]
"""What a step wrote: the stamp of each record before and after it; None where there was no record, or is none any more."""


class UncertainWriteError(JobStoreError):
    """The connection failed during a write, and it cannot be found out whether it was done."""


def was_written(written: Stamps, found: Mapping[str, str]) -> bool | None:
    """Whether a write that is done as a whole or not at all was done, by the stamps that are `found` now. None: nobody can tell.

    One record tells for all, as long as nobody else has written it since.
    """
    gone = False
    for job_id, (before, after) in written.items():
        stamp = found.get(job_id)
        if stamp == before:
            return False
        if stamp == after:
            if stamp is not None:
                return True
            # It was to be deleted, and is not there. Somebody else may have done it, but not to all of them by chance.
            gone = True
    return True if gone else None
