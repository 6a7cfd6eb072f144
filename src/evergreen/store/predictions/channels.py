"""Where a logged prediction came from: the values of the column `channel` of the prediction log."""

from __future__ import annotations

from typing import Final

ONLINE: Final = "online"  # a request to the service
BATCH: Final = "batch"  # `evergreen score`: rows of the online table
CHALLENGER: Final = "challenger"  # a request that the challenger of a canary trial answered
SHADOW: Final = "shadow"  # what the challenger of a shadow trial would have answered; nobody saw it
PROBE: Final = "probe"  # requests by which `deploy` checks a service that was just changed
CANARY: Final = "canary"  # the same in rows of versions that had no trials

CHANNELS: Final = frozenset({ONLINE, BATCH, CANARY, PROBE, CHALLENGER, SHADOW})
# Answers that a caller asked for and got, whichever version gave them: what drift and quality look at.
TRAFFIC: Final = (ONLINE, CHALLENGER)
