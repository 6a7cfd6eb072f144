"""Where a logged prediction came from: the values of the column `channel` of the prediction log."""

from __future__ import annotations

from typing import Final

ONLINE: Final = "online"  # a request to the service
BATCH: Final = "batch"  # `evergreen score`: rows of the online table
CANARY: Final = "canary"  # requests by which `deploy` checks a service that was just changed
PROBE: Final = "probe"  # the same: the name that takes the place of "canary"; both are counted apart

CHANNELS: Final = frozenset({ONLINE, BATCH, CANARY, PROBE})
