"""`Link`: a store's way to its server: calls of the driver, and what its errors mean."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import pymongo
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from ..errors import JobStoreError, StoreUnreachableError
from .connecting import Client, Collection, collection_of, described, new_client
from .documents import Document

T = TypeVar("T")

_NEEDED: Final = 9
"""The version of the protocol of MongoDB 4.4."""

COMMAND_NOT_FOUND: Final = 59
DUPLICATE_KEY: Final = 11000
TOO_LARGE: Final = 10334

_FOR_NOW: Final = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        24,  # LockTimeout
        50,  # MaxTimeMSExpired
        64,  # WriteConcernTimeout: too few members have confirmed a write
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        100,  # UnsatisfiableWriteConcern
        112,  # WriteConflict
        133,  # FailedToSatisfyReadPreference
        134,  # ReadConcernMajorityNotAvailableYet
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        262,  # ExceededTimeLimit
        9001,  # SocketException
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11602,  # InterruptedDueToReplStateChange
        13388,  # StaleConfig: a sharded collection is being moved
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
        14031,  # OutOfDiskSpace
    }
)
"""The codes of errors that go away without anybody changing the program."""

_DENIED: Final = frozenset({13, 18, 8000})
"""Unauthorized, AuthenticationFailed, AtlasError (which is that)."""


class LostReplyError(StoreUnreachableError):
    """The request may have been carried out, or may still be; its answer has not come."""


class Link:
    """Thread-safe. Unusable before `open` and in a fork of the process that called it."""

    def __init__(
        self,
        given: Client | None,
        settings: Mapping[str, Any],
        database: str,
        collection: str,
        timeout: float,
    ) -> None:
        """A client that was given, or what one is made with. Raises ValueError for names that MongoDB does not take."""
        self._given = given
        self._settings = dict(settings)
        self._names = database, collection
        self._timeout = timeout
        self._client: Client | None = None
        self._inherited: Client | None = None
        self._collection: Collection | None = None
        self._opened_in: int | None = None
        sample: Client = given or pymongo.MongoClient(connect=False)
        self.full_name = collection_of(sample, database, collection).full_name
        if given is not None:
            self._place = described(given, self.full_name)
        else:
            sample.close()
            self._place = f"MongoDB, collection {self.full_name}"
        self._hello = "hello"

    @property
    def opened_here(self) -> bool:
        """Whether this process has opened it, and not closed it since."""
        return self._opened_in == os.getpid()

    def open(self) -> None:
        """Make it usable in this process. Connects when it is first used."""
        self.close()
        if self._given is not None:
            self._client = self._given
        else:
            self._client = new_client(self._settings, self._timeout)
            self._place = described(self._client, self.full_name)
        self._collection = collection_of(self._client, *self._names)
        self._opened_in = os.getpid()

    def close(self) -> None:
        """Give up the connections. Those that a fork has of its parent's are left alone."""
        client, self._client = self._client, None
        if client is not None and client is not self._given:
            if self.opened_here:
                client.close()
            else:
                self._inherited = client  # not closed, and not collected, either: it would speak on its parent's connections
        self._collection = self._opened_in = None

    @property
    def collection(self) -> Collection:
        """Raises JobStoreError if it is not open in this process."""
        collection = self._collection
        if collection is None or not self.opened_here:
            raise self._closed()
        return collection

    # -- asking --------------------------------------------------------------------------------------------------------

    def ask(self, call: Callable[[Collection], T]) -> T:
        """What a call answers. Raises JobStoreError; for what only reads, or may be done twice."""
        with self._errors():
            return call(self.collection)

    def find(self, condition: Document, fields: Mapping[str, Any], **options: Any) -> list[Document]:
        """The documents of a query."""
        return list(self.pages(condition, fields, **options))

    def pages(self, condition: Document, fields: Mapping[str, Any], **options: Any) -> Iterator[Document]:
        """The documents of a query, brought page after page as they are asked for."""
        cursor = None
        try:
            with self._errors():
                cursor = self.collection.find(condition, dict(fields), **options)
            while True:
                with self._errors():
                    try:
                        document = next(cursor, None)
                    except BSONError:
                        break
                if document is None:
                    return
                yield document
        finally:
            if cursor is not None:
                cursor.close()
        # Something among them cannot be decoded: each by itself, anew.
        yield from self._one_by_one(condition, fields, options)

    def _one_by_one(
        self, condition: Document, fields: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Iterator[Document]:
        collection: Any = self.collection
        raw = collection.with_options(
            codec_options=collection.codec_options.with_options(document_class=RawBSONDocument)
        )
        with self._errors():
            found = list(raw.find(condition, dict(fields), **options))
        for document in found:
            whole: Document = {}
            try:
                whole = dict(document)
            except BSONError as error:
                whole = {"_id": f"damaged document: {error}"}
            yield whole

    def hello(self) -> Document:
        """What the server says of itself."""

        def ask(collection: Collection) -> Document:
            admin, options = collection.database.client.admin, collection.codec_options
            try:
                return admin.command(self._hello, codec_options=options)
            except OperationFailure as error:
                if error.code != COMMAND_NOT_FOUND or self._hello != "hello":
                    raise
                self._hello = "isMaster"
                return admin.command(self._hello, codec_options=options)

        return self.ask(ask)

    def check_version(self) -> None:
        """Raises JobStoreError if the server is too old."""
        if self.hello().get("maxWireVersion", 0) < _NEEDED:
            raise JobStoreError(f"{self}: the server is older than MongoDB 4.4")

    def write(self, call: Callable[[Collection], T]) -> T:
        """What a call answers that writes. Raises JobStoreError, and `LostReplyError` if it may have been carried out all the same."""
        collection = self.collection
        try:
            with self._errors():
                return call(collection)
        except StoreUnreachableError as error:
            if _was_not_sent(error.__cause__):
                raise
            raise LostReplyError(str(error)) from error.__cause__

    # -- errors --------------------------------------------------------------------------------------------------------

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Within: at most `timeout` seconds, and the driver's errors become the store's."""
        try:
            # Also where the client was given, and would wait for ever.
            with pymongo.timeout(self._timeout):
                yield
        except PyMongoError as error:
            raise self.translated(error) from error
        except OverflowError as error:
            raise JobStoreError(f"{self}: {error}") from error

    def translated(self, error: PyMongoError) -> JobStoreError:
        """What a store raises for an error of the driver's."""
        if not self.opened_here:
            return self._closed()
        reason = _reason(error)
        if isinstance(error, DocumentTooLarge) or _code(error) == TOO_LARGE:
            return JobStoreError(f"{self}: a document must not be larger than 16 MB: {reason}")
        kind = StoreUnreachableError if _passes(error) else JobStoreError
        return kind(f"{self}: {reason}")

    def _closed(self) -> JobStoreError:
        if self._opened_in is None or self.opened_here:
            return JobStoreError(
                f"{self} is not started: call start(), or add the store to a scheduler and start that"
            )
        return JobStoreError(
            f"{self} was started by process {self._opened_in}, and this is a fork of it ({os.getpid()}): its connections must not be "
            "used here. Start the store (or its scheduler) in this process first"
        )

    def __str__(self) -> str:
        return f"job store on {self._place}"


def _was_not_sent(error: BaseException | None) -> bool:
    """Whether the request surely has not left this process."""
    return isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError)


def _passes(error: PyMongoError) -> bool:
    """Whether trying again later may help, without anybody changing the program or its rights."""
    if isinstance(error, BulkWriteError):
        details: Any = error.details
        errors = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        return bool(errors) and all(each.get("code") in _FOR_NOW for each in errors)
    code = _code(error)
    if code in _DENIED:
        return False
    if isinstance(error, ServerSelectionTimeoutError | AutoReconnect) and "CERTIFICATE_VERIFY_FAILED" in str(
        error
    ):
        return False
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError) or error.timeout:
        return True
    if isinstance(error, ConfigurationError):
        # A `mongodb+srv` name whose server does not answer.
        return type(error.__cause__ or error.__context__).__name__ in (
            "LifetimeTimeout",
            "NoNameservers",
            "Timeout",
        )
    return code in _FOR_NOW or error.has_error_label("RetryableWriteError")


def _code(error: PyMongoError) -> int | None:
    if isinstance(error, BulkWriteError):
        details: Any = error.details
        codes = {each.get("code") for each in details.get("writeErrors", ())}
        return next(iter(codes)) if len(codes) == 1 else None
    return error.code if isinstance(error, OperationFailure) else None


def _reason(error: PyMongoError) -> str:
    details: Any = getattr(error, "details", None)
    text = ""
    if isinstance(error, BulkWriteError):
        errors = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        text = "; ".join(dict.fromkeys(str(each.get("errmsg")) for each in errors))
    elif isinstance(error, OperationFailure) and isinstance(details, Mapping):
        text = str(details.get("errmsg") or "")
    # Of a server that is not found the driver says what it knows of all of them: the first sentence will do.
    text = (text or str(error)).partition(", Topology Description")[0].partition(", Timeout: ")[0]
    text = text.partition(" (configured timeouts: ")[0]
    return " ".join(text.split()) or type(error).__name__
