"""Tags for values whose class is found by a reference: triggers, enums, dataclasses, named tuples, functions and classes.

Each encoder proves that the value comes back: it rebuilds it from what will be stored, and compares. `encode` is the walk
that encodes what is inside; `resolve` turns a reference into an allowed object.
"""

import copy
import dataclasses
from collections.abc import Callable
from enum import Enum, Flag
from functools import cached_property, partial
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType
from typing import Any, TypeAlias

from ...triggers.base import BaseTrigger, InstantTrigger
from .allowlist import AllowedCallables
from .references import callable_reference, resolve_reference
from .tagged_values import Json, Refusal, is_plain

Encode: TypeAlias = Callable[[Any], Json]
Resolve: TypeAlias = Callable[[str], Any]

_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, MethodDescriptorType, type, partial)
# A dataclass or enum on top of these has contents that are not in its fields.
_CONTAINERS = (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, complex, BaseException)

OUR_MODULES = f"{BaseTrigger.__module__.rpartition('.')[0]}."
# Our own trigger classes and their references, as they are met: nearly every payload has one.
_our_references: dict[type, str] = {}
_our_classes: dict[str, Any] = {}


def encode_by_class(value: Any, encode: Encode, allowed: AllowedCallables | None) -> Json:
    """The tag of a value whose exact type has no encoder of its own; Refusal if there is none."""
    kind = type(value)  # not isinstance: proxies and mocks claim to be what they are not
    if issubclass(kind, BaseTrigger):
        return _encode_trigger(value, encode, allowed)
    if issubclass(kind, Enum):
        return _encode_enum(value, allowed)
    if issubclass(kind, _FUNCTIONS):
        return _encode_function(value, allowed)
    if dataclasses.is_dataclass(kind):
        return _encode_dataclass(value, encode, allowed)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _encode_namedtuple(value, encode, allowed)
    for base in _CONTAINERS:
        if issubclass(kind, base):
            raise Refusal(value, f"it would come back as a plain {base.__name__}, or not at all")
    raise Refusal(value, "JSON has nothing for it, and no tag is known for its type")


def is_ours(kind: type) -> bool:
    """Whether this is one of the library's own trigger classes, which no allow-list needs to name."""
    return kind.__module__.startswith(OUR_MODULES) and issubclass(kind, BaseTrigger)


def encode_our_trigger(trigger: Any, encode: Encode) -> Json | None:
    """The tag of one of the library's own triggers, None for anything else. On the way of every job, so it must be fast."""
    kind = type(trigger)
    reference = _our_references.get(kind)
    if reference is None:
        if not is_ours(kind):
            return None
        reference = _our_references[kind] = f"{kind.__module__}:{kind.__qualname__}"
    state = trigger.get_state()
    return {"$trigger": [reference, state if all(map(is_plain, state.values())) else encode(state)]}


def _encode_trigger(trigger: BaseTrigger, encode: Encode, allowed: AllowedCallables | None) -> Json:
    if (ours := encode_our_trigger(trigger, encode)) is not None:
        return ours
    kind = type(trigger)
    reference = _class_reference(trigger, allowed)
    try:
        state = trigger.__getstate__()
        rebuilt = _from_pickle_state(kind, state)
        faithful = _same(rebuilt.__getstate__(), state)
    except Exception as error:
        raise Refusal(
            trigger, f"its __getstate__ and __setstate__ fail: {error!r}", _TRIGGER_REMEDY
        ) from error
    if not faithful:
        raise Refusal(
            trigger, "what its __setstate__ makes of its __getstate__ has another state", _TRIGGER_REMEDY
        )
    if kind.__getstate__ is InstantTrigger.__getstate__ and (
        lost := _attributes(trigger).keys() - _attributes(rebuilt)
    ):
        raise Refusal(trigger, f"its inherited __getstate__ leaves out {sorted(lost)}", _TRIGGER_REMEDY)
    return {"$trigger": [reference, encode(state)]}


_TRIGGER_REMEDY = "Let __getstate__ return a dict of plain values, and __setstate__ take it"


def _decode_trigger(spec: Json, resolve: Resolve) -> BaseTrigger:
    reference, state = spec
    trigger: BaseTrigger
    ours = _our_classes.get(reference)
    if ours is None and reference.startswith(OUR_MODULES) and reference.rpartition(":")[2].isidentifier():
        found = resolve_reference(reference)
        if isinstance(found, type) and is_ours(found):
            ours = _our_classes[reference] = found
    if ours is not None:
        trigger = ours.from_state(state)
    else:
        trigger = _from_pickle_state(_expect_class(resolve(reference), BaseTrigger), state)
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
    if kind.__members__.get(value._name_) is value:
        return {"$enum": [reference, value._name_]}
    if issubclass(kind, Flag) and type(number := value._value_) is int and _same(kind(number), value):
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
    try:
        stored = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
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
    # Box[int](1) keeps its alias; it takes no part in equality.
    ignored = {"__orig_class__", *(field.name for field in dataclasses.fields(value) if not field.compare)}
    for name, item in _attributes(value).items():
        # What a cached property left behind is computed again when asked for.
        if name in ignored or isinstance(getattr(type(value), name, None), cached_property):
            continue
        if name not in (other := _attributes(again)) or not _same(other[name], item):
            return repr(name)
    # An equality that the class defines may know better; the one inherited from object compares identities.
    compares = getattr(type(value), "__eq__", None) is not object.__eq__
    return "its own comparison" if compares and _is_told_apart(value, again) else ""


def _is_told_apart(value: Any, again: Any) -> bool:
    """Whether the class's own equality tells the two apart; it has no say if it finds a mere copy unequal too (NaN inside)."""
    try:
        return bool(copy.copy(value) == value and not value == again)  # noqa: SIM201  (`!=` may be another rule)
    except Exception:
        return False


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
        # Not its repr: a record may name anything, secrets among it, and errors get into logs.
        raise TypeError(f"an object of type {type(found).__name__} is no subclass of {base.__name__}")
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
