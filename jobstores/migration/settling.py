"""Settling what was unpickled: stand-ins become what they stand for, and what must not or cannot be taken is found, with its place."""

from __future__ import annotations

import collections
from datetime import tzinfo
from typing import Any

from .standins import (
    Allowed,
    Budget,
    Foreign,
    Known,
    NamedZone,
    OldClass,
    PartialOffset,
    PartialUUID,
    RefusedPickleError,
    StandIn,
)
from .zones import finished_zone

__all__ = ["ForeignValueError", "settled"]

_DEEPEST = 100
"""Containers in one another, at most: deeper than any arguments, and well within what a serializer can follow."""


class ForeignValueError(RefusedPickleError):
    """In this place stands something that was not looked up."""

    def __init__(self, foreign: Foreign, path: str) -> None:
        super().__init__(f"{path} holds {foreign.reference}")
        self.foreign = foreign
        self.path = path


def settled(value: Any, path: str, budget: Budget, zones: set[str]) -> Any:
    """The value without stand-ins: the same object if it has none. `zones` gets the libraries whose zones became others.

    Raises ForeignValueError, and RefusedPickleError for what no job can have as an argument.
    """
    return _Settling(budget, zones).settled(value, path, _DEEPEST)


class _Settling:
    __slots__ = ("budget", "zones")

    def __init__(self, budget: Budget, zones: set[str]) -> None:
        self.budget = budget
        self.zones = zones

    def settled(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if kind in (str, bytes, bytearray):
            self.budget.spend(len(value) + 1)
            return value
        self.budget.spend(1)
        if kind in (list, tuple, dict, set, frozenset, collections.OrderedDict, collections.deque):
            return self._container(value, kind, path, depth)
        if kind is collections.defaultdict:
            return self._filled(value, path, depth)
        if kind is Foreign:
            raise ForeignValueError(value, path)
        if kind is PartialUUID:
            if value.value is None:
                raise RefusedPickleError(f"{path} is a UUID without a number")
            return value.value
        if kind is NamedZone or kind is PartialOffset:
            self.zones.add("pytz" if kind is NamedZone else "dateutil")
            return finished_zone(value)
        if kind is Known:
            if value.itself is None:
                raise ForeignValueError(Foreign(value.reference), path)
            return value.itself
        if kind is Allowed:
            return value.itself
        if kind is StandIn or kind is OldClass:
            raise ForeignValueError(Foreign(value.reference, "an object of APScheduler's own"), path)
        return value

    def _container(self, value: Any, kind: Any, path: str, depth: int) -> Any:
        if not depth:
            raise RefusedPickleError(
                f"{path[:60]}… is nested deeper than {_DEEPEST} levels, or goes in a circle"
            )
        if issubclass(kind, dict):
            pairs = [
                (
                    self.settled(key, f"a key of {path}", depth - 1),
                    self.settled(item, f"{path}[{_shown(key)}]", depth - 1),
                )
                for key, item in value.items()
            ]
            same = all(
                new is key and item is value[key] for (new, item), key in zip(pairs, value, strict=True)
            )
            return value if same else kind(pairs)
        items = [self.settled(item, f"{path}[{index}]", depth - 1) for index, item in enumerate(value)]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return collections.deque(items, value.maxlen) if kind is collections.deque else kind(items)

    def _filled(self, value: Any, path: str, depth: int) -> Any:
        inner = self._container(dict(value), dict, path, depth)
        filled = collections.defaultdict(value.default_factory, inner)
        return filled


def _shown(key: Any) -> str:
    """A key as it stands in a path; never the text of something whose text is its author's code, or has no end."""
    if type(key) is str:
        return repr(key if len(key) <= 40 else key[:40] + "…")
    return repr(key) if type(key) in (int, bool, float, type(None)) else type(key).__name__


def is_zone(value: Any) -> bool:
    """Whether a value is a time zone, or stands for one."""
    return isinstance(value, tzinfo | NamedZone | PartialOffset)
