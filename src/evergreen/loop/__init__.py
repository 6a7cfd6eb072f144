"""The verbs of the loop, a module each: ingest, train, deploy, monitor, score, upkeep and others.

A verb has one function per Airflow task. Each function takes the settings first, then names, ids and moments,
and returns a small JSON-able document; a second call for the same moment has the same result. The modules
load pandas, MLflow and the like, so the command line and the DAG files import them only when a verb runs.
"""

from __future__ import annotations

# Airflow's pool for tasks that use every core: two of them at the same time would slow each other down.
TRAINING_POOL = "evergreen_training"
# When Airflow runs the upkeep of each use case (cron, UTC): after the daily verbs of midnight, which work on
# the same tables.
UPKEEP_SCHEDULE = "30 3 * * *"
