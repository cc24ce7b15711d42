"""Plug-ins by name: our own, foreign ones from an installed distribution, and what is said when there is none."""

import subprocess
import sys
import tomllib
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainspring.executors.debug import DebugExecutor
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler import plugins
from mainspring.triggers.cron import CronTrigger
from mainspring.triggers.interval import IntervalTrigger

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that an earlier test loaded, and nothing left for a later one."""
    monkeypatch.setattr(plugins, "_loaded", {})


@pytest.fixture
def foreign(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution that registers plug-ins of its own, on sys.path as pip would leave it."""
    info = tmp_path / "moonphase-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moonphase\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mainspring.triggers]\n"
        "moon = moonphase_plugin:MoonTrigger\n"
        "cron = moonphase_plugin:MoonTrigger\n"
        "number = moonphase_plugin:NUMBER\n"
        "gone = moonphase_plugin:Gone\n"
        "needy = moonphase_needy:Needy\n"
    )
    (tmp_path / "moonphase_plugin.py").write_text(
        "from datetime import timedelta\n"
        "from mainspring.triggers.base import BaseTrigger\n"
        "NUMBER = 1\n"
        "class MoonTrigger(BaseTrigger):\n"
        "    def __init__(self, phase='full'):\n"
        "        self.phase = phase\n"
        "    def get_next_fire_time(self, previous_fire_time, now):\n"
        "        return now + timedelta(days=29)\n"
    )
    (tmp_path / "moonphase_needy.py").write_text("import package_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "name", "cls"),
    [
        ("triggers", "interval", IntervalTrigger),
        ("executors", "debug", DebugExecutor),
        ("jobstores", "memory", MemoryJobStore),
    ],
)
def test_our_own_names(kind: str, name: str, cls: type) -> None:
    assert plugins.load_plugin(kind, name) is cls


def test_the_built_in_table_and_the_metadata_say_the_same() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    table = {
        f"mainspring.{kind}": {name: f"mainspring.{value}" for name, value in names.items()}
        for kind, names in plugins._OWN.items()
    }
    assert groups == table


def test_every_extra_that_an_error_names_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(plugins._EXTRAS.values()) <= extras.keys()


@pytest.mark.usefixtures("fresh")
def test_our_own_names_need_no_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: ())
    assert plugins.load_plugin("triggers", "cron") is CronTrigger


def test_importing_the_module_loads_no_plugin() -> None:
    code = (
        "import sys, mainspring.scheduler.plugins\n"
        "print([m for m in sys.modules if m.startswith(('mainspring.triggers.cron', 'mainspring.executors.pool',"
        " 'mainspring.jobstores.sqlalchemy', 'sqlalchemy'))])"
    )
    path = str(ROOT / "tests" / "checkout")
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    # The packages' __init__ may import their own modules; what must not be paid for is SQLAlchemy.
    assert "sqlalchemy" not in done.stdout


def test_a_foreign_trigger_is_found_and_kept(foreign: Path) -> None:
    cls = plugins.load_plugin("triggers", "moon")
    assert cls.__name__ == "MoonTrigger"
    assert plugins.load_plugin("triggers", "moon") is cls


def test_a_foreign_distribution_cannot_take_one_of_our_names(foreign: Path) -> None:
    assert plugins.load_plugin("triggers", "cron") is CronTrigger


def test_a_foreign_trigger_without_a_timezone_argument_is_not_given_one(foreign: Path) -> None:
    trigger = plugins.create_trigger("moon", UTC, {"phase": "new"})
    assert trigger.phase == "new"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "noun"), [("triggers", "trigger"), ("executors", "executor"), ("jobstores", "job store")]
)
def test_an_unknown_name(kind: str, noun: str) -> None:
    with pytest.raises(LookupError, match=f'^No {noun} by the name "x" was found; known are: '):
        plugins.load_plugin(kind, "x")


def test_an_unknown_name_gets_the_nearest_one(foreign: Path) -> None:
    with pytest.raises(LookupError, match=r"did you mean 'interval'\?"):
        plugins.load_plugin("triggers", "intervall")
    with pytest.raises(LookupError, match=r"did you mean 'moon'\?"):
        plugins.load_plugin("triggers", "mooon")


def test_what_is_registered_has_to_be_of_the_kind(foreign: Path) -> None:
    with pytest.raises(TypeError, match=r'The trigger "number" is 1; expected a subclass of .*BaseTrigger'):
        plugins.load_plugin("triggers", "number")


def test_an_entry_point_into_nothing(foreign: Path) -> None:
    with pytest.raises(LookupError, match=r'The trigger "gone" is registered as moonphase_plugin:Gone: '):
        plugins.load_plugin("triggers", "gone")


def test_a_missing_package_is_named_with_the_command(foreign: Path) -> None:
    with pytest.raises(ImportError, match=r"pip install package_that_nobody_has$"):
        plugins.load_plugin("triggers", "needy")


def test_a_missing_optional_dependency_is_named_with_its_extra() -> None:
    # A process of its own: hiding an installed package here would need its modules thrown out of sys.modules.
    code = (
        "import sys\n"
        "sys.modules['sqlalchemy'] = None\n"
        "from mainspring.scheduler.plugins import load_plugin\n"
        "try: load_plugin('jobstores', 'sqlalchemy')\n"
        "except ImportError as exc: print(exc)"
    )
    path = str(ROOT / "tests" / "checkout")
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert 'pip install "mainspring[sqlalchemy]"' in done.stdout


def test_a_trigger_gets_the_schedulers_timezone() -> None:
    args = {"hour": 5}
    trigger = plugins.create_trigger("cron", ZoneInfo("Europe/Vienna"), args)
    assert isinstance(trigger, CronTrigger)
    assert str(trigger.timezone) == "Europe/Vienna"
    assert args == {"hour": 5}


def test_a_triggers_own_timezone_wins() -> None:
    trigger = plugins.create_trigger("cron", UTC, {"hour": 5, "timezone": "Asia/Tokyo"})
    assert isinstance(trigger, CronTrigger)
    assert str(trigger.timezone) == "Asia/Tokyo"


def test_trigger_arguments_arrive() -> None:
    trigger = plugins.create_trigger("interval", UTC, {"minutes": 1, "seconds": 30})
    assert isinstance(trigger, IntervalTrigger)
    assert trigger.interval == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("name", "argument", "nearest"),
    [("interval", "second", "seconds"), ("cron", "minutes", "minute"), ("date", "rundate", "run_date")],
)
def test_an_unknown_trigger_argument(name: str, argument: str, nearest: str) -> None:
    message = f"Unknown argument of the trigger \"{name}\": '{argument}'; did you mean '{nearest}'\\?"
    with pytest.raises(TypeError, match=message):
        plugins.create_trigger(name, UTC, {argument: 1})


def test_a_misspelt_argument_of_the_call_that_makes_the_trigger() -> None:
    """`add_job(f, "interval", seconds=1, max_instance=3)`: what `add_job` does not know is meant for the trigger."""
    with pytest.raises(TypeError, match="'max_instance'; did you mean 'max_instances'\\?"):
        plugins.create_trigger("interval", UTC, {"max_instance": 1}, beside=["max_instances", "id"])
    with pytest.raises(TypeError, match=r"'xyz'; known are: [a-z, _]*weeks$"):
        plugins.create_trigger("interval", UTC, {"xyz": 1}, beside=["max_instances", "id"])


MEANT = [
    ("cron", "weekday", r"did you mean 'day_of_week'\?"),
    ("cron", "expr", r"made a trigger by CronTrigger\.from_crontab\(\.\.\.\)"),
    ("cron", "crontab", r"CronTrigger\.from_crontab"),
    ("cron", "expression", r"CronTrigger\.from_crontab"),
    ("interval", "months", 'the trigger "calendarinterval" has months and years'),
    ("interval", "years", 'the trigger "calendarinterval" has months and years'),
    ("interval", "weekday", 'the trigger "cron" has day_of_week'),
    ("interval", "milliseconds", "seconds with a fraction"),
    ("date", "run_time", r"did you mean 'run_date'\?"),
    ("calendarinterval", "hours", 'are for the trigger "interval"'),
    ("calendarinterval", "interval", "known are: "),
    ("cron", "Hour", r"did you mean 'hour'\?"),
]


@pytest.mark.parametrize(("name", "argument", "tail"), MEANT)
def test_an_argument_that_is_meant_for_something_else_than_the_nearest_one(
    name: str, argument: str, tail: str
) -> None:
    beside = ("next_run_time", "max_instances", "misfire_grace_time", "id", "name")
    with pytest.raises(TypeError, match=f"'{argument}'; .*{tail}") as caught:
        plugins.create_trigger(name, UTC, {argument: 1}, beside)
    assert "next_run_time" not in str(caught.value)


def test_what_is_said_of_arguments_that_are_not_there_is_said_of_none_that_is() -> None:
    for trigger, argument in plugins._MEANT:
        assert argument not in plugins.arguments_of(plugins.load_plugin("triggers", trigger))[0]
    for trigger, argument in plugins._NEEDED:
        assert argument in plugins.arguments_of(plugins.load_plugin("triggers", trigger))[0]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("rrule", {}, '^The trigger "rrule" needs the argument \'rule\', such as rule="FREQ='),
        ("rrule", {"start_date": "2026-01-01"}, "needs the argument 'rule'"),
        ("or", {}, r"^The trigger \"or\" needs the argument 'triggers', such as triggers=\[CronTrigger"),
        ("and", {"jitter": 1}, "^The trigger \"and\" needs the argument 'triggers'"),
        ("excluding", {"dates": []}, r"needs the argument 'base', the trigger .* such as base=CronTrigger\("),
    ],
)
def test_a_missing_argument_is_named_with_an_example(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        plugins.create_trigger(name, UTC, given)
    assert "_Combination" not in str(caught.value)
    assert "__init__" not in str(caught.value)


@pytest.mark.parametrize("line", ["0 5 * * *", "@daily", "*/5 * * * * *"])
def test_the_line_of_a_crontab_is_not_the_name_of_a_trigger(line: str) -> None:
    with pytest.raises(LookupError, match="was found; a crontab line is made a trigger by") as caught:
        plugins.load_plugin("triggers", line)
    assert f'"{line}"' in str(caught.value)
    with pytest.raises(LookupError, match="made a trigger by RRuleTrigger"):
        plugins.load_plugin("triggers", "FREQ=DAILY")


def test_names_of_triggers(foreign: Path) -> None:
    assert plugins.is_trigger_name("cron")
    assert plugins.is_trigger_name("moon")
    assert not plugins.is_trigger_name("default")
    assert not plugins._loaded
