"""Configuration: a program's options and its configuration file, checked and made into one Settings value.

Nothing is changed before everything is known to be right: :func:`read_settings` refuses what it does not know, down
to the arguments of each executor and job store, and builds none of them; the caller's mappings are only read.
"""

import logging
import sys
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from random import Random
from types import MappingProxyType
from typing import Any, TypeVar

from ..events.clock import Clock, SystemClock
from ..executors.base import BaseExecutor
from ..jobstores.base import BaseJobStore
from ..jobstores.options import exception_classes
from ..jobstores.policy import DEFAULT, POLICY_OPTIONS, RunPolicy
from ..jobstores.serialization.references import resolve_reference
from ..triggers.zones import as_zone
from .coercion import (
    as_bool,
    as_choice,
    as_count,
    as_instance,
    as_number,
    as_optional_seconds,
    as_seconds,
    as_written,
)
from .plugins import NOUNS, PACKAGE, arguments_of, load_plugin, refuse_unknown, store_at

P = TypeVar("P")

DEFAULT_PREFIX = f"{PACKAGE}."
# A file that was written for APScheduler is understood as it stands.
_OLD_PREFIX = "apscheduler."

JOB_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "misfire_grace_time": 1,
        "coalesce": True,
        "max_instances": 1,
        "recovery": "skip",
        "max_recoveries": 3,
        **{name: getattr(DEFAULT, name) for name in POLICY_OPTIONS},
    }
)


@dataclass(frozen=True)
class Settings:
    """What a scheduler was configured with. Executors and job stores are still specifications here, unless the
    program passed instances: :func:`build_executor` and :func:`build_jobstore` make instances of them.
    """

    logger: logging.Logger
    timezone: tzinfo
    jobstore_retry_interval: float = 10.0  # seconds
    job_defaults: Mapping[str, Any] = field(default_factory=lambda: JOB_DEFAULTS)
    policy: RunPolicy = DEFAULT  # those of the job defaults that say how runs are cared for
    executors: Mapping[str, Any] = field(default_factory=dict)  # alias -> instance or specification
    jobstores: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    lease: float = 30.0  # seconds
    claim_window: int = 1000  # jobs
    max_clock_offset: float = 5.0  # seconds
    random: Random | None = None  # source of jitter; None: one of the scheduler's own
    extra: Mapping[str, Any] = field(default_factory=dict)  # the front end's own options, as they were given


def read_settings(
    gconfig: Mapping[str, Any] | None,
    prefix: str | None,
    options: Mapping[str, Any],
    *,
    front_end_options: Iterable[str] = frozenset(),
) -> Settings:
    """Read a configuration mapping and the keyword *options* beside it, which win.

    :param gconfig: keys such as ``"mainspring.executors.default.type"``, as an ini file gives them; values may be
        strings. Keys without the prefix belong to somebody else and are passed over
    :param prefix: of the keys in *gconfig*; with the default one, ``"apscheduler."`` keys are read too, and are
        overridden by ours. An empty prefix takes every key
    :param front_end_options: names that this scheduler class takes besides; they end up in ``Settings.extra``
    :raises TypeError: an unknown option, at any level (with the nearest known one), or a value of a wrong type
    :raises ValueError: a value that is out of range
    :raises LookupError: an executor or job store of an unknown ``type``
    """
    given = {**_nested(gconfig or {}, prefix), **options}
    front_end = set(front_end_options)
    refuse_unknown(given, _READERS.keys() | front_end, "option of the scheduler")
    # These two have a default that is looked up, the time zone not without cost.
    given = {"logger": None, "timezone": None, **given}
    values = {name: read(given[name]) for name, read in _READERS.items() if name in given}
    defaults = values.get("job_defaults", JOB_DEFAULTS)
    policy = DEFAULT.changed({name: defaults[name] for name in POLICY_OPTIONS})
    return Settings(
        **values, policy=policy, extra={name: value for name, value in given.items() if name in front_end}
    )


def build_executor(alias: str, spec: Any) -> BaseExecutor:
    """Make the executor that *spec* describes: an instance (returned as it is), any ``concurrent.futures.Executor``
    (wrapped), or a mapping with ``type`` (a registered name) or ``class`` (a class, or "module:Class") and the
    arguments of that class.

    :raises TypeError, ValueError, LookupError, ImportError: *spec* is not right; the message says where
    """
    if not isinstance(spec, BaseExecutor) and _is_standard_pool(spec):
        from ..executors.futures import FuturesExecutor

        return FuturesExecutor(spec)
    executor: BaseExecutor = _build("executors", alias, spec)
    refuse_in_use("executors", alias, executor)
    return executor


def build_jobstore(alias: str, spec: Any) -> BaseJobStore:
    """Make the job store that *spec* describes: an instance, or a mapping as for :func:`build_executor`."""
    store: BaseJobStore = _build("jobstores", alias, spec)
    refuse_in_use("jobstores", alias, store)
    return store


def refuse_in_use(
    kind: str, alias: str, plugin: BaseExecutor | BaseJobStore, starting: object = None
) -> None:
    """One object serves one scheduler, by one alias: whoever shuts down first would end it for the other.

    *starting*: the scheduler that starts it now, which may do so again by the same alias.
    """
    scheduler, used = plugin._scheduler, plugin._alias
    if getattr(scheduler, f"_{kind}", {}).get(used) is not plugin:
        return
    is_own = scheduler is starting
    if used != alias if is_own else getattr(scheduler, "running", False):
        raise ValueError(
            f"{kind}[{alias!r}]: this {type(plugin).__name__} is in use, as {used!r} of {'this' if is_own else 'a'} scheduler"
            f"{'' if is_own else ' that runs'}; make another one"
            " (any number of schedulers may share a database, each through a job store of its own)"
        )


def specification(plugin: Any, options: Mapping[str, Any]) -> Any:
    """What *plugin* and the options given beside it are in a configuration: a plug-in's name becomes a mapping with ``type``.

    :raises TypeError: there are options beside something that is made already
    """
    if isinstance(plugin, str):
        return {**options, "type": plugin}
    if options:
        raise TypeError(
            f"{sorted(options)[0]!r} was given beside {plugin!r}, which is made already: give it to its constructor"
        )
    return plugin


def without(registry: Mapping[str, P], aliases: Container[str]) -> dict[str, P]:
    """*registry* without these *aliases*."""
    return {alias: plugin for alias, plugin in registry.items() if alias not in aliases}


# --- reading -------------------------------------------------------------------------------------------------------


def _nested(gconfig: Mapping[str, Any], prefix: str | None) -> dict[str, Any]:
    """The keys of *gconfig* that carry the prefix, without it, split at their dots into nested dicts of our own."""
    if not isinstance(gconfig, Mapping):
        raise TypeError(f"Expected a mapping of options as gconfig, got {type(gconfig).__name__} instead")
    prefixes = (_OLD_PREFIX, DEFAULT_PREFIX) if prefix == DEFAULT_PREFIX else (prefix or "",)
    tree: dict[str, Any] = {}
    for wanted in prefixes:
        for key, value in gconfig.items():
            if isinstance(key, str) and key.startswith(wanted):
                _insert(tree, key, key[len(wanted) :].split("."), value)
    return tree


def _insert(tree: dict[str, Any], key: str, path: list[str], value: Any) -> None:
    if not all(path):
        raise ValueError(f"The configuration key {key!r} has an empty part; expected names separated by dots")
    *parents, last = path
    for name in parents:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise ValueError(
                f"The configuration key {key!r} goes into {name!r}, which was given a value of its own"
            )
    if not isinstance(value, Mapping):
        if isinstance(tree.get(last), dict):
            raise ValueError(f"The configuration key {key!r} was given a value, but other keys go into it")
        tree[last] = value
        return
    # A mapping merges with the dotted keys beside it, in a copy: it is the caller's.
    tree.setdefault(last, {})
    for name, inner in value.items():
        _insert(tree, f"{key}.{name}", [last, str(name)], inner)


def _logger(value: Any) -> logging.Logger:
    if value is None:
        return logging.getLogger(f"{PACKAGE}.scheduler")
    if isinstance(value, str):
        # "module:attribute" is a reference; a logger's own name has dots but never a colon.
        value = resolve_reference(_ours(value)) if ":" in value else logging.getLogger(value)
    logger: logging.Logger = as_instance(logging.Logger)("logger", value)
    return logger


def _clock(value: Any) -> Clock:
    clock: Clock = SystemClock() if value is None else as_instance(Clock)("clock", value)
    return clock


def _job_defaults(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"Expected a mapping as job_defaults, got {type(value).__name__} instead")
    refuse_unknown(value, _JOB_OPTION_READERS, "option in job_defaults")
    read = {name: _JOB_OPTION_READERS[name](f"job_defaults[{name!r}]", value[name]) for name in value}
    return MappingProxyType({**JOB_DEFAULTS, **read})


def _exceptions(name: str, value: Any) -> Any:
    """What `add_job` takes; in a configuration file, references with commas between them."""
    if isinstance(value, str):
        value = [reference.strip() for reference in value.split(",") if reference.strip()]
    return exception_classes(name, value)


def _specs(kind: str) -> Callable[[Any], Mapping[str, Any]]:
    """A reader of the option *kind*: every specification is looked through now, though built only later."""

    def read(value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise TypeError(f"Expected a mapping of aliases as {kind}, got {type(value).__name__} instead")
        for alias, spec in value.items():
            if not isinstance(alias, str) or not alias:
                raise TypeError(f"Expected a non-empty string as alias in {kind}, got {alias!r} instead")
            if not _is_instance(kind, spec):
                _class_and_arguments(kind, alias, spec)
        return {alias: dict(spec) if isinstance(spec, Mapping) else spec for alias, spec in value.items()}

    return read


def _named(reader: Callable[[str, Any], Any], name: str) -> Callable[[Any], Any]:
    return lambda value: reader(name, value)


_JOB_OPTION_READERS: dict[str, Callable[[str, Any], Any]] = {
    "misfire_grace_time": as_optional_seconds,
    "coalesce": as_bool,
    "max_instances": as_count(1),
    "recovery": as_choice("skip", "rerun"),
    "max_recoveries": as_count(0),
    "timeout": as_optional_seconds,
    "max_retries": as_count(0),
    "retry_delay": as_number(0, duration=True),
    "backoff": as_number(1),
    "max_delay": as_optional_seconds,
    "retry_jitter": as_number(0, duration=True),
    "retry_on": _exceptions,
    "keep_failed": as_bool,
    "while_running": as_choice("skip", "queue"),
}

# In the order of the documentation. The keys are the options that every scheduler has.
_READERS: dict[str, Callable[[Any], Any]] = {
    "logger": _logger,
    "timezone": as_zone,
    "jobstore_retry_interval": _named(as_seconds, "jobstore_retry_interval"),
    "job_defaults": _job_defaults,
    "executors": _specs("executors"),
    "jobstores": _specs("jobstores"),
    "clock": _clock,
    "lease": _named(as_seconds, "lease"),
    "claim_window": _named(as_count(1), "claim_window"),
    "max_clock_offset": _named(as_seconds, "max_clock_offset"),
    "random": _named(as_instance(Random, optional=True), "random"),
}


# --- building ------------------------------------------------------------------------------------------------------


def _is_instance(kind: str, spec: Any) -> bool:
    if kind == "executors":
        return isinstance(spec, BaseExecutor) or _is_standard_pool(spec)
    return isinstance(spec, BaseJobStore)


def _is_standard_pool(spec: Any) -> bool:
    """Whether it is a `concurrent.futures.Executor`: who has one has imported that module, and nobody else needs it here."""
    module = sys.modules.get("concurrent.futures")
    return module is not None and isinstance(spec, module.Executor)


def _build(kind: str, alias: str, spec: Any) -> Any:
    if _is_instance(kind, spec):
        return spec
    cls, arguments = _class_and_arguments(kind, alias, spec)
    return cls(**arguments)


def _class_and_arguments(kind: str, alias: str, spec: Any) -> tuple[type, dict[str, Any]]:
    """The class that a specification names and the keyword arguments for it, both checked."""
    noun = NOUNS[kind]
    if not isinstance(spec, Mapping):
        # A class in place of an instance is the usual slip; "got ABCMeta" would tell nobody so.
        got = f"the class {spec.__name__}" if isinstance(spec, type) else type(spec).__name__
        advice = ""
        if isinstance(spec, str):
            is_url = "://" in spec and kind == "jobstores"
            advice = f"; write {store_at(spec)}" if is_url else f"; write {{'type': {spec!r}}}"
        raise TypeError(f"Expected {noun} instance or dict for {kind}[{alias!r}], got {got} instead{advice}")
    arguments = dict(spec)
    plugin, reference = arguments.pop("type", None), arguments.pop("class", None)
    if plugin is None and reference is None:
        raise ValueError(f'Cannot create {noun} "{alias}" -- either "type" or "class" must be defined')
    if plugin is not None and reference is not None:
        raise ValueError(f'Cannot create {noun} "{alias}" -- both "type" and "class" are defined; remove one')
    cls = load_plugin(kind, plugin) if plugin is not None else _class(kind, alias, reference)
    known, anything = arguments_of(cls)
    if not anything:
        refuse_unknown(arguments, known, f"argument of {cls.__name__} in {kind}[{alias!r}]")
    for name in arguments.keys() & known.keys():
        arguments[name] = as_written(f"{kind}[{alias!r}][{name!r}]", arguments[name], known[name])
    return cls, arguments


def _class(kind: str, alias: str, reference: Any) -> type:
    cls = resolve_reference(_ours(reference)) if isinstance(reference, str) else reference
    base = BaseExecutor if kind == "executors" else BaseJobStore
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise TypeError(
            f"Expected a subclass of {base.__module__}.{base.__name__} as {kind}[{alias!r}]['class'], got {cls!r} instead"
        )
    return cls


def _ours(reference: str) -> str:
    """A reference into APScheduler's modules, as the one to ours: its own classes could not work here."""
    return (
        f"{PACKAGE}.{reference.removeprefix(_OLD_PREFIX)}" if reference.startswith(_OLD_PREFIX) else reference
    )
