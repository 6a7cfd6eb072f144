"""pandera, without what it does to the process.

At its import pandera sets PYARROW_IGNORE_TIMEZONE, for the sake of PySpark. From then on pyarrow takes a
datetime of another time zone for one of UTC, here and in every child process. So the environment is put back;
pyarrow looks there at each conversion.
"""

from __future__ import annotations

import os
from typing import Any

_CHANGED_VARIABLES = ("PYARROW_IGNORE_TIMEZONE", "SPARK_LOCAL_IP")


def _import_pandera() -> Any:
    before = {name: os.environ.get(name) for name in _CHANGED_VARIABLES}
    try:
        import pandera.pandas

        return pandera.pandas
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


pandera = _import_pandera()
