"""The manifests for Kubernetes: what `make lint` cannot see by their schema."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from evergreen.settings import Settings
from evergreen.stack.deploy import facts
from evergreen.stack.deploy.kubernetes_files import render_manifests, write_kubernetes_files
from evergreen.usecases import credit_score, titanic

ROOT = Path(__file__).resolve().parents[4]
EXAMPLES = (credit_score.USE_CASE, titanic.USE_CASE)
TEXTS = render_manifests(EXAMPLES)


def read_objects(name: str) -> dict[str, Any]:
    """The objects of a file by kind and name."""
    objects = list(yaml.safe_load_all(TEXTS[name]))
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in objects}


def list_pods() -> list[tuple[str, dict[str, Any]]]:
    """The specification of every pod that the manifests start, with the name of what starts it."""
    return [
        (name, each["spec"]["template"]["spec"])
        for file in TEXTS
        if file != "airflow-values.yaml"
        for name, each in read_objects(file).items()
        if "template" in each.get("spec", {})
    ]


def test_the_committed_files_are_the_ones_that_are_written() -> None:
    committed = {path.name: path.read_text("utf-8") for path in (ROOT / "deploy/kubernetes").glob("*.yaml")}
    assert committed == TEXTS, "run: make kubernetes"


def test_every_pod_is_confined_limited_and_asked_for_its_health() -> None:
    names = {name for name, _ in list_pods()}
    assert names == {
        "Job/store-tables",
        "Deployment/mlflow",
        "StatefulSet/service-credit-score",
        "StatefulSet/service-titanic",
    }
    for name, pod in list_pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"] is True, name
            assert confined["allowPrivilegeEscalation"] is False, name
            assert confined["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name
            assert name.startswith("Job/") or {"livenessProbe", "readinessProbe"} <= set(container), name


def test_no_secret_stands_in_a_file_and_a_service_is_given_only_its_own() -> None:
    pod = dict(list_pods())["StatefulSet/service-titanic"]
    variables = pod["containers"][0]["env"]
    secrets = {each["valueFrom"]["secretKeyRef"]["key"] for each in variables if "valueFrom" in each}
    assert secrets == {
        "EVERGREEN_SERVICE_MARIADB_PASSWORD",
        "EVERGREEN_API_KEY",
        "EVERGREEN_SCRAPE_KEY",
        "EVERGREEN_CLIENT_API_KEYS",
    }
    settings = read_objects("platform.yaml")["ConfigMap/evergreen-settings"]["data"]
    assert not [name for name in settings if name.endswith(("PASSWORD", "KEY", "SECRET"))]


def test_a_replica_has_a_spool_that_outlives_it_and_time_to_deliver_it() -> None:
    objects = read_objects("service-credit-score.yaml")
    spec = objects["StatefulSet/service-credit-score"]["spec"]
    assert [each["metadata"]["name"] for each in spec["volumeClaimTemplates"]] == ["home"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    pod = spec["template"]["spec"]
    assert {"name": "home", "mountPath": "/var/lib/evergreen"} in pod["containers"][0]["volumeMounts"]
    assert pod["terminationGracePeriodSeconds"] > facts.SERVICE_STOP_SECONDS
    assert objects["PodDisruptionBudget/service-credit-score"]["spec"]["maxUnavailable"] == 1
    scaler = objects["HorizontalPodAutoscaler/service-credit-score"]["spec"]
    assert scaler["minReplicas"] == spec["replicas"] < scaler["maxReplicas"]


@pytest.mark.parametrize("name", ["service-credit-score", "service-titanic"])
def test_selectors_meet_the_pods_and_only_callers_reach_them(name: str) -> None:
    objects = read_objects(f"{name}.yaml")
    labels = objects[f"StatefulSet/{name}"]["spec"]["template"]["metadata"]["labels"]
    for service in (name, f"{name}-pods"):
        assert objects[f"Service/{service}"]["spec"]["selector"].items() <= labels.items()
    for kind in ("PodDisruptionBudget", "StatefulSet"):
        assert objects[f"{kind}/{name}"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    policy = objects[f"NetworkPolicy/{name}"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert all(peer["podSelector"]["matchLabels"] for peer in policy["ingress"][0]["from"])


def test_airflow_runs_a_pod_per_task_with_the_same_options_as_in_compose() -> None:
    values = yaml.safe_load(TEXTS["airflow-values.yaml"])
    assert values["executor"] == values["config"]["core"]["executor"] == "KubernetesExecutor"
    assert values["config"]["core"]["auth_manager"].endswith("FabAuthManager")
    assert yaml.safe_load(values["extraEnvFrom"]) == [{"configMapRef": {"name": "evergreen-settings"}}]
    assert {each["secretName"] for each in values["secret"]} == {"evergreen"}


def test_files_of_use_cases_that_are_gone_are_removed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / ".evergreen", use_cases=str(tmp_path / "usecases"))
    folder = tmp_path / "k8s"
    assert set(write_kubernetes_files(settings, folder).changed) == set(TEXTS)
    (folder / "mine.yaml").write_text("kind: Secret\n")
    written = write_kubernetes_files(settings, folder, ["titanic"])
    assert "service-credit-score.yaml" in written.changed
    assert {path.name for path in folder.iterdir()} == {
        "mine.yaml",
        "platform.yaml",
        "service-titanic.yaml",
        "airflow-values.yaml",
    }
    assert write_kubernetes_files(settings, folder, ["titanic"], dry_run=True).changed == ()


def test_use_cases_of_ones_own_are_looked_for_in_the_images() -> None:
    churn = replace(titanic.USE_CASE, name="churn")
    texts = render_manifests([*EXAMPLES, churn], has_own=True)
    assert "service-churn.yaml" in texts
    assert "EVERGREEN_USE_CASES: /opt/usecases\n" in texts["platform.yaml"]
