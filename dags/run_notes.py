"""Notes of DAG runs: texts that Airflow shows beside a run, without a task being opened."""

from __future__ import annotations

import logging
from typing import Any

from evergreen.errors import OrchestratorError
from evergreen.settings import load_settings

logger = logging.getLogger(__name__)


def add_run_note(context: Any, text: str) -> None:
    """Add a text to the note of the run that this task belongs to; the present note is kept.

    Airflow offers notes only in its REST API, so this signs in there as the user that the settings name.
    Where Airflow does not answer, the task logs a warning and goes on.
    """
    # Loaded when a task runs, so that parsing a DAG file does not load an HTTP client.
    from evergreen.stack.airflow_api import AirflowApi

    run = context["dag_run"]
    airflow = AirflowApi(load_settings())
    try:
        airflow.add_note(run.dag_id, run.run_id, text)
    except OrchestratorError as error:
        logger.warning("the run has no note of this: %s", error.message)
    finally:
        airflow.close()
