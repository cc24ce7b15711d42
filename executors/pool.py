"""The pools by their public names. The process pool is loaded when it is asked for: multiprocessing takes long to import."""

from typing import TYPE_CHECKING, Any

from .threads import ThreadPoolExecutor

if TYPE_CHECKING:
    from .processes import ProcessPoolExecutor

__all__ = ["ProcessPoolExecutor", "ThreadPoolExecutor"]


def __getattr__(name: str) -> Any:
    if name == "ProcessPoolExecutor":
        from .processes import ProcessPoolExecutor

        return ProcessPoolExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
