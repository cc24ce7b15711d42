"""Loading stored pickles: an unpickler whose lookups give our errors and respect the store's `allowed_callables`."""

import _codecs
import copyreg
import pickle
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import IO, Any
from zoneinfo import ZoneInfo

from .allowlist import AllowedCallables
from .references import UnresolvableReferenceError
from .tagged_classes import is_ours

# What pickles of the values that JSON has tags for need, and no more: getattr in particular is a way to everything.
_HARMLESS: tuple[Any, ...] = (
    *(object, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range),
    *(date, datetime, time, timedelta, timezone, ZoneInfo, Decimal, uuid.UUID, uuid.SafeUUID),
    *(PosixPath, PurePosixPath, PureWindowsPath, WindowsPath),
    *(copyreg._reconstructor, copyreg.__newobj__, copyreg.__newobj_ex__, _codecs.encode),  # type: ignore[attr-defined]
)
# The names that protocols 0 to 2 write for builtins and copyreg.
_OLD_NAMES = ("__builtin__", "copy_reg")


class RestrictedUnpickler(pickle.Unpickler):
    """Finds classes and functions as pickle does; with an allow-list, only those on it, ours, and harmless built-in ones."""

    def __init__(self, file: IO[bytes], allowed: AllowedCallables | None) -> None:
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        """The object that the pickle names. UnresolvableReferenceError, or CallableNotAllowedError."""
        reference = f"{module}:{name}"
        allowed = self._allowed
        if allowed is not None and module not in _OLD_NAMES:
            allowed.check_import(reference)
        try:
            found = super().find_class(module, name)
        except Exception as error:  # importing runs user code
            raise UnresolvableReferenceError(reference, f"{type(error).__name__}: {error}") from error
        if allowed is None or any(found is harmless for harmless in _HARMLESS):
            return found
        if found is getattr:
            return _zoneinfo_attribute
        if not (isinstance(found, type) and is_ours(found)):
            allowed.check(found, reference)
        return found


def _zoneinfo_attribute(owner: Any, name: str) -> Any:
    """In place of getattr: the one use of it that pickles of harmless values make."""
    if owner is ZoneInfo and name == "_unpickle":
        return getattr(owner, name)
    raise pickle.UnpicklingError(
        f"getattr(..., {name!r}) in a pickle is refused where allowed_callables are set"
    )
