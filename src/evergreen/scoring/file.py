"""Score a file: the champion's predictions for the rows of a file of any readable format, into a new file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

import numpy as np
import pandas as pd

from evergreen.errors import ServingError
from evergreen.model.on_demand import build_columns_from_frame
from evergreen.model.predict import predict_rows
from evergreen.private import replace_file
from evergreen.registry.champion import require_champion
from evergreen.registry.verification import load_recorded_model
from evergreen.scoring.file_rows import FileRows, build_broken_file_error, judge_rows
from evergreen.scoring.spreadsheet import escape_formulas
from evergreen.settings import Settings
from evergreen.sources.read import read_source
from evergreen.store.connection.database import get_engine
from evergreen.usecase import ROW_NUMBER, TIMELESS, FileSource, UseCase
from evergreen.usecases import load_use_case
from evergreen.validation.report import Failure

_PARQUET = (".parquet", ".pq")
_FORMATS = (".csv", *_PARQUET)

# What to do with rows that break the contract: write the reason in place of a prediction, or write nothing.
OnError: TypeAlias = Literal["row", "stop"]
_MOST_REFUSALS = 20


class Refusal(TypedDict):
    """A row (from 1) that has no prediction, and why."""

    row: int
    error: str


class ValueWarning(TypedDict):
    """A check that scored values break where the declaration only warns: how many, and examples of them."""

    column: str
    check: str
    count: int
    examples: list[str]


class FileResult(TypedDict):
    """What was scored: `refusals` are the first 20 of the `refused` rows, `columns` those of the output."""

    rows: int
    refused: int
    refusals: list[Refusal]
    warnings: list[ValueWarning]
    output: str
    columns: list[str]
    model_version: int


def score_file(
    settings: Settings,
    use_case_name: str,
    input: Path,
    output: Path,
    columns: Sequence[str] | None = None,
    *,
    on_error: OnError | None = None,
    raw_text: bool = False,
) -> FileResult:
    """Score each row of `input`, in its order, and write `output` (.csv, .parquet), whole or not at all.

    Types and domains are checked as an ingest checks them, with the source's column names; keys may repeat,
    and the label may be absent.
    `columns` chooses and orders the output's columns and may rename them, "Survived=prediction": keys,
    features, `prediction`, `probability` (of the predicted class), `probability_<class>` and `error`, by
    their declared names or the source's (the label's source column is the prediction). By default keys,
    prediction and probabilities, and with `on_error` "row" the error.

    `on_error` "row": a row that breaks the contract has no prediction, and the reason in the column `error`;
    "stop": one such row and nothing is written. None is "row", but "stop" where `columns` leave `error` out:
    such a file could not say what is missing in it.
    In CSV, texts that a spreadsheet would take for formulas get an apostrophe before them, unless `raw_text`.

    Raises SourceError, ValidationFailed, NoChampion, ServingError, ModelRefused for a champion that is not
    the one on record, RegistryUnreachable and StoreUnreachable.
    """
    use_case = load_use_case(use_case_name, settings)
    _check_output(output)
    raw = _read_input(settings, use_case, input)
    names = _map_column_names(use_case)
    error = _choose_error_column(use_case)
    choices = (
        [_parse_column_choice(text, names, use_case_name) for text in columns]
        if columns
        else _list_default_columns(use_case)
    )
    if on_error is None:
        on_error = "row" if not columns or any(name == error for _, name in choices) else "stop"
    if on_error == "row" and not columns:
        choices.append((error, error))
    version = require_champion(settings, use_case_name).version
    rows = judge_rows(use_case, raw, input)
    if rows.refusals and on_error == "stop":
        otherwise = ", or score the other rows with --on-error row"
        raise build_broken_file_error(use_case, input, rows.reports, otherwise=otherwise)
    scored = _score_rows(settings, use_case, rows, version)
    frame = scored[[name for _, name in choices]].set_axis([title for title, _ in choices], axis=1)
    _write_output(frame, output, raw_text)
    refusals = list(rows.refusals.items())[:_MOST_REFUSALS]
    return {
        "rows": len(scored),
        "refused": len(rows.refusals),
        "refusals": [{"row": position + 1, "error": reason} for position, reason in refusals],
        "warnings": [_describe_warning(failure) for failure in rows.warnings],
        "output": str(output),
        "columns": [title for title, _ in choices],
        "model_version": version,
    }


def _read_input(settings: Settings, use_case: UseCase, path: Path) -> pd.DataFrame:
    first = use_case.views[0].source
    source = first if isinstance(first, FileSource) else FileSource(path=str(path))
    return read_source(
        source,
        settings,
        use_case.name,
        start=TIMELESS,
        end=datetime.now(UTC),
        override=str(path),
        numbered=any(key.source_column == ROW_NUMBER for key in use_case.entity.keys),
    )


def _score_rows(settings: Settings, use_case: UseCase, rows: FileRows, version: int) -> pd.DataFrame:
    """All rows with their predictions, or why they have none."""
    error = _choose_error_column(use_case)
    why = pd.Series(rows.refusals, dtype=object).reindex(rows.frame.index)
    sound = rows.sound
    if sound.empty:
        return rows.frame.assign(**dict.fromkeys(_list_answer_columns(use_case)), **{error: why})
    outcome = predict_rows(
        use_case,
        load_recorded_model(settings, get_engine(settings), use_case, version),
        build_columns_from_frame(sound, use_case),
    )
    columns: dict[str, np.ndarray] = {"prediction": outcome.predictions}
    if outcome.probabilities is not None and outcome.probability is not None:
        columns["probability"] = outcome.probability
        for index, name in enumerate(outcome.classes):
            columns[f"probability_{name}"] = outcome.probabilities[:, index]
    answers = pd.DataFrame(columns, index=sound.index).reindex(rows.frame.index)
    return pd.concat([rows.frame, answers, why.rename(error)], axis=1)


def _choose_error_column(use_case: UseCase) -> str:
    """ "error", unless the declaration has a column of that name; no declared name begins with "_"."""
    names = {*use_case.entity.key_names, *use_case.feature_types, use_case.label.name}
    return "_error" if "error" in names else "error"


def _describe_warning(failure: Failure) -> ValueWarning:
    return {
        "column": failure.column,
        "check": failure.check,
        "count": failure.count,
        "examples": list(failure.examples),
    }


def _list_answer_columns(use_case: UseCase) -> list[str]:
    classes = use_case.label.classes
    return ["prediction", *(["probability", *(f"probability_{c}" for c in classes)] if classes else [])]


def _list_default_columns(use_case: UseCase) -> list[tuple[str, str]]:
    names = [*use_case.entity.key_names, *_list_answer_columns(use_case)]
    return [(name, name) for name in names]


def _map_column_names(use_case: UseCase) -> dict[str, str]:
    """The output's possible columns by each of their names, declared or the source's."""
    columns = [(k.name, k.source_column) for k in use_case.entity.keys]
    columns += [(f.name, f.source_column) for f in use_case.stored_features]
    names = {source: name for name, source in columns} | {name: name for name, _ in columns}
    label = use_case.label
    names |= {label.source_column: "prediction", label.name: "prediction"}
    error = _choose_error_column(use_case)
    return names | {name: name for name, _ in _list_default_columns(use_case)} | {error: error}


def _parse_column_choice(text: str, names: dict[str, str], use_case_name: str) -> tuple[str, str]:
    """(title, column) of "title=column" or "column"; `names` maps every name to its column.

    Raises ServingError with the nearest name.
    """
    title, equals, name = (side.strip() for side in text.partition("="))
    name = name if equals else title
    if not title or name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        raise ServingError(
            f"--columns names {name!r}, which scoring {use_case_name} does not give",
            hint=f"did you mean {near[0]!r}?"
            if near
            else f"it gives {', '.join(sorted(set(names.values())))}",
        )
    return title, names[name]


def _check_output(output: Path) -> None:
    """Raise ServingError, before the work, for an output that cannot be written."""
    if output.suffix.lower() not in _FORMATS:
        raise ServingError(
            f"{output} is neither .csv nor .parquet", hint="name the output's format by its ending"
        )
    if output.is_dir():
        raise ServingError(f"{output} is a folder", hint="name a file in it")
    if not output.parent.is_dir():
        raise ServingError(f"there is no folder {output.parent}", hint="make it, or write elsewhere")


def _write_output(frame: pd.DataFrame, output: Path, raw_text: bool) -> None:
    # Into a file beside it first: a reader never gets half a file, and a former one stays if this fails. Only
    # its owner may read it, as it holds people's rows, but a former file's mode is kept.
    try:
        with replace_file(output, keep_mode=True) as draft:
            if output.suffix.lower() in _PARQUET:
                frame.to_parquet(draft, index=False)
            else:
                (frame if raw_text else escape_formulas(frame)).to_csv(draft, index=False)
    except OSError as error:
        raise ServingError(
            f"{output} cannot be written: {error.strerror or error}", hint="check its folder and the disk"
        ) from error
