"""What the explorer looks at: in the tests (`QUICK`, seconds) and by hand (`DEEP`)."""

from dataclasses import replace

from tests.explorer.world import Scenario

EDITS = ("rename", "more room", "executor", "pause", "resume", "move", "reschedule", "update")
ACTS = ("remove", "add", "now", "dismiss", "again")
CARE = ("pause", "resume", "move", "reschedule", "no retries", "keep")

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
    Scenario("interval, edits", kind="every", edits=EDITS, edit_budget=2),
    Scenario("interval, edits, clocks apart", kind="every", edits=EDITS, edit_budget=2, offsets=(-1, 1)),
    Scenario("interval, people", kind="every", acts=ACTS, act_budget=2),
    Scenario(
        "interval, parked and resumed",
        kind="every",
        recovery="rerun",
        max_recoveries=0,
        max_instances=2,
        crashes=1,
        acts=("now",),
        edits=("resume",),
    ),
    Scenario("interval, people and edits", kind="every", acts=ACTS, edits=EDITS),
    Scenario("a user's trigger, edits", kind="user", coalesce=False, edits=EDITS, offsets=(-1, 1)),
]

ALL += [
    # runs that fail
    Scenario("one-off, retries", max_retries=2, failures=3, crashes=1, failing=("fails", "fails for good")),
    Scenario("one-off, retries, rerun", recovery="rerun", max_retries=1, failures=2, crashes=1),
    Scenario("one-off, retries, people", max_retries=1, failures=2, acts=ACTS, act_budget=2),
    Scenario("one-off, retries, edits", max_retries=1, failures=2, edits=CARE, edit_budget=2),
    Scenario("one-off, kept", keep_failed=True, max_retries=1, failures=2, acts=ACTS, crashes=1),
    Scenario("one-off, kept, edits", keep_failed=True, failures=2, acts=("now",), edits=CARE, edit_budget=2),
    Scenario("one-off, time limit", max_retries=1, failures=2, failing=("times out",), crashes=1),
    Scenario("one-off, retries, clocks far apart", max_retries=1, failures=2, offsets=(-3, 3)),
    Scenario("interval, retries", kind="every", max_retries=1, failures=2, max_instances=2, crashes=1),
    Scenario(
        "interval, retries, people and edits", kind="every", max_retries=1, failures=2, acts=ACTS, edits=CARE
    ),
    Scenario(
        "interval, all fire times, retries",
        kind="every",
        coalesce=False,
        max_retries=1,
        failures=2,
        failing=("fails", "fails in part"),
    ),
    Scenario(
        "interval with an end, retries, two instances",
        kind="twice",
        max_instances=2,
        keep_failed=True,
        max_retries=1,
        failures=2,
        failing=("fails", "fails for good"),
        edits=("pause", "resume"),
        edit_budget=2,
        crashes=1,
    ),
    Scenario(
        "one-off, retries, paused",
        max_retries=1,
        failures=1,
        edits=("pause", "resume"),
        edit_budget=2,
        crashes=1,
    ),
    Scenario(
        "one-off, runs asked for, paused",
        recovery="rerun",
        max_recoveries=0,
        max_retries=1,
        keep_failed=True,
        max_instances=2,
        failures=2,
        failing=("fails", "fails for good"),
        acts=("now",),
        edits=("pause", "resume"),
        crashes=1,
    ),
    Scenario(
        "one-off, runs asked for, kept",
        keep_failed=True,
        max_instances=2,
        failures=2,
        acts=("now", "dismiss"),
        act_budget=2,
        crashes=1,
    ),
    Scenario(
        "one-off, no room for what has waited",
        max_retries=1,
        failures=2,
        failing=("fails", "finds no room"),
        acts=("now", "add", "remove"),
        act_budget=2,
        crashes=1,
    ),
    Scenario(
        "one-off, no room, added again",
        failures=1,
        failing=("finds no room",),
        acts=("now", "add"),
        act_budget=2,
        horizon=1,
    ),
    # fire times that wait for room
    Scenario("interval, queue", kind="every", while_running="queue", crashes=1, horizon=4),
    Scenario("interval, queue, rerun", kind="every", while_running="queue", recovery="rerun", crashes=1),
    Scenario(
        "interval, queue, two instances", kind="every", while_running="queue", max_instances=2, horizon=5
    ),
    Scenario("interval, queue, people", kind="every", while_running="queue", acts=ACTS, act_budget=2),
    Scenario("interval, queue, edits", kind="every", while_running="queue", edits=EDITS, edit_budget=2),
    Scenario(
        "interval with an end, queue",
        kind="twice",
        while_running="queue",
        edits=("pause", "resume"),
        acts=ACTS,
    ),
    Scenario(
        "interval, queue, retries",
        kind="every",
        while_running="queue",
        max_retries=1,
        failures=2,
        failing=("fails", "times out"),
        edits=("pause", "resume"),
    ),
    Scenario(
        "backlog in batches, queue", kind="every", while_running="queue", coalesce=False, batch=2, horizon=5
    ),
    Scenario("a user's trigger, queue", kind="user", while_running="queue", edits=EDITS),
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
