"""The channels of the prediction log: why a prediction was made."""

from __future__ import annotations

ONLINE = "online"
BATCH = "batch"
# What the service writes for the requests by which `evergreen deploy` checks it. They are no traffic.
PROBE = "canary"
# Every value that means a probe request, in a request's header and in rows of any version.
PROBE_CHANNELS = frozenset({"probe", "canary"})
