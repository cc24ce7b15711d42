"""The serializer: a job's state to and from the payload that a store keeps, as tagged JSON or, if asked for, as a pickle."""

import difflib
import pickle
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from ...triggers.base import BaseTrigger
from .allowlist import AllowedCallables
from .envelope import (
    CallableNotAllowedError,
    EnvelopeError,
    PickleRefusedError,
    Sealer,
    SerializationError,
    TamperedEnvelopeError,
    UnknownSerializerError,
    UnreadableEnvelopeError,
    UnsignedEnvelopeError,
    UnsupportedSerializationError,
)
from .references import UnresolvableReferenceError
from .tags import TagCodec, to_text
from .unpickling import load_pickle

__all__ = [
    "Serializer",
    "SerializationError",
    "UnsupportedSerializationError",
    "EnvelopeError",
    "UnsignedEnvelopeError",
    "TamperedEnvelopeError",
    "UnknownSerializerError",
    "PickleRefusedError",
    "CallableNotAllowedError",
    "UnreadableEnvelopeError",
    "UnresolvableReferenceError",
]

_KNOWN = ("json", "pickle")


class Serializer:
    """Turns the state of a job into the bytes of its payload, and back. Immutable, thread-safe.

    serializer: "json" (default) or "pickle". JSON runs no code by itself, and refuses what would not come back equal in value
        and type. A pickle can hold nearly anything, and whoever can write to the store can make its readers run any code.
    pickle_protocol: the protocol that APScheduler's stores take. Given alone, it means serializer="pickle". Together with
        serializer="json", new payloads are JSON and stored pickles can still be read: the way out of pickle.
    signing_keys: keys (str or bytes) for HMAC-SHA256 over serializer, job id and body. The first signs, all verify; a payload
        without a valid signature is refused. None: nothing is signed. An empty list is refused: who reads keys from a setting that is
        not there would sign nothing, and not notice.
    allowed_callables: module prefixes ("myapp") and references ("myapp.jobs:send") that jobs may use, as functions and as
        classes of arguments and triggers (see AllowedCallables). None: no limit. The library's triggers are always allowed.

    Without signing_keys and allowed_callables, who can write to the store can have any importable function called, with
    JSON as well: a record names its function.
    """

    __slots__ = ("_allowed", "_codec", "_pickle_protocol", "_reads_pickle", "_sealer", "serializer")

    def __init__(
        self,
        serializer: str | None = None,
        pickle_protocol: int | None = None,
        signing_keys: Iterable[str | bytes] | None = None,
        allowed_callables: Iterable[str] | None = None,
    ) -> None:
        if serializer is None:
            serializer = "json" if pickle_protocol is None else "pickle"
        if serializer not in _KNOWN:
            nearest = difflib.get_close_matches(str(serializer), _KNOWN, 1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(f'serializer must be "json" or "pickle", got {serializer!r}{hint}')
        self.serializer = serializer
        self._reads_pickle = serializer == "pickle" or pickle_protocol is not None
        self._pickle_protocol = _checked_protocol(pickle_protocol)
        self._sealer = Sealer(signing_keys)
        self._allowed = None if allowed_callables is None else AllowedCallables(allowed_callables)
        self._codec = TagCodec(self._allowed)

    def dumps(self, job_id: str, state: Mapping[str, Any]) -> bytes:
        """The payload of this state: an envelope as compact JSON in UTF-8.

        Raises UnsupportedSerializationError, naming the argument, for what cannot be stored; CallableNotAllowedError for a
        function or class outside `allowed_callables`. With an allow-list it resolves the function's reference.
        """
        func = state.get("func", "")
        if type(func) is not str:
            raise UnsupportedSerializationError(
                "func",
                type(func).__qualname__,
                "a reference is stored, not the function",
                "Give it as 'module:function'",
            )
        if self._allowed is not None and func:
            self._allowed.resolve(func)
        body = self._to_json(state) if self.serializer == "json" else self._to_pickle(state)
        return self._sealer.seal(job_id, self.serializer, body)

    def loads(self, job_id: str, data: bytes) -> dict[str, Any]:
        """The state that was stored, `args` a tuple and `kwargs` a dict; `func` is still a reference.

        Imports the modules of the classes in it and runs their code: never call this under a lock or in a transaction.
        Raises subclasses of EnvelopeError for a payload that is damaged, forged or not allowed, UnresolvableReferenceError
        for a class that is not there, and nothing else.
        """
        return self._restored(job_id, *self._opened(job_id, data))

    def exported(self, job_id: str, data: bytes) -> str:
        """The state of a payload as tagged JSON, the signature verified.

        What was stored as JSON is passed on as it is: none of its classes or functions need be there. A pickle is loaded, and
        converted; what JSON cannot carry raises UnsupportedSerializationError. Else raises what `loads` raises.
        """
        serializer, body = self._opened(job_id, data)
        return body if serializer == "json" else self._to_json(self._restored(job_id, serializer, body))

    def imported(self, job_id: str, body: str) -> dict[str, Any]:
        """The state in tagged JSON that came from elsewhere, and not from a payload; raises what `loads` raises."""
        return self._restored(job_id, "json", body)

    def to_json(self, state: Mapping[str, Any]) -> str:
        """A state as tagged JSON, whatever payloads are; raises UnsupportedSerializationError for what JSON cannot carry."""
        return self._to_json(state)

    def _opened(self, job_id: str, data: bytes) -> tuple[str, str]:
        """Serializer and body of a payload that may be read here."""
        serializer, body = self._sealer.unseal(job_id, data)
        if serializer not in _KNOWN:
            raise UnknownSerializerError(
                job_id,
                f"the stored payload was written by the serializer {serializer!r}; this version knows {_KNOWN}",
            )
        if serializer == "pickle" and not self._reads_pickle:
            raise PickleRefusedError(
                job_id,
                "the stored payload is a pickle, and loading one can run any code. If you trust everybody who can write to "
                'this job store, allow it with serializer="pickle" (or, to write JSON from now on and still read pickles, '
                'with serializer="json" and a pickle_protocol)',
            )
        return serializer, body

    def _restored(self, job_id: str, serializer: str, body: str) -> dict[str, Any]:
        try:
            state: dict[str, Any] = (
                self._codec.decode(body) if serializer == "json" else self._from_pickle(body)
            )
            _check_shape(job_id, state)
            if self._allowed is not None and "func" in state:
                self._allowed.resolve(state["func"])
        except UnresolvableReferenceError:
            raise
        except EnvelopeError as error:
            error.job_id = job_id
            raise
        except (
            Exception
        ) as error:  # damaged text, or the constructor of a user's class: it may raise anything
            raise UnreadableEnvelopeError(
                job_id, f"the stored payload cannot be restored: {type(error).__name__}: {error}"
            ) from error
        return state

    def _to_json(self, state: Mapping[str, Any]) -> str:
        """Ten thousand jobs a second come through here: what needs no tag is passed on without a call."""
        codec = self._codec
        document = {}
        for key, value in state.items():
            kind = type(value)
            if value is None or kind is bool or (kind is str and value.isascii()):
                document[key] = value
            elif key == "args":
                document[key] = codec.encode_items(value, key)
            elif key == "kwargs":
                document[key] = codec.encode_mapping(value, key)
            else:
                document[key] = codec.encode(value, key)
        return to_text(document)

    def _to_pickle(self, state: Mapping[str, Any]) -> str:
        try:
            return b64encode(pickle.dumps(dict(state), self._pickle_protocol)).decode()
        except (
            Exception
        ) as error:  # PicklingError, TypeError, AttributeError, or what a user's __reduce__ raises
            raise self._unpicklable(state, error) from error

    def _unpicklable(self, state: Mapping[str, Any], error: Exception) -> UnsupportedSerializationError:
        """The error that names the first argument that cannot be pickled."""
        parts = {f"args[{n}]": value for n, value in enumerate(state.get("args", ()))}
        parts |= {f"kwargs[{name!r}]": value for name, value in state.get("kwargs", {}).items()}
        parts |= {key: value for key, value in state.items() if key not in ("args", "kwargs")}
        for path, value in parts.items():
            try:
                pickle.dumps(value, self._pickle_protocol)
            except Exception:
                kind = type(value)
                return UnsupportedSerializationError(
                    path,
                    f"{kind.__module__}.{kind.__qualname__}",
                    f"it cannot be pickled: {error}",
                    "Give something simpler, or look it up inside the job",
                )
        return UnsupportedSerializationError(
            "the state", "dict", f"it cannot be pickled: {error}", "Give simpler arguments"
        )

    def _from_pickle(self, body: str) -> Any:
        return load_pickle(b64decode(body, validate=True), self._allowed)


def _checked_protocol(protocol: int | None) -> int | None:
    if protocol is None:
        return None
    if type(protocol) is not int or not -1 <= protocol <= pickle.HIGHEST_PROTOCOL:
        raise ValueError(
            f"pickle_protocol must be an int from 0 to {pickle.HIGHEST_PROTOCOL} (or -1), got {protocol!r}"
        )
    return protocol


def _check_shape(job_id: str, state: Any) -> None:
    """What every reader relies on; raises UnreadableEnvelopeError. A list of args becomes the tuple that it was."""
    if not isinstance(state, dict):
        raise UnreadableEnvelopeError(
            job_id, f"the stored payload holds {type(state).__name__}, not the state of a job"
        )
    if isinstance(args := state.get("args"), list):
        state["args"] = tuple(args)
    for key, kind in _SHAPE.items():
        if key in state and not isinstance(state[key], kind):
            raise UnreadableEnvelopeError(
                job_id, f"the stored {key!r} is of type {type(state[key]).__name__}"
            )
    if not all(isinstance(name, str) for name in state.get("kwargs", ())):
        raise UnreadableEnvelopeError(job_id, "the stored 'kwargs' have a name that is not text")
    if state.get("id", job_id) != job_id:
        raise UnreadableEnvelopeError(job_id, f"the stored payload belongs to the job {state['id']!r}")


_SHAPE: dict[str, type] = {"id": str, "func": str, "trigger": BaseTrigger, "args": tuple, "kwargs": dict}
