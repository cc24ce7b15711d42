"""The pools by their public names."""

from .threads import ThreadPoolExecutor

__all__ = ["ThreadPoolExecutor"]
