"""Which functions and classes a stored payload may name: the `allowed_callables` of a job store."""

from collections.abc import Iterable
from types import FunctionType, MethodType, ModuleType
from typing import Any

from .envelope import CallableNotAllowedError
from .references import UnresolvableReferenceError, attribute_of, imported_module, split_reference


class AllowedCallables:
    """A list of module prefixes ("myapp", "myapp.jobs": the module and all below it) and references ("myapp.jobs:send").

    What counts is the resolved object's own `__module__` and `__qualname__`, not the path by which a record names it:
    "myapp.jobs:os.system" is `os.system`. And what an object says of itself counts only if it is true: its module has to hold it under that
    name. So neither an instance with `__call__` is allowed, nor what `functools.wraps` or an assignment has given somebody else's name. A
    reference allows that one object, not what a class contains. A method is what its function is; where it is bound to another class than
    that which defines it (or to an instance of one), that class has to be allowed, too. Immutable, thread-safe.
    """

    __slots__ = ("_modules", "_named", "_prefixes", "_references")

    def __init__(self, entries: Iterable[str]) -> None:
        if isinstance(entries, str):
            raise TypeError(
                f"allowed_callables must be a list, got a text: write allowed_callables=[{entries!r}]"
            )
        if not isinstance(entries, Iterable):
            raise TypeError(
                f"allowed_callables must be a list of modules and references, got {type(entries).__name__}"
            )
        modules, references = set(), set()
        for entry in entries:
            if not isinstance(entry, str):
                raise TypeError(
                    f"allowed_callables holds module prefixes and references as text, got {entry!r}"
                )
            if ":" in entry:
                split_reference(entry)
                references.add(entry)
            elif all(part.isidentifier() for part in entry.split(".")):
                modules.add(entry)
            else:
                raise ValueError(
                    f"{entry!r} in allowed_callables is neither a module ('myapp') nor a reference ('myapp:f')"
                )
        self._modules = frozenset(modules)
        self._prefixes = tuple(f"{module}." for module in modules)
        self._references = frozenset(references)
        self._named = tuple(
            f"{module}." for module in {*modules, *(entry.partition(":")[0] for entry in references)}
        )

    def resolve(self, reference: str) -> Any:
        """The object that the reference names, if it is allowed; else CallableNotAllowedError, and `resolve_reference`'s errors.

        Importing a module runs it, and asking for an attribute may (a module's `__getattr__`, a property, a metaclass). So a module is
        imported, or an object asked, only if it belongs to a module in which, or below which, something is allowed.
        """
        found = self._reached(reference)
        self.check(found, reference)
        return found

    def check(self, found: Any, reference: str) -> None:
        """CallableNotAllowedError unless this object, which `reference` led to, is allowed."""
        own = _own_reference(found)
        if own is None:
            raise self._refusal(reference, "an object without a module and a name of its own")
        if type(found) is MethodType:
            function, owner = found.__func__, found.__self__
            bound_to = _own_reference(owner if isinstance(owner, type) else type(owner))
            if f"{bound_to}.{getattr(found, '__name__', '')}" in self._references and self._leads_to(
                reference, function
            ):
                return  # it is listed as what it is bound to
            if bound_to != own.rpartition(".")[0]:
                self._check_named(owner if isinstance(owner, type) else type(owner), reference)
            found = function
        self._check_named(found, reference, own)

    def _check_named(self, found: Any, reference: str, own: str | None = None) -> None:
        own = own or _own_reference(found)
        if own is None or not (
            own.partition(":")[0] in self._modules
            or own.startswith(self._prefixes)
            or own in self._references
        ):
            raise self._refusal(reference, "" if own == reference else f"which is {own!r}")
        if not self._leads_to(own, found):
            raise self._refusal(reference, f"which calls itself {own!r} and is something else")

    def _leads_to(self, reference: str, found: Any) -> bool:
        try:
            there = self._reached(reference)
        except (UnresolvableReferenceError, ValueError):
            return False
        return there is found or getattr(there, "__func__", None) is found

    def _reached(self, reference: str) -> Any:
        """The object at the end of a reference, whatever it is."""
        module, qualname = split_reference(reference)
        if not self._may_import(module):
            raise self._refusal(reference)
        found: Any = imported_module(reference, module)
        passed = module
        for name in qualname.split("."):
            home = _home(found)
            if not isinstance(home, str) or not self._may_import(home):
                raise self._refusal(reference, f"which leads through {home!r}")
            found = attribute_of(found, reference, passed, name)
            passed = f"{passed}.{name}"
        return found

    def may_import(self, module: str) -> bool:
        """Whether something in this module, or below it, is allowed."""
        return self._may_import(module)

    def _may_import(self, module: str) -> bool:
        path = f"{module}."
        return path.startswith(self._prefixes) or any(named.startswith(path) for named in self._named)

    @staticmethod
    def _refusal(reference: str, detail: str = "") -> CallableNotAllowedError:
        shown = f"{reference!r}, {detail}," if detail else repr(reference)
        return CallableNotAllowedError(
            None,
            f"{shown} is not among the job store's allowed_callables: add its module or 'module:name' there",
        )


def _own_reference(found: Any) -> str | None:
    """What an object says it is; None if it does not."""
    module, qualname = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    return f"{module}:{qualname}" if isinstance(module, str) and isinstance(qualname, str) else None


def _home(owner: Any) -> Any:
    """The module whose code runs when this object is asked for an attribute."""
    if isinstance(owner, ModuleType):
        return owner.__name__
    return (owner if isinstance(owner, type | FunctionType) else type(owner)).__module__
