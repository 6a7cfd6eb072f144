"""What an ingest has to read: each part's files or query, without what the store has already."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from evergreen.errors import SourceError
from evergreen.hiding import hide_secrets
from evergreen.settings import Settings
from evergreen.usecase import NAME, ROW_NUMBER, TIMELESS, FeatureView, FileSource, Label, Source, UseCase

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Engine

    from evergreen.sources.read import SourceInput
    from evergreen.store.records.ingest_run import IngestRun

# What ingest_run keeps of a source that takes the place of the declared ones.
MAX_SOURCE_CHARACTERS = 1024

# By part, a note for each file or query: see IngestRun.inputs.
Inputs: TypeAlias = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Reading:
    """One file or query, read once for all `parts` that need it. `number` names its staged rows."""

    number: str
    input: SourceInput
    numbered: bool
    parts: list[str] = field(default_factory=list)

    def batches(self) -> Iterator[pa.Table]:
        return self.input.batches(numbered=self.numbered)


@dataclass(frozen=True)
class Plan:
    """What to read, and what becomes the run's `inputs`: an entry by part and input."""

    readings: list[Reading]
    inputs: Inputs

    @property
    def unchanged(self) -> bool:
        """Whether there is nothing to read, for the store has it all."""
        return not self.readings

    def skips(self, run_id: str) -> bool:
        """Whether a file is left out because the run of that id loaded it."""
        return any(entry.get("unchanged") == run_id for entries in self.inputs.values() for entry in entries)


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
    """Open every source and choose what is to be read for `run`. `last` is the last load up to its moment: a
    file that it had read, or had found unchanged itself, is not read again, unless `every_file` is. `source`
    takes the place of declared files (see `parse_overrides`): the run on record has it without its secrets.
    `force`: databases are asked for all that they hold, too.

    Raises SourceError and its kind, also where several files would give their rows the same numbers.
    """
    from evergreen.sources.read import open_source

    places = parse_overrides(use_case, source, settings.sources.get(use_case.name, ""))
    # What the setting says is in `places`, by part.
    plain = settings.model_copy(update={"sources": {}})
    numbered = any(key.source_column == ROW_NUMBER for key in use_case.entity.keys)
    opened: dict[tuple[Source, datetime, str], list[Reading]] = {}
    inputs: Inputs = {}
    count = 0
    for name, part in use_case.parts.items():
        is_file = isinstance(part.source, FileSource)
        start = TIMELESS
        if not is_file and not force:
            start = _find_query_start(database, use_case, name, part, run, last, declaration)
        wanted = (part.source, start, places.get(name, ""))
        if wanted not in opened:
            found = open_source(
                part.source, plain, use_case.name, start=start, end=run.as_of, override=wanted[2]
            )
            if numbered and len(found) > 1:
                raise _build_row_numbers_error(use_case, [each.name for each in found])
            opened[wanted] = [Reading(str(count + n), each, numbered) for n, each in enumerate(found)]
            count += len(found)
        inputs[name] = []
        # What goes stale by not changing must be read to be told so.
        known = None if every_file or force or not _is_fresh(database, use_case, part, run) else last
        for reading in opened[wanted]:
            read = reading.input
            entry = {"name": read.name, "digest": read.digest, "size": read.size, "rows": 0, "held_back": 0}
            if not is_file:
                entry["start"] = start.isoformat()
                if start == TIMELESS:
                    entry["catch_up"] = True
            loader = _find_loading_run(database, use_case, name, part, entry, known, declaration)
            # A later file counts more than an earlier one: where that is read, what may correct it is, too.
            follows = any("staged" in earlier for earlier in inputs[name])
            if loader is not None and not follows:
                entry["unchanged"] = loader
            else:
                entry["staged"] = reading.number
                reading.parts.append(name)
            inputs[name].append(entry)
    return Plan([each for group in opened.values() for each in group if each.parts], inputs)


def parse_overrides(use_case: UseCase, source: str, setting: str = "") -> dict[str, str]:
    """By part, what takes the place of its declared file: `source`, else the `setting`. Either is a path or
    URL, or "part=path,part=path".

    Raises SourceError when one path would be read as each of several declared files.
    """
    given = source or setting
    if not given:
        return {}
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise SourceError(
            f"the source given for {use_case.name} has {len(source):,} characters",
            hint=f"{MAX_SOURCE_CHARACTERS:,} are kept with the run: use shorter paths, or a glob",
        )
    parts = use_case.parts
    pairs = [piece.partition("=") for piece in re.split(r",(?=[a-z][a-z0-9_]*=)", given)]
    if all(equals and path and name in parts for name, equals, path in pairs):
        return {name: path for name, _, path in pairs}
    first = pairs[0][0]
    if pairs[0][1] and NAME.fullmatch(first) and not Path(given).exists():
        raise SourceError(
            f"{hide_secrets(given)} names the part {first!r}, which {use_case.name} does not have",
            hint=f"its parts are {', '.join(parts)}: --source part=path,part=path",
        )
    files = sorted({part.source.path for part in parts.values() if isinstance(part.source, FileSource)})
    if len(files) > 1:
        raise SourceError(
            f"{hide_secrets(given)} cannot take the place of the {len(files)} files of {use_case.name}"
            f" ({hide_secrets(', '.join(files))})",
            hint="say which: --source part=path,part=path; or leave --source and EVERGREEN_SOURCES empty and"
            " put the files where they are declared",
        )
    if source and not files:
        return dict.fromkeys(parts, source)  # the sources will say that they are databases
    return {name: given for name, part in parts.items() if isinstance(part.source, FileSource)}


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
    """From where on a database is asked for what it recorded (exclusive).

    A part whose table is new, or was made again, has all of its source to catch up on, and so has one whose
    declaration changed: its older rows may have more to give. What the last load held back, because it was
    not true yet, is asked for again. A rerun asks for what it had asked for.
    """
    from evergreen.store.records.ingest_run import has_earlier_rows

    if not has_earlier_rows(database, use_case, part, run.as_of):
        return TIMELESS
    if last is None:
        return run.interval_start
    if last.declaration != declaration:
        return TIMELESS
    for noted in (last.inputs or {}).get(name, []):
        if "start" in noted and (last.id == run.id or noted["held_back"]):
            return datetime.fromisoformat(noted["start"])
    return run.interval_start


def _is_fresh(database: Engine, use_case: UseCase, part: FeatureView | Label, run: IngestRun) -> bool:
    """Whether what the store knows of a part is as fresh as its contract asks for."""
    from evergreen.store.records.ingest_run import find_newest_event_time

    asked = part.contract.freshness
    if asked is None or part.event_time is None:
        return True
    newest = find_newest_event_time(database, use_case, part, run.as_of)
    return newest is not None and run.as_of - newest <= asked.within


def _find_loading_run(
    database: Engine,
    use_case: UseCase,
    name: str,
    part: FeatureView | Label,
    entry: dict[str, Any],
    before: IngestRun | None,
    declaration: str,
) -> str | None:
    """The id of the run that loaded all of this very file into the part's present table, if nothing else was
    loaded in its place since; None when it must be read."""
    from evergreen.store.records.ingest_run import find_ingest, has_rows_of_run

    if before is None or not entry["digest"]:
        return None
    last = _find_same_entry(before, name, entry, declaration)
    if last is None:
        return None
    loader = before
    if "unchanged" in last:
        found = find_ingest(database, last["unchanged"])
        if found is None or (last := _find_same_entry(found, name, entry, declaration)) is None:
            return None
        loader = found
    # What a file held of the time after its run was left to a later one.
    if "unchanged" in last or last["held_back"] or not has_rows_of_run(database, use_case, part, loader):
        return None
    return loader.id


def _find_same_entry(
    run: IngestRun, part: str, entry: dict[str, Any], declaration: str
) -> dict[str, Any] | None:
    """What a loaded run of the same declaration notes of the same file with the same content."""
    if run.status != "loaded" or run.declaration != declaration:
        return None
    for noted in (run.inputs or {}).get(part, []):
        if (noted["name"], noted["digest"]) == (entry["name"], entry["digest"]):
            return noted
    return None
