"""The corpus of bad input, as far as reading goes: rows as they are, or one clear error."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from evergreen.errors import EvergreenError, SourceError
from evergreen.settings import Settings
from evergreen.sources.read import open_source
from evergreen.usecase import TIMELESS, FileSource
from support import broken_files

# What reading alone cannot object to: their values break the contract.
_ABOUT_VALUES = (
    *("no_such_column", "no_header", "1e400", "minus_1e400", "infinity", "json_lines_infinity"),
    *("parquet_infinity", "nan_key", "missing_key", "parquet_nan_key", "fraction_key", "huge_key"),
    *("text_key", "text_in_a_number", "unknown_class", "too_long_category", "same_key_other_row"),
    *("no_date", "number_as_date", "missing_date", "no_such_date", "year_zero", "year_ten_thousand"),
)


def rows_in(path: Path) -> list[dict[str, object]]:
    settings = Settings(home=path.parent, sources={})
    (given,) = open_source(FileSource(str(path)), settings, "pails", start=TIMELESS, end=broken_files.AS_OF)
    return [row for batch in given.batches() for row in batch.to_pylist()]


@pytest.mark.parametrize("name", broken_files.CORPUS)
def test_a_file_is_read_exactly_or_refused_with_one_clear_error(tmp_path: Path, name: str) -> None:
    file = broken_files.CORPUS[name]
    path = tmp_path / f"rows{file.suffix}"
    path.write_bytes(file.content)
    if file.expectation == "refused" and name not in _ABOUT_VALUES:
        with pytest.raises(SourceError) as raised:
            rows_in(path)
        assert str(path) in raised.value.message
        assert raised.value.hint
        return
    found = rows_in(path)
    if file.expectation == "loads":
        expected = broken_files.rows_of(name)
        for row in found:
            _, _, chosen, ordered = expected.get(int(str(row["id"])), (None, None, "ewig", "no"))
            said = row["select"].strip() if isinstance(row["select"], str) else None
            assert (said or None, str(row["order"]).strip()) == (chosen, ordered)
        assert {int(str(row["id"])) for row in found} >= set(expected)


def test_no_bytes_at_all_are_more_than_a_clear_error(tmp_path: Path) -> None:
    """Good files with bytes changed, cut out and repeated are read or refused, and nothing else happens."""
    chance = random.Random(7)
    good = [file for file in broken_files.CORPUS.values() if len(file.content) < 5_000]
    refused = 0
    for number in range(400):
        file = chance.choice(good)
        content = bytearray(file.content)
        for _ in range(chance.randint(1, 4)):
            if not content:
                break
            at = chance.randrange(len(content))
            what = chance.randrange(4)
            if what == 0:
                content[at] = chance.randrange(256)
            elif what == 1:
                del content[at : at + chance.randint(1, 30)]
            elif what == 2:
                content[at:at] = content[at : at + chance.randint(1, 30)]
            else:
                content[at:at] = chance.choice([b'"', b"\n", b",", b"\0", b"\xff", "😀".encode(), b"1e400"])
        path = tmp_path / f"rows{number % 8}{file.suffix}"
        path.write_bytes(bytes(content))
        # Whatever else is raised fails the test.
        with suppress(EvergreenError):
            rows_in(path)
            continue
        refused += 1
    assert 50 < refused < 400


def test_the_corpus_names_each_expectation_and_its_use_case_loads(tmp_path: Path) -> None:
    use_case = broken_files.declare(Settings(home=tmp_path, use_cases=str(tmp_path / "usecases")))
    assert use_case.label.source_column == "order"
    assert set(broken_files.LOADED) <= {
        name for name, file in broken_files.CORPUS.items() if file.expectation == "loads"
    }
    assert all(isinstance(row[0], datetime) for rows in broken_files.LOADED.values() for row in rows.values())
