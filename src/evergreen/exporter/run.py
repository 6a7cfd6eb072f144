"""Runs the exporter: its collectors in the background, and the server that shows them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from prometheus_client import CollectorRegistry

from evergreen.exporter.background import BackgroundCollector
from evergreen.exporter.champions_reader import ChampionsReader
from evergreen.exporter.dags_reader import DagsReader
from evergreen.exporter.published_values import PublishedValues
from evergreen.exporter.server import build_application, load_scrape_access, open_server
from evergreen.exporter.store_readers import RecordsReader, TablesReader
from evergreen.serving.service_log import configure_parent_log
from evergreen.settings import Settings

_LIMIT_SECONDS = 60.0
# A count reads a whole table, of any size.
_COUNT_LIMIT_SECONDS = 900.0


def build_collectors(settings: Settings, interval: float) -> tuple[BackgroundCollector, ...]:
    """The collectors of the exporter, none of them started."""
    return (
        BackgroundCollector("mariadb", RecordsReader(settings), interval, _LIMIT_SECONDS),
        BackgroundCollector("tables", TablesReader(settings), interval, _COUNT_LIMIT_SECONDS),
        BackgroundCollector("mlflow", ChampionsReader(settings), interval, _LIMIT_SECONDS),
        BackgroundCollector("airflow", DagsReader(settings), interval, _LIMIT_SECONDS),
    )


def run_exporter(
    settings: Settings, host: str, port: int, interval: float, *, on_ready: Callable[[str], None]
) -> None:
    """Publish the metrics until SIGTERM or SIGINT. `on_ready` gets the address once it listens.

    Raises SettingsError where a key is required and none is set, or the address is none of this machine's;
    PortInUse.
    """
    configure_parent_log(settings)
    collectors = build_collectors(settings, interval)
    registry = build_registry(collectors)
    access = load_scrape_access(settings, host)
    server = open_server(host, port, build_application(registry, access))

    def end(_signal: int, _frame: FrameType | None) -> None:
        """End the server from another thread: `shutdown` waits for `serve_forever`, which this one runs."""
        threading.Thread(target=server.shutdown, daemon=True).start()

    former = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for collector in collectors:
            collector.start()
        on_ready(f"http://{f'[{host}]' if ':' in host else host}:{server.port}/metrics")
        server.serve_forever()
    finally:
        for collector in collectors:
            collector.stop()
        server.server_close()
        for number, handler in former.items():
            signal.signal(number, handler)


def build_registry(collectors: Sequence[BackgroundCollector]) -> CollectorRegistry:
    """A registry that has the collectors and nothing else."""
    registry = CollectorRegistry()
    registry.register(PublishedValues(collectors))
    return registry
