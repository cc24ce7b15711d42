"""Moving jobs out of a store, and into one, all of them or none, whatever happens on the way; what `import_jobs` and the migration stand on.

JobExportError (ValueError)                      something cannot be exported: all of it is named, and no file appears
JobImportError (ValueError)                      something cannot be taken: all of it is named, and nothing was written
├── ConflictingIdsError (ConflictingIdError)     only ids that are taken
ImportInProgressError (JobStoreError)            another import into the same store has not ended
ImportUndoneError (JobStoreError)                somebody else has removed what this import wrote
"""

from .errors import (
    ConflictingIdsError,
    ImportInProgressError,
    ImportUndoneError,
    JobExportError,
    JobImportError,
)
from .importing import import_jobs_into
from .values import Arrival, ExportReport, ImportReport, Progress, Refused

__all__ = [
    "Arrival",
    "ConflictingIdsError",
    "ExportReport",
    "ImportInProgressError",
    "ImportReport",
    "ImportUndoneError",
    "JobExportError",
    "JobImportError",
    "Progress",
    "Refused",
    "import_jobs_into",
]
