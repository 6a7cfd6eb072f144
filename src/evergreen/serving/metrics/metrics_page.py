"""`GET /metrics`: the metrics of all workers of the service together.

BentoML's own page comes with its metrics of requests, which are labelled by the path that was sent, so that
unknown paths make them grow without bound. Its switch for them switches its page off as well.
"""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from evergreen.serving.metrics.metric_files import lock_metric_files

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def add_metrics_route(app: FastAPI, registry: CollectorRegistry = REGISTRY) -> None:
    """Give the app the page. `registry` is what a process without BentoML's parent shows, as in a test."""

    def show_metrics() -> Response:
        """Prometheus metrics of every worker."""
        return Response(collect_metrics(registry), media_type=CONTENT_TYPE_LATEST)

    # A plain function, which FastAPI runs in a thread: reading the files of several workers takes a while.
    app.add_api_route("/metrics", show_metrics, methods=["GET"], include_in_schema=False)


def collect_metrics(registry: CollectorRegistry) -> bytes:
    """The text of the page: of the files of all workers where there are several processes."""
    folder = find_metric_folder()
    if folder is None:
        return generate_latest(registry)
    combined = CollectorRegistry()
    MultiProcessCollector(combined, path=str(folder))  # type: ignore[no-untyped-call]
    with lock_metric_files(folder):
        return generate_latest(combined)


def find_metric_folder() -> Path | None:
    """The folder in which the workers of this service share their metrics; None for a single process."""
    folder = os.environ.get(_FOLDER_VARIABLE)
    return Path(folder) if folder else None
