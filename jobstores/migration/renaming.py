"""Renaming: modules and functions that have moved since the old store was written."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Renaming"]


class Renaming:
    """Old names to new ones: modules with what is below them ("shop.tasks": "shop.jobs"), or one reference ("a:f": "b:g"). Immutable."""

    __slots__ = ("_modules", "_references")

    def __init__(self, names: Mapping[str, str]) -> None:
        self._references: dict[str, str] = {}
        self._modules: list[tuple[str, str]] = []
        for old, new in names.items():
            if not all(isinstance(name, str) and _is_name(name) for name in (old, new)) or (":" in old) != (
                ":" in new
            ):
                raise ValueError(
                    f"cannot rename {old!r} to {new!r}: expected two modules ('old.module', 'new.module') or two references "
                    "('old.module:function', 'new.module:function')"
                )
            if ":" in old:
                self._references[old] = new
            else:
                self._modules.append((old, new))
        # The longest first: "a.b" says more than "a".
        self._modules.sort(key=lambda pair: -len(pair[0]))

    def reference(self, reference: str) -> str:
        """The reference by its new name."""
        if (renamed := self._references.get(reference)) is not None:
            return renamed
        module, colon, name = reference.partition(":")
        for old, new in self._modules:
            if module == old or module.startswith(f"{old}."):
                return f"{new}{module[len(old) :]}{colon}{name}"
        return reference


def _is_name(name: str) -> bool:
    return (
        all(part.isidentifier() for half in name.split(":") for part in half.split("."))
        and name.count(":") < 2
    )
