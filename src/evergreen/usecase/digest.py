"""Two digests of a declaration: over all that changes an ingest, and over all that changes a service.

Where a digest is another one than before, rows must be read again, or the service needs new workers. Texts
for people do not count, nor do signatures and tokens in URLs, which change. A digest is the same in every
process, on every machine and on every supported Python; a declared function counts by its code
(`usecase/code.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from evergreen.hiding import hide_secrets
from evergreen.usecase.code import digest_reachable_code
from evergreen.usecase.use_case import UseCase

_SHORT_LENGTH = 7

_WORDS = frozenset(("meaning", "title"))
# Fields that concern only readers of the store do not change ingested rows.
_NOT_FOR_INGEST = _WORDS | {"used_by_model", "max_age"}
# Where rows come from, and what an ingest checks of them as a whole. The port is chosen by the stack.
_NOT_FOR_SERVING = _WORDS | {
    *("source", "column", "event_time", "delay", "contract", "unique", "port", "retention"),
    # Only whether a value may be missing matters to a request.
    "max_null_share",
}


def compute_ingest_digest(use_case: UseCase) -> str:
    """SHA-256 (hex) over the parts of a declaration that change what an ingest loads."""
    parts = (use_case.name, use_case.entity, use_case.views, use_case.label)
    return _compute_digest(parts, _NOT_FOR_INGEST)


def compute_serving_digest(use_case: UseCase) -> str:
    """SHA-256 (hex) over the parts of a declaration that change a prediction service: fields, types, domains,
    classes, the code of on-demand features, the model's inputs, the greatest batch."""
    parts = (
        *(use_case.name, use_case.entity, use_case.views, use_case.label, use_case.on_demand),
        *([feature.name for feature in use_case.model_features], use_case.serving),
        [feature.nullable for feature in use_case.stored_features],
    )
    return _compute_digest(parts, _NOT_FOR_SERVING)


def shorten_digest(digest: str) -> str:
    """The first seven characters of a digest, for people to compare."""
    return digest[:_SHORT_LENGTH]


def _compute_digest(values: tuple[object, ...], left_out: frozenset[str]) -> str:
    use_case_name, *parts = values
    lines = [str(use_case_name), *(_describe_value(value, left_out) for value in parts)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _describe_value(value: object, left_out: frozenset[str]) -> str:
    if is_dataclass(value):
        parts = [
            f"{field.name}={_describe_value(getattr(value, field.name), left_out)}"
            for field in fields(value)
            if field.name not in left_out
        ]
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_describe_value(item, left_out) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = sorted((str(name), _describe_value(item, left_out)) for name, item in value.items())
        return f"{{{', '.join(f'{name}: {text}' for name, text in pairs)}}}"
    return digest_reachable_code(value) if callable(value) else hide_secrets(repr(value))
