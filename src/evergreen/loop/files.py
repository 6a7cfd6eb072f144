"""Scoring from file to file: the champion's predictions for the rows of a file of any readable format."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.errors import ServingError, ValidationFailed
from evergreen.private import replaced
from evergreen.registry.champion import require_champion
from evergreen.settings import Settings
from evergreen.usecase import ROW_NUMBER, TIMELESS, Contract, FeatureView, FileSource, UseCase
from evergreen.usecases import load

if TYPE_CHECKING:
    import pandas as pd

_PARQUET = (".parquet", ".pq")
_FORMATS = (".csv", *_PARQUET)


def score_file(
    settings: Settings,
    use_case: str,
    input: Path,
    output: Path,
    columns: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Score each row of `input`, in its order, and write `output` (.csv, .parquet), whole or not at all.

    Types and domains are checked as an ingest checks them, with the source's column names; keys may repeat,
    and the label may be absent.
    `columns` chooses and orders the output's columns and may rename them, "Survived=prediction": keys,
    features, `prediction`, `probability` and `probability_<class>`, by their declared names or the source's
    (the label's source column is the prediction). By default keys, prediction and probabilities.

    Returns {"rows", "output", "columns", "model_version"}. Raises SourceError, ValidationFailed, NoChampion
    and ServingError.
    """
    declared = load(use_case, settings)
    _writable(output)
    raw = _read(settings, declared, input)
    known = _known(declared)
    wanted = [_chosen(text, known, use_case) for text in columns] if columns else _default(declared)
    version = require_champion(settings, use_case).version
    scored = _score(settings, declared, _clean(declared, raw, input), version)
    _write(scored[[name for _, name in wanted]].set_axis([title for title, _ in wanted], axis=1), output)
    return {
        "rows": len(scored),
        "output": str(output),
        "columns": [title for title, _ in wanted],
        "model_version": version,
    }


def _read(settings: Settings, use_case: UseCase, path: Path) -> pd.DataFrame:
    from evergreen.sources.read import read

    first = use_case.views[0].source
    source = first if isinstance(first, FileSource) else FileSource(path=str(path))
    return read(
        source,
        settings,
        use_case.name,
        start=TIMELESS,
        end=datetime.now(UTC),
        override=str(path),
        numbered=any(key.source_column == ROW_NUMBER for key in use_case.entity.keys),
    )


def _clean(use_case: UseCase, raw: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Keys and stored features of the file's rows. Raises ValidationFailed with what is wrong with them."""
    import pandas as pd

    from evergreen.validation.contract import validate

    checked = [validate(use_case, _as_file(view), raw, distinct=False) for view in use_case.views]
    broken = [report for _, report in checked if not report.ok]
    if broken:
        tables = "\n\n".join(report.as_table() for report in broken)
        raise ValidationFailed(
            f"{path} breaks the contract of {use_case.name}; nothing was scored\n{tables}",
            hint="mend the file; the columns are those of the use case's sources",
        )
    keys = checked[0][0][list(use_case.entity.key_names)]
    features = [
        frame[list(view.feature_names)] for view, (frame, _) in zip(use_case.views, checked, strict=True)
    ]
    return pd.concat([keys, *features], axis=1)


def _as_file(view: FeatureView) -> FeatureView:
    """The view without its event time (these rows are true now) and without what says something about a
    source and nothing about a few rows: shares of nulls and rejections, uniqueness, freshness."""
    features = tuple(
        replace(f, unique=False, max_null_share=1.0 if f.nullable else 0.0) for f in view.features
    )
    contract = Contract(rules=view.contract.rules)
    return replace(view, event_time=None, max_age=None, features=features, contract=contract)


def _score(settings: Settings, use_case: UseCase, frame: pd.DataFrame, version: int) -> pd.DataFrame:
    from evergreen.registry.models import load_model
    from evergreen.serving.inference import predict
    from evergreen.store.on_demand import columns_of

    outcome = predict(use_case, load_model(settings, use_case, version), columns_of(frame, use_case))
    added: dict[str, Any] = {"prediction": outcome.predictions}
    if outcome.by_class is not None:
        added["probability"] = outcome.by_class.max(axis=1)
        for index, name in enumerate(outcome.classes):
            added[f"probability_{name}"] = outcome.by_class[:, index]
    return frame.assign(**added)


def _default(use_case: UseCase) -> list[tuple[str, str]]:
    classes = use_case.label.classes
    names = [*use_case.entity.key_names, "prediction"]
    names += ["probability", *(f"probability_{c}" for c in classes)] if classes else []
    return [(name, name) for name in names]


def _known(use_case: UseCase) -> dict[str, str]:
    """The output's possible columns by every name they go by."""
    columns = [(k.name, k.source_column) for k in use_case.entity.keys]
    columns += [(f.name, f.source_column) for f in use_case.stored_features]
    known = {source: name for name, source in columns} | {name: name for name, _ in columns}
    label = use_case.label
    known |= {label.source_column: "prediction", label.name: "prediction"}
    return known | {name: name for name, _ in _default(use_case)}


def _chosen(text: str, known: dict[str, str], use_case: str) -> tuple[str, str]:
    """(title, column) of "title=column" or "column". Raises ServingError with the nearest name."""
    title, equals, name = (part.strip() for part in text.partition("="))
    name = name if equals else title
    if not title or name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ServingError(
            f"--columns names {name!r}, which scoring {use_case} does not give",
            hint=f"did you mean {near[0]!r}?"
            if near
            else f"it gives {', '.join(sorted(set(known.values())))}",
        )
    return title, known[name]


def _writable(output: Path) -> None:
    """Say before the work what would make the output fail after it."""
    if output.suffix.lower() not in _FORMATS:
        raise ServingError(
            f"{output} is neither .csv nor .parquet", hint="name the output's format by its ending"
        )
    if output.is_dir():
        raise ServingError(f"{output} is a folder", hint="name a file in it")
    if not output.parent.is_dir():
        raise ServingError(f"there is no folder {output.parent}", hint="make it, or write elsewhere")


def _write(frame: pd.DataFrame, output: Path) -> None:
    # Into a neighbour first: nobody ever sees half a file, and a former one stays if this fails.
    # For its owner only, as it holds people's rows; a file that was shared stays shared.
    try:
        with replaced(output, keep_mode=True) as part:
            if output.suffix.lower() in _PARQUET:
                frame.to_parquet(part, index=False)
            else:
                frame.to_csv(part, index=False)
    except OSError as error:
        raise ServingError(
            f"{output} cannot be written: {error.strerror or error}", hint="check its folder and the disk"
        ) from error
