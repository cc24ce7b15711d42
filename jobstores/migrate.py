"""`python -m mainspring.jobstores.migrate`: the jobs of an APScheduler 3 job store into one of mainspring's (docs/migration.md)."""

import sys

from .migration import JobOutcome, MigrationRefusedError, MigrationReport, OldStoreError, migrate
from .migration.command import main

__all__ = ["JobOutcome", "MigrationRefusedError", "MigrationReport", "OldStoreError", "main", "migrate"]

if __name__ == "__main__":
    sys.exit(main())
