"""Tags for values whose class is found by a reference: triggers, enums, dataclasses, named tuples, functions and classes.

Each encoder proves that the value comes back: it rebuilds it from what will be stored, and compares. `encode` is the walk
that encodes what is inside; `resolve` turns a reference into an allowed object.
"""

import dataclasses
from collections.abc import Callable
from enum import Enum, Flag
from functools import cached_property, partial
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType
from typing import Any, TypeAlias

from ..triggers.base import BaseTrigger
from .allowlist import AllowedCallables
from .references import callable_reference, resolve_reference
from .tagged_values import Json, Refusal

Encode: TypeAlias = Callable[[Any], Json]
Resolve: TypeAlias = Callable[[str], Any]

_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, MethodDescriptorType, type, partial)
# A dataclass or enum on top of these has contents that are not in its fields.
_CONTAINERS = (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, complex, BaseException)

_OUR_MODULES = f"{BaseTrigger.__module__.rpartition('.')[0]}."


def encode_by_class(value: Any, encode: Encode, allowed: AllowedCallables | None) -> Json:
    """The tag of a value whose exact type has no encoder of its own; Refusal if there is none."""
    if isinstance(value, BaseTrigger):
        return _encode_trigger(value, encode, allowed)
    if isinstance(value, Enum):
        return _encode_enum(value, allowed)
    if isinstance(value, _FUNCTIONS):
        return _encode_function(value, allowed)
    if dataclasses.is_dataclass(value):
        return _encode_dataclass(value, encode, allowed)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _encode_namedtuple(value, encode, allowed)
    for kind in (*_CONTAINERS, Exception):
        if isinstance(value, kind):
            raise Refusal(value, f"it would come back as a plain {kind.__name__}, or not at all")
    raise Refusal(value, "JSON has nothing for it, and no tag is known for its type")


def is_ours(kind: type) -> bool:
    """Whether this is one of the library's own trigger classes, which no allow-list needs to name."""
    return issubclass(kind, BaseTrigger) and kind.__module__.startswith(_OUR_MODULES)


def _encode_trigger(trigger: BaseTrigger, encode: Encode, allowed: AllowedCallables | None) -> Json:
    kind = type(trigger)
    if is_ours(kind):
        return {"$trigger": [f"{kind.__module__}:{kind.__qualname__}", encode(trigger.get_state())]}  # type: ignore[attr-defined]
    reference = _class_reference(trigger, allowed)
    try:
        state = trigger.__getstate__()
        copy = _from_pickle_state(kind, state)
        again = copy.__getstate__()
    except Exception as error:
        raise Refusal(
            trigger, f"its __getstate__ and __setstate__ fail: {error!r}", _TRIGGER_REMEDY
        ) from error
    if not _same(again, state):
        raise Refusal(
            trigger, "what its __setstate__ makes of its __getstate__ has another state", _TRIGGER_REMEDY
        )
    return {"$trigger": [reference, encode(state)]}


_TRIGGER_REMEDY = "Let __getstate__ return a dict of plain values, and __setstate__ take it"


def _decode_trigger(spec: Json, resolve: Resolve) -> BaseTrigger:
    reference, state = spec
    if reference.startswith(_OUR_MODULES):
        kind = resolve_reference(reference)
        if isinstance(kind, type) and is_ours(kind):
            return kind.from_state(state)  # type: ignore[attr-defined,no-any-return]
    kind = _expect_class(resolve(reference), BaseTrigger)
    trigger: BaseTrigger = _from_pickle_state(kind, state)
    return trigger


def _from_pickle_state(kind: Any, state: Any) -> Any:
    """A new instance, with its state set as pickle would do it."""
    value = kind.__new__(kind)
    if state is None:
        return value
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
        return value
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    for name, attribute in {**(attributes or {}), **(slots or {})}.items():
        object.__setattr__(value, name, attribute)
    return value


def _encode_enum(value: Enum, allowed: AllowedCallables | None) -> Json:
    kind, reference = type(value), _class_reference(value, allowed)
    if kind.__members__.get(value.name) is value:
        return {"$enum": [reference, value.name]}
    if isinstance(value, Flag) and type(number := value.value) is int and _same(kind(number), value):
        return {"$enum": [reference, number]}
    raise Refusal(value, "its class does not give it back by name or value")


def _decode_enum(spec: Json, resolve: Resolve) -> Enum:
    reference, name = spec
    kind = _expect_class(resolve(reference), Enum)
    member: Enum = kind[name] if isinstance(name, str) else kind(name)
    return member


def _encode_dataclass(value: Any, encode: Encode, allowed: AllowedCallables | None) -> Json:
    reference = _class_reference(value, allowed)
    if isinstance(value, _CONTAINERS):
        raise Refusal(
            value, "it is a dataclass on top of a built-in type, whose contents are not in the fields"
        )
    stored = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    try:
        difference = _difference(value, type(value)(**stored))
    except Exception as error:
        raise Refusal(value, f"building it again from its fields fails: {error!r}") from error
    if difference:
        raise Refusal(value, f"built again from its fields, it differs in {difference}")
    return {"$dataclass": [reference, _encode_fields(stored, encode)]}


def _encode_fields(stored: dict[str, Any], encode: Encode) -> Json:
    encoded = {}
    name = ""
    try:
        for name, item in stored.items():
            encoded[name] = encode(item)
    except Refusal as refusal:
        refusal.trail.append(f".{name}")
        raise
    return encoded


def _difference(value: Any, again: Any) -> str:
    """Where the copy differs from the dataclass instance, or "". What `compare=False` leaves out may differ."""
    ignored = {field.name for field in dataclasses.fields(value) if not field.compare}
    for name, item in _attributes(value).items():
        # What a cached property left behind is computed again when asked for.
        if name in ignored or isinstance(getattr(type(value), name, None), cached_property):
            continue
        if name not in (other := _attributes(again)) or not _same(other[name], item):
            return repr(name)
    # An equality of the class's own may know better; the one inherited from object compares identities.
    compares = getattr(type(value), "__eq__", None) is not object.__eq__
    return "its own comparison" if compares and value != again else ""


def _attributes(value: Any) -> dict[str, Any]:
    """All attributes that the instance itself holds, in its dict and in slots."""
    state = object.__getstate__(value)
    parts = state if isinstance(state, tuple) else (state,)
    return {name: item for part in parts if part for name, item in part.items()}


def _decode_dataclass(spec: Json, resolve: Resolve) -> Any:
    reference, fields = spec
    kind = resolve(reference)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise TypeError(f"{reference!r} is no dataclass")
    return kind(**fields)


def _encode_namedtuple(value: Any, encode: Encode, allowed: AllowedCallables | None) -> Json:
    kind, reference = type(value), _class_reference(value, allowed)
    stored = dict(zip(kind._fields, value, strict=True))
    try:
        again = kind._make(stored.values())
    except Exception as error:
        raise Refusal(value, f"building it again with _make() fails: {error!r}") from error
    if not _same(again, value) or _attributes(value):
        raise Refusal(value, "it holds more than its fields")
    return {"$namedtuple": [reference, list(_encode_fields(stored, encode).values())]}


def _decode_namedtuple(spec: Json, resolve: Resolve) -> Any:
    reference, items = spec
    kind = resolve(reference)
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_make")):
        raise TypeError(f"{reference!r} is no named tuple")
    return kind._make(items)


def _encode_function(value: Any, allowed: AllowedCallables | None) -> Json:
    if isinstance(value, MethodType) and not isinstance(value.__self__, type):
        raise Refusal(
            value,
            "it is a method bound to an object",
            "Give the object's data, and look the method up in the job",
        )
    try:
        reference = callable_reference(value)
    except ValueError as error:
        raise Refusal(value, str(error)) from error
    if allowed is not None:
        allowed.check(value, reference)
    return {"$callable": reference}


def _decode_function(spec: Json, resolve: Resolve) -> Any:
    found = resolve(spec)
    if not isinstance(found, _FUNCTIONS):
        raise TypeError(f"{spec!r} is no function or class")
    return found


def _class_reference(value: Any, allowed: AllowedCallables | None) -> str:
    """The reference of the value's class, checked: an instance can only come back if its class can be found."""
    kind = type(value)
    try:
        reference = callable_reference(kind)
    except ValueError as error:
        raise Refusal(value, f"its class cannot be found again: {error}") from error
    if allowed is not None:
        allowed.check(kind, reference)
    return reference


def _expect_class(found: Any, base: type) -> Any:
    if not (isinstance(found, type) and issubclass(found, base)):
        raise TypeError(f"{found!r} is no subclass of {base.__name__}")
    return found


def _same(one: Any, other: Any) -> bool:
    """Equal in type and value; the same object is equal to itself (NaN)."""
    return one is other or (type(one) is type(other) and bool(one == other))


DECODERS: dict[str, Callable[[Json, Resolve], Any]] = {
    "$trigger": _decode_trigger,
    "$enum": _decode_enum,
    "$dataclass": _decode_dataclass,
    "$namedtuple": _decode_namedtuple,
    "$callable": _decode_function,
}
