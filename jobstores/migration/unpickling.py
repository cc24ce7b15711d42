"""Reading what APScheduler 3 has pickled: its own classes are stood in for, plain values are made by hand, and nothing else is looked up."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

from ..errors import described, ends_program
from ..serialization.allowlist import AllowedCallables
from ..serialization.envelope import CallableNotAllowedError
from ..serialization.references import UnresolvableReferenceError
from .machine import run
from .renaming import Renaming
from .settling import ForeignValueError, is_zone, settled
from .standins import (
    APSCHEDULER,
    Allowed,
    Budget,
    Foreign,
    Known,
    OldClass,
    PartialOffset,
    PartialUUID,
    RefusedPickleError,
    StandIn,
)
from .values import VALUES, checked_key
from .zones import ZONES, zoneinfo_attribute

__all__ = ["Unpickled", "unpickled"]

_LARGEST: Final = 64 * 1024 * 1024
"""What one job may come to when it is read out in full: items of containers, and characters."""

_GETATTR: Final = object()
_RECONSTRUCTOR: Final = object()
_NEWOBJ: Final = object()
_NEWOBJ_EX: Final = object()
_MACHINERY: Final = {
    **dict.fromkeys(("builtins:getattr", "__builtin__:getattr"), _GETATTR),
    **{
        f"{module}:{name}": marker
        for module in ("copyreg", "copy_reg")
        for name, marker in {
            "_reconstructor": _RECONSTRUCTOR,
            "__newobj__": _NEWOBJ,
            "__newobj_ex__": _NEWOBJ_EX,
        }.items()
    },
}


class Unpickled:
    """What came of one pickle, and what is needed to take it further."""

    __slots__ = ("budget", "value", "zones")

    def __init__(self, value: Any, budget: Budget) -> None:
        self.value = value
        self.budget = budget
        self.zones: set[str] = set()
        """The libraries whose zones became others in arguments."""

    def settled(self, value: Any, path: str) -> Any:
        """A part of it as a job can have it; see `settling`."""
        return settled(value, path, self.budget, self.zones)


def unpickled(data: bytes, allowed: AllowedCallables | None, renaming: Renaming) -> Unpickled:
    """What the pickle describes. Only what is in `allowed` is looked up, imported and called, and otherwise nobody's code.

    Raises RefusedPickleError, with the reason, and nothing else, whatever the bytes are.
    """
    budget = Budget(_LARGEST)
    try:
        return Unpickled(run(data, _World(allowed, renaming, budget)), budget)
    except RefusedPickleError:
        raise
    except (ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise RefusedPickleError(f"it is no pickle that can be read: {described(error)[:300]}") from None


class _World:
    """The `World` of the machine."""

    def __init__(self, allowed: AllowedCallables | None, renaming: Renaming, budget: Budget) -> None:
        self._allowed = allowed
        self._renaming = renaming
        self._budget = budget
        # By identity, and kept, so that no other object gets the same.
        self._made_by_users: dict[int, Any] = {}

    # -- names -------------------------------------------------------------------------------------------------------

    def named(self, module: str, name: str) -> Any:
        reference = f"{module}:{name}"
        if (marker := _MACHINERY.get(reference)) is not None:
            return marker
        if (known := VALUES.get(reference) or ZONES.get(reference)) is not None:
            return known
        if reference in APSCHEDULER:
            return OldClass(reference)
        if len(reference) > 500 or not reference.isprintable():
            raise RefusedPickleError("it names a class by something that is no name")
        reference = self._renaming.reference(reference)
        if self._allowed is None:
            return Foreign(reference)
        try:
            return Allowed(reference, self._allowed.resolve(reference))
        except CallableNotAllowedError:
            return Foreign(reference)
        except (UnresolvableReferenceError, ValueError) as error:
            return Foreign(reference, described(error)[:300])

    # -- calls -------------------------------------------------------------------------------------------------------

    def called(self, function: Any, args: Any) -> Any:
        if type(args) is not tuple:
            raise RefusedPickleError("it calls something with arguments that are no tuple")
        if function is _GETATTR:
            return self._attribute(*args) if len(args) == 2 else Foreign("builtins:getattr")
        if function is _RECONSTRUCTOR and len(args) == 3:
            return self._reconstructed(*args)
        if function is _NEWOBJ and args:
            return self.made(args[0], args[1:], {})
        if function is _NEWOBJ_EX and len(args) == 3:
            return self.made(*args)
        if isinstance(function, Allowed):
            return self._by_user(function, function.itself, args, {})
        return self._stood_in(function, args)

    def made(self, kind: Any, args: Any, kwargs: dict[Any, Any]) -> Any:
        if type(args) is not tuple or type(kwargs) is not dict:
            raise RefusedPickleError("it makes an instance with arguments that are no tuple")
        if isinstance(kind, Allowed) and isinstance(kind.itself, type):
            return self._by_user(kind, kind.itself.__new__, (kind, *args), kwargs)
        if kwargs and isinstance(kind, Known):
            raise RefusedPickleError(f"it makes a {kind.reference} in a way that no pickle does")
        return self._stood_in(kind, args)

    def _stood_in(self, function: Any, args: tuple[Any, ...]) -> Any:
        if isinstance(function, Foreign):
            return function
        if isinstance(function, OldClass):
            return StandIn(function.reference)
        if not isinstance(function, Known):
            raise RefusedPickleError("it calls something that is no function")
        try:
            return function.make(self._budget, *args)
        except RefusedPickleError:
            raise
        except Exception as error:
            shown = f"{function.reference} that cannot be made: {described(error)[:200]}"
            raise RefusedPickleError(f"it has a {shown}") from None

    def _attribute(self, owner: Any, name: Any) -> Any:
        found = zoneinfo_attribute(owner, name)
        if found is not None:
            return found
        if isinstance(owner, Foreign):
            return owner
        kind = owner.itself if isinstance(owner, Allowed) else None
        # How some versions of Python 3.11 and 3.12 pickle the members of an Enum.
        if (
            isinstance(kind, type)
            and issubclass(kind, Enum)
            and type(name) is str
            and name in kind.__members__
        ):
            return kind.__members__[name]
        shown = name if type(name) is str and len(name) < 100 else "…"
        return Foreign(f"getattr(…, {shown!r})", "an attribute that is looked up")

    def _reconstructed(self, kind: Any, base: Any, state: Any) -> Any:
        """`copyreg._reconstructor`: how protocols 0 and 1 make an instance, of a class whose base is built in."""
        if not isinstance(kind, Allowed):
            return self.made(kind, (), {})
        inner = base.itself if isinstance(base, Known) else None
        if not isinstance(kind.itself, type) or not isinstance(inner, type):
            raise RefusedPickleError(f"it makes a {kind.reference} in a way that no pickle does")
        return self._by_user(kind, inner.__new__, (kind, *(() if inner is object else (state,))), {})

    def _by_user(
        self, kind: Allowed, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[Any, Any]
    ) -> Any:
        try:
            given = [arg.itself if isinstance(arg, Allowed) else self._settled(arg) for arg in args]
            named = {name: self._settled(value) for name, value in kwargs.items()}
        except ForeignValueError as error:
            return error.foreign
        made = self._user_code(kind.reference, lambda: function(*given, **named))
        self._made_by_users[id(made)] = made
        return made

    def _settled(self, value: Any) -> Any:
        if isinstance(value, Allowed):
            return value.itself
        return settled(value, "an argument of a class", self._budget, set())

    @staticmethod
    def _user_code(what: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except (Exception, SystemExit) as error:
            if ends_program(error):
                raise
            raise RefusedPickleError(f"a {what} in it cannot be made: {described(error)[:300]}") from error

    # -- what is filled ----------------------------------------------------------------------------------------------

    def filled(self, instance: Any, state: Any) -> None:
        if isinstance(instance, StandIn | PartialUUID | PartialOffset):
            instance.fill(state)
        elif id(instance) in self._made_by_users:
            self._fill_user(instance, state)
        elif not isinstance(instance, Foreign) and not is_zone(instance):
            # A zone is complete by its name; what dateutil writes beside it are the offsets that it has had.
            raise RefusedPickleError(f"it gives a state to a {type(instance).__name__}, which has none")

    def _fill_user(self, instance: Any, state: Any) -> None:
        kind = type(instance).__qualname__
        try:
            state = self._settled(state)
        except ForeignValueError as error:
            raise RefusedPickleError(
                f"a {kind} in it holds {error.foreign.reference}, which is not allowed"
            ) from None

        def fill() -> None:
            setter = getattr(instance, "__setstate__", None)
            if setter is not None:
                setter(state)
                return
            # As pickle does it: the instance's dict, or a pair of that and of slots.
            plain, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
            if plain:
                instance.__dict__.update(plain)
            for name, value in (slots or {}).items():
                object.__setattr__(instance, name, value)

        self._user_code(kind, fill)

    def extended(self, container: Any, items: list[Any]) -> None:
        if type(container) in (list, collections.deque):
            container.extend(items)
        elif id(container) in self._made_by_users:
            self._change_user(container, lambda item: container.append(item), items)
        elif not isinstance(container, Foreign):
            raise RefusedPickleError(f"it appends to a {type(container).__name__}")

    def updated(self, container: Any, items: list[Any]) -> None:
        if len(items) % 2:
            raise RefusedPickleError("it has a key without a value")
        keys, values = items[::2], items[1::2]
        if type(container) in (dict, collections.OrderedDict, collections.defaultdict):
            for key in keys:
                checked_key(key, self._budget)
            # Hashing a key of the program's own class is the program's code.
            self._user_code("key", lambda: container.update(zip(keys, values, strict=True)))
        elif id(container) in self._made_by_users:
            self._change_user(
                container, lambda pair: container.__setitem__(*pair), list(zip(keys, values, strict=True))
            )
        elif not isinstance(container, Foreign):
            raise RefusedPickleError(f"it sets keys of a {type(container).__name__}")

    def joined(self, container: Any, items: list[Any]) -> None:
        if type(container) is set:
            for item in items:
                checked_key(item, self._budget)
            self._user_code("set", lambda: container.update(items))
        elif id(container) in self._made_by_users:
            self._change_user(container, lambda item: container.add(item), items)
        elif not isinstance(container, Foreign):
            raise RefusedPickleError(f"it adds to a {type(container).__name__}")

    def frozen(self, items: list[Any]) -> Any:
        for item in items:
            checked_key(item, self._budget)
        return self._user_code("frozenset", lambda: frozenset(items))

    def _change_user(self, container: Any, change: Callable[[Any], Any], items: Iterable[Any]) -> None:
        try:
            given = [self._settled(item) for item in items]
        except ForeignValueError as error:
            raise RefusedPickleError(f"it holds {error.foreign.reference}, which is not allowed") from None
        self._user_code(type(container).__qualname__, lambda: [change(item) for item in given])
