"""The DAG `<use_case>__ingest`: source → validate → feature store."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Metadata, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from wiring import begin, cron, features_asset, invoke, options, use_cases

from evergreen.usecase import UseCase

DOC = """Load what the sources recorded into the feature store.

`extract` reads the sources up to the run's moment, `validate` checks the rows against the data contract,
and `load` writes history, online vectors and labels in one transaction: all of it or nothing. Running it
again changes nothing, and files that were loaded before are not read again unless *Force* says so. The log
of `validate` holds the report.
"""


def build(use_case: UseCase) -> None:
    """Define the DAG of one use case."""
    features = features_asset(use_case)
    source = Param(
        None,
        type=["null", "string"],
        title="Source",
        description="A file to read instead of the declared one (file sources only), or"
        " part=path,part=path where several are declared.",
    )
    force = Param(
        False, type="boolean", title="Force", description="Read files again that were loaded before."
    )

    @dag(
        schedule=cron(use_case.schedules.ingest),
        **options(use_case, "ingest", DOC, source=source, force=force),
    )
    def ingest() -> None:
        @task
        def extract() -> dict[str, Any]:
            context = get_current_context()
            extracted: dict[str, Any] = invoke(
                "ingest",
                "extract_source_rows",
                use_case.name,
                begin(use_case, context),
                source=context["params"].get("source") or "",
                force=bool(context["params"].get("force")),
            )
            if extracted.get("unchanged"):
                raise AirflowSkipException(extracted["said"])
            return extracted

        @task
        def validate(extracted: dict[str, Any]) -> dict[str, Any]:
            return invoke("ingest", "validate_staged_rows", extracted["ingest_run"])

        @task(outlets=[features])
        def load(validated: dict[str, Any]) -> Any:
            outcome = invoke("ingest", "load_clean_rows", validated["ingest_run"])
            if not outcome["rows_loaded"]:
                raise AirflowSkipException(outcome.get("said") or "the sources recorded nothing new")
            yield Metadata(features, outcome)
            return outcome

        load(validate(extract()))  # type: ignore[arg-type]

    ingest()


for _use_case in use_cases():
    build(_use_case)
