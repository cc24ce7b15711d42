"""The errors of job stores; `mainspring.jobstores.base` exports them."""

from __future__ import annotations

import threading
from typing import Final

LONGEST_REASON: Final = 500
"""So many characters of an exception's text are kept in a record."""


class JobLookupError(KeyError):
    """There is no job of that id in the store, or the handle is of an earlier job that had the same id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"No job by the id of {job_id} was found")
        self.job_id = job_id

    def __str__(self) -> str:
        return str(self.args[0])


class ConflictingIdError(KeyError):
    """The id of a job that is added is already taken."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job identifier ({job_id}) conflicts with an existing job")
        self.job_id = job_id

    def __str__(self) -> str:
        return str(self.args[0])


class ArrivingIdError(ConflictingIdError):
    """The id of a job that is added is that of one which arrives in an import, and is hidden until that is complete."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.args = (
            f"Job identifier ({job_id}) is that of a job which arrives in an import that has not ended; if that was killed, the next "
            "import into this job store finishes or undoes it",
        )


class TransientJobError(ValueError):
    """The job's function has no reference by which another process could find it, so only a memory store can keep it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"Job ({job_id}) cannot be added to this job store because a reference to the callable could not be determined; "
            "use a function defined at the top level of a module, give it as text ('package.module:function'), or a memory job store"
        )
        self.job_id = job_id


class StaleJobError(RuntimeError):
    """`update_job` was given a job that somebody else has changed since it was read. Read it again and repeat the change."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"Job ({job_id}) was changed by somebody else since it was read; read it again and repeat the change"
        )
        self.job_id = job_id


class JobStoreError(RuntimeError):
    """The store failed, or cannot be reached; `__cause__` is the driver's error."""


class StoreUnreachableError(JobStoreError):
    """The store's server cannot be reached or does not answer, for now: trying again later may help."""


class JobRestoreError(ValueError):
    """This process cannot make the job of a record: its function, arguments or trigger do not come back."""


class SerializationError(Exception):
    """Base of everything that storing or restoring a payload raises, except UnresolvableReferenceError."""


class UnsupportedSerializationError(SerializationError, TypeError, ValueError):
    """A value cannot be stored so that it comes back equal in value and type.

    `path` says where it is ("args[1]", "kwargs['x'][2]"), `type_name` what it is, `reason` why not, `remedy` what to do.
    """

    def __init__(self, path: str, type_name: str, reason: str, remedy: str) -> None:
        super().__init__(path, type_name, reason, remedy)
        self.path = path
        self.type_name = type_name
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.path} (of type {self.type_name}) cannot be stored: {self.reason}. {self.remedy}"


def described(exc: BaseException) -> str:
    """An exception as one line for a reason or a message. Its `__str__` is its author's code, and may raise, too."""
    try:
        text = str(exc)
    except Exception:
        return f"{type(exc).__name__} (its message cannot be shown)"
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def as_reason(exc: BaseException) -> str:
    """An exception as text that every store can keep in a record: short, without halves of surrogate pairs (which the name of a file has that is
    no UTF-8) and without NUL. What a store refuses here would keep it from all other writes that wait beside this one.
    """
    text = described(exc)[:LONGEST_REASON]
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def ends_program(exc: BaseException) -> bool:
    """Whether an exception that other people's code raised is meant for the whole program: Ctrl-C, or `sys.exit()` in a signal handler.

    Both come up in the main thread. In another one, `sys.exit()` (or a `gevent.Timeout`, which is no Exception either) is the failure
    of the code that raised it, and would merely end a thread of ours.
    """
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and isinstance(exc, KeyboardInterrupt | SystemExit)
