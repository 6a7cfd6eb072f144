"""The service where mysqlclient is not installed: it answers, reads by key, and its log reaches MariaDB."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import yaml

from support.drivers import write_missing_mysqlclient
from support.parcel_case import row
from support.serving_world import World, running
from support.waiting import eventually

REPOSITORY = Path(__file__).resolve().parents[3]


def test_it_answers_reads_by_key_and_logs(made: World, tmp_path: Path) -> None:
    made.promote(made.versions[0])
    before = made.logged()
    hidden = write_missing_mysqlclient(tmp_path / "hidden")
    with running(made, tmp_path / "run", more=hidden) as service:
        with service.client() as client:
            assert client.predict(row())["model_version"] == made.versions[0]
            answer = client.predict_by_key({"parcel_id": 1})
            assert answer["model_version"] == made.versions[0]
        eventually(lambda: made.logged() == before + 2)


def test_a_bento_has_every_package_that_its_modules_import() -> None:
    """Its packages, and what these require; mysqlclient is none of them."""
    listed = yaml.safe_load((REPOSITORY / "bentofile.yaml").read_text())["python"]["packages"]
    held = find_requirements({_normalise(requirement) for requirement in listed})
    assert "mysqlclient" not in held
    code = (
        "import sys, evergreen.serving.app, evergreen.serving.runtime, evergreen.serving.service\n"
        "import evergreen.serving.predictions.shipper, evergreen.drivers.guarded_pymysql\n"
        "own = [name for name in sys.modules if name.partition('.')[0] == 'evergreen']\n"
        "print(*(sys.modules[name].__file__ for name in own), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    packages = importlib.metadata.packages_distributions()
    imported = set().union(*(find_imports(Path(line)) for line in done.stdout.splitlines())) & set(packages)
    assert {"pymysql", "msgspec"} <= imported
    assert {name for name in imported if not {_normalise(each) for each in packages[name]} & held} == {
        "evergreen"
    }


def find_imports(path: Path) -> set[str]:
    """The top-level packages that a module imports when it is loaded."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def find_requirements(names: set[str]) -> set[str]:
    """These packages and all that they require, without extras."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        waiting |= {_normalise(each) for each in required if "extra ==" not in each} - found
    return found


def _normalise(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match[0]).lower()
