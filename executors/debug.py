"""The debug executor: runs a job in the thread that submits it, before `submit_job` returns."""

import threading

from .base import DirectExecutor
from .errors import JobTimeoutError
from .shutdown import something_ended, wait_until
from .submission import Submission


class DebugExecutor(DirectExecutor):
    """Runs jobs inline, in the scheduler's own thread: for debugging, for tests, and for virtual time.

    While a job runs, its scheduler does nothing else. Ctrl-C while a job runs in the main thread ends that run, and
    KeyboardInterrupt is raised on afterwards, so that the program can be stopped.
    """

    def _prepare(self) -> None:
        super()._prepare()
        self._running: list[int] = []  # idents of the threads in which runs go on; guarded by _lock

    def shutdown(self, wait: bool = True) -> None:
        super().shutdown(wait)
        if wait:
            wait_until(lambda inside: all(ident in inside for ident in tuple(self._running)))

    def _submit(self, submission: Submission) -> None:
        me = threading.get_ident()
        with self._lock:
            self._running.append(me)
        try:
            error = self._perform(submission)
        finally:
            with self._lock:
                self._running.remove(me)
            if self._where is None:
                something_ended()
        if isinstance(error, JobTimeoutError) and error.__context__ is not None:
            error = error.__context__  # what ended the function that was over its limit
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise error
