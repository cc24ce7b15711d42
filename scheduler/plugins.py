"""Plug-ins: triggers, executors and job stores by their short names, through entry points loaded on first use."""

import importlib
import inspect
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from functools import lru_cache
from typing import Any

from ..executors.base import BaseExecutor
from ..jobstores.base import BaseJobStore
from ..triggers.base import BaseTrigger

#: The import name that this package was installed under: the entry points' groups and our own modules begin with it.
PACKAGE = __name__.split(".")[0]

#: What messages call one plug-in of each kind, and the class that it has to inherit from.
NOUNS = {"triggers": "trigger", "executors": "executor", "jobstores": "job store"}
_BASES: dict[str, type] = {"triggers": BaseTrigger, "executors": BaseExecutor, "jobstores": BaseJobStore}

# Our own plug-ins, a second time: a checkout on PYTHONPATH has no metadata to read entry points from. It also
# means that no other distribution can take one of these names. A test compares it with pyproject.toml.
_OWN = {
    "triggers": {
        "date": "triggers.date:DateTrigger",
        "interval": "triggers.interval:IntervalTrigger",
        "cron": "triggers.cron:CronTrigger",
        "calendarinterval": "triggers.calendarinterval:CalendarIntervalTrigger",
        "rrule": "triggers.rrule:RRuleTrigger",
        "and": "triggers.combining:AndTrigger",
        "or": "triggers.combining:OrTrigger",
        "excluding": "triggers.excluding:ExcludingTrigger",
    },
    "executors": {
        "debug": "executors.debug:DebugExecutor",
        "threadpool": "executors.pool:ThreadPoolExecutor",
        "processpool": "executors.pool:ProcessPoolExecutor",
    },
    "jobstores": {
        "memory": "jobstores.memory:MemoryJobStore",
        "sqlalchemy": "jobstores.sqlalchemy:SQLAlchemyJobStore",
    },
}

#: Our plug-ins that need a package beyond the core dependencies, with the extra that brings it.
_EXTRAS = {("jobstores", "sqlalchemy"): "sqlalchemy"}

# Loaded classes by (kind, name). Filled without a lock: two threads that race load the same class twice.
_loaded: dict[tuple[str, str], type] = {}


def load_plugin(kind: str, name: str) -> type:
    """Return the class that is registered as *name* among the *kind*: "triggers", "executors" or "jobstores".

    Our own names come first, then the entry points of the group ``mainspring.<kind>``. Loaded on first use and
    kept; safe to call from any thread, never under a lock (it imports foreign modules).

    :raises LookupError: no plug-in has this name; the message gives the nearest one, or all of them
    :raises ImportError: an optional dependency is missing; the message gives the pip command
    :raises TypeError: what the entry point names is not a class of that kind
    """
    found = _loaded.get((kind, name))
    if found is None:
        found = _loaded[kind, name] = _load(kind, name)
    return found


def create_trigger(
    name: str, timezone: tzinfo, args: Mapping[str, Any], beside: Iterable[str] = ()
) -> BaseTrigger:
    """Build the trigger registered as *name* from *args*; *timezone* is used unless *args* bring one.

    *beside* are the names of other things that the caller takes in the same call: a misspelt one of them arrives here.

    :raises LookupError, ImportError: as :func:`load_plugin`
    :raises TypeError: an argument that this trigger does not have; the message gives the nearest one
    """
    cls = load_plugin("triggers", name)
    known, anything = arguments_of(cls)
    if not anything and not known.keys() >= args.keys():
        refuse_unknown(args, known, f'argument of the trigger "{name}"', beside)
    if "timezone" not in args and "timezone" in known:
        args = {**args, "timezone": timezone}
    trigger: BaseTrigger = cls(**args)
    return trigger


@lru_cache(maxsize=256)
def arguments_of(cls: type) -> tuple[dict[str, inspect.Parameter], bool]:
    """The keyword arguments of *cls*'s constructor, and whether it takes others besides (``**options``).

    Cached, since every ``add_job`` with a trigger's name asks. A class that hides its signature takes anything.
    """
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return {}, True
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters)


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str, beside: Iterable[str] = ()) -> None:
    """Raise TypeError if *given* has a name that is not in *known*; *what* says what such a name would be."""
    known = list(known)
    for name in given:
        if name not in known:
            raise TypeError(f"Unknown {what}: {name!r}{did_you_mean(name, known, beside)}")


def did_you_mean(name: object, known: Iterable[str], beside: Iterable[str] = ()) -> str:
    """The tail of an error message about an unknown *name*: the nearest known name, or one of *beside*, or else all that are known."""
    import difflib  # here: only errors need it

    names = sorted(known)
    # 0.5: "minute" for "min" is still meant; the default of 0.6 misses such abbreviations.
    near = difflib.get_close_matches(str(name), [*names, *beside], n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are: {', '.join(names)}" if names else ""


def _load(kind: str, name: str) -> type:
    reference = _OWN[kind].get(name)
    reference = f"{PACKAGE}.{reference}" if reference else _registered(kind, name)
    module, _, attribute = reference.partition(":")
    try:
        plugin = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as exc:
        missing = (exc.name or "").partition(".")[0]
        if missing in ("", PACKAGE):
            raise
        raise ImportError(_install_advice(kind, name, missing), name=missing) from exc
    except AttributeError as exc:
        raise LookupError(f'The {NOUNS[kind]} "{name}" is registered as {reference}: {exc}') from exc
    if not (isinstance(plugin, type) and issubclass(plugin, _BASES[kind])):
        base = _BASES[kind]
        raise TypeError(
            f'The {NOUNS[kind]} "{name}" is {plugin!r}; expected a subclass of {base.__module__}.{base.__name__}'
        )
    return plugin


def _registered(kind: str, name: str) -> str:
    """The "module:Class" that some installed distribution registers under this name."""
    # Here, since it costs a fifth of the library's import time, and few programs name a plug-in that is not ours.
    from importlib.metadata import entry_points

    registered = entry_points(group=f"{PACKAGE}.{kind}")
    for entry in registered:
        if entry.name == name:
            return f"{entry.module}:{entry.attr}"
    known = {*_OWN[kind], *(entry.name for entry in registered)}
    raise LookupError(f'No {NOUNS[kind]} by the name "{name}" was found{did_you_mean(name, known)}')


def _install_advice(kind: str, name: str, missing: str) -> str:
    extra = _EXTRAS.get((kind, name))
    command = f'pip install "{PACKAGE}[{extra}]"' if extra else f"pip install {missing}"
    return f'The {NOUNS[kind]} "{name}" needs the package {missing!r}, which is not installed: {command}'
