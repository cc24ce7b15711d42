"""What the explorer looks at: in the tests (`QUICK`, seconds) and by hand (`DEEP`)."""

from dataclasses import replace

from tests.explorer.world import Scenario

EDITS = ("rename", "more room", "executor", "pause", "resume", "move", "reschedule", "update")
ACTS = ("remove", "add", "now", "dismiss", "again")
ENDS = ("now", "retry", "parked")

ALL = [
    # claims, leases, crashes
    Scenario("one-off, skip", crashes=1),
    Scenario("one-off, rerun", recovery="rerun", crashes=1),
    Scenario("one-off, skip, the dead one's host", crashes=1, same_host=True),
    Scenario("one-off, skip, compare and set", claims="compare", offsets=(-1, 1)),
    Scenario("one-off, skip, clocks far apart", offsets=(-3, 3), acts=("again",)),
    Scenario("interval, skip", kind="every", crashes=1),
    Scenario("interval, rerun", kind="every", recovery="rerun", crashes=1),
    Scenario("interval, skip, compare and set", kind="every", claims="compare", offsets=(-1, 1)),
    Scenario(
        "interval, two instances, all fire times", kind="every", max_instances=2, coalesce=False, crashes=1
    ),
    Scenario(
        "interval, given up at once",
        kind="every",
        recovery="rerun",
        max_recoveries=0,
        max_instances=2,
        crashes=1,
        acts=("now",),
    ),
    Scenario("interval with an end", kind="twice", crashes=1, acts=ACTS),
    Scenario("backlog in batches", kind="every", coalesce=False, batch=2, crashes=1, horizon=4),
    Scenario("backlog in batches, rerun", kind="every", coalesce=False, batch=2, recovery="rerun", horizon=4),
    # people
    Scenario("one-off, edits", edits=EDITS, edit_budget=2),
    Scenario("one-off, rerun, edits and a crash", edits=EDITS, recovery="rerun", crashes=1),
    Scenario("one-off, people", acts=ACTS, act_budget=2, crashes=1),
    Scenario("one-off, removed and added, edits", acts=("remove", "add"), act_budget=2, edits=EDITS),
    Scenario("one-off, retries", acts=(*ENDS, "add"), act_budget=2),
    Scenario("interval, edits", kind="every", edits=EDITS, edit_budget=2),
    Scenario("interval, edits, clocks apart", kind="every", edits=EDITS, edit_budget=2, offsets=(-1, 1)),
    Scenario("interval, people", kind="every", acts=ACTS, act_budget=2),
    Scenario(
        "interval, parked and resumed", kind="every", max_instances=2, acts=ENDS, edits=("resume",), horizon=2
    ),
    Scenario("interval, people and edits", kind="every", acts=(*ACTS, *ENDS), edits=EDITS),
    Scenario("a user's trigger, edits", kind="user", coalesce=False, edits=EDITS, offsets=(-1, 1)),
]

QUICK = ALL
QUICK_STATES = 6_000
"""So many states of each in the tests: breadth first, so that short stories come first."""

DEEP = [
    *ALL,
    Scenario("one-off, rerun, three crashes", recovery="rerun", crashes=3, horizon=6),
    *(replace(scenario, name=f"{scenario.name}, longer", horizon=scenario.horizon + 1) for scenario in ALL),
]
DEEP_STATES = 400_000
