"""Plug-ins: triggers, executors and job stores by their short names, through entry points loaded on first use."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ..executors.base import BaseExecutor
from ..jobstores.base import BaseJobStore
from ..triggers.base import BaseTrigger

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

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
        "mongodb": "jobstores.mongodb:MongoDBJobStore",
        "redis": "jobstores.redis:RedisJobStore",
        "sqlalchemy": "jobstores.sqlalchemy:SQLAlchemyJobStore",
        "zookeeper": "jobstores.zookeeper:ZooKeeperJobStore",
    },
}

#: Our plug-ins that need a package beyond the core dependencies, with the extra that brings it.
_EXTRAS = {
    ("jobstores", "mongodb"): "mongodb",
    ("jobstores", "redis"): "redis",
    ("jobstores", "sqlalchemy"): "sqlalchemy",
    ("jobstores", "zookeeper"): "zookeeper",
}

#: What is said wherever the line of a crontab was given for something else.
CRONTAB_ADVICE = "a crontab line is made a trigger by CronTrigger.from_crontab(...)"

_DAY_OF_WEEK = "did you mean 'day_of_week'?"
_RUN_DATE = "did you mean 'run_date'?"
_CALENDAR = 'the trigger "calendarinterval" has months and years'
_ELAPSED = 'hours, minutes and seconds between runs are for the trigger "interval"'

# What is meant by arguments that a trigger does not have: where the nearest name would be another thing.
_MEANT = {
    ("cron", "weekday"): _DAY_OF_WEEK,
    ("cron", "weekdays"): _DAY_OF_WEEK,
    ("cron", "dow"): _DAY_OF_WEEK,
    ("cron", "expr"): CRONTAB_ADVICE,
    ("cron", "crontab"): CRONTAB_ADVICE,
    ("cron", "expression"): CRONTAB_ADVICE,
    ("cron", "cron"): CRONTAB_ADVICE,
    ("date", "run_time"): _RUN_DATE,
    ("date", "run_at"): _RUN_DATE,
    ("date", "at"): _RUN_DATE,
    ("date", "time"): _RUN_DATE,
    ("date", "datetime"): _RUN_DATE,
    ("interval", "month"): _CALENDAR,
    ("interval", "months"): _CALENDAR,
    ("interval", "year"): _CALENDAR,
    ("interval", "years"): _CALENDAR,
    ("interval", "weekday"): 'the trigger "cron" has day_of_week',
    ("interval", "milliseconds"): "give seconds with a fraction, such as seconds=0.25",
    ("interval", "microseconds"): "give seconds with a fraction, such as seconds=0.000001",
    ("calendarinterval", "hours"): _ELAPSED,
    ("calendarinterval", "minutes"): _ELAPSED,
    ("calendarinterval", "seconds"): _ELAPSED,
}

# How the arguments are given without which our triggers cannot be made.
_NEEDED = {
    ("rrule", "rule"): 'such as rule="FREQ=WEEKLY;BYDAY=MO"',
    ("and", "triggers"): "such as triggers=[CronTrigger(...), IntervalTrigger(...)]",
    ("or", "triggers"): "such as triggers=[CronTrigger(...), CronTrigger(...)]",
    ("excluding", "base"): "the trigger that it leaves times out of, such as base=CronTrigger(...)",
}

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
    :raises TypeError: an argument that this trigger does not have, or one missing that it needs; the message says which
    """
    cls = load_plugin("triggers", name)
    known, anything = arguments_of(cls)
    if not anything and not known.keys() >= args.keys():
        _refuse_argument(name, next(given for given in args if given not in known), known, beside)
    for needed, parameter in known.items():
        if parameter.default is parameter.empty and needed not in args:
            example = _NEEDED.get((name, needed))
            raise TypeError(
                f'The trigger "{name}" needs the argument {needed!r}{f", {example}" if example else ""}'
            )
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
    """The tail of an error message about an unknown *name*: the nearest known name, or one of *beside*, or else all that are known.

    Only what is really near is offered, *beside* nearer still: to be led to another thing is worse than to read a list.
    """
    import difflib  # here: only errors need it

    names, given = sorted(known), str(name).lower()
    # 0.65: one letter of three is wrong, "uri" for "url".
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.65)
    near = near or difflib.get_close_matches(given, list(beside), n=1, cutoff=0.8)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are: {', '.join(names)}" if names else ""


def check_trigger(value: object, expected: str) -> None:
    """Raise TypeError if *value* is no trigger; *expected* says what is taken."""
    if isinstance(value, type) and issubclass(value, BaseTrigger):
        raise TypeError(
            f"Expected {expected}, got the class {value.__name__}; call it: {value.__name__}(...)"
        )
    if not isinstance(value, BaseTrigger):
        raise TypeError(f"Expected {expected}, got {type(value).__name__} instead: {value!r}")


_STORES_AT: Final = {
    "mongodb": "mongodb",
    "mongodb+srv": "mongodb",
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
}


def store_at(url: str) -> str:
    """How a job store at a URL is written, in a configuration and as an object, for messages. Of the URL it repeats the scheme."""
    scheme = url.partition("://")[0][:40]
    store = _STORES_AT.get(scheme, "sqlalchemy")
    cls = _OWN["jobstores"][store].partition(":")[2]
    return f"{{'type': '{store}', 'url': '{scheme}://...'}}, or an instance, {cls}(url='{scheme}://...')"


def is_trigger_name(name: str) -> bool:
    """Whether a trigger is registered as *name*; loads none. For errors: it reads the metadata of what is installed."""
    return name in _OWN["triggers"] or any(entry.name == name for entry in _entry_points("triggers"))


def like_crontab(text: str) -> bool:
    """Whether *text* looks as if somebody meant the line of a crontab."""
    return text.startswith("@") or len(text.split()) >= 5


def _refuse_argument(trigger: str, name: str, known: Iterable[str], beside: Iterable[str]) -> NoReturn:
    meant = _MEANT.get((trigger, name))
    tail = did_you_mean(name, known, beside) if meant is None else f"; {meant}"
    raise TypeError(f'Unknown argument of the trigger "{trigger}": {name!r}{tail}')


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
    registered = _entry_points(kind)
    for entry in registered:
        if entry.name == name:
            return f"{entry.module}:{entry.attr}"
    known = {*_OWN[kind], *(entry.name for entry in registered)}
    if kind == "triggers" and like_crontab(name):
        tail = f"; {CRONTAB_ADVICE}"
    elif "://" in name and kind == "jobstores":
        # Not the name: there may be a password in it.
        raise LookupError(f"No job store is called like a URL; write {store_at(name)}")
    elif kind == "triggers" and "FREQ=" in name.upper():
        tail = "; a recurrence rule is made a trigger by RRuleTrigger(...)"
    else:
        tail = did_you_mean(name, known)
    raise LookupError(f'No {NOUNS[kind]} by the name "{name[:200]}" was found{tail}')


def _entry_points(kind: str) -> EntryPoints:
    # Here, since it costs a fifth of the library's import time, and few programs name a plug-in that is not ours.
    from importlib.metadata import entry_points

    return entry_points(group=f"{PACKAGE}.{kind}")


def _install_advice(kind: str, name: str, missing: str) -> str:
    extra = _EXTRAS.get((kind, name))
    command = f'pip install "{PACKAGE}[{extra}]"' if extra else f"pip install {missing}"
    return f'The {NOUNS[kind]} "{name}" needs the package {missing!r}, which is not installed: {command}'
