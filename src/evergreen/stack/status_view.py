"""How the command line shows the stack: its processes, where everything is, and the declared use cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evergreen.errors import UseCaseError
from evergreen.settings import STACK_ENV, Settings
from evergreen.stack.deploy.facts import SERVICE_PREFIX
from evergreen.stack.status import StackStatus
from evergreen.stack.view import build_grid, shorten_moment
from evergreen.usecase import UseCase

_STYLES = {
    "ready": "green",
    "starting": "yellow",
    "waiting": "dim",
    "unhealthy": "yellow",
    "restarting": "yellow",
    "back-off": "red",
    "stopped": "red",
    "failed": "red",
}


def render_urls(settings: Settings, status: StackStatus) -> RenderableType:
    """Where everything is, and where the passwords are (never the passwords themselves)."""
    table = build_grid("what", "where", "sign in")
    table.add_row("Airflow", settings.airflow_url, f"{settings.airflow_user}, EVERGREEN_AIRFLOW_PASSWORD")
    table.add_row("MLflow", settings.mlflow_tracking_uri, "open on this machine")
    place = f"{settings.mariadb_host}:{settings.mariadb_port}/{settings.mariadb_database}"
    table.add_row("MariaDB", place, f"{settings.mariadb_user}, EVERGREEN_MARIADB_PASSWORD")
    has_keys = bool(settings.api_keys.get_secret_value()) or settings.api_keys_path.exists()
    open_to = "an API key: evergreen keys" if has_keys else "open on this machine"
    process_names = {process.name for process in status.processes}
    for name, url in sorted(settings.service_urls.items()):
        is_up = f"{SERVICE_PREFIX}{name}" in process_names
        access = open_to if is_up else "starts with its first champion"
        table.add_row(f"{name} service", url, access)
    return Group(table, Text(f"The passwords are in {settings.home / STACK_ENV}", overflow="fold"))


def render_status(status: StackStatus, problems: Sequence[str]) -> RenderableType:
    """The processes, then what is wrong with the stack or with a declaration."""
    if not status.is_running and not status.processes:
        return Text("Evergreen is down. Start it with: evergreen up")
    table = build_grid("process", "state", "pid", "url", "since", "restarts", "MB", right=("restarts", "MB"))
    for process in status.processes:
        if process.one_off and process.state == "done":
            continue
        table.add_row(
            process.name,
            Text(process.state, style=_STYLES.get(process.state, "")),
            str(process.pid or ""),
            process.url,
            shorten_moment(process.since),
            str(process.restarts),
            f"{process.memory_mb:.0f}",
        )
    return Group(table, *(Text(f"\n{problem}", style="red") for problem in problems))


def render_use_cases(
    use_cases: Mapping[str, UseCase], folders: Mapping[str, Path], errors: Mapping[str, UseCaseError]
) -> Table:
    """`evergreen use-cases`: a line per use case, those that cannot be loaded last."""
    table = build_grid("use case", "problem", "features", "title", "folder", right=("features",))
    for name, use_case in use_cases.items():
        features = str(len(use_case.model_features))
        table.add_row(name, use_case.problem, features, use_case.title, str(folders[name]))
    for name, error in errors.items():
        table.add_row(name, Text("broken", style="red"), "", Text(str(error)), "")
    return table
