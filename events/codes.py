"""The event codes: one bit each, so that they can be or-ed into a mask of what a listener wants to hear.

The first seventeen have the names and values of APScheduler 3; those from bit 17 on tell what happens silently there.
"""

from typing import Final

# The scheduler itself, its executors and its job stores.
EVENT_SCHEDULER_STARTED: Final = 2**0
EVENT_SCHEDULER_START: Final = EVENT_SCHEDULER_STARTED  # the older spelling; programs use both
EVENT_SCHEDULER_SHUTDOWN: Final = 2**1
EVENT_SCHEDULER_PAUSED: Final = 2**2
EVENT_SCHEDULER_RESUMED: Final = 2**3
EVENT_EXECUTOR_ADDED: Final = 2**4
EVENT_EXECUTOR_REMOVED: Final = 2**5
EVENT_JOBSTORE_ADDED: Final = 2**6
EVENT_JOBSTORE_REMOVED: Final = 2**7

# Jobs and their runs.
EVENT_ALL_JOBS_REMOVED: Final = 2**8
EVENT_JOB_ADDED: Final = 2**9
EVENT_JOB_REMOVED: Final = 2**10
EVENT_JOB_MODIFIED: Final = 2**11
EVENT_JOB_EXECUTED: Final = 2**12
EVENT_JOB_ERROR: Final = 2**13
EVENT_JOB_MISSED: Final = 2**14
EVENT_JOB_SUBMITTED: Final = 2**15
EVENT_JOB_MAX_INSTANCES: Final = 2**16

# Ours: what would otherwise be lost, retried or given up without a word.
EVENT_JOB_SUBMIT_FAILED: Final = 2**17  # the executor refused a run: it did not start
EVENT_JOB_QUARANTINED: Final = 2**18  # this process cannot restore the job; others may
EVENT_JOB_PARKED: Final = 2**19  # the job waits for a person: its trigger fails, or its one-off was lost
EVENT_JOB_LOST: Final = 2**20  # a run's lease ended unfinished: its fate is unknown
EVENT_JOB_FOUND: Final = 2**21  # a loss is withdrawn: the run's owner reported after all
EVENT_JOB_TIMEOUT: Final = 2**22  # a run took longer than it was allowed to
EVENT_JOBSTORE_FAILED: Final = 2**23  # a store cannot be reached; it is tried again
EVENT_JOBSTORE_RECOVERED: Final = 2**24  # a store that had failed answers again
EVENT_EXECUTOR_UNKNOWN: Final = 2**25  # a job names an executor that this process does not have
EVENT_CLOCK_OFFSET: Final = 2**26  # this process's clock and a store's differ too much

EVENT_ALL: Final = 2**27 - 1
"""Every code above."""
