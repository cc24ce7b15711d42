"""What stands in the `reason` of a record in state `importing`, and the transitions of such records.

Every record of an import carries its token, the id of the import's *head* (the record that is written first, and released or removed last),
and the state and reason that it is to have. The head also says whose the import is, and how far: as long as its phase is `"writing"` the import
is undone if its process dies, and once it is `"complete"`, it is finished. That one write is the commit point.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from ..record import Record, State, Transition
from ..transitions import seal, unblocked

Stage: TypeAlias = Literal["writing", "undoing", "complete"]

_STATES: Final = ("active", "paused", "parked", "ended")


@dataclass(frozen=True, slots=True)
class Head:
    """What only the head carries."""

    name: str
    """What is imported: the same for each call of the same import."""
    owner: str
    """Who is at it (`Owner.name`)."""
    until: int
    """µs UTC: until then it counts as alive where nobody can ask; extended with each batch."""
    stage: Stage
    total: int
    """So many jobs belong to it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The text of an arriving record's `reason`, read."""

    token: str
    """The import: another one for each call."""
    head_id: str
    state: State
    reason: str | None
    head: Head | None = None

    def text(self) -> str:
        """As it stands in a record: ASCII, which every store keeps as it is."""
        mark: dict[str, Any] = {
            "import": self.token,
            "head": self.head_id,
            "state": self.state,
            "reason": self.reason,
        }
        if (head := self.head) is not None:
            mark |= {
                "name": head.name,
                "owner": head.owner,
                "until": head.until,
                "stage": head.stage,
                "total": head.total,
            }
        return json.dumps(mark, separators=(",", ":"))


def mark_of(record: Record | None) -> Mark | None:
    """The mark of a record; None if it is none that arrives, or is not understood."""
    if record is None or record.state != "importing" or not record.reason:
        return None
    try:
        mark = json.loads(record.reason)
        head = (
            Head(str(mark["name"]), str(mark["owner"]), int(mark["until"]), mark["stage"], int(mark["total"]))
            if "stage" in mark
            else None
        )
        found = Mark(str(mark["import"]), str(mark["head"]), mark["state"], mark["reason"], head)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if found.state not in _STATES or not isinstance(found.reason, str | None):
        return None
    return found


def remark(record: Record, seen: str, text: str, stamp: str) -> Transition:
    """Another mark on the head, if it is still as it was seen."""
    if record.state != "importing" or record.reason != seen:
        return None
    return seal(replace(record, reason=text), stamp)


def release(record: Record, token: str, stamp: str) -> Transition:
    """An arrived job begins to count: it gets the state that it came with."""
    mark = mark_of(record)
    if mark is None or mark.token != token:
        return None
    return seal(
        replace(record, state=mark.state, reason=mark.reason, runs=unblocked(record.runs, mark.state)), stamp
    )


def withdraw(record: Record, token: str, stamp: str) -> Transition:
    """An arrived job goes again. What goes on of an earlier job that had its id, and was over, stays for its owner to end."""
    mark = mark_of(record)
    if mark is None or mark.token != token:
        return None
    earlier = tuple(run for run in record.runs if run.incarnation is not None)
    return seal(
        replace(
            record, state="ended", reason=None, next_run_time=None, fire_time=None, runs=earlier, forgotten=0
        ),
        stamp,
    )
