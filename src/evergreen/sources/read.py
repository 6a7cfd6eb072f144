"""Raw rows of a source, whatever kind it is."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from evergreen.errors import SourceError
from evergreen.settings import Settings
from evergreen.sources import files, sql
from evergreen.usecase import FileSource, Source


def read(
    source: Source,
    settings: Settings,
    use_case_name: str,
    *,
    start: datetime,
    end: datetime,
    override: str = "",
) -> pd.DataFrame:
    """All rows and columns of a file, or what a database recorded from a day before `start` to `end`
    (aware UTC), so that rows which were committed late are read by the next interval.

    A CSV's columns hold str or a missing value, so that validation judges their types; Parquet and SQL keep
    the types they come with. `override` (a path or URL) takes the place of a file source; without it the
    setting EVERGREEN_SOURCES does.

    Raises SourceUnreachable, SourceUnreadable, or SourceError for an unknown connection or an override of a
    database.
    """
    if isinstance(source, FileSource):
        place = override or settings.sources.get(use_case_name) or _declared(source, settings)
        return files.read_file(place, delimiter=source.delimiter or ",", encoding=source.encoding or "utf-8")
    if override:
        raise SourceError(
            f"{use_case_name} reads the database {source.connection!r};"
            f" the file {override} cannot take its place",
            hint="leave the source empty, or declare a FileSource",
        )
    return sql.read_sql(source, settings, start=start, end=end)


def _declared(source: FileSource, settings: Settings) -> str:
    """The declared place; a relative path starts at the folder that holds the home, wherever we run."""
    return source.path if "://" in source.path else str(settings.home.resolve().parent / source.path)
