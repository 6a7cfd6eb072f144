"""The sources of raw rows: files, and queries on foreign databases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FileFormat = Literal["auto", "csv", "parquet", "jsonl"]


@dataclass(frozen=True)
class FileSource:
    """A file, several, or a folder of them: CSV, Parquet or JSON lines.

    `path` is a path, a glob ("landing/*.csv") or an fsspec URL ("s3://bucket/day=*/rows.parquet",
    "https://..."). A relative path starts at the folder that holds `.evergreen/`. The setting
    EVERGREEN_SOURCES overrides it by use case. The fields that are not given are detected: format and
    compression from the name and the first bytes, delimiter and encoding from the text. Files whose content
    was loaded before are not read again.
    """

    path: str
    delimiter: str = ""
    encoding: str = ""
    format: FileFormat = "auto"
    compression: str = "infer"


@dataclass(frozen=True)
class SqlSource:
    """A query on a foreign database; `connection` is the id of an Airflow Connection or an SQLAlchemy URL.

    The query receives `:start` (exclusive) and `:end` (inclusive), naive UTC datetimes, and must filter on
    the time at which the SOURCE recorded a row, so that a row that arrives late is not missed. Intervals
    overlap by a day, for rows whose transaction was committed after their time of recording.
    """

    connection: str
    query: str


Source = FileSource | SqlSource
