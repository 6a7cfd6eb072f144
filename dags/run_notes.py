"""Notes of DAG runs: what Airflow shows beside a run without a task being opened.

In a module of its own, which nothing imports but the DAG files that write notes.
"""

from __future__ import annotations

import logging
from typing import Any

from evergreen.errors import OrchestratorError
from evergreen.settings import load_settings

logger = logging.getLogger(__name__)


def add_run_note(context: Any, text: str) -> None:
    """Add a text to the note of the run that this task belongs to; what stands there already stays.

    Tasks have no way of their own to a note, so it goes over the REST API, as the user that the settings
    name. A task does not fail for a note: without an answer from Airflow it is a warning in the log.
    """
    from evergreen.stack.airflow_api import AirflowApi

    run = context["dag_run"]
    airflow = AirflowApi(load_settings())
    try:
        airflow.add_note(run.dag_id, run.run_id, text)
    except OrchestratorError as error:
        logger.warning("the run has no note of this: %s", error.message)
    finally:
        airflow.close()
