"""The engine: what is due is decided and claimed, handed to executors, and told to listeners; and its public API.

Where to begin reading: `loop.py` (one screen), `decision.py` (the policy), `port.py` and `engine.py` (what a pass does), `base.py`
(the API). The schedulers are `BlockingScheduler`, `BackgroundScheduler` and `VirtualScheduler`, each in a module of its name.

Errors::

    Exception ─┬─ SchedulerAlreadyRunningError
               └─ SchedulerNotRunningError
    RuntimeError ─┬─ ForkedSchedulerError     a forked child uses the scheduler that its parent started
                  └─ TooManyRunsError         100 runs of a job that were asked for wait already
"""

from .errors import (
    ForkedSchedulerError,
    SchedulerAlreadyRunningError,
    SchedulerNotRunningError,
    TooManyRunsError,
)

__all__ = [
    "ForkedSchedulerError",
    "SchedulerAlreadyRunningError",
    "SchedulerNotRunningError",
    "TooManyRunsError",
]

if __name__ != "mainspring.scheduler":
    # A program started at the repository's root finds this folder as a package of its own: a second copy of every class.
    raise ImportError(
        f"import mainspring.scheduler, not {__name__}: install the project (pip install -e .) and import it by its full name"
    )
