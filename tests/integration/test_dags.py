"""The DAG files parse light, wire all five verbs for every use case, and isolate a broken one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).resolve().parents[2] / "dags"
VERBS = {"ingest", "train", "deploy", "monitor", "score"}

# Each file is parsed in a process of its own, as Airflow's DAG processor does it; Airflow itself is loaded
# first, because the processor has it loaded already.
PARSE = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
import airflow.sdk, airflow.sdk.exceptions
from airflow.sdk.definitions._internal.contextmanager import DagContext
DagContext.current_autoregister_module_name = sys.argv[2]
before = set(sys.modules)
try:
    module, error = importlib.import_module(sys.argv[2]), ""
except Exception as failure:
    module, error = None, f"{type(failure).__name__}: {failure}"
dags = {d.dag_id: [t.task_id for t in d.topological_sort()] for d, _ in DagContext.autoregistered_dags}
loaded = sorted({m.partition(".")[0] for m in set(sys.modules) - before})
print(json.dumps({"error": error, "loaded": loaded, "dags": dags}))
"""


def parse(file: str, tmp_path: Path, use_cases: Path | None = None) -> dict[str, Any]:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "EVERGREEN_HOME": str(tmp_path / "home"),
        "EVERGREEN_USE_CASES": str(use_cases or tmp_path / "none"),
    }
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(DAGS), file],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=tmp_path,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_dag_file_parses_light_and_wires_every_use_case(verb: str, tmp_path: Path) -> None:
    parsed = parse(verb, tmp_path)
    assert parsed["error"] == ""
    assert set(parsed["dags"]) == {f"credit_score__{verb}", f"titanic__{verb}"}
    assert not {"pandas", "catboost", "mlflow", "bentoml"} & set(parsed["loaded"])


def test_the_tasks_stand_in_the_order_of_the_loop(tmp_path: Path) -> None:
    tasks = {verb: parse(verb, tmp_path)["dags"][f"titanic__{verb}"] for verb in VERBS}
    assert tasks["ingest"] == ["extract", "validate", "load"]
    assert tasks["train"] == ["training_set", "tune", "evaluate", "gate", "register", "promote"]
    assert tasks["deploy"] == ["healthy", "serving_champion", "canary", "finalize"]
    assert tasks["monitor"] == ["drift", "quality", "governor", "retrain"]
    assert tasks["score"] == ["partitions", "score_partition"]


def test_a_broken_use_case_is_an_import_error_of_its_own(tmp_path: Path) -> None:
    broken = tmp_path / "usecases" / "broken"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("nonsense\n")
    assert set(parse("train", tmp_path, tmp_path / "usecases")["dags"]) == {
        "credit_score__train",
        "titanic__train",
    }
    error = parse("declarations", tmp_path, tmp_path / "usecases")["error"]
    assert "broken/__init__.py:1: NameError" in error
