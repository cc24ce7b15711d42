"""The wheel: it holds every module that is on disk and nothing else, and all of them import where it is installed."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.tree import FILES, MODULES, ROOMS, ROOT, short

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = sorted({path.parent for path in FILES})

IMPORT_EVERYTHING = """
import importlib, importlib.metadata, json, sys
found = {}
for name in json.loads(sys.argv[1]):
    try:
        found[name] = importlib.import_module(name).__file__
    except Exception as exc:
        found[name] = f"{type(exc).__name__}: {exc}"
for point in importlib.metadata.distribution("mainspring").entry_points:
    try:
        found[f"{point.group}:{point.name}"] = point.load().__qualname__
    except Exception as exc:
        found[f"{point.group}:{point.name}"] = f"{type(exc).__name__}: {exc}"
print(json.dumps(found))
"""


def run(*command: str | Path, cwd: Path) -> str:
    ran = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=240
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves folders behind that later builds would take for sources."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", PYPROJECT["project"]["readme"], *PYPROJECT["project"]["license-files"]):
        shutil.copy(ROOT / name, source)
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("wheel")
    # without isolation: the test extra brings the build back end along
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source, cwd=target)
    [built] = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where each module comes from (or why it does not come) in a fresh environment that has nothing but the wheel."""
    home = tmp_path_factory.mktemp("fresh")
    venv.create(home / "venv", with_pip=True)
    python = home / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*install, "--no-deps", wheel, cwd=home)
    try:
        run(*install, f"{wheel}[sqlalchemy,postgresql,mysql,redis,mongodb,zookeeper]", cwd=home)
    except AssertionError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the dependencies cannot be installed here: {exc}")
    # -I: no PYTHONPATH and no current folder that could stand in for the installed files
    answer: dict[str, str] = json.loads(
        run(python, "-I", "-c", IMPORT_EVERYTHING, json.dumps(MODULES), cwd=home)
    )
    return {name: value.replace(str(home), "FRESH") for name, value in answer.items()}


@pytest.mark.parametrize("folder", PACKAGES, ids=short)
def test_every_folder_is_a_listed_package(folder: Path) -> None:
    # one that is not listed imports in the editable install, and is missing from the wheel
    assert (folder / "__init__.py").is_file(), f"{short(folder)} has modules, yet no __init__.py"
    name = ".".join(("mainspring", *folder.relative_to(ROOT).parts))
    assert name in PYPROJECT["tool"]["setuptools"]["packages"]


def test_every_listed_package_is_there() -> None:
    setuptools: dict[str, Any] = PYPROJECT["tool"]["setuptools"]
    folders = {".".join(("mainspring", *folder.relative_to(ROOT).parts)) for folder in PACKAGES}
    assert sorted(setuptools["packages"]) == sorted(folders)
    assert setuptools["package-dir"] == {f"mainspring.{room}": room for room in ROOMS}


def test_the_wheel_holds_what_is_on_disk_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {f"mainspring/{short(path)}" for path in FILES}
    markers = {f"mainspring/{room}/py.typed" for room in ROOMS}
    assert {name for name in names if ".dist-info/" not in name} == modules | markers
    assert any(name.endswith("/LICENSE") for name in names)


def test_the_wheels_version_is_the_projects(wheel: Path) -> None:
    assert wheel.name == f"mainspring-{PYPROJECT['project']['version']}-py3-none-any.whl"
    assert version("mainspring") == PYPROJECT["project"]["version"]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports_from_the_installed_wheel(installed: dict[str, str], module: str) -> None:
    path = installed[module].replace("\\", "/")
    assert path.startswith("FRESH/")
    assert "/site-packages/mainspring/" in path


@pytest.mark.parametrize(
    ("group", "name", "reference"),
    [
        (group, name, reference)
        for group, points in PYPROJECT["project"]["entry-points"].items()
        for name, reference in points.items()
    ],
)
def test_every_alias_leads_to_its_class(
    installed: dict[str, str], group: str, name: str, reference: str
) -> None:
    assert installed[f"{group}:{name}"] == reference.partition(":")[2]
