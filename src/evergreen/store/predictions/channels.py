"""Where a logged prediction came from: the values of the column `channel` of the prediction log."""

from __future__ import annotations

from typing import Final

ONLINE: Final = "online"  # a request to the service
BATCH: Final = "batch"  # `evergreen score`: rows of the online table
PROBE: Final = "probe"  # requests by which `deploy` checks a service that was just changed
CANARY: Final = "canary"  # the same in rows of earlier versions

CHANNELS: Final = frozenset({ONLINE, BATCH, CANARY, PROBE})
