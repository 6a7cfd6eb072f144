"""The verbs of the loop, one module each, one function per Airflow task: ids in, small JSON out.

Every function takes the settings first, may run twice for the same moment with the same result, and imports
pandas, MLflow and the like only when it runs.
"""

from __future__ import annotations

# Airflow's pool for what takes every core: trainings side by side would only slow each other down.
TRAINING_POOL = "evergreen_training"
