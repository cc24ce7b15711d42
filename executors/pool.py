"""The pools by their public names."""

from .processes import ProcessPoolExecutor
from .threads import ThreadPoolExecutor

__all__ = ["ProcessPoolExecutor", "ThreadPoolExecutor"]
