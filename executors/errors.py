"""What an executor raises, or reports as the outcome of a run that it could not carry out."""

from typing import Any


class MaxInstancesReachedError(Exception):
    """As many runs of the job go on in this executor as its `max_instances` allows. `job` is the job."""

    def __init__(self, job: Any) -> None:
        super().__init__(
            f'Job "{job}" has already reached its maximum number of instances ({job.max_instances})'
        )
        self.job = job


class ExecutorNotRunningError(RuntimeError):
    """A run was submitted to an executor that is not started, or shut down already."""


class CoroutineFunctionError(TypeError):
    """A coroutine function was given to an executor that has no event loop to await it in."""


class JobTimeoutError(TimeoutError):
    """A run took longer than its job's `timeout`: `limit`, in seconds. The message says what was done about it."""

    def __init__(self, message: str, limit: float | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class UnpicklableError(TypeError):
    """A function, argument, result or exception cannot travel between this process and the one that runs the job.

    `classes`: what `error_classes` answers for the exception that could not travel; empty if it was none.
    """

    def __init__(self, message: str, classes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.classes = classes


class WorkerDiedError(RuntimeError):
    """The process in which a run went on ended under it. `exitcode` is negative for a signal, None if unknown."""

    def __init__(self, message: str, pid: int | None = None, exitcode: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid
        self.exitcode = exitcode


class WorkerStartError(WorkerDiedError):
    """A worker could not be started, or its initializer raised; the run was not begun."""


def error_classes(error: BaseException) -> tuple[str, ...]:
    """References ("module:qualname") to the class of `error` and to all its bases, the nearest first.

    An exception that could not travel from another process answers what it was there. A class of the main program is
    in `__main__`, in its worker processes as well.
    """
    if type(error) is UnpicklableError and error.classes:
        return error.classes
    return tuple(
        f"{'__main__' if cls.__module__ == '__mp_main__' else cls.__module__}:{cls.__qualname__}"
        for cls in type(error).__mro__
    )


def is_final(error: BaseException) -> bool:
    """Whether another attempt could not go otherwise: the executor cannot run such a function, or it has run and its result cannot travel."""
    return isinstance(error, CoroutineFunctionError) or (
        isinstance(error, UnpicklableError) and not error.classes
    )
