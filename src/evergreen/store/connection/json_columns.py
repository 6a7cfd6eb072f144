"""JSON documents of MariaDB's columns whose shape another room decides on.

The store writes and reads such a document whole; the room that owns the column makes a dataclass of it:
`training` of `training_run.params`, `metrics` and `verdict`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from evergreen.documents import Json, JsonObject


def parse_json_object(text: str | None) -> JsonObject | None:
    """The document of a column; None for NULL."""
    return None if text is None else json.loads(text)


def format_json_object(document: Mapping[str, Json] | None) -> str | None:
    """The text of a column; None for no document."""
    return None if document is None else json.dumps(document)
