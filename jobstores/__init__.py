"""What to run and when next: `Job`, the record that a store keeps of it, the contract of stores, and the stores.

Errors::

    KeyError ─┬─ JobLookupError          no job of that id, or the handle is of an earlier one
              └─ ConflictingIdError      the id is taken
    ValueError ─┬─ TransientJobError     the function has no reference, so no other process could find it
                ├─ JobRestoreError       this process cannot make the job of a record
                └─ EnvelopeError         a stored job is not one that this store accepts (`serialization/envelope.py`)
    TypeError + ValueError ─ UnsupportedSerializationError   an argument that would not come back equal
    RuntimeError ─┬─ StaleJobError       `update_job` of a job that somebody else has changed
                  └─ JobStoreError       the store failed; the cause is the driver's error
                     └─ StoreUnreachableError   its server cannot be reached, for now
"""

from .base import BaseJobStore
from .errors import (
    ConflictingIdError,
    JobLookupError,
    JobRestoreError,
    JobStoreError,
    StaleJobError,
    StoreUnreachableError,
    TransientJobError,
    UnsupportedSerializationError,
)
from .job import Job
from .record import ClaimResult, Decision, Outcome, Record, Run

__all__ = [
    "BaseJobStore",
    "ClaimResult",
    "ConflictingIdError",
    "Decision",
    "Job",
    "JobLookupError",
    "JobRestoreError",
    "JobStoreError",
    "Outcome",
    "Record",
    "Run",
    "StaleJobError",
    "StoreUnreachableError",
    "TransientJobError",
    "UnsupportedSerializationError",
]
