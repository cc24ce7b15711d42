"""When jobs run: pure functions of time.

A trigger is an immutable value. Inside it speaks integer microseconds UTC (`next_after`, `previous_before`, `count_between`);
`get_next_fire_time` is the adapter for datetimes. Nothing here reads a clock or imports another room of mainspring.

Errors, all of them raised where a trigger is made:

    ValueError                  naming the argument
      ├ CronExpressionError     a cron expression that is not understood, or that can never match
      └ NoFireTimeFoundError    a search that was given up at its bound (of combined triggers; also raised when a fire time is asked for)
    TypeError                   an argument of a wrong type, or one that does not exist
"""

from .base import BaseTrigger, InstantTrigger, NoFireTimeFoundError
from .calendarinterval import CalendarIntervalTrigger
from .combining import AndTrigger, OrTrigger
from .combining.parts import runs_user_code as _runs_user_code
from .cron import CronExpressionError, CronField, CronTrigger
from .date import DateTrigger
from .excluding import ExcludingTrigger
from .interval import IntervalTrigger
from .policies import Gap, Overlap
from .rrule import RRuleTrigger

__all__ = [
    "AndTrigger",
    "BaseTrigger",
    "CalendarIntervalTrigger",
    "CronExpressionError",
    "CronField",
    "CronTrigger",
    "DateTrigger",
    "ExcludingTrigger",
    "Gap",
    "InstantTrigger",
    "IntervalTrigger",
    "NoFireTimeFoundError",
    "OrTrigger",
    "Overlap",
    "RRuleTrigger",
    "calls_user_code",
]

# Those that are made of no other triggers: all that most jobs have, and asked for each of their runs.
_OURS = frozenset({CalendarIntervalTrigger, CronTrigger, DateTrigger, IntervalTrigger, RRuleTrigger})


def calls_user_code(trigger: BaseTrigger) -> bool:
    """Whether asking *trigger* may run code that is not mainspring's, and so must not be done under a lock or in a transaction.

    False only for exactly our own classes: a subclass of one is the user's. One that is made of other triggers is asked about them.
    """
    return type(trigger) not in _OURS and _runs_user_code(trigger)


if __name__ != "mainspring.triggers":
    raise ImportError(
        f"import mainspring.triggers, not {__name__}: the folder at the repository's root is not the package"
    )
