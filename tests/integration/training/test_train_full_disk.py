"""A disk that fills up while a training logs: it says so, and when there is room the training completes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pytest

from evergreen.errors import RegistryError
from evergreen.loop import train
from evergreen.registry import ledger
from evergreen.registry.champion import read_champion
from evergreen.store.connection.database import get_engine
from support.command_line import environment
from support.toy_training import assert_one_clean_training

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
# In a mount namespace of its own: nobody else sees the little disk, and it is gone with the process. The disk
# grows from one attempt to the next, as somebody makes room; what is on it in the end is kept.
ATTEMPTS = """
    import json, os, shutil, subprocess, sys
    from datetime import UTC, datetime
    from pathlib import Path

    disk, *sizes = sys.argv[1:]
    before = [(path, path.read_bytes()) for path in Path(disk).iterdir()]
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m", "evergreen-test", disk]).returncode:
        sys.exit(77)
    for path, content in before:
        path.write_bytes(content)

    from evergreen.errors import RegistryError
    from evergreen.loop import train
    from evergreen.settings import load_settings

    told = []
    for size in sizes:
        subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
        try:
            told.append(train.run_train(load_settings(), "toy", datetime(2026, 7, 1, tzinfo=UTC)))
        except RegistryError as error:
            told.append(str(error))
    shutil.copytree(disk, f"{disk}-kept")
    Path("told.json").write_text(json.dumps(told))
"""


@pytest.fixture
def attempts(toy_store, tmp_path):
    """A function: what is told of a training on a disk of each of these sizes, one after the other."""

    def run(disk, *sizes, **changes):
        disk.mkdir(exist_ok=True)
        done = subprocess.run(
            ["unshare", "-m", sys.executable, "-c", textwrap.dedent(ATTEMPTS), disk, *sizes],
            env={
                **os.environ,
                **environment(toy_store),
                "EVERGREEN_HOME": str(toy_store.home),
                "EVERGREEN_THREADS": "1",
                **changes,
            },
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
        if done.returncode == 77 or "unshare failed" in done.stderr:
            pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        shutil.rmtree(disk)
        Path(f"{disk}-kept").rename(disk)
        return json.loads((tmp_path / "told.json").read_text())

    return run


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_full_disk_for_the_files_is_told_and_room_for_them_completes_the_training(toy_store, attempts):
    # Full in the plots, and in the model or the card.
    *full, outcome = attempts(toy_store.home / "mlflow-artifacts", "20k", "100k", "50m")
    for told in full:
        assert told.startswith("the disk is full: [Errno 28] No space left on device")
        assert told.endswith("make room and run the same training again: it goes on with what was done")
    assert_one_clean_training(toy_store, outcome, trial_count=2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_full_disk_below_mlflows_database_is_told_as_such(toy_store, attempts, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "mlflow.db").rename(disk / "mlflow.db")
    size = (disk / "mlflow.db").stat().st_size
    uri = f"sqlite:///{disk / 'mlflow.db'}"
    sizes = (f"{size + 50_000}", f"{size + 150_000}", "50m")
    *full, outcome = attempts(disk, *sizes, EVERGREEN_MLFLOW_TRACKING_URI=uri)
    assert all(told.startswith("the disk is full: (sqlite3.OperationalError)") for told in full)
    settings = toy_store.model_copy(update={"mlflow_tracking_uri": uri})
    assert_one_clean_training(settings, outcome, trial_count=2)


def test_the_champion_stays_while_the_disk_is_full(toy_store, monkeypatch):
    first = train.run_train(toy_store, "toy", AS_OF)
    before = ledger.read_entries(get_engine(toy_store), "toy")

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as fault:
        fault.setattr(mlflow, "log_artifacts", full)
        with pytest.raises(RegistryError, match="the disk is full") as told:
            train.run_train(toy_store, "toy", AS_OF + timedelta(days=1))
    assert "make room and run the same training again" in told.value.hint
    found = read_champion(toy_store, "toy")
    assert found is not None
    assert found.version == first["version"]
    assert ledger.read_entries(get_engine(toy_store), "toy") == before
    second = train.run_train(toy_store, "toy", AS_OF + timedelta(days=1))
    assert second["version"] == 2
    assert [line.action for line in ledger.read_entries(get_engine(toy_store), "toy")] == [
        "promote",
        "promote",
    ]
