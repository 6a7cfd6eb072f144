"""CSV files, sound and broken: each fault gives one message with what, where, what next."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import SettingsError, SourceUnreadable
from evergreen.settings import Settings
from evergreen.sources.files import csv_file, quotes, text
from evergreen.sources.read import read_source
from evergreen.usecase import TIMELESS, FileSource

Rows = list[dict[str, Any]]


def rows_at(path: Path | str, **declared: Any) -> Rows:
    settings = Settings(home=Path(path).parent, sources={})
    source = FileSource(str(path), **declared)
    frame = read_source(source, settings, "toy", start=TIMELESS, end=datetime(2026, 1, 1, tzinfo=UTC))
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def build(content: bytes | str, name: str = "rows.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return build


def test_every_value_is_text_or_missing(write: Callable[..., str]) -> None:
    assert rows_at(write('a,b,c\n1,2.50,NA\n007,,"x, ""y""\nz"\n')) == [
        {"a": "1", "b": "2.50", "c": "NA"},
        {"a": "007", "b": None, "c": 'x, "y"\nz'},
    ]


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        ("\ufeffname,n\nübel,1\n".encode(), {}),
        ("name,n\nübel,1\n".encode("utf-16"), {}),
        ("name,n\nübel,1\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("name,n\nübel,1\n".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        ("name,n\nübel,1\n".encode("utf-32"), {}),
        ("name,n\nübel,1\n".encode("cp1252"), {}),
        ("name,n\nübel,1\n".encode("cp437"), {"encoding": "cp437"}),
        ("name;n\r\nübel;1\r\n".encode(), {}),
        ("name;n\r\nübel;1\r\n".encode(), {"delimiter": ";"}),
        ("name\tn\nübel\t1\n".encode(), {}),
        ("name|n\nübel|1\n".encode(), {}),
        ("name~n\nübel~1\n".encode(), {"delimiter": "~"}),
    ],
)
def test_encodings_and_delimiters(
    write: Callable[..., str], content: bytes, declared: dict[str, str]
) -> None:
    assert rows_at(write(content), **declared) == [{"name": "übel", "n": "1"}]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", ["a", "b"]),  # decimal commas
        ("a,b\n1;2;3,x\n4;5;6,y\n", ["a", "b"]),  # lists in a field
        ("a\n1;2\n3|4\n", ["a"]),
        ('a;"b,c"\n1;2\n', ["a", "b,c"]),
        ("a,b\n1,2,3\n1,2,3\n1,2\n", None),  # a fault, not another delimiter
    ],
)
def test_the_delimiter_is_what_most_rows_agree_on(
    write: Callable[..., str], content: str, names: list[str] | None
) -> None:
    if names is None:
        with pytest.raises(SourceUnreadable, match="3 fields instead of 2"):
            rows_at(write(content))
    else:
        assert list(rows_at(write(content))[0]) == names


@pytest.mark.parametrize(
    ("content", "declared", "words"),
    [
        (b"", {}, ["is empty"]),
        (b"  \n\n", {}, ["is empty"]),
        (b"a,b\n", {}, ["no rows"]),
        (b"a,b\n1,2\n3\n4,5,6\n", {}, ["row 3 has 1 fields instead of 2", "2 such rows"]),
        ("a,b\n1,x\n2,übel\n".encode("latin-1"), {"encoding": "utf-8"}, ["not utf-8", "line 3", "0xfc"]),
        (b"a,b\n1,x\n2,\xe9\n", {}, ["not utf-8", "line 3, byte 10 is 0xe9", "declare its encoding"]),
        ("a,b\n1,ü\n".encode() + b"2,\xfc\n", {}, ["not utf-8 throughout"]),
        ("a,b\n1,2\n".encode("utf-16"), {"encoding": "utf-8"}, ["is utf-16, not utf-8"]),
        ("a,b\n1,2\n".encode("utf-16-le"), {}, ["is not text", 'encoding="utf-16-le"']),
        (b"a;b\n1;2\n", {"delimiter": ","}, ["no ','", "delimiter=';'"]),
        (b"a,a\n1,2\n", {}, ["column 'a' more than once"]),
        (b'a,b\n1,"x\n2,y\n', {}, ["a quote opens in line 2"]),
        (b'a,b\n1,x\n2,"', {}, ["a quote opens in line 3"]),
        (b'a,b\n1,"x\n2,"y\n', {}, ["a quote opens in line 2"]),
        (b'a,b\n1,"x\n2,y\n3,"z"\n', {}, ["a quote opens in line 2"]),
        (b"a,b\n1,\x00\n", {}, ["is not text", "line 2"]),
        (b"<!DOCTYPE html>\n<html>", {}, ["is a web page"]),
    ],
)
def test_broken_content_says_what_and_where(
    write: Callable[..., str], content: bytes, declared: dict[str, str], words: list[str]
) -> None:
    place = write(content)
    with pytest.raises(SourceUnreadable) as raised:
        rows_at(place, **declared)
    assert place in raised.value.message
    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert raised.value.hint
    assert raised.value.exit_code == 3


@pytest.mark.parametrize(
    ("line", "value"), [('5" pipe,2', '5" pipe'), ('a "b" c,2', 'a "b" c'), ('"a"b,2', "ab")]
)
def test_a_stray_quote_inside_a_line_is_no_fault(write: Callable[..., str], line: str, value: str) -> None:
    assert [row["a"] for row in rows_at(write(f'a,b\n{line}\n6,"7\n8"\n'))] == [value, "6"]


def test_an_encoding_is_guessed_only_where_its_letters_tell(
    write: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    french = "nom,ville\nHélène,Besançon\nFrançois,Nîmes\n"
    assert rows_at(write(french.encode("cp1252")))[0] == {"nom": "Hélène", "ville": "Besançon"}
    assert "cp1252" in caplog.text
    russian = "name,city\n" + "Съешь же ещё этих мягких французских булок,да выпей чаю\n" * 20
    assert rows_at(write(russian.encode("cp1251")))[19]["city"] == "да выпей чаю"
    # In Polish there are letters that cp1252 would show as signs.
    with pytest.raises(SourceUnreadable, match="not utf-8"):
        rows_at(write("a,b\nżółć,Łódź\n".encode("cp1250")))


@pytest.mark.parametrize("declared", [{"encoding": "klingon"}, {"encoding": "hex"}, {"delimiter": "::"}])
def test_a_wrong_declaration_is_told_as_one(write: Callable[..., str], declared: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(declared.values()))):
        rows_at(write("a,b\n1,2\n"), **declared)


def test_an_encoding_that_turns_up_late_is_found_all_the_same(
    write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_CHUNK", 16)
    many = "a,b\n" + "1,plain\n" * 50 + "2,mühsam\n"
    assert rows_at(write(many.encode("cp1252")))[-1]["b"] == "mühsam"
    assert rows_at(write(many))[-1]["b"] == "mühsam"
    with pytest.raises(SourceUnreadable, match=r"not utf-8: line 53, byte 416 is 0xfc"):
        rows_at(write(many.encode() + b"3,\xfc\n"))


def test_a_row_longer_than_a_block_is_refused_or_its_open_quote_told(
    write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "_BLOCK", 1 << 20)
    with pytest.raises(SourceUnreadable, match="a row of more than 1 MB"):
        rows_at(write("a,b\n1,2\n3," + "x" * (3 << 20) + "\n"))
    with pytest.raises(SourceUnreadable, match="a quote opens in line 2"):
        rows_at(write('a,b\n1,"2\n' + "3,4\n" * (1 << 20)))


FIELDS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)


@given(
    rows=st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=30),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["", "utf-8", "utf-16", "utf-16-be"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    block=st.integers(300, 600),
    chunk=st.integers(1, 40),
)
def test_any_text_is_read_back_exactly_however_it_falls_into_blocks(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    delimiter: str,
    encoding: str,
    line_end: str,
    block: int,
    chunk: int,
) -> None:
    special = {*'"\r\n', delimiter}
    lines = [
        delimiter.join('"' + v.replace('"', '""') + '"' if special & set(v) else v for v in row)
        for row in (["a", "b", "c"], *rows)
    ]
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(line_end.join((*lines, "")).encode(encoding or "utf-8"))
    expected = [tuple(value or None for value in row) for row in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "_BLOCK", block)
        patch.setattr(text, "_CHUNK", chunk)
        patch.setattr(quotes, "_CHUNK", chunk)
        found = rows_at(path, delimiter=delimiter, encoding=encoding)
    assert [tuple(row.values()) for row in found] == expected


@given(
    fields=st.lists(st.sampled_from(['"', "a", "\n", ",", '"a"', '""', "b\n"]), max_size=14),
    chunk=st.integers(1, 9),
)
def test_misplaced_quotes_are_those_that_a_state_machine_finds(fields: list[str], chunk: int) -> None:
    content = "".join(fields)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quotes, "_CHUNK", chunk)
        found = quotes.find_misplaced_quote(io.BytesIO(content.encode()), ",", 1 << 20)
    assert found == _misplaced_by_hand(content)


def _misplaced_by_hand(content: str) -> int | None:
    at, line = 0, 1
    while at < len(content):
        began = line
        if content[at] == '"':
            at += 1
            while at < len(content) and (content[at] != '"' or content[at : at + 2] == '""'):
                at += 2 if content[at] == '"' else 1
            if at >= len(content):
                return began
            inside = content[:at].count("\n") + 1
            at += 1
            if inside > began and at < len(content) and content[at] not in ",\n":
                return began
            line = inside
        while at < len(content) and content[at] not in ",\n":
            at += 1
        line += content[at : at + 1] == "\n"
        at += 1
    return None


def test_reading_may_stop_at_any_batch(write: Callable[..., str]) -> None:
    from evergreen.sources.read import open_source

    place = write("a,b\n" + "1,2\n" * 300_000)
    settings = Settings(home=Path(place).parent, sources={})
    (rows,) = open_source(FileSource(place), settings, "toy", start=TIMELESS, end=TIMELESS)
    batches = rows.batches()
    taken = list(itertools.islice(batches, 2))
    batches.close()  # type: ignore[attr-defined]
    assert [batch.num_rows for batch in taken] == [65_536, 65_536]
    assert sum(batch.num_rows for batch in rows.batches()) == 300_000
