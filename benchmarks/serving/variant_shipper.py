"""The product's shipper without the counts of drift: it loads rows, and counts none of them by bins.

python -m benchmarks.serving.variant_shipper FOLDER LOCK
"""

from __future__ import annotations

import sys
from typing import Any

from evergreen.serving.predictions import shipper


def make_no_counter(*_: Any) -> None:
    """In the place of a counter."""


if __name__ == "__main__":
    vars(shipper)["PredictionCounter"] = make_no_counter
    sys.exit(shipper.main())
