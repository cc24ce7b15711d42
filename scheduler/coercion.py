"""Coercion: the value of an option from what a program or a configuration file (there all is text) gave for it."""

import inspect
import math
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

_TRUE = frozenset({"true", "yes", "on", "1", "t", "y"})
_FALSE = frozenset({"false", "no", "off", "0", "f", "n"})


def as_bool(name: str, value: Any) -> bool:
    """A bool, or one of the words that configuration files use: true/false, yes/no, on/off, 1/0."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if isinstance(value, (str, int)) and word in _TRUE | _FALSE:
        return word in _TRUE
    raise _wrong(name, value, 'a bool, or "true" or "false"')


def as_seconds(name: str, value: Any) -> float:
    """A positive, finite number of seconds; a timedelta is one too."""
    if isinstance(value, timedelta):
        return _positive(name, value.total_seconds(), value)
    return _positive(name, _number(name, value, float, "a positive number of seconds"), value)


def as_optional_seconds(name: str, value: Any) -> float | None:
    """None (also as the word), or a positive number of seconds; a whole number stays an int."""
    if value is None or (isinstance(value, str) and value.strip().lower() in ("none", "")):
        return None
    seconds = as_seconds(name, value)
    return int(seconds) if seconds.is_integer() else seconds


def as_count(least: int) -> Callable[[str, Any], int]:
    """A reader of whole numbers that are at least *least*."""

    def read(name: str, value: Any) -> int:
        number: int = _number(name, value, int, f"a whole number of at least {least}")
        if number < least:
            raise ValueError(f"Expected a whole number of at least {least} as {name}, got {value!r} instead")
        return number

    return read


def as_number(least: float, *, duration: bool = False) -> Callable[[str, Any], float]:
    """A reader of finite numbers that are at least *least* (as a *duration*, timedeltas are seconds); a whole one stays an int."""

    def read(name: str, value: Any) -> float:
        if duration and isinstance(value, timedelta):
            value = value.total_seconds()
        number: float = _number(name, value, float, f"a number of at least {least:g}")
        if not least <= number < math.inf:
            raise ValueError(f"Expected a number of at least {least:g} as {name}, got {value!r} instead")
        return int(number) if number.is_integer() else number

    return read


def as_choice(*choices: str) -> Callable[[str, Any], str]:
    """A reader of one of the words *choices*."""

    def read(name: str, value: Any) -> str:
        if value not in choices:
            raise ValueError(
                f"Expected one of {', '.join(map(repr, choices))} as {name}, got {value!r} instead"
            )
        return str(value)

    return read


def as_instance(cls: type, *, optional: bool = False) -> Callable[[str, Any], Any]:
    """A reader that lets only instances of *cls* pass (and None, if *optional*)."""

    def read(name: str, value: Any) -> Any:
        if not (isinstance(value, cls) or (optional and value is None)):
            raise _wrong(name, value, f"an instance of {cls.__module__}.{cls.__qualname__}")
        return value

    return read


def as_written(name: str, value: Any, parameter: inspect.Parameter) -> Any:
    """Text for a *parameter* that is annotated as (or defaults to) a bool or a number, as such; else unchanged."""
    if not isinstance(value, str):
        return value
    words = _type_names(parameter)
    if "None" in words and value.strip().lower() == "none":
        return None
    if "str" in words:
        return value
    if "bool" in words:
        return as_bool(name, value)
    for number in (int, float):
        if number.__name__ in words:
            return _number(name, value, number, f"a number ({number.__name__})")
    return value


def _type_names(parameter: inspect.Parameter) -> set[str]:
    """The words in a parameter's annotation, "int | None" say; without one, the name of its default's type."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return {type(parameter.default).__name__} - {"NoneType", "type"}
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return set(re.findall(r"\w+", text))


def _number(name: str, value: Any, number: type, expected: str) -> Any:
    # A bool is an int to Python, but max_instances=True is a slip.
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _wrong(name, value, expected)
    if number is int and isinstance(value, float):
        raise _wrong(name, value, expected)
    try:
        return number(value)
    except ValueError:
        raise ValueError(f"Expected {expected} as {name}, got {value!r} instead") from None


def _positive(name: str, seconds: float, given: Any) -> float:
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"Expected a positive number of seconds as {name}, got {given!r} instead")
    return seconds


def _wrong(name: str, value: Any, expected: str) -> TypeError:
    return TypeError(f"Expected {expected} as {name}, got {value!r} instead")
