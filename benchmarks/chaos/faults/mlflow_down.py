"""MLflow ends, and the service is started again without it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from benchmarks.chaos.fault import Fault, Report, Size
from benchmarks.chaos.models import register_model
from benchmarks.chaos.service import wait_for
from benchmarks.chaos.stand import Stand
from benchmarks.common import mlflow_server

from evergreen.registry.succession.aliases import set_champion


def take_mlflow_away(stand: Stand, size: Size, report: Report) -> None:
    """On an MLflow server and a home of its own, whose copies of models are from this server alone."""
    world = stand.world
    home = world.folder / "mlflow-home"
    with mlflow_server.starting(world.folder / "mlflow-server") as tracking:
        tracking.ready()
        settings = world.settings.model_copy(update={"mlflow_tracking_uri": tracking.url, "home": home})
        other = replace(world, settings=settings, registry_address="")
        version = register_model(other, 4, name="mlflow-models")
        set_champion(settings, world.use_case.name, version, datetime.now(UTC))
        with stand.run_service("before-mlflow-ends", world=other) as service:
            service.await_version(version)
            with stand.run_load(service, rate=size.rate) as load:
                tracking.stop()
                service.await_rows(int(size.rate))
            report.failed += load.failed
            stand.reconcile(report, load.ids)
        with stand.run_service("without-mlflow", world=other) as service:
            readiness = service.read_readiness()
            body = readiness.json()
            report.require("readyz", readiness.status_code, "200", readiness.status_code == 200)
            report.require(
                "model_version", body["model_version"], f"v{version}", body["model_version"] == version
            )
            report.require("cached", body.get("cached"), "since and verified_at", bool(body.get("cached")))
            wait_for(lambda: "MLflow" in service.read_metadata()["trouble"], "/metadata says why")
            report.facts["trouble"] = service.read_metadata()["trouble"]
            with stand.run_load(service, rate=size.rate) as load:
                service.await_rows(int(size.rate))
            report.failed += load.failed
            versions = sorted({answer["model_version"] for answer in load.answers})
            report.require("answered_by", versions, f"v{version} alone", versions == [version])
            stand.reconcile(report, load.ids)
    report.judge_counts()


FAULT = Fault(
    "mlflow_down",
    "without MLflow a service starts with its cached champion, and /readyz says so",
    take_mlflow_away,
)
