"""The options of a job that say how its runs are cared for: values of each, right and wrong, for all the tests that give some."""

from datetime import timedelta
from typing import Any

NAN, INF = float("nan"), float("inf")
SAMPLES = "tests.jobstores.samples"


class Trouble(Exception):
    """What a user's function raises."""


class BigTrouble(Trouble):
    """A subclass of it."""


class Outer:
    """A class that has another one in it."""

    class Trouble(Exception):
        """Its reference has a dot."""


TROUBLE = f"{__name__}:Trouble"

OTHER_OPTIONS: dict[str, Any] = {
    "timeout": 7.5,
    "max_retries": 4,
    "retry_delay": 3,
    "backoff": 2.5,
    "max_delay": 60,
    "retry_jitter": 0.5,
    "retry_on": ("builtins:OSError", TROUBLE),
    "keep_failed": True,
    "while_running": "queue",
}
"""All of them, none as it is by default."""

SECONDS = "None (no limit) or a positive number of seconds"
PAUSE = "a number of seconds, 0 or more"

# option, value, the error, what its message has
WRONG_OPTIONS: list[tuple[str, Any, type[Exception], str]] = [
    *[
        (name, value, error, f"{name} must be {expected}, got {got}")
        for name, expected in (
            ("timeout", SECONDS),
            ("max_delay", SECONDS),
            ("retry_delay", PAUSE),
            ("retry_jitter", PAUSE),
        )
        for value, error, got in (
            (-1, ValueError, "-1"),
            (NAN, ValueError, "nan"),
            (INF, ValueError, "inf"),
            (timedelta(seconds=-5), ValueError, "-5.0"),
            ("5", TypeError, "str: '5'"),
            (True, TypeError, "bool: True"),
            ([1], TypeError, "list: [1]"),
        )
    ],
    ("timeout", 0, ValueError, f"timeout must be {SECONDS}, got 0"),
    ("max_delay", timedelta(0), ValueError, f"max_delay must be {SECONDS}, got 0.0"),
    ("retry_delay", None, TypeError, f"retry_delay must be {PAUSE}, got NoneType: None"),
    ("retry_jitter", None, TypeError, f"retry_jitter must be {PAUSE}, got NoneType: None"),
    ("max_retries", -1, ValueError, "max_retries must be an integer of at least 0, got -1"),
    ("max_retries", 1.0, TypeError, "max_retries must be an integer of at least 0, got float: 1.0"),
    ("max_retries", True, TypeError, "max_retries must be an integer of at least 0, got bool: True"),
    ("max_retries", None, TypeError, "max_retries must be an integer of at least 0, got NoneType: None"),
    ("max_retries", "3", TypeError, "max_retries must be an integer of at least 0, got str: '3'"),
    (
        "backoff",
        0.5,
        ValueError,
        "backoff must be a number of at least 1 (the factor by which a delay grows)",
    ),
    ("backoff", 0, ValueError, "got 0"),
    ("backoff", -2, ValueError, "got -2"),
    ("backoff", NAN, ValueError, "got nan"),
    ("backoff", INF, ValueError, "got inf"),
    ("backoff", "2", TypeError, "got str: '2'"),
    ("backoff", None, TypeError, "got NoneType: None"),
    ("backoff", True, TypeError, "got bool: True"),
    ("backoff", timedelta(seconds=2), TypeError, "backoff must be a number of at least 1 (a factor)"),
    ("retry_on", (), ValueError, "retry_on must name at least one exception class; for a job that is not"),
    ("retry_on", [], ValueError, "leave max_retries at 0"),
    ("retry_on", None, TypeError, "retry_on must be exception classes, or references to them"),
    ("retry_on", 5, TypeError, "got int: 5"),
    ("retry_on", int, TypeError, "got type: <class 'int'>"),
    ("retry_on", [OSError, int], TypeError, "got type: <class 'int'>"),
    ("retry_on", [OSError("x")], TypeError, "('module:Class'), got OSError: OSError('x')"),
    ("retry_on", f"{SAMPLES}:Mailer", TypeError, f"got str: '{SAMPLES}:Mailer'"),
    ("retry_on", f"{SAMPLES}:work", TypeError, f"got str: '{SAMPLES}:work'"),
    ("retry_on", f"{SAMPLES}:work", TypeError, ", which names no exception class, but <function work"),
    ("retry_on", f"{SAMPLES}:Gone", LookupError, "has no attribute 'Gone'"),
    ("retry_on", "tests.gone:Trouble", LookupError, "module 'tests.gone' cannot be imported"),
    ("retry_on", "OSError", ValueError, "'OSError' is not a reference to an exception class"),
    (
        "retry_on",
        "builtins.OSError",
        ValueError,
        "expected 'package.module:Class', such as 'builtins:OSError'",
    ),
    ("retry_on", "", ValueError, "'' is not a reference"),
    ("keep_failed", "yes", TypeError, "keep_failed must be True or False, got the text 'yes'"),
    (
        "while_running",
        "wait",
        ValueError,
        "while_running must be 'skip' (a fire time that finds no room is skip",
    ),
    ("while_running", None, ValueError, "or 'queue' (the job runs once more right after), got None"),
    ("while_running", ["skip"], ValueError, "got ['skip']"),
]

# option, value, what is kept of it
RIGHT_OPTIONS: list[tuple[str, Any, Any]] = [
    *[
        (name, value, kept)
        for name in ("timeout", "max_delay", "retry_delay", "retry_jitter")
        for value, kept in ((5, 5), (7.0, 7), (0.25, 0.25), (timedelta(minutes=1), 60))
    ],
    ("timeout", None, None),
    ("max_delay", None, None),
    ("retry_delay", 0, 0),
    ("retry_jitter", 0, 0),
    ("max_retries", 0, 0),
    ("max_retries", 10**6, 10**6),
    ("backoff", 1, 1),
    ("backoff", 2.5, 2.5),
    ("backoff", 3.0, 3),
    ("retry_on", OSError, ("builtins:OSError",)),
    ("retry_on", "builtins:OSError", ("builtins:OSError",)),
    ("retry_on", "builtins:IOError", ("builtins:OSError",)),
    ("retry_on", [OSError, TROUBLE, OSError], ("builtins:OSError", TROUBLE)),
    ("retry_on", {Trouble}, (TROUBLE,)),
    ("retry_on", Outer.Trouble, (f"{__name__}:Outer.Trouble",)),
    ("retry_on", BaseException, ("builtins:BaseException",)),
    ("keep_failed", True, True),
    ("keep_failed", 0, False),
    ("while_running", "queue", "queue"),
    ("while_running", "skip", "skip"),
]
