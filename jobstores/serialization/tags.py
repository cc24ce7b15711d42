"""Values to and from tagged JSON: what comes back is equal in value and type, or it is refused before it is stored."""

import json
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import tagged_classes, tagged_values
from .allowlist import AllowedCallables
from .envelope import SerializationError, UnsupportedSerializationError
from .references import resolve_reference
from .tagged_values import Json, Refusal, is_plain

# Deeper than this is a mistake more often than not, and three levels of JSON each would soon meet Python's recursion limit.
MAX_DEPTH = 100

# Circles are found by the walk; the encoder's own check would cost a third of the time.
to_text = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


class TagCodec:
    """Encodes values as tagged JSON and decodes them; classes and functions in tags pass the allow-list. Thread-safe."""

    __slots__ = ("_allowed", "_decoder", "_resolve")

    def __init__(self, allowed: AllowedCallables | None = None) -> None:
        self._allowed = allowed
        self._resolve = resolve_reference if allowed is None else allowed.resolve
        self._decoder = json.JSONDecoder(object_hook=self._untag, parse_constant=_refuse_constant)

    def encode(self, value: Any, path: str) -> Json:
        """What `to_text` can write for this value; UnsupportedSerializationError if it would not come back equal.

        `path` is what error messages call the value.
        """
        if is_plain(value):
            return value
        try:
            ours = tagged_classes.encode_our_trigger(value, self._walk)
            return self._walk(value) if ours is None else ours
        except Refusal as refusal:
            raise _unsupported(refusal, path) from refusal.__cause__

    def encode_items(self, values: Sequence[Any], path: str) -> Json:
        """A list of these values, encoded; it does not tell whether they were in a list or a tuple."""
        return [v if is_plain(v) else self.encode(v, f"{path}[{n}]") for n, v in enumerate(values)]

    def encode_mapping(self, mapping: Mapping[str, Any], path: str) -> Json:
        """This mapping encoded as the dict that it would make."""
        if all(map(is_plain, mapping.values())) and all(type(k) is str and k.isidentifier() for k in mapping):
            return dict(mapping)  # no key begins with "$", and no value needs a tag: no walk
        return self.encode(dict(mapping), path)

    def _walk(self, value: Any) -> Json:
        return _Walk(self._allowed).encode(value)

    def decode(self, text: str) -> Any:
        """The value that was encoded. Imports the modules of tagged classes, and runs their code.

        Raises SerializationError (what the allow-list refuses), UnresolvableReferenceError, and for damaged text any
        Exception at all.
        """
        return self._decoder.decode(text)

    def _untag(self, obj: dict[str, Any]) -> Any:
        """Called by the decoder for each JSON object, the innermost first."""
        if len(obj) != 1:
            return obj
        ((tag, spec),) = obj.items()
        if not tag.startswith("$"):
            return obj
        if (by_value := _DECODERS.get(tag)) is not None:
            return by_value(spec)
        if (by_class := tagged_classes.DECODERS.get(tag)) is not None:
            return by_class(spec, self._resolve)
        raise ValueError(f"the tag {tag!r} is not known to this version")


class _Walk:
    """One descent into a value: knows which containers it is inside of, so that circles end."""

    __slots__ = ("_allowed", "_inside")

    def __init__(self, allowed: AllowedCallables | None) -> None:
        self._allowed = allowed
        self._inside: set[int] = set()

    def encode(self, value: Any) -> Json:
        if is_plain(value):
            return value
        leaf = tagged_values.ENCODERS.get(type(value))
        if leaf is not None:
            return leaf(value)
        if id(value) in self._inside:
            raise Refusal(
                value, "it contains itself", "Break the circle: store names or ids in place of objects"
            )
        if len(self._inside) >= MAX_DEPTH:
            raise Refusal(
                value, f"it is nested more than {MAX_DEPTH} levels deep", "Flatten it, or store it elsewhere"
            )
        self._inside.add(id(value))
        try:
            return self._container(value)
        except RecursionError:
            raise Refusal(value, "it is nested too deep for Python's recursion limit", "Flatten it") from None
        finally:
            self._inside.discard(id(value))

    def _container(self, value: Any) -> Json:
        kind = type(value)
        if kind is list:
            return self._items(value)
        if kind is tuple:
            return {"$tuple": self._items(value)}
        if kind is dict:
            return self._dict(value)
        if kind is set or kind is frozenset:
            # Sorted: the same value gives the same text in every process, whatever its hash seed.
            return {
                "$set" if kind is set else "$frozenset": sorted(self._items(value, "<item>"), key=to_text)
            }
        return tagged_classes.encode_by_class(value, self.encode, self._allowed)

    def _items(self, values: Iterable[Any], place: str = "") -> list[Json]:
        encoded: list[Json] = []
        try:
            for value in values:
                encoded.append(self.encode(value))
        except Refusal as refusal:
            refusal.trail.append(place or f"[{len(encoded)}]")
            raise
        return encoded

    def _dict(self, mapping: dict[Any, Any]) -> Json:
        """A JSON object if its keys allow that, else a list of pairs."""
        plain = all(type(key) is str and not key.startswith("$") and is_plain(key) for key in mapping)
        encoded = []
        key: Any = None
        place = ".keys()"
        try:
            for key, value in mapping.items():
                place = ".keys()"
                name = key if plain else self.encode(key)
                place = ""
                encoded.append((name, self.encode(value)))
        except Refusal as refusal:
            refusal.trail.append(place or f"[{_brief(key)}]")
            raise
        return dict(encoded) if plain else {"$dict": encoded}


_DECODERS = {
    **tagged_values.DECODERS,
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": dict,
}


def _unsupported(refusal: Refusal, path: str) -> SerializationError:
    kind = refusal.kind
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return UnsupportedSerializationError(
        path + "".join(reversed(refusal.trail)), name, refusal.reason, refusal.remedy
    )


def _brief(key: Any) -> str:
    """A key's repr, cut if long; the repr of a user's class may fail."""
    try:
        return reprlib.repr(key)
    except Exception:
        return f"<a {type(key).__name__}>"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
