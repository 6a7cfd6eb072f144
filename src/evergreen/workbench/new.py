"""`evergreen new`: writes the folder of a use case, declared from a table that people bring."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from evergreen import usecases
from evergreen.documents import JsonObject
from evergreen.errors import SourceError, UseCaseError
from evergreen.hiding import remove_secrets
from evergreen.settings import Settings
from evergreen.sources.read import open_source
from evergreen.usecase import TIMELESS, FileSource, Problem, check_name
from evergreen.workbench.declaration.choose import choose_columns
from evergreen.workbench.declaration.declare import ColumnRoles, Declaration, declare_use_case
from evergreen.workbench.declaration.declared_features import OmittedColumn
from evergreen.workbench.declaration.doubts import find_doubts
from evergreen.workbench.declaration.fair import choose_fair_split, describe_target
from evergreen.workbench.declaration.render import render_declaration
from evergreen.workbench.declaration.table_facts import Progress, Table

FIRST_PORT = 3002


@dataclass(frozen=True)
class DeclaredFeature:
    """A feature of a new use case, and the table's column that it comes from."""

    name: str
    column: str
    type: str
    used_by_model: bool
    meaning: str


@dataclass(frozen=True)
class NewUseCase:
    """What was written, and what was inferred from the table.

    `file` is the declaration; `keys` and `time` ("" for none) are columns of the table; `left_out` are the
    columns that no feature was made of; `notes` are sentences for whoever reads the declaration.
    """

    use_case: str
    file: Path
    problem: Problem
    target: str
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    time: str
    split: str
    rows: int
    features: tuple[DeclaredFeature, ...]
    left_out: tuple[OmittedColumn, ...]
    notes: tuple[str, ...]

    @property
    def next_command(self) -> str:
        """The command to go on with."""
        return f"evergreen demo {self.use_case}"

    def to_json(self) -> JsonObject:
        """The JSON object of `evergreen new --json`; "next" is the command to go on with."""
        return {
            "use_case": self.use_case,
            "file": str(self.file),
            "problem": self.problem,
            "target": self.target,
            "classes": list(self.classes),
            "keys": list(self.keys),
            "time": self.time,
            "split": self.split,
            "rows": self.rows,
            "features": [asdict(feature) for feature in self.features],
            "left_out": [asdict(column) for column in self.left_out],
            "notes": list(self.notes),
            "next": self.next_command,
        }


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
) -> NewUseCase:
    """Write `NAME/__init__.py` into `folder` (default: the first of EVERGREEN_USE_CASES) from a table.

    `source` is a path, a glob or an fsspec URL; all of it is read, in batches. Types, domains, null limits,
    the kind of problem and the split are inferred from the values. Without `keys` the column that identifies
    rows is found by its name, else the row's number is the key. With `problem` a target of numbers is taken
    as classes, or one of two numbers as a number. `progress` gets the rows read so far.

    Raises UseCaseError when the name is taken, a column is missing or does not suit its role; SourceError
    when the table cannot be read. Then nothing is written.
    """
    check_name(name, "use case")
    target_folder = _choose_folder(settings, name, folder)
    full_source = FileSource(_choose_path(settings, source))
    declared_source = FileSource(remove_secrets(full_source.path))
    with _explain_source_errors():
        # EVERGREEN_SOURCES is left out: it may name another file for a use case of this name.
        file_settings, now = settings.model_copy(update={"sources": {}}), datetime.now(UTC)
        inputs = open_source(full_source, file_settings, name, start=TIMELESS, end=now)
        table = Table.read(inputs, progress)
    roles, notes = choose_columns(table, inputs, keys, target, time, problem)
    declaration = declare_use_case(name, declared_source, table.columns, roles, _choose_port(settings))
    declaration, split_notes = choose_fair_split(declaration, table, roles)
    notes += (
        split_notes
        + describe_target(declaration.use_case, table.columns[target])
        + find_doubts(table.columns)
    )
    if declared_source != full_source:
        notes.append(_explain_secrets(name, declared_source.path))
    origin = f"written by `evergreen new` from {_shorten_source(source)} ({table.rows:,} rows)."
    _write_declaration(settings, target_folder, name, render_declaration(declaration, notes, origin))
    return _describe_result(declaration, target_folder, table, roles, notes)


def _choose_folder(settings: Settings, name: str, folder: Path | None) -> Path:
    """The folder that will hold the use case. Raises UseCaseError when its name is taken."""
    first = next((part for part in settings.use_cases.split(os.pathsep) if part), "usecases")
    place = (folder or Path(first)).resolve() / name
    existing = usecases.find_use_case_folders(settings).get(name) or (place if place.exists() else None)
    if existing is not None:
        raise UseCaseError(
            f"there is a use case {name!r} already: {existing}",
            hint=f"edit it and see how its tables differ then (evergreen features diff {name}),"
            " choose another name, or move that folder away",
        )
    return place


def _choose_port(settings: Settings) -> int:
    """The port after the greatest one that a use case serves at."""
    sound, _ = usecases.load_valid_use_cases(settings)
    return max([FIRST_PORT - 1, *(use_case.serving.port for use_case in sound.values())]) + 1


def _choose_path(settings: Settings, source: str) -> str:
    """The path to declare: relative to the folder that holds the home, for a file below that folder."""
    if "://" in source:
        return source
    absolute = Path(source).expanduser().resolve()
    root = settings.home.resolve().parent
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else str(absolute)


@contextmanager
def _explain_source_errors() -> Iterator[None]:
    """Errors of a source, with the hint that suits this command."""
    try:
        yield
    except SourceError as error:
        if "EVERGREEN_SOURCES" not in error.hint:
            raise
        hint = "name a CSV, Parquet or JSON lines file, a glob or a URL after --from"
        raise type(error)(error.message, hint=hint) from error


def _write_declaration(settings: Settings, place: Path, name: str, text: str) -> None:
    """Write the declaration into a hidden folder, load it there to try it, and move it to its place."""
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
    declaration: Declaration, place: Path, table: Table, roles: ColumnRoles, notes: Sequence[str]
) -> NewUseCase:
    use_case = declaration.use_case
    features = tuple(
        DeclaredFeature(
            feature.name, feature.source_column, feature.dtype, feature.used_by_model, feature.meaning
        )
        for feature in use_case.stored_features
    )
    return NewUseCase(
        use_case=use_case.name,
        file=place / "__init__.py",
        problem=use_case.problem,
        target=roles.target,
        classes=use_case.label.classes,
        keys=tuple(key.source_column for key in use_case.entity.keys),
        time=roles.time,
        split=use_case.split,
        rows=table.rows,
        features=features,
        left_out=declaration.left_out,
        notes=tuple(notes),
    )
