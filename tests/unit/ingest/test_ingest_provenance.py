"""What an ingest or a training is recorded with."""

from __future__ import annotations

import evergreen
from evergreen.ingest.provenance import read_code_version


def test_the_code_version_begins_with_evergreens() -> None:
    assert read_code_version().split("+")[0] == evergreen.__version__
