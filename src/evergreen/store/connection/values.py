"""Single values of the store's columns, as the driver gives and takes them."""

from __future__ import annotations

from datetime import datetime

FeatureValue = str | int | float | None

# Moments are naive UTC. Which of these a column holds follows from the declaration.
StoredValue = FeatureValue | datetime

# A row by column names.
StoredRow = dict[str, StoredValue]

# The values of an entity's keys, in the order of their declaration.
KeyTuple = tuple[str | int, ...]
