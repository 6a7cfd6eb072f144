"""The corpus of bad input: each file is either loaded exactly or refused, never something in between.

All files are for one small use case, `pails`, declared by `DECLARATION` (`declare(settings)` writes it where
`usecases.load("pails", settings)` finds it). Its columns in the sources are named to hurt: a letter beyond
ASCII, SQL keywords. It is ingested as of `AS_OF`.

`CORPUS` holds (content, suffix, expectation) by name. `LOADED` holds by the same names, for each file that
loads, its rows as {id: (event_time, width, chosen, ordered)}, with None for missing; where a name is not
listed there, the rows are `ROWS`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

DECLARATION = '''"""Will this pail be ordered?"""

from evergreen.usecase import Entity, Feature, FeatureView, FileSource, Key, Label, UseCase

SOURCE = FileSource("pails.csv")

USE_CASE = UseCase(
    name="pails",
    title="Pails",
    meaning="Will this pail be ordered?",
    entity=Entity("pail", (Key("id", "int", "The pail's number"),)),
    views=(
        FeatureView(
            "shape",
            SOURCE,
            (
                Feature("width", "float", "Width in metres", max_null_share=0.9, column="größe"),
                Feature("chosen", "category", "What was said of it", max_null_share=0.9, column="select"),
            ),
            "What a pail is like.",
            event_time="when",
        ),
    ),
    label=Label("ordered", SOURCE, "Was it ordered?", classes=("no", "yes"), event_time="when",
                column="order"),
)
'''
AS_OF = datetime(2026, 6, 1, tzinfo=UTC)

Expectation = Literal["loads", "refused"]
Row = tuple[datetime, float | None, str | None, str]


class BrokenFile(NamedTuple):
    content: bytes
    suffix: str
    expectation: Expectation


def declare(settings: Settings) -> UseCase:
    """The use case, declared in a folder of the settings' use cases."""
    folder = Path(settings.use_cases) / "pails"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text(DECLARATION, encoding="utf-8")
    return load_use_case("pails", settings)


def _at(day: int, *clock: int) -> datetime:
    return datetime(2026, 1, day, *clock, tzinfo=UTC)


HEADER = "id,when,größe,select,order"
LINES = ("1,2026-01-01,0.5,süß,yes", "2,2026-01-02,,rund,no", "3,2026-01-03,1.25,,no")
PLAIN = "\n".join((HEADER, *LINES, ""))
ROWS: dict[int, Row] = {
    1: (_at(1), 0.5, "süß", "yes"),
    2: (_at(2), None, "rund", "no"),
    3: (_at(3), 1.25, None, "no"),
}
_COLUMNS: dict[str, list[Any]] = {
    "id": [1, 2, 3],
    "when": [row[0] for row in ROWS.values()],
    "größe": [0.5, None, 1.25],
    "select": ["süß", "rund", None],
    "order": ["yes", "no", "no"],
}
_TEN_THOUSAND = [f"c{number}" for number in range(10_000 - 5)]
_JSON = (
    '{"id": 1, "when": "2026-01-01", "größe": 0.5, "select": "süß", "order": "yes"}\n'
    '{"id": 2, "when": "2026-01-02", "größe": null, "select": "rund", "order": "no"}\n'
    '{"id": 3, "when": "2026-01-03", "größe": 1.25, "order": "no"}\n'
)

# zstd has no module in the standard library before Python 3.14.
_ZSTD = bytes(pa.Codec("zstd").compress(PLAIN.encode(), asbytes=True))


def _csv(*lines: str, header: str = HEADER) -> bytes:
    return "\n".join((header, *lines, "")).encode()


def _parquet(**changed: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({**_COLUMNS, **changed}), sink)
    return sink.getvalue()


def _cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


_GOOD: dict[str, tuple[bytes, str]] = {
    "plain": (PLAIN.encode(), ".csv"),
    "no_final_newline": (PLAIN.rstrip().encode(), ".csv"),
    "carriage_returns": (PLAIN.replace("\n", "\r\n").encode(), ".csv"),
    "old_mac_line_ends": (PLAIN.replace("\n", "\r").encode(), ".csv"),
    "blank_lines": (PLAIN.replace("\n", "\n\n").encode(), ".csv"),
    "byte_order_mark": (PLAIN.encode("utf-8-sig"), ".csv"),
    "utf_16": (PLAIN.encode("utf-16"), ".csv"),
    "cp1252": (PLAIN.encode("cp1252"), ".csv"),
    "semicolons": (PLAIN.replace(",", ";").encode(), ".csv"),
    "tabs": (PLAIN.replace(",", "\t").encode(), ".tsv"),
    "pipes": (PLAIN.replace(",", "|").encode(), ".txt"),
    "other_columns_order": (
        "\n".join(",".join(reversed(line.split(","))) for line in PLAIN.rstrip().splitlines()).encode(),
        ".csv",
    ),
    "spaces_around": (PLAIN.replace(",", " , ").replace(" , ", ",", 4).encode(), ".csv"),
    "everything_quoted": (
        "\n".join('"' + line.replace(",", '","') + '"' for line in PLAIN.splitlines()).encode(),
        ".csv",
    ),
    "quotes_and_newlines": (
        _csv(
            '1,2026-01-01,0.5,"a ""b"", c\nd",yes', '2,2026-01-02,,"x\r\n\r\ny",no', "3,2026-01-03,1.25,,no"
        ),
        ".csv",
    ),
    "stray_quote": (PLAIN.replace("rund", '5" rund').encode(), ".csv"),
    "repeated_row": (_csv(*LINES, LINES[0]), ".csv"),
    "zones": (
        _csv(
            "1,2026-01-01T23:30:00-02:00,0.5,süß,yes",
            "2,2026-01-02 03:04:05.000006,,rund,no",
            "3,2026-01-03T00:00:00Z,1.25,,no",
        ),
        ".csv",
    ),
    # True only in a far future: not yet, so it waits for a later ingest.
    "far_future": (_csv(*LINES, "4,9999-12-31T23:59:59,1,ewig,no"), ".csv"),
    "ten_thousand_columns": (
        _csv(*(line + "," * len(_TEN_THOUSAND) for line in LINES), header=",".join((HEADER, *_TEN_THOUSAND))),
        ".csv",
    ),
    "sql_keywords_and_emoji": (
        _csv(
            "1,2026-01-01,0.5,😀👩‍👩‍👧,yes,1,x,y",
            "2,2026-01-02,,'); DROP TABLE pails__shape; --,no,2,x,y",
            "3,2026-01-03,1.25,`\\N%s,no,3,x,y",
            header=HEADER + ',table,"drop ""; --",😀',
        ),
        ".csv",
    ),
    "many_digits": (PLAIN.replace("1.25", "1.2500000000000000000000000000000000000000001").encode(), ".csv"),
    "gzip": (gzip.compress(PLAIN.encode()), ".csv.gz"),
    "bzip2": (bz2.compress(PLAIN.encode()), ".csv.bz2"),
    "xz": (lzma.compress(PLAIN.encode()), ".csv.xz"),
    "zstd": (_ZSTD, ".csv.zst"),
    "gzip_unnamed": (gzip.compress(PLAIN.encode()), ".csv"),
    "gzip_by_name_only": (PLAIN.encode(), ".csv.gz"),
    "gzip_of_two": (gzip.compress(PLAIN[:40].encode()) + gzip.compress(PLAIN[40:].encode()), ".csv.gz"),
    "parquet": (_parquet(), ".parquet"),
    "parquet_unnamed": (_parquet(), ".dat"),
    "parquet_other_types": (
        _parquet(
            id=pa.array([1, 2, 3], pa.uint8()),
            select=pa.array(["süß", "rund", None]).dictionary_encode(),
            größe=pa.array([0.5, None, 1.25], pa.float32()),
        ),
        ".parquet",
    ),
    "parquet_naive_times": (
        _parquet(when=pa.array([row[0].replace(tzinfo=None) for row in ROWS.values()], pa.timestamp("ns"))),
        ".parquet",
    ),
    "json_lines": (_JSON.encode(), ".jsonl"),
    "json_lines_unnamed": (_JSON.encode(), ".txt"),
    "json_lines_gzip": (gzip.compress(_JSON.encode()), ".jsonl.gz"),
}

_BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ".csv"),
    "only_space": (b" \n\n \n", ".csv"),
    "header_only": (_csv(), ".csv"),
    "header_only_without_newline": (HEADER.encode(), ".csv"),
    "parquet_without_rows": (
        _parquet(**{name: pa.array(values).slice(0, 0) for name, values in _COLUMNS.items()}),
        ".parquet",
    ),
    "json_lines_without_rows": (b"\n\n", ".jsonl"),
    "gzip_of_nothing": (gzip.compress(b""), ".csv.gz"),
    "cut_in_a_quote": (PLAIN.encode() + b'4,2026-01-04,1,"sch', ".csv"),
    "cut_after_a_quote_opens": (PLAIN.encode() + b'4,2026-01-04,1,x,"', ".csv"),
    "cut_in_a_row": (PLAIN.encode() + b"4,2026-01-04", ".csv"),
    "cut_in_a_letter": (PLAIN.encode() + "4,2026-01-04,1,ü".encode()[:-1], ".csv"),
    "cut_gzip": (_cut(gzip.compress(PLAIN.encode())), ".csv.gz"),
    "cut_bzip2": (_cut(bz2.compress(PLAIN.encode())), ".csv.bz2"),
    "cut_xz": (_cut(lzma.compress(PLAIN.encode())), ".csv.xz"),
    "cut_zstd": (_cut(_ZSTD), ".csv.zst"),
    "spoilt_gzip": (gzip.compress(PLAIN.encode())[:-8] + b"\0" * 8, ".csv.gz"),
    "cut_parquet": (_cut(_parquet()), ".parquet"),
    "parquet_by_name_only": (PLAIN.encode(), ".parquet"),
    "spoilt_parquet": (_parquet().replace(b"rund", b"r"), ".parquet"),
    "cut_json_lines": (_JSON.encode()[:-20], ".jsonl"),
    "mixed_encodings": (_csv(*LINES) + "4,2026-01-04,1,süß,no\n".encode("cp1252"), ".csv"),
    "utf_16_without_mark": (PLAIN.encode("utf-16-le"), ".csv"),
    "zero_byte": (PLAIN.replace("rund", "ru\0nd").encode(), ".csv"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, ".csv"),
    "zip_archive": (b"PK\x03\x04" + bytes(range(256)), ".csv"),
    "web_page": (b"<!DOCTYPE html>\n<html><body>404, not found</body></html>\n", ".csv"),
    "unclosed_quote": (PLAIN.replace("süß", '"süß').encode(), ".csv"),
    "too_few_fields": (_csv(*LINES, "4,2026-01-04"), ".csv"),
    "too_many_fields": (_csv(*LINES, "4,2026-01-04,1,a,b,c,no"), ".csv"),
    "duplicate_header": (PLAIN.replace("select", "größe").encode(), ".csv"),
    "no_such_column": (PLAIN.replace("select", "choice").encode(), ".csv"),
    "no_header": (_csv(*LINES[1:], header=LINES[0]), ".csv"),
    "1e400": (_csv(*LINES, "4,2026-01-04,1e400,a,no"), ".csv"),
    "minus_1e400": (_csv(*LINES, "4,2026-01-04,-1e400,a,no"), ".csv"),
    "infinity": (_csv(*LINES, "4,2026-01-04,inf,a,no"), ".csv"),
    "json_lines_1e400": (_JSON.replace("1.25", "1e400").encode(), ".jsonl"),
    "json_lines_infinity": (_JSON.replace("1.25", "Infinity").encode(), ".jsonl"),
    "parquet_infinity": (_parquet(größe=[0.5, None, float("inf")]), ".parquet"),
    "nan_key": (_csv(*LINES, "NaN,2026-01-04,1,a,no"), ".csv"),
    "missing_key": (_csv(*LINES, ",2026-01-04,1,a,no"), ".csv"),
    "parquet_nan_key": (_parquet(id=[1.0, 2.0, float("nan")]), ".parquet"),
    "fraction_key": (_csv(*LINES, "4.5,2026-01-04,1,a,no"), ".csv"),
    "huge_key": (_csv(*LINES, "9223372036854775808,2026-01-04,1,a,no"), ".csv"),
    "text_key": (_csv(*LINES, "four,2026-01-04,1,a,no"), ".csv"),
    "text_in_a_number": (_csv(*LINES, "4,2026-01-04,wide,a,no"), ".csv"),
    "unknown_class": (_csv(*LINES, "4,2026-01-04,1,a,perhaps"), ".csv"),
    "too_long_category": (_csv(*LINES, f"4,2026-01-04,1,{'a' * 256},no"), ".csv"),
    "same_key_other_row": (_csv(*LINES, "3,2026-01-03,2,a,no"), ".csv"),
    "no_date": (_csv(*LINES, "4,04/01/2026,1,a,no"), ".csv"),
    "number_as_date": (_csv(*LINES, "4,1767225600,1,a,no"), ".csv"),
    "missing_date": (_csv(*LINES, "4,,1,a,no"), ".csv"),
    "no_such_date": (_csv(*LINES, "4,2026-02-30,1,a,no"), ".csv"),
    "year_zero": (_csv(*LINES, "4,0000-01-01,1,a,no"), ".csv"),
    "year_ten_thousand": (_csv(*LINES, "4,10000-01-01,1,a,no"), ".csv"),
    "json_lines_two_types": (_JSON.replace("1.25", '"wide"').encode(), ".jsonl"),
    "json_lines_member_twice": (_JSON.replace('"id": 3', '"id": 3, "id": 4').encode(), ".jsonl"),
    "json_array": (b"[" + _JSON.rstrip().replace("\n", ",").encode() + b"]", ".json"),
    "json_lines_of_numbers": (b"1\n2\n3\n", ".jsonl"),
}

CORPUS: dict[str, BrokenFile] = {
    **{name: BrokenFile(*file, "loads") for name, file in _GOOD.items()},
    **{name: BrokenFile(*file, "refused") for name, file in _BAD.items()},
}

LOADED: dict[str, dict[int, Row]] = {
    "stray_quote": {**ROWS, 2: (_at(2), None, '5" rund', "no")},
    "quotes_and_newlines": {
        1: (_at(1), 0.5, 'a "b", c\nd', "yes"),
        2: (_at(2), None, "x\r\n\r\ny", "no"),
        3: ROWS[3],
    },
    "zones": {
        1: (_at(2, 1, 30), *ROWS[1][1:]),
        2: (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), *ROWS[2][1:]),
        3: ROWS[3],
    },
    "sql_keywords_and_emoji": {
        1: (_at(1), 0.5, "😀👩‍👩‍👧", "yes"),
        2: (_at(2), None, "'); DROP TABLE pails__shape; --", "no"),
        3: (_at(3), 1.25, "`\\N%s", "no"),
    },
}


def rows_of(name: str) -> dict[int, Row]:
    """What the store must hold of a file that loads."""
    return LOADED.get(name, ROWS)
