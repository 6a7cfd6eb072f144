"""The file of a registered version is replaced by another model's, under the same version."""

from __future__ import annotations

from pathlib import Path

from benchmarks.chaos.fault import Fault, Report, Size
from benchmarks.chaos.models import register_model
from benchmarks.chaos.service import wait_for
from benchmarks.chaos.stand import Stand
from benchmarks.serving.world import USE_CASE, World

from evergreen.registry import ledger
from evergreen.registry.models import MODEL_FILE
from evergreen.store.connection.database import get_engine


def replace_model(stand: Stand, size: Size, report: Report) -> None:
    champion = stand.versions[0]
    stand.make_champion(champion)
    database = get_engine(stand.world.settings)
    replaced = register_model(stand.world, 6)
    file = find_file(stand.world, replaced)
    right = file.read_bytes()
    with stand.run_service("replaced") as service:
        service.await_version(champion)
        with stand.run_load(service, rate=size.rate) as load:
            file.write_bytes(find_file(stand.world, champion).read_bytes())
            stand.promote(replaced, champion)
            wait_for(lambda: service.read_metadata().get("refused") is not None, "a refusal in /metadata")
            metadata = service.read_metadata()
            service.await_rows(int(size.rate))
        answered_by = sorted({answer["model_version"] for answer in load.answers})
        refused = metadata["refused"]
        entries = ledger.read_entries(database, USE_CASE)
        lines = [
            entry.reason for entry in entries if (entry.action, entry.to_version) == ("refuse", replaced)
        ]
        report.require(
            "told", refused["reason"], "names the version", f"version {replaced}" in refused["reason"]
        )
        report.require("ledger_lines", len(lines), "1", lines == [refused["reason"]])
        report.require("answered_by", answered_by, f"v{champion} alone", answered_by == [champion])
        file.write_bytes(right)
        report.facts["seconds_until_right_again"] = round(service.await_version(replaced), 1)
        report.failed += load.failed
        stand.reconcile(report, load.ids)
    stand.make_champion(champion)
    report.judge_counts()


def find_file(world: World, version: int) -> Path:
    """The file of that version's model in MLflow's artifacts."""
    from mlflow import MlflowClient

    uri = world.settings.mlflow_tracking_uri
    client = MlflowClient(uri, uri)
    source = client.get_model_version(USE_CASE, str(version)).source
    model = client.get_logged_model(str(source).removeprefix("models:/"))
    return Path(model.artifact_location.removeprefix("file://")) / MODEL_FILE


FAULT = Fault(
    "model_replaced",
    "a version's file is replaced: refused, told in /metadata and the ledger, the old model stays",
    replace_model,
)
