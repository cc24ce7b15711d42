"""Records as entries of a file: each job as it stands, its state as tagged JSON, and never as a pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..base import BaseJobStore
from ..errors import JobRestoreError, TransientJobError, described
from ..job import Job
from ..openruns import dump_runs
from ..record import FORMAT_VERSION, Plan, Record, is_hidden
from ..serialization.serializer import Serializer
from ..sharedstore import SharedJobStore
from .storage import batches
from .values import Refused

_to_text: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode

_PLAIN: Final = Serializer()


@dataclass(slots=True)
class Exporter:
    """The jobs of a store, one by one; what could not come along is noted here."""

    store: BaseJobStore
    alias: str
    refused: list[Refused] = field(default_factory=list)
    going_on: int = 0
    """Runs that go on somewhere, and stay there."""
    total: int = 0

    def entries(self) -> Iterator[bytes]:
        """Each job as JSON in one line, by next run time. A job that is removed before its turn is left out; one that changes is as it is then."""
        records = [record for record in self.store.read_all() if not is_hidden(record)]
        records.sort(key=lambda record: (record.next_run_time is None, record.next_run_time or 0, record.id))
        job_ids = [record.id for record in records]
        del records
        self.total = len(job_ids)
        for batch in batches(job_ids):
            for record, job in self._read(batch):
                if is_hidden(record):
                    continue
                try:
                    entry = self._entry(record, job)
                except Exception as exc:  # whatever is in a payload, and what its classes' authors wrote
                    self.refused.append(Refused(record.id, described(exc)))
                else:
                    if entry is not None:
                        yield entry

    def _read(self, job_ids: Sequence[str]) -> Iterator[tuple[Record, Job | None]]:
        """Records with their payload, or with their jobs where there is none, in this order."""
        if isinstance(self.store, SharedJobStore):
            found = {record.id: record for record in self.store._read(job_ids)}
            for job_id in job_ids:
                if job_id in found:
                    yield found[job_id], None
            return
        for job_id in job_ids:
            try:
                pair = self.store.read(job_id)
            except JobRestoreError as exc:
                self.refused.append(Refused(job_id, described(exc)))
                continue
            if pair is not None:
                yield pair

    def _entry(self, record: Record, job: Job | None) -> bytes | None:
        if record.version > FORMAT_VERSION:
            raise JobRestoreError("its record is damaged, or was written by a later version of the library")
        if job is None:
            assert isinstance(self.store, SharedJobStore)
            body = self.store._serializer.exported(record.id, record.payload)
            state = json.loads(body, parse_constant=_refuse)
            if not isinstance(state, dict) or state.get("id", record.id) != record.id:
                raise JobRestoreError("its payload is not the state of this job")
            if "\n" in body:
                body = _to_text(state)
        else:
            body = state_text(job)
        runs = tuple(run for run in record.runs if run.state != "claimed" and run.incarnation is None)
        self.going_on += sum(run.state == "claimed" for run in record.runs)
        if record.state == "ended" and not runs:
            return None  # it is there for a run that goes on, and has nothing else left
        fields = {
            "id": record.id,
            "jobstore": self.alias,
            "state": record.state,
            "reason": record.reason,
            "next_run_time": record.next_run_time,
            "fire_time": record.fire_time,
        }
        waiting = dump_runs(runs) or "[]"
        return _line(fields, f'"runs":{waiting},"job":{body}')


def pending_entry(job: Job, alias: str, schedule: Mapping[str, int | None] | Plan) -> bytes:
    """A job that waits for the start of its scheduler; `schedule` has what was said of its next run time, or is known."""
    fields: dict[str, object] = {"id": job.id, "jobstore": alias, "state": "pending"}
    if isinstance(schedule, Plan):
        fields |= {
            "state": schedule.state,
            "reason": schedule.reason,
            "next_run_time": schedule.next_run_time,
            "fire_time": schedule.fire_time,
        }
    else:
        fields.update(schedule)
    return _line(fields, f'"job":{state_text(job)}')


def state_text(job: Job) -> str:
    """The state of a job as tagged JSON. Raises `TransientJobError`, and UnsupportedSerializationError for what JSON cannot carry."""
    try:
        state = job.__getstate__()
    except ValueError as exc:
        raise TransientJobError(job.id) from exc
    del state["next_run_time"]
    return _PLAIN.to_json(state)


def _line(fields: Mapping[str, object], rest: str) -> bytes:
    """An entry, of fields and what follows them."""
    try:
        return f"{_to_text(fields)[:-1]},{rest}}}".encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as in the name of a file that is no UTF-8
        text = json.dumps(fields, separators=(",", ":"))
        if json.loads(text) != fields:
            raise ValueError("its id holds two halves of a character, which JSON would make one") from None
        return f"{text[:-1]},{rest}}}".encode()


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
