"""The library as it lies on disk: what the tests of this folder are parametrised over, so that they grow with the code."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("events", "triggers", "jobstores", "executors", "scheduler")

FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
"""Every module of the library."""


def short(path: Path) -> str:
    """The file's path as a person would say it: `events/clock.py`."""
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """The name under which the file is imported: `mainspring.events.clock`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("mainspring", *parts)).removesuffix(".__init__")


MODULES = [module_of(path) for path in FILES]
