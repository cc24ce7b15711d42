"""Which functions and classes a stored payload may name: the `allowed_callables` of a job store."""

import sys
from collections.abc import Iterable
from typing import Any

from .envelope import CallableNotAllowedError
from .references import resolve_reference, split_reference


class AllowedCallables:
    """A list of module prefixes ("myapp", "myapp.jobs": the module and all below it) and references ("myapp.jobs:send").

    What counts is the resolved object's own `__module__` and `__qualname__`, not the path by which a record names it:
    "myapp.jobs:os.system" is `os.system`. An object without a name of its own (an instance with `__call__`) is never
    allowed. A reference allows that one object, not what a class contains. Immutable, thread-safe.
    """

    __slots__ = ("_modules", "_prefixes", "_references")

    def __init__(self, entries: Iterable[str]) -> None:
        if isinstance(entries, str):
            raise TypeError(
                f"allowed_callables must be a list, got a text: write allowed_callables=[{entries!r}]"
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

    def resolve(self, reference: str) -> Any:
        """The object that the reference names, if it is allowed; else CallableNotAllowedError, and `resolve_reference`'s errors.

        Importing a module runs it, so one that is not loaded yet is imported only if something in it (or below it) is allowed.
        """
        split_reference(reference)
        self.check_import(reference)
        found = resolve_reference(reference)
        self.check(found, reference)
        return found

    def check_import(self, reference: str) -> None:
        """CallableNotAllowedError if the reference's module would have to be imported, and nothing in it is allowed."""
        module = reference.partition(":")[0]
        if module not in sys.modules and not self._may_import(module):
            raise self._refusal(reference)

    def check(self, found: Any, reference: str) -> None:
        """CallableNotAllowedError unless this object, which `reference` led to, is allowed."""
        module, qualname = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(qualname, str):
            raise self._refusal(reference, "an object without a module and a name of its own")
        own = f"{module}:{qualname}"
        if not self._holds_module(module) and own not in self._references:
            raise self._refusal(reference, "" if own == reference else f"which is {own!r}")

    def _holds_module(self, module: str) -> bool:
        return module in self._modules or module.startswith(self._prefixes)

    def _may_import(self, module: str) -> bool:
        named = {*self._modules, *(reference.partition(":")[0] for reference in self._references)}
        return self._holds_module(module) or any(f"{name}.".startswith(f"{module}.") for name in named)

    @staticmethod
    def _refusal(reference: str, detail: str = "") -> CallableNotAllowedError:
        shown = f"{reference!r}{detail and ', ' + detail},"
        return CallableNotAllowedError(
            None,
            f"{shown} is not among the job store's allowed_callables: add its module or 'module:name' there",
        )
