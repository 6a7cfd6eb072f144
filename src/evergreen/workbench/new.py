"""`evergreen new`: a use case's folder, written from a table that somebody has."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evergreen import usecases
from evergreen.errors import SourceError, UseCaseError
from evergreen.hiding import remove_secrets
from evergreen.settings import Settings
from evergreen.sources.read import open_source
from evergreen.usecase import TIMELESS, FileSource, Problem, check_name
from evergreen.workbench.declaration.choose import choose_columns
from evergreen.workbench.declaration.declare import ColumnRoles, Declaration, declare_use_case
from evergreen.workbench.declaration.doubts import find_doubts
from evergreen.workbench.declaration.fair import choose_fair_split, describe_target
from evergreen.workbench.declaration.render import render_declaration
from evergreen.workbench.declaration.table_facts import Progress, Table

FIRST_PORT = 3002


def create_use_case(
    settings: Settings,
    name: str,
    source: str,
    *,
    keys: Sequence[str] = (),
    target: str,
    time: str = "",
    folder: Path | None = None,
    problem: Problem | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write `NAME/__init__.py` into `folder` (default: the first of EVERGREEN_USE_CASES) from a table.

    `source` is a path, a glob or an fsspec URL; all of it is read, in batches. Types, domains, null limits,
    the kind of problem and a fair split follow from what is there. Without `keys` the column that identifies
    rows is found by its name, else the row's number is the key. `problem` takes a target of numbers as
    classes, or of two numbers as a number. `progress` gets the rows read so far.

    Returns {"use_case", "file", "problem", "target", "classes", "keys", "time", "split", "rows", "features",
    "left_out", "notes", "next"}. Raises UseCaseError when the name is taken, a column is not there or cannot
    be what it is to be; SourceError when the table cannot be read. Then nothing is written.
    """
    check_name(name, "use case")
    place = _free_place(settings, name, folder)
    given_source = FileSource(_path(settings, source))
    declared_source = FileSource(remove_secrets(given_source.path))
    with _explain_source_errors():
        # Without EVERGREEN_SOURCES, which may name another file for a use case of this name.
        plain, now = settings.model_copy(update={"sources": {}}), datetime.now(UTC)
        inputs = open_source(given_source, plain, name, start=TIMELESS, end=now)
        table = Table.read(inputs, progress)
    chosen, notes = choose_columns(table, inputs, keys, target, time, problem)
    made = declare_use_case(name, declared_source, table.columns, chosen, _free_port(settings))
    made, more = choose_fair_split(made, table, chosen)
    notes += more + describe_target(made.use_case, table.columns[target]) + find_doubts(table.columns)
    if declared_source != given_source:
        notes.append(_explain_secrets(name, declared_source.path))
    said = f"written by `evergreen new` from {_shorten_source(source)} ({table.rows:,} rows)."
    _write_declaration(settings, place, name, render_declaration(made, notes, said))
    return _describe_result(made, place, table, chosen, notes)


def _free_place(settings: Settings, name: str, folder: Path | None) -> Path:
    """Where the use case's folder will be. Raises UseCaseError when its name is taken."""
    first = next((part for part in settings.use_cases.split(os.pathsep) if part), "usecases")
    place = (folder or Path(first)).resolve() / name
    taken = usecases.find_use_case_folders(settings).get(name) or (place if place.exists() else None)
    if taken is not None:
        raise UseCaseError(
            f"there is a use case {name!r} already: {taken}",
            hint=f"edit it and see how its tables differ then (evergreen features diff {name}),"
            " choose another name, or move that folder away",
        )
    return place


def _free_port(settings: Settings) -> int:
    sound, _ = usecases.load_valid_use_cases(settings)
    return max([FIRST_PORT - 1, *(use_case.serving.port for use_case in sound.values())]) + 1


def _path(settings: Settings, source: str) -> str:
    """As it is to be declared: relative to the folder that holds the home where it lies in it."""
    if "://" in source:
        return source
    absolute = Path(source).expanduser().resolve()
    root = settings.home.resolve().parent
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else str(absolute)


@contextmanager
def _explain_source_errors() -> Iterator[None]:
    """Errors of a source, with what to do about them here."""
    try:
        yield
    except SourceError as error:
        if "EVERGREEN_SOURCES" not in error.hint:
            raise
        hint = "name a CSV, Parquet or JSON lines file, a glob or a URL after --from"
        raise type(error)(error.message, hint=hint) from error


def _write_declaration(settings: Settings, place: Path, name: str, text: str) -> None:
    """Put the folder in its place at once, after the declaration was loaded from where nobody looks."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
    try:
        (draft / name).mkdir()
        (draft / name / "__init__.py").write_text(text, encoding="utf-8")
        usecases.load_use_case(name, settings.model_copy(update={"use_cases": str(draft)}))
        shutil.rmtree(draft / name / "__pycache__", ignore_errors=True)
        try:
            (draft / name).rename(place)
        except OSError as error:
            raise UseCaseError(
                f"{place} cannot be written: {error.strerror or error}",
                hint="choose another name, or mend the folder",
            ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _explain_secrets(name: str, path: str) -> str:
    return (
        "The address is declared without the passwords, signatures and tokens that it was given with: a"
        " declaration is shared. Where the source asks for them, give the whole address by the environment:"
        f' EVERGREEN_SOURCES={{"{name}": "{path}..."}}.'
    )


def _shorten_source(source: str) -> str:
    """A file's name; a URL without its query and its user."""
    if "://" in source:
        return remove_secrets(source).partition("?")[0]
    return source if glob.has_magic(source) else Path(source).name


def _describe_result(
    made: Declaration, place: Path, table: Table, chosen: ColumnRoles, notes: Sequence[str]
) -> dict[str, Any]:
    use_case = made.use_case
    return {
        "use_case": use_case.name,
        "file": str(place / "__init__.py"),
        "problem": use_case.problem,
        "target": chosen.target,
        "classes": list(use_case.label.classes),
        "keys": [key.source_column for key in use_case.entity.keys],
        "time": chosen.time,
        "split": use_case.split,
        "rows": table.rows,
        "features": [
            {
                "name": feature.name,
                "column": feature.source_column,
                "type": feature.dtype,
                "used_by_model": feature.used_by_model,
                "meaning": feature.meaning,
            }
            for feature in use_case.stored_features
        ],
        "left_out": [{"column": each.column, "reason": each.reason} for each in made.left_out],
        "notes": list(notes),
        "next": f"evergreen demo {use_case.name}",
    }
