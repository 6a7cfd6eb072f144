"""The plan of an ingest: which files and queries are read for each part, without what the store has
already."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.errors import SourceError
from evergreen.hiding import hide_secrets
from evergreen.ingest.input_notes import InputNote, RunInputs, parse_run_inputs
from evergreen.settings import Settings
from evergreen.sources.read import SourceInput, open_source
from evergreen.store.records.ingest_run import (
    IngestRun,
    find_ingest,
    find_newest_event_time,
    has_earlier_rows,
    has_rows_of_run,
)
from evergreen.usecase import NAME, ROW_NUMBER, TIMELESS, FeatureView, FileSource, Label, Source, UseCase

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Engine

# The width of the column that keeps what `source` replaced the declared files with.
MAX_SOURCE_CHARACTERS = 1024


@dataclass(frozen=True)
class Reading:
    """One file or query, read once for all `parts` that need it.

    `number` identifies it within the run: staged rows are kept under it. `numbered`: its rows get a column
    with their row numbers.
    """

    number: str
    input: SourceInput
    numbered: bool
    parts: list[str] = field(default_factory=list)

    def batches(self) -> Iterator[pa.Table]:
        """The raw rows, batch by batch."""
        return self.input.batches(numbered=self.numbered)


@dataclass(frozen=True)
class Plan:
    """The readings of a run, and the notes on all of its inputs, also on those that are not read."""

    readings: list[Reading]
    inputs: RunInputs

    @property
    def unchanged(self) -> bool:
        """Whether there is nothing to read, because the store has all of it."""
        return not self.readings

    def skips(self, run_id: str) -> bool:
        """Whether a file is left out because the run of that id loaded it."""
        return any(note.unchanged == run_id for note in self.inputs.notes())


def plan_inputs(
    settings: Settings,
    use_case: UseCase,
    database: Engine,
    run: IngestRun,
    source: str,
    *,
    last: IngestRun | None,
    declaration: str,
    every_file: bool = False,
    force: bool = False,
) -> Plan:
    """Open every source and choose what is to be read for `run`.

    `source` replaces declared files (see `parse_overrides`); the run's record has it without its secrets.
    `last` is the last load up to the run's moment: a file that it read, or had found unchanged itself, is not
    read again unless `every_file` is true. `declaration` is the digest of the present declaration. `force`
    reads every file and asks databases for all rows that they hold.

    Raises SourceError and its subclasses, also where several files would give their rows the same numbers.
    """
    places = parse_overrides(use_case, source, settings.sources.get(use_case.name, ""))
    # `places` holds the setting already, by part.
    settings = settings.model_copy(update={"sources": {}})
    numbered = any(key.source_column == ROW_NUMBER for key in use_case.entity.keys)
    # Parts with the same source, start and override share their readings.
    groups: dict[tuple[Source, datetime, str], list[Reading]] = {}
    parts: dict[str, tuple[InputNote, ...]] = {}
    count = 0
    for name, part in use_case.parts.items():
        is_file = isinstance(part.source, FileSource)
        start = TIMELESS
        if not is_file and not force:
            start = _find_query_start(database, use_case, name, part, run, last, declaration)
        place = places.get(name, "")
        group = (part.source, start, place)
        if group not in groups:
            source_inputs = open_source(
                part.source, settings, use_case.name, start=start, end=run.as_of, override=place
            )
            if numbered and len(source_inputs) > 1:
                raise _build_row_numbers_error(use_case, [each.name for each in source_inputs])
            groups[group] = [
                Reading(str(count + n), source_input, numbered)
                for n, source_input in enumerate(source_inputs)
            ]
            count += len(source_inputs)
        # A part that is no longer fresh is read again, so that its checks report it.
        read_all = every_file or force or not _is_fresh(database, use_case, part, run)
        notes: list[InputNote] = []
        for reading in groups[group]:
            note = InputNote(
                reading.input.name,
                reading.input.digest,
                reading.input.size,
                start=None if is_file else start,
                catch_up=not is_file and start == TIMELESS,
            )
            loader = None
            if not read_all and last is not None:
                loader = _find_loading_run(database, use_case, name, part, note, last, declaration)
            # A later file corrects an earlier one: where the earlier one is read, the later one is read too.
            if loader is not None and not any(earlier.is_read for earlier in notes):
                notes.append(replace(note, unchanged=loader))
            else:
                notes.append(replace(note, staged=reading.number))
                reading.parts.append(name)
        parts[name] = tuple(notes)
    needed_readings = [reading for readings in groups.values() for reading in readings if reading.parts]
    return Plan(needed_readings, RunInputs(parts))


def parse_overrides(use_case: UseCase, source: str, setting: str = "") -> dict[str, str]:
    """By part, what replaces its declared file: `source`, else the `setting`. Either is a path or URL, or
    "part=path,part=path".

    Raises SourceError when one path would be read as each of several declared files.
    """
    text = source or setting
    if not text:
        return {}
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise SourceError(
            f"the source given for {use_case.name} has {len(source):,} characters",
            hint=f"{MAX_SOURCE_CHARACTERS:,} are kept with the run: use shorter paths, or a glob",
        )
    parts = use_case.parts
    pairs = [piece.partition("=") for piece in re.split(r",(?=[a-z][a-z0-9_]*=)", text)]
    if all(equals and path and name in parts for name, equals, path in pairs):
        return {name: path for name, _, path in pairs}
    first = pairs[0][0]
    if pairs[0][1] and NAME.fullmatch(first) and not Path(text).exists():
        raise SourceError(
            f"{hide_secrets(text)} names the part {first!r}, which {use_case.name} does not have",
            hint=f"its parts are {', '.join(parts)}: --source part=path,part=path",
        )
    files = sorted({part.source.path for part in parts.values() if isinstance(part.source, FileSource)})
    if len(files) > 1:
        raise SourceError(
            f"{hide_secrets(text)} cannot take the place of the {len(files)} files of {use_case.name}"
            f" ({hide_secrets(', '.join(files))})",
            hint="say which: --source part=path,part=path; or leave --source and EVERGREEN_SOURCES empty and"
            " put the files where they are declared",
        )
    if source and not files:
        # Opening the sources then fails with the message that they are databases.
        return dict.fromkeys(parts, source)
    return {name: text for name, part in parts.items() if isinstance(part.source, FileSource)}


def _build_row_numbers_error(use_case: UseCase, names: list[str]) -> SourceError:
    return SourceError(
        f"{use_case.name} takes its key from row numbers, but reads {len(names)} files"
        f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''}), whose rows have the same numbers",
        hint="put all rows into one file, or declare a column that tells the rows of all files apart",
    )


def _find_query_start(
    database: Engine,
    use_case: UseCase,
    name: str,
    part: FeatureView | Label,
    run: IngestRun,
    last: IngestRun | None,
    declaration: str,
) -> datetime:
    """The moment (exclusive, aware UTC) from which on a database is asked for the rows that it recorded.

    TIMELESS, which asks for all rows, for a part whose table is new or was created again, and for one whose
    declaration changed, because its older rows may have more columns. Where the last load held rows back,
    its own start, so that they are asked for again. A rerun asks for the same rows as before.
    """
    if not has_earlier_rows(database, use_case, part, run.as_of):
        return TIMELESS
    if last is None:
        return run.interval_start
    if last.declaration != declaration:
        return TIMELESS
    for note in parse_run_inputs(last).list_part_notes(name):
        if note.start is not None and (last.id == run.id or note.held_back):
            return note.start
    return run.interval_start


def _is_fresh(database: Engine, use_case: UseCase, part: FeatureView | Label, run: IngestRun) -> bool:
    """Whether the stored rows of a part are as fresh as its contract asks for."""
    freshness = part.contract.freshness
    if freshness is None or part.event_time is None:
        return True
    newest = find_newest_event_time(database, use_case, part, run.as_of)
    return newest is not None and run.as_of - newest <= freshness.within


def _find_loading_run(
    database: Engine,
    use_case: UseCase,
    name: str,
    part: FeatureView | Label,
    note: InputNote,
    last: IngestRun,
    declaration: str,
) -> str | None:
    """The id of the run that loaded this very file into the part's present table, if no other content was
    loaded in its place since; None when the file must be read."""
    if not note.digest:
        return None
    loader = last
    earlier = _find_same_note(last, name, note, declaration)
    if earlier is not None and earlier.unchanged is not None:
        run = find_ingest(database, earlier.unchanged)
        if run is None:
            return None
        loader, earlier = run, _find_same_note(run, name, note, declaration)
    if earlier is None or earlier.unchanged is not None:
        return None
    # Rows that were held back are left for a later run, so the file is read again.
    if earlier.held_back or not has_rows_of_run(database, use_case, part, loader):
        return None
    return loader.id


def _find_same_note(run: IngestRun, part: str, note: InputNote, declaration: str) -> InputNote | None:
    """The note of a loaded run, with the same declaration, on the same file with the same content."""
    if run.status != "loaded" or run.declaration != declaration:
        return None
    for candidate in parse_run_inputs(run).list_part_notes(part):
        if (candidate.name, candidate.digest) == (note.name, note.digest):
            return candidate
    return None
