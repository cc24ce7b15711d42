"""`SharedJobStore`: what all stores share that keep records outside of the process, whatever they keep them in."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final, NoReturn

from . import transitions
from .claiming import Change
from .errors import TransientJobError
from .job import Job
from .openruns import load_runs
from .owner import Owner, is_gone
from .record import Record, RunKey
from .recordstore import RecordJobStore
from .serialization.references import is_main_reference
from .serialization.serializer import Serializer

LOOK_FOR_DEAD_OWNERS: Final = 5_000_000
"""µs between two searches for runs whose owner is gone before their lease has ended."""

MAX_RECENT: Final = 20_000
"""About so many records with open runs are kept as they were written."""

PAGE: Final = 1_000
"""At most so many due records are read at once."""

MAX_SECONDS: Final = 2_000_000
"""The longest time that a store waits for anything."""

_LATEST: Final = 2**63 - 1


class SharedJobStore(RecordJobStore):
    """A store of serialized records. Beside the primitives of `RecordJobStore`, one below implements `_leased`."""

    def __init__(
        self,
        serializer: str | None,
        pickle_protocol: int | None,
        signing_keys: Iterable[str | bytes] | None,
        allowed_callables: Iterable[str] | None,
        poll_interval: float,
        timeout: float,
    ) -> None:
        super().__init__()
        self._serializer = Serializer(serializer, pickle_protocol, signing_keys, allowed_callables)
        self.poll_interval = positive_seconds("poll_interval", poll_interval)
        self._timeout = positive_seconds("timeout", timeout)
        self._warned: set[str] = set()
        self._looked_for_dead_at: int | None = None
        self._in_doubt: list[RunKey] = []
        self._recent: dict[str, Record] = {}

    @abstractmethod
    def _leased(self, until: int, size: int) -> list[tuple[str, str]]:
        """Ids and open runs, as text, of at most `size` records with a lease that ends at `until` or before; the earliest first."""

    def own(self, owner: Owner, lease: int) -> None:
        super().own(owner, lease)
        self._recent.clear()
        self._looked_for_dead_at = None

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled, nor copied: its connections are this process's. Give the other process what the "
            "store is made from, such as its url, and make one there"
        )

    # -- jobs and payloads ---------------------------------------------------------------------------------------------

    def pack(self, job: Job) -> bytes:
        try:
            state = job.__getstate__()
        except ValueError as exc:
            raise TransientJobError(job.id) from exc
        del state["next_run_time"]  # the record's, which passes write without the payload
        reference = state["func"]
        if is_main_reference(reference) and reference not in self._warned:
            self._warned.add(reference)
            message = (
                f"The function {reference} is defined in the program's main file: only this program can run its jobs. Move it to a "
                "module, so that every process that shares the job store can import it"
            )
            self._logger.warning(message)
            warnings.warn(message, UserWarning, stacklevel=2)
        return self._serializer.dumps(job.id, state)

    def _unpack(self, record: Record) -> Job:
        job = Job.__new__(Job)
        job.__setstate__(self._serializer.loads(record.id, record.payload))
        if job.executor != record.executor:
            # The payload may be signed, and the record's fields are not: they say where the job waits, never where it runs.
            raise ValueError(
                f"its payload names the executor {job.executor!r}, and its record {record.executor!r}: somebody else than a job store has "
                "changed one of them"
            )
        return job

    # -- what was written lately ---------------------------------------------------------------------------------------

    def _known(self, job_ids: Sequence[str]) -> dict[str, Record] | None:
        """The records of these ids as this store wrote them last, if it knows of all; None, if not."""
        recent = self._recent
        known = {job_id: recent[job_id] for job_id in job_ids if job_id in recent}
        return known if len(known) == len(job_ids) else None

    def _remember(self, written: Iterable[Change]) -> None:
        """Keep the records with open runs that were written: their runs' ends are written next, and nearly always before anything else.

        Then they need not be read again. Whether one is still as it was kept, its stamp tells when it is written.
        """
        recent = self._recent
        if len(recent) > MAX_RECENT:
            recent.clear()
        for before, after in written:
            if after is None or not after.runs or after.payload is not None or after.stamp == before.stamp:
                recent.pop(before.id, None)
            else:
                recent[before.id] = after

    def _give_back_doubtful(self) -> None:
        """Give back the runs that a claim may have taken whose answer got lost: nobody here starts them."""
        if self._in_doubt:
            self.give_back(self._in_doubt)
            self._in_doubt = []

    # -- runs whose owner is gone ----------------------------------------------------------------------------------------

    def _expired(self, now: int) -> list[str]:
        last = self._looked_for_dead_at
        if last is None or not 0 <= now - last < LOOK_FOR_DEAD_OWNERS:
            self._looked_for_dead_at = now
            until, size = _LATEST, _LATEST if last is None else PAGE
        else:
            until, size = now - transitions.RECOVERY_MARGIN, PAGE
        leased = self._leased(until, size)
        gone: dict[str, bool] = {self.owner.name: False}
        return [job_id for job_id, runs in leased if self._may_be_over(runs, now, gone)]

    def _may_be_over(self, text: str, now: int, gone: dict[str, bool]) -> bool:
        """Whether one of the runs is somebody else's who is gone, or whose lease is over; `gone` keeps what was found of owners."""
        try:
            runs = load_runs(text)
        except ValueError:
            return False  # reported where it is read as a record
        for run in runs:
            if run.state != "claimed" or run.owner is None or run.lease_until is None:
                continue
            if run.owner not in gone:
                gone[run.owner] = is_gone(run.owner)
            if run.owner != self.owner.name and (
                gone[run.owner] or run.lease_until + transitions.RECOVERY_MARGIN <= now
            ):
                return True
        return False


def positive_seconds(name: str, value: float) -> float:
    """An argument that is a positive number of seconds, and not so large that a driver could not count them in milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_SECONDS:
        raise ValueError(
            f"{name} must be a positive number of seconds, {MAX_SECONDS:,} (some 24 days) at most, got {value!r}"
        )
    return value
