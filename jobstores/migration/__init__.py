"""Coming from APScheduler 3: reads one of its job stores, reports what can be taken, and writes it to one of mainspring's.

OldStoreError (RuntimeError)            the old job store cannot be read
MigrationRefusedError (ValueError)      some jobs cannot be taken, so nothing was written; `report` names them
"""

from .migrating import migrate
from .oldstore import OldStoreError
from .report import JobOutcome, MigrationRefusedError, MigrationReport

__all__ = ["JobOutcome", "MigrationRefusedError", "MigrationReport", "OldStoreError", "migrate"]
