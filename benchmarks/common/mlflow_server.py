"""An MLflow server for the run, started by the embedded stack's own commands."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.common.server import start_tied, stop

from evergreen.settings import Settings
from evergreen.stack.processes.child import ChildSpec
from evergreen.stack.processes.ports import find_free_port
from evergreen.stack.servers.server_list import EvergreenPlan, build_child_environment

_START_SECONDS = 180.0


@dataclass
class Tracking:
    """The server at `url`, which takes half a minute to come up: `ready` waits for it."""

    url: str
    _spec: ChildSpec
    _process: subprocess.Popen[bytes]
    _log: Path

    def ready(self) -> None:
        """Returns when it answers. Raises SystemExit with the end of its log when it never will."""
        assert self._spec.probe is not None
        deadline = time.monotonic() + _START_SECONDS
        while told := self._spec.probe(datetime.now(UTC)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = self._log.read_text("utf-8", errors="replace")
                raise SystemExit(f"the MLflow server does not answer ({told}):\n{log[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it; safe to call again."""
        stop(self._process)


@contextmanager
def starting(folder: Path) -> Iterator[Tracking]:
    """A server with its tables and artifacts in `folder`; gone at the end, and with this process."""
    folder.mkdir()
    plan = EvergreenPlan(folder, {})
    plan.ports = {"mlflow": find_free_port()}
    *steps, spec = plan._mlflow()
    environment = build_child_environment(Settings(home=folder))
    log = folder / "mlflow.log"
    with log.open("wb") as output:
        for step in steps:
            made = {**environment, **step.environment}
            subprocess.run(step.command, cwd=step.folder, env=made, stdout=output, stderr=output, check=True)
            assert step.after is not None
            step.after()
        process = start_tied(
            spec.command, output, {**environment, **spec.environment}, folder=folder, workers=True
        )
    try:
        yield Tracking(spec.url, spec, process, log)
    finally:
        stop(process)
