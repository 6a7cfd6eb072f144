"""The types of JSON documents: what `json.dumps` takes, and `to_json` of a typed document returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = dict[str, Json]
