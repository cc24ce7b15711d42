"""How jobs are run: the executor contract, `run_job`, `current_run`, and the executors.

What an executor raises from `submit_job`, or reports as the error of a run:

Exception
├── MaxInstancesReachedError        as many runs of the job go on as it allows
├── JobTimeoutError                 over its time limit; a TimeoutError
├── RuntimeError
│   ├── ExecutorNotRunningError     not started, or shut down already
│   └── WorkerDiedError             the process under a run ended
│       └── WorkerStartError        a worker could not be started, the run was not begun
└── TypeError
    ├── CoroutineFunctionError      a coroutine function where nothing is awaited
    └── UnpicklableError            cannot travel to another process, or back
"""

from .base import BaseExecutor, RunnableJob, Ticket, run_coroutine_job, run_job
from .context import CurrentRun, current_run
from .debug import DebugExecutor
from .errors import (
    CoroutineFunctionError,
    ExecutorNotRunningError,
    JobTimeoutError,
    MaxInstancesReachedError,
    UnpicklableError,
    WorkerDiedError,
    WorkerStartError,
    error_classes,
)

__all__ = [
    "BaseExecutor",
    "CurrentRun",
    "DebugExecutor",
    "RunnableJob",
    "Ticket",
    "current_run",
    "run_job",
    "run_coroutine_job",
    "MaxInstancesReachedError",
    "ExecutorNotRunningError",
    "CoroutineFunctionError",
    "JobTimeoutError",
    "UnpicklableError",
    "WorkerDiedError",
    "WorkerStartError",
    "error_classes",
]
