"""Runs the exporter: its parts in the background, and the server that shows them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from prometheus_client import CollectorRegistry

from evergreen.exporter.airflow_part import DagsReader
from evergreen.exporter.background import BackgroundPart
from evergreen.exporter.collector import PartsCollector
from evergreen.exporter.model_part import ChampionsReader
from evergreen.exporter.server import build_application, load_scrape_access, open_server
from evergreen.exporter.store_part import RecordsReader, TablesReader
from evergreen.serving.service_log import configure_parent_log
from evergreen.settings import Settings

_LIMIT_SECONDS = 60.0
# A count reads a whole table, of any size.
_COUNT_LIMIT_SECONDS = 900.0


def build_parts(settings: Settings, interval: float) -> tuple[BackgroundPart, ...]:
    """The parts of the exporter, none of them started."""
    return (
        BackgroundPart("mariadb", RecordsReader(settings), interval, _LIMIT_SECONDS),
        BackgroundPart("tables", TablesReader(settings), interval, _COUNT_LIMIT_SECONDS),
        BackgroundPart("mlflow", ChampionsReader(settings), interval, _LIMIT_SECONDS),
        BackgroundPart("airflow", DagsReader(settings), interval, _LIMIT_SECONDS),
    )


def run_exporter(
    settings: Settings, host: str, port: int, interval: float, *, on_ready: Callable[[str], None]
) -> None:
    """Publish the metrics until SIGTERM or SIGINT. `on_ready` gets the address once it listens.

    Raises SettingsError where a key is required and none is set, or the address is none of this machine's;
    PortInUse.
    """
    configure_parent_log(settings)
    parts = build_parts(settings, interval)
    registry = build_registry(parts)
    access = load_scrape_access(settings, host)
    server = open_server(host, port, build_application(registry, access))

    def end(_signal: int, _frame: FrameType | None) -> None:
        """End the server from another thread: `shutdown` waits for `serve_forever`, which this one runs."""
        threading.Thread(target=server.shutdown, daemon=True).start()

    former = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for part in parts:
            part.start()
        on_ready(f"http://{f'[{host}]' if ':' in host else host}:{server.port}/metrics")
        server.serve_forever()
    finally:
        for part in parts:
            part.stop()
        server.server_close()
        for number, handler in former.items():
            signal.signal(number, handler)


def build_registry(parts: Sequence[BackgroundPart]) -> CollectorRegistry:
    """A registry that has the parts and nothing else."""
    registry = CollectorRegistry()
    registry.register(PartsCollector(parts))
    return registry
