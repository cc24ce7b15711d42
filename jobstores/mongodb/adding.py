"""`Adding`: how jobs are added, all or none, on servers with and without transactions, and what becomes of it when somebody dies in the middle.

A job that is added is *staged* first: its document has the mark `adding`, and neither a stamp nor a time to wake, so nobody sees it. Then it
is *revealed*: the mark goes, and those two fields get their names. Of a single job that is the moment when it is added. Several have a *head*
beside them, a document of its own: when all are staged, one write to the head says that they are complete, and that is the
moment; then they are revealed, and the head goes last. Whoever finds staged jobs whose adder is dead, or has not gone on for a while,
reveals them if their head says so; else he takes away the head first, which the adder's next step will miss, and then the rest.

A request that is late harms nobody: jobs are staged under a token which is used for one try, and to reveal names it; what is staged after
its head has gone stays unseen, and is taken away. A record which is over, and stands in the way, stays as it is until then: it is marked, and
keeps the new one beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from random import uniform
from threading import Event
from typing import Any, Final

import bson
from pymongo.errors import BulkWriteError
from pymongo.operations import DeleteMany, DeleteOne, UpdateMany, UpdateOne

from .. import edits
from ..errors import ConflictingIdError, JobStoreError, StoreUnreachableError
from ..owner import Owner, is_gone
from ..record import Record
from ..uncertain import UncertainWriteError
from .connecting import Collection
from .documents import (
    RESERVATION,
    WITH_PAYLOAD,
    Document,
    is_hidden,
    load_record,
    new_document,
    push_text,
    to_bson,
)
from .link import DUPLICATE_KEY, Link, LostReplyError

_TRIES: Final = 30
_LONGEST_PAUSE: Final = 0.2
"""Seconds between two tries while somebody else is adding a job of the same id."""

LEFT_AFTER: Final = 30_000_000
"""µs after which staged jobs of which there have not become more are somebody's who does not go on. Longer than a portion takes."""

PORTION: Final = 2_000
"""So many documents are staged by one request, at most, so that many jobs are no request that takes too long;"""

PORTION_BYTES: Final = 8 << 20
"""or so many bytes of payloads."""

_HEAD: Final = "\0+"
"""What the id of a head begins with: no job's does."""

_HIDDEN: Final = {"stamp": "staged_stamp", "wake_at": "staged_wake_at"}
_REVEAL: Final = {
    "$rename": {staged: name for name, staged in _HIDDEN.items()},
    "$unset": {"adding": "", "by": ""},
}
_UNMARK: Final = {"$unset": {"adding": "", "by": "", "replacement": ""}}


class Adding:
    """Adds jobs to a store. Thread-safe."""

    def __init__(self, link: Link, owner: Callable[[], Owner]) -> None:
        self._link = link
        self._owner = owner
        self._seen: dict[str, tuple[int, int]] = {}
        """When there were how many documents under a token first, at a sweep."""
        self._active: set[str] = set()
        self._names: set[str] = set()

    def insert(self, records: Sequence[Record], stamp: str) -> None:
        """Add new records, all or none. Raises ConflictingIdError for the first id that is taken.

        UncertainWriteError if it is not known whether they were added: then all of them will be, or none.
        """
        if not records:
            return
        pause = 0.0
        lost = 0
        for number in range(_TRIES):
            if pause:
                Event().wait(uniform(0.5, 1.0) * pause)
            token = f"{stamp}.{number}"
            waits: Sequence[tuple[str, str]] | None = ()
            self._active.add(token)
            try:
                waits = self._try(records, stamp, token)
            except LostReplyError:
                # What was staged, or may still be, is under a token that is not used again.
                lost += 1
                if lost > 1:
                    raise
            finally:
                self._active.discard(token)
            if waits is None:
                return
            if not self._resolve(waits):
                pause = min(2 * pause or 0.005, _LONGEST_PAUSE)
        raise StoreUnreachableError(
            f"{self._link}: somebody else is adding or changing a job of the same id ({records[0].id!r} or one beside it) all the time: try again"
        )

    def sweep(self, now: int | None) -> None:
        """Finish or undo what others have begun to add, and will not go on with. `now`: µs; None: only of those who are known to be dead."""
        staged = self._link.find({"adding": {"$exists": True}}, {"adding": 1, "by": 1}, limit=1_000)
        # Those of this process go on: their threads are in `insert`.
        tokens = {
            token: str(document.get("by"))
            for document in staged
            if (token := str(document["adding"])) not in self._active
        }
        seen, self._seen = self._seen, {}
        for token, owner in tokens.items():
            if not is_gone(owner) and not self._is_left(token, now, seen.get(token)):
                continue
            _resolve(self._link, token)
            self._seen.pop(token, None)

    def _is_left(self, token: str, now: int | None, seen: tuple[int, int] | None) -> bool:
        """Whether there have not become more documents under a token for a while. `seen`: when there were how many before."""
        if now is None:
            if seen is not None:
                self._seen[token] = seen
            return False
        number = self._link.ask(lambda collection: collection.count_documents({"adding": token}))
        first = seen[0] if seen is not None and seen[1] == number else now
        self._seen[token] = first, number
        return now - first >= LEFT_AFTER

    def _try(self, records: Sequence[Record], stamp: str, token: str) -> Sequence[tuple[str, str]] | None:
        """One try; see `_Batch.add`. What was staged in vain is taken away, as far as the server can be reached."""
        name = self._owner().name
        self._names.add(name)
        batch = _Batch(self._link, records, stamp, token, name)
        try:
            waits = batch.add()
        except UncertainReplyError:
            raise  # they may have been added
        except (ConflictingIdError, JobStoreError) as error:
            if isinstance(error, LostReplyError) or not isinstance(error, StoreUnreachableError):
                batch.undo()
            raise
        if waits is not None:
            batch.undo()
        return waits

    def _resolve(self, tokens: Iterable[tuple[str, str]]) -> bool:
        """Finish or undo those of these tokens whose owner does not go on. Whether that was all."""
        done = True
        for token, owner in tokens:
            if is_gone(owner) or (owner in self._names and token not in self._active):
                _resolve(self._link, token)
            else:
                done = False
        return done


class _Batch:
    """One try to add some records."""

    def __init__(self, link: Link, records: Sequence[Record], stamp: str, token: str, owner: str) -> None:
        self._link = link
        self._records = {to_bson(record.id): record for record in records}
        self._stamp = stamp
        self._token = token
        self._mark: Document = {"adding": token, "by": owner}
        self._head = _HEAD + token
        self._alone = len(records) == 1
        self._marked = False
        self._doubt: LostReplyError | None = None
        """An answer that got lost."""

    def add(self) -> list[tuple[str, str]] | None:
        """None when they are added. Else nothing is, and it is to be tried again: when these tokens of others (and their owners) are gone."""
        waits = self._stage()
        if waits is not None:
            return waits
        if self._alone:
            if self._marked:
                return None
            return None if self._reveal() or self._is_there() else self._in_vain()
        if not self._complete():
            return self._in_vain()
        try:
            _finish(self._link, self._token, self._pushed(), marked=self._marked)
        except StoreUnreachableError:
            pass  # they are added, and seen when the server is back and somebody sweeps
        return None

    def _in_vain(self) -> list[tuple[str, str]]:
        """Nothing of it is there. Raises UncertainReplyError if an answer got lost: then it may have been, and be done with."""
        if self._doubt is not None:
            raise UncertainReplyError(
                f"{self._doubt}; it is not known whether the jobs were added: if they were, they have run or been removed since"
            ) from self._doubt.__cause__
        return []

    def undo(self) -> None:
        """Take away what was staged. What that cannot be done for now is done by whoever finds it (`sweep`)."""
        try:
            _undo(self._link, self._token)
        except JobStoreError:
            pass  # nobody sees them, and the sweep of any scheduler takes them away

    def _stage(self) -> list[tuple[str, str]] | None:
        """Stage all of them: None. Else what is in the way, which has to go first."""
        documents: list[Document] = []
        if not self._alone:
            documents.append({"_id": self._head, **self._mark, "complete": False})
        for record in self._records.values():
            sealed = edits.add(None, record, self._stamp)
            assert isinstance(sealed, Record)
            document = new_document(sealed)
            for name, staged in _HIDDEN.items():
                document[staged] = document.pop(name)
            documents.append({**document, **self._mark})
        taken: list[str] = []
        for portion in _portions(documents):

            def insert(collection: Collection, portion: Sequence[Document] = portion) -> None:
                try:
                    collection.insert_many(portion, ordered=False)
                except BulkWriteError as error:
                    details: Any = error.details
                    errors = details["writeErrors"]
                    if not errors or any(each["code"] != DUPLICATE_KEY for each in errors):
                        raise
                    taken.extend(portion[each["index"]]["_id"] for each in errors)
                    if details["writeConcernErrors"]:
                        raise

            self._link.write(insert)
        return self._meet(taken) if taken else None

    def _meet(self, taken: Sequence[str]) -> list[tuple[str, str]] | None:
        """Look at what has the ids that are taken. Raises ConflictingIdError if it is a job."""
        fields = {**WITH_PAYLOAD, "by": 1}
        found = {each["_id"]: each for each in self._link.find({"_id": {"$in": [*taken]}}, fields)}
        waits: list[tuple[str, str]] = []
        again = len(found) < len(taken)
        over: list[Record] = []
        for name in self._records:
            document = found.get(name)
            if document is None:
                continue
            if "adding" in document:
                waits.append((str(document["adding"]), str(document.get("by"))))
            if is_hidden(document):
                continue
            record = load_record(document)
            if edits.add(record, self._records[name], self._stamp) is None:
                raise ConflictingIdError(self._records[name].id)
            over.append(record)
        if waits or again:
            return waits
        return None if self._take_over(over) else self._in_vain()

    def _take_over(self, over: Sequence[Record]) -> bool:
        """Mark records that are over, so that nobody deletes or replaces them; a single one is replaced at once."""
        requests = []
        for before in over:
            new = self._records[to_bson(before.id)]
            if self._alone:
                update = _replacement(before, new, self._stamp)
                update["$set"].update(self._push([new]))
            else:
                update = {
                    "$set": {
                        **self._mark,
                        "replacement": bson.encode(new_document(replace(new, stamp=self._stamp))),
                    }
                }
            requests.append(
                UpdateOne({"_id": to_bson(before.id), "stamp": before.stamp, "adding": None}, update)
            )
        self._marked = True
        return self._sure(requests) == len(requests) or (self._alone and self._is_there())

    def _complete(self) -> bool:
        """Say that all are staged. False: somebody has taken it for abandoned."""
        # If the head has gone, that may also be because somebody has done the rest, too.
        done = self._sure([UpdateOne({"_id": self._head}, {"$set": {"complete": True}})])
        return done == 1 or self._is_there()

    def _reveal(self) -> bool:
        (name,) = self._records
        update = {**_REVEAL, "$set": self._push([*self._records.values()])}
        if not update["$set"]:
            del update["$set"]
        return self._sure([UpdateOne({"_id": name, "adding": self._token}, update)]) == 1

    def _sure(self, requests: Sequence[Any]) -> int:
        """Carry out updates that may be asked for twice. How many documents met them, when they were asked for last."""

        def carry_out(collection: Collection) -> int:
            return collection.bulk_write(requests, ordered=False).matched_count

        try:
            return self._link.write(carry_out)
        except LostReplyError as error:
            self._doubt = error
            try:
                return self._link.write(carry_out)
            except StoreUnreachableError as again:
                raise UncertainReplyError(
                    f"{error}; it is not known whether the jobs were added, since that could not be asked: {again}"
                ) from error.__cause__

    def _is_there(self) -> bool:
        """Whether one of the records was added by this try."""
        names = [*self._records]
        found = self._link.find({"_id": {"$in": names[:1]}, "stamp": {"$exists": True}}, WITH_PAYLOAD)
        return any(load_record(each).incarnation == self._records[names[0]].incarnation for each in found)

    def _pushed(self) -> tuple[str, Document] | None:
        name = next(iter(self._records))
        push = self._push([*self._records.values()])
        return (name, push) if push else None

    def _push(self, records: Iterable[Record]) -> Document:
        times = [
            each.next_run_time
            for each in records
            if each.state == "active" and each.next_run_time is not None
        ]
        return {"soon": push_text(min(times), self._stamp)} if times else {}


class UncertainReplyError(UncertainWriteError, StoreUnreachableError):
    """It could not be found out whether jobs were added."""


def _portions(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """The documents, as many together as one request stages."""
    portion: list[Document] = []
    size = 0
    for document in documents:
        more = len(document.get("payload") or b"")
        if portion and (len(portion) >= PORTION or size + more > PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(document)
        size += more
    if portion:
        yield portion


def _replacement(before: Record, new: Record, stamp: str) -> Document:
    """The update that puts a new record in the place of one that is over."""
    after = edits.add(before, new, stamp)
    assert isinstance(after, Record)
    document = new_document(after)
    del document["_id"]
    update: Document = {"$set": document, "$unset": dict(RESERVATION)}
    if "lease" not in document:
        update["$unset"]["lease"] = ""
    return update


# -- by anybody ----------------------------------------------------------------------------------------------------------


def _resolve(link: Link, token: str) -> None:
    """Finish or undo what was begun to be added under this token. Raises JobStoreError."""
    head = link.find({"_id": _HEAD + token}, {"complete": 1})
    if head and head[0].get("complete") is True:
        _finish(link, token, None)
    else:
        _undo(link, token)


def _finish(link: Link, token: str, pushed: tuple[str, Document] | None, marked: bool = True) -> None:
    """Reveal what is complete. May be done by several at once, and again. `marked`: there may be records that are to be replaced."""
    reveal: list[Any] = []
    if pushed is not None:
        name, push = pushed
        reveal.append(UpdateOne({"_id": name, "adding": token, "stamp": None}, {**_REVEAL, "$set": push}))
    reveal.append(UpdateMany({"adding": token, "stamp": None, "complete": None}, _REVEAL))
    if marked:
        _again(link, lambda collection: collection.bulk_write(reveal, ordered=True))
        while not _replace(link, token):
            pass
        reveal = []
    requests: list[Any] = [*reveal, DeleteOne({"_id": _HEAD + token})]
    _again(link, lambda collection: collection.bulk_write(requests, ordered=True))


def _replace(link: Link, token: str) -> bool:
    """Put the new records in the places of those that are over and marked. Whether none is left."""
    condition = {"adding": token, "stamp": {"$exists": True}}
    found = link.find(condition, {**WITH_PAYLOAD, "replacement": 1}, limit=1_000)
    requests: list[Any] = []
    for document in found:
        before = load_record(document)
        new = load_record(bson.decode(document["replacement"]))
        update = _replacement(before, new, new.stamp)
        update["$unset"].update(_UNMARK["$unset"])
        requests.append(UpdateOne({"_id": document["_id"], "stamp": before.stamp, "adding": token}, update))
    if requests:
        _again(link, lambda collection: collection.bulk_write(requests, ordered=False))
    return not found


def _undo(link: Link, token: str) -> None:
    """Take away what is not complete. Nothing happens if it is, or becomes, complete."""

    def behead(collection: Collection) -> bool:
        # First the head, without which nothing becomes complete any more.
        collection.delete_one({"_id": _HEAD + token, "complete": False})
        return collection.find_one({"_id": _HEAD + token}, {"_id": 1}) is None

    if link.ask(behead):
        requests: list[Any] = [
            DeleteMany({"adding": token, "stamp": None}),
            # What was over when it was marked, and has ended since, only waited for this.
            UpdateMany({"adding": token, "stamp": {"$exists": True}, "runs": {"$ne": None}}, _UNMARK),
            DeleteMany({"adding": token, "stamp": {"$exists": True}, "runs": None}),
        ]
        link.ask(lambda collection: collection.bulk_write(requests, ordered=False))


def _again(link: Link, call: Callable[[Collection], Any]) -> None:
    """Do what may be done twice, if need be."""
    try:
        link.write(call)
    except LostReplyError:
        link.write(call)
