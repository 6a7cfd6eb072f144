"""The channels under which the service logs predictions, and the one that means a probe request."""

from __future__ import annotations

from evergreen.store.predictions.channels import CANARY, ONLINE, PROBE

__all__ = ["CANARY", "ONLINE", "PROBE_CHANNEL", "PROBE_CHANNELS"]

# What the service writes for the requests by which `evergreen deploy` checks it. They are no traffic.
PROBE_CHANNEL = PROBE
# Every value that means a probe request in a request's header.
PROBE_CHANNELS = frozenset({CANARY, PROBE})
