"""`Look`: a pass over one store that goes on beside those over the others, so that a store that is slow, or hangs, holds up nobody else."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from ..jobstores.errors import JobStoreError, described, ends_program


class Look:
    """A generator of steps, each of which is carried out aside. It is advanced by the loop alone; only `_carry_out` runs elsewhere."""

    def __init__(self, steps: Generator[Any, Any, None]) -> None:
        self._steps = steps
        self._answer: Any = None
        self._error: BaseException | None = None
        self.waits = False
        """A step is on its way. Set by the loop; taken back where the step was carried out, as the last thing that is done there."""
        self.over = False

    def advance(self) -> Any:
        """What is to be done next; None when it is over. Raises what the pass raises; then it is over, too."""
        answer, error = self._answer, self._error
        self._answer = self._error = None
        try:
            return self._steps.send(answer) if error is None else self._steps.throw(error)
        except StopIteration:
            self.over = True
            return None
        except BaseException:
            self.over = True
            raise

    def aside(self, step: Callable[[], Any], wake: Callable[[], None]) -> Callable[[], None]:
        """A step as one that raises nothing, and wakes the loop when its answer is there."""
        self.waits = True
        return partial(self._carry_out, step, wake)

    def _carry_out(self, step: Callable[[], Any], wake: Callable[[], None]) -> None:
        try:
            self._answer = step()
        except BaseException as exc:
            self._error = exc
            if isinstance(exc, KeyboardInterrupt | SystemExit):
                # The loop may go on with this in the main thread, where it would look as if the program were to end.
                self._error = JobStoreError(f"the step was interrupted: {described(exc)}")
            if ends_program(exc):
                raise
        finally:
            self.waits = False
            wake()
