"""Commands answer --help at once: their verbs are imported when a command runs."""

from __future__ import annotations

import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import evergreen.cli
from evergreen.cli.lazy import ModuleOnUse, import_on_use

COMMAND_MODULES = [
    importlib.import_module(each.name)
    for each in pkgutil.iter_modules(evergreen.cli.__path__, "evergreen.cli.")
    if not each.name.endswith("__main__")
]


def test_every_module_that_is_imported_on_use_exists() -> None:
    names = {
        value.__name__
        for module in COMMAND_MODULES
        for value in vars(module).values()
        if isinstance(value, ModuleOnUse)
    }
    assert "evergreen.loop.train" in names
    assert [name for name in names if importlib.util.find_spec(name) is None] == []


def test_a_module_is_imported_by_its_first_use_and_only_within_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heavy").mkdir()
    for name in ("__init__", "verb", "other"):
        (tmp_path / "heavy" / f"{name}.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    with import_on_use(__name__):
        from heavy import verb  # type: ignore[import-not-found]
    assert "heavy.verb" not in sys.modules
    assert verb.answer == 42
    assert "heavy.verb" in sys.modules
    monkeypatch.setattr("heavy.verb.answer", 43)
    assert verb.answer == 43
    with pytest.raises(AttributeError, match="nothing"):
        _ = verb.nothing
    with import_on_use("another.module"):
        from heavy import other
    assert not isinstance(other, ModuleOnUse)
    for name in ("heavy", "heavy.verb", "heavy.other"):
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("command", ["", "train", "status", "features list", "dataset", "demo", "rollback"])
def test_help_loads_nothing_heavy(command: str, tmp_path: Path) -> None:
    code = (
        "import atexit, sys\n"
        "heavy = {'pandas', 'numpy', 'pyarrow', 'mlflow', 'catboost', 'airflow', 'bentoml', 'sqlalchemy'}\n"
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules))))\n"
        f"sys.argv = ['evergreen', *{command.split()!r}, '--help']\n"
        "from evergreen.cli import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_what_starts_supervises_and_ends_the_stack_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "import evergreen.stack.lifecycle, evergreen.stack.processes.supervisor\n"
        "import evergreen.stack.servers.server_list\n"
        "heavy = {'pandas', 'numpy', 'pyarrow', 'mlflow', 'catboost', 'airflow', 'bentoml', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_status_and_down_of_a_stack_that_is_down_load_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import atexit, sys\n"
        "heavy = {'pandas', 'mlflow', 'catboost', 'airflow', 'bentoml'}\n"
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules))))\n"
        "sys.argv = ['evergreen', sys.argv[1]]\n"
        "from evergreen.cli import main\n"
        "main()"
    )
    for command in ("status", "down"):
        done = subprocess.run(
            [sys.executable, "-c", code, command],
            capture_output=True,
            text=True,
            check=False,
            env={"EVERGREEN_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
        assert done.stdout.splitlines()[-1] == "HEAVY []", done.stderr
