#!/bin/sh
# Airflow's simple auth manager reads passwords from a file: write the one of the environment into it.
set -eu
umask 077
python - <<'PYTHON'
import json, os, pathlib
path = pathlib.Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps({os.environ["EVERGREEN_AIRFLOW_USER"]: os.environ["EVERGREEN_AIRFLOW_PASSWORD"]}))
PYTHON
exec airflow "$@"
