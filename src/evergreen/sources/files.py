"""Rows of a CSV or Parquet file, or of one at an HTTP address."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd

from evergreen.errors import SettingsError, SourceUnreachable, SourceUnreadable

_PARQUET = (".parquet", ".pq")
_PARQUET_MAGIC = b"PAR1"
_DELIMITERS = ",;\t|"
_BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_DOWNLOAD_SECONDS = 60.0


def read_file(place: str, *, delimiter: str = ",", encoding: str = "utf-8") -> pd.DataFrame:
    """All rows of a file (a path, or an http(s) URL). CSV columns hold str, an empty field is missing.

    Raises SourceUnreachable when there is no such file or host, SourceUnreadable when its content is empty,
    in another encoding, broken, or not what its name says; the message names the line.
    """
    content = _download(place) if place.startswith(("http://", "https://")) else _content(place)
    if not content.strip():
        raise SourceUnreadable(f"{place} is empty", hint="give a file with a header line and rows")
    parquet = content.startswith(_PARQUET_MAGIC) or place.lower().endswith(_PARQUET)
    frame = _parquet(place, content) if parquet else _csv(place, content, delimiter, encoding)
    if frame.empty:
        raise SourceUnreadable(
            f"{place} has a header but no rows", hint="give a file with at least one row below its header"
        )
    return frame


def _content(place: str) -> bytes:
    path = Path(place).expanduser()
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SourceUnreachable(
            f"there is no file {place}" + ("" if path.is_absolute() else f" in {Path.cwd()}"),
            hint="name the file with --source, in the trigger form, or in the setting EVERGREEN_SOURCES",
        ) from None
    except IsADirectoryError:
        raise SourceUnreadable(f"{place} is a folder", hint="name the file in it") from None
    except OSError as error:
        raise SourceUnreadable(
            f"{place} cannot be read: {error.strerror or error}",
            hint="check its permissions and the disk it is on",
        ) from error


def _download(place: str) -> bytes:
    import httpx

    try:
        answer = httpx.get(place, timeout=_DOWNLOAD_SECONDS, follow_redirects=True)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise SourceUnreachable(
            f"{place} cannot be downloaded: {error}", hint="check the address and the network"
        ) from error
    return answer.content


def _parquet(place: str, content: bytes) -> pd.DataFrame:
    import pyarrow

    try:
        return pd.read_parquet(io.BytesIO(content))
    except (pyarrow.ArrowException, OSError) as error:
        raise SourceUnreadable(
            f"{place} is not a sound Parquet file: {_first_line(error)}",
            hint="write it again; a CSV file must not be named .parquet",
        ) from error


def _csv(place: str, content: bytes, delimiter: str, encoding: str) -> pd.DataFrame:
    import pyarrow
    import pyarrow.csv

    text = _decoded(place, content, encoding)
    names = _header(place, text, delimiter)
    broken: list[Any] = []

    def note(row: Any) -> str:
        broken.append(row)
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(text.encode()),
            # One thread, for only then does the reader know the number of a broken row.
            read_options=pyarrow.csv.ReadOptions(use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pyarrow.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pyarrow.ArrowException as error:
        raise SourceUnreadable(
            f"{place} is not a sound CSV file: {_first_line(error)}",
            hint="look for an unclosed quote, or a row that is larger than all others",
        ) from error
    if broken:
        first = broken[0]
        raise SourceUnreadable(
            f"{place}: row {first.number} has {first.actual_columns} fields instead of"
            f" {first.expected_columns} ({len(broken)} such rows): {first.text[:80]!r}",
            hint=f"quote fields that hold a {delimiter!r}; the header counts as row 1",
        )
    frame: pd.DataFrame = table.to_pandas()
    if text.count('"') % 2 and len(frame) and frame.iloc[-1].astype(str).str.contains("\n").any():
        raise SourceUnreadable(
            f"{place}: a quote opens in row {len(frame) + 1} and never closes",
            hint="close it, or double a quote that belongs to the text; perhaps the file was cut off",
        )
    return frame


def _decoded(place: str, content: bytes, encoding: str) -> str:
    for mark, name in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark) and not encoding.lower().replace("_", "-").startswith("utf-16"):
            raise SourceUnreadable(
                f"{place} is {name}, not {encoding}", hint=f'declare encoding="{name}", or save it as UTF-8'
            )
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceUnreadable(
            f"{place} is not {encoding}: line {line}, byte {error.start} is 0x{content[error.start]:02x}",
            hint='declare its encoding, often encoding="cp1252", or save it as UTF-8',
        ) from None
    except LookupError:
        raise SettingsError(
            f"the source {place} declares the encoding {encoding!r}, which Python does not know",
            hint='write for example encoding="utf-8" or "cp1252"',
        ) from None
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise SourceUnreadable(
            f"{place} is not text: line {line} holds a zero byte", hint="give a CSV or Parquet file"
        )
    return text.removeprefix("\ufeff")


def _header(place: str, text: str, delimiter: str) -> list[str]:
    names = next((row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row), [])
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceUnreadable(
            f"{place} has the column {', '.join(map(repr, twice))} more than once", hint="rename one of them"
        )
    other = [d for d in _DELIMITERS if len(names) == 1 and d in names[0]]
    if other:
        raise SourceUnreadable(
            f"{place} has no {delimiter!r} in its header {names[0][:80]!r}",
            hint=f"declare delimiter={other[0]!r} for this source",
        )
    return names


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
