"""The envelope around a stored payload, {serializer, signature, body}, its signature, and what is raised when it is refused.

SerializationError
├── UnsupportedSerializationError (TypeError, ValueError)   an argument that would not come back equal
└── EnvelopeError (ValueError)                              a payload that is not to be trusted or not to be read
    ├── UnsignedEnvelopeError
    ├── TamperedEnvelopeError
    ├── UnknownSerializerError
    ├── PickleRefusedError
    ├── CallableNotAllowedError                             raised when storing, too
    └── UnreadableEnvelopeError
"""

import hmac
import json
from collections.abc import Iterable
from json.encoder import encode_basestring
from typing import Final

from ..errors import SerializationError as SerializationError
from ..errors import UnsupportedSerializationError as UnsupportedSerializationError

MAX_PAYLOAD: Final = 64 << 20
"""Bytes: no payload is stored, or looked into, that is larger."""


class EnvelopeError(SerializationError, ValueError):
    """A stored payload is refused. `job_id` is the job it was read for (None if it is not known)."""

    def __init__(self, job_id: str | None, reason: str) -> None:
        super().__init__(job_id, reason)
        self.job_id = job_id
        self.reason = reason

    def __str__(self) -> str:
        return self.reason if self.job_id is None else f"job {self.job_id!r}: {self.reason}"


class UnsignedEnvelopeError(EnvelopeError):
    """The store has signing keys, and this payload carries no signature."""


class TamperedEnvelopeError(EnvelopeError):
    """The signature was made with none of the signing keys, or the payload was changed or moved to another job since."""


class UnknownSerializerError(EnvelopeError):
    """The payload was written by a serializer that this version does not know."""


class PickleRefusedError(EnvelopeError):
    """The payload is a pickle, whose loading runs code, and the store does not allow that."""


class CallableNotAllowedError(EnvelopeError):
    """A function or class is not among the store's `allowed_callables`."""


class UnreadableEnvelopeError(EnvelopeError):
    """The payload is damaged, or a class refuses the state that was stored of it. The cause is attached."""


class Sealer:
    """Puts a body into its envelope and takes it out again, checking signatures if there are keys. Immutable, thread-safe.

    The first key signs, all of them verify, so that keys can be rotated: put the new one in front everywhere, and drop the
    old one once every job has been written again. Without keys a signature is not made and not looked at.
    """

    __slots__ = ("_keys",)

    def __init__(self, signing_keys: Iterable[str | bytes] | None = None) -> None:
        if isinstance(signing_keys, str | bytes):
            raise TypeError("signing_keys must be a list of keys, got a single one: write signing_keys=[key]")
        if signing_keys is not None and not isinstance(signing_keys, Iterable):
            raise TypeError(f"signing_keys must be a list of keys, got {type(signing_keys).__name__}")
        self._keys = () if signing_keys is None else tuple(_key(key) for key in signing_keys)
        if signing_keys is not None and not self._keys:
            raise ValueError(
                "signing_keys is empty, so nothing would be signed: give at least one key, or None (or nothing) to store unsigned payloads"
            )

    def seal(self, job_id: str, serializer: str, body: str) -> bytes:
        """The envelope as compact JSON in UTF-8. `serializer` must need no escaping."""
        signature = f'"{_signature(self._keys[0], job_id, serializer, body)}"' if self._keys else "null"
        text = f'{{"serializer":"{serializer}","signature":{signature},"body":{encode_basestring(body)}}}'
        data = text.encode()
        if len(data) > MAX_PAYLOAD:
            raise UnsupportedSerializationError(
                f"job {job_id!r}",
                "Job",
                f"with its arguments it takes {len(data):,} bytes, and a job store at most {MAX_PAYLOAD:,}",
                "Keep large data elsewhere, and give the job what it finds them by",
            )
        return data

    def unseal(self, job_id: str, data: bytes) -> tuple[str, str]:
        """Serializer and body, the signature verified; raises EnvelopeError's subclasses and nothing else."""
        if isinstance(data, bytes) and len(data) > MAX_PAYLOAD:
            raise UnreadableEnvelopeError(
                job_id,
                f"the stored payload has {len(data):,} bytes, more than the {MAX_PAYLOAD:,} that are looked into",
            )
        try:
            envelope = json.loads(data.decode())
            serializer, signature, body = envelope["serializer"], envelope["signature"], envelope["body"]
        except (
            Exception
        ) as error:  # not UTF-8, not JSON, nested too deep, not an object, a key missing, not even bytes
            raise UnreadableEnvelopeError(job_id, f"the stored payload is no envelope ({error!r})") from error
        if not (isinstance(serializer, str) and isinstance(body, str) and isinstance(signature, str | None)):
            raise UnreadableEnvelopeError(job_id, "the stored payload's envelope has parts of the wrong type")
        if self._keys:
            self._verify(job_id, serializer, signature, body)
        return serializer, body

    def _verify(self, job_id: str, serializer: str, signature: str | None, body: str) -> None:
        if signature is None:
            raise UnsignedEnvelopeError(
                job_id,
                "the stored payload is not signed, and this job store has signing_keys: add the job again to sign it",
            )
        given = signature.encode(errors="surrogatepass")  # compare_digest takes text only if it is ASCII
        # Every key is tried, whatever the outcome: the time tells nothing about which one fits.
        if not sum(
            hmac.compare_digest(_signature(key, job_id, serializer, body).encode(), given)
            for key in self._keys
        ):
            raise TamperedEnvelopeError(
                job_id,
                "the stored payload's signature fits none of the signing_keys: it was changed by somebody without the key, "
                "or signed with a key that is missing here",
            )


def _key(key: str | bytes) -> bytes:
    if not isinstance(key, str | bytes):
        raise TypeError(f"a signing key must be str or bytes, got {type(key).__name__}")
    encoded = key.encode() if isinstance(key, str) else key
    if not encoded:
        raise ValueError(
            "a signing key must not be empty: give at least 32 random bytes, e.g. secrets.token_hex(32)"
        )
    return encoded


def _signature(key: bytes, job_id: str, serializer: str, body: str) -> str:
    """HMAC-SHA256 in hex. Each part is preceded by its length, so that no two triples give the same message."""
    parts = [part.encode(errors="surrogatepass") for part in (serializer, job_id, body)]
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.digest(key, message, "sha256").hex()
