"""Secrets of URLs and values of rows stay out of what people and logs see."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.hiding import hide_secrets, hide_values, remove_secrets

SOURCES = Path(__file__).resolve().parents[2] / "src"

AMAZON = (
    "https://bucket.s3.amazonaws.com/d/x.csv?year=2024&X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIA%2F20261129%2Fus-east-1&X-Amz-Date=20261129T000000Z&X-Amz-Expires=600"
    "&X-Amz-Signature=5ec4e7&response-content-type=text%2Fcsv"
)
AZURE = "https://a.blob.core.windows.net/c/x.csv?sv=2024-11-04&se=2026-12-01&sp=r&format=csv&sig=5ec4e7%3D"
GOOGLE = "https://storage.googleapis.com/b/x.csv?GoogleAccessId=me@x&Expires=1&Signature=5ec4e7"


@pytest.mark.parametrize(
    ("url", "shown", "declared"),
    [
        (
            AMAZON,
            "https://bucket.s3.amazonaws.com/d/x.csv?year=2024&X-Amz-Algorithm=***&X-Amz-Credential=***"
            "&X-Amz-Date=***&X-Amz-Expires=***&X-Amz-Signature=***&response-content-type=text%2Fcsv",
            "https://bucket.s3.amazonaws.com/d/x.csv?year=2024&response-content-type=text%2Fcsv",
        ),
        (
            AZURE,
            "https://a.blob.core.windows.net/c/x.csv?sv=***&se=***&sp=***&format=csv&sig=***",
            "https://a.blob.core.windows.net/c/x.csv?format=csv",
        ),
        (
            GOOGLE,
            "https://storage.googleapis.com/b/x.csv?GoogleAccessId=***&Expires=***&Signature=***",
            "https://storage.googleapis.com/b/x.csv",
        ),
        ("https://kim:5ec4e7@h/x.csv", "https://kim:***@h/x.csv", "https://h/x.csv"),
        ("sftp://kim@h/x.csv", "sftp://kim@h/x.csv", "sftp://kim@h/x.csv"),
        ("https://h/x?api_key=5ec4e7", "https://h/x?api_key=***", "https://h/x"),
        ("https://h/x?access%5Ftoken=5ec4e7&p=1", "https://h/x?access%5Ftoken=***&p=1", "https://h/x?p=1"),
        ("https://h/x?q=" + "a1" * 20, "https://h/x?q=***", "https://h/x"),
        ("https://h/x.csv#token=5ec4e7", "https://h/x.csv#token=***", "https://h/x.csv"),
    ],
)
def test_what_lets_others_in_is_masked_and_not_declared(url: str, shown: str, declared: str) -> None:
    assert hide_secrets(url) == shown
    assert hide_secrets(f"cannot read '{url}': no") == f"cannot read '{shown}': no"
    assert remove_secrets(url) == declared
    assert hide_secrets(shown) == shown


@pytest.mark.parametrize(
    "url",
    [
        "https://h/export?format=csv&year=2024&sort=-age&sv=3&author=kim&design=a",
        "https://h/d/550e8400-e29b-41d4-a716-446655440000?id=550e8400-e29b-41d4-a716-446655440000",
        "s3://bucket/folder/*.parquet",
        "data/train.csv",
        "C:/data?x.csv",
    ],
)
def test_what_selects_data_stays(url: str) -> None:
    assert hide_secrets(url) == url
    assert remove_secrets(url) == url


def test_each_of_several_addresses_is_masked() -> None:
    given = "facts=https://h/a.csv?sig=5ec4e7,label=https://kim:5ec4e7@h/b.csv?p=1"
    assert hide_secrets(given) == "facts=https://h/a.csv?sig=***,label=https://kim:***@h/b.csv?p=1"


MARK = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(lambda text: f"m4rk{text}m4rk")


@given(value=MARK)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Duplicate entry '", "' for key 'PRIMARY'"),
        ("Incorrect integer value: '", "' for column `db`.`t`.`age` at row 7"),
        ("Truncated incorrect DOUBLE value: '", "'"),
        ("Invalid utf8mb4 character string: '", "'"),
        ("Incorrect datetime value: '", "' for function str_to_date"),
        ('invalid input syntax for type integer: "', '"'),
        ("Encountered illegal value '", "' when converting to DECIMAL"),
        ("You have an error in your SQL syntax near '", "' at line 1"),
    ],
)
def test_a_servers_message_keeps_what_helps_and_no_value(before: str, after: str, value: str) -> None:
    hidden = hide_values(before + value + after)
    assert "m4rk" not in hidden
    assert hidden.startswith(before[:-1])
    assert hidden.endswith(after[1:])


@pytest.mark.parametrize(
    "message",
    [
        "Data too long for column 'name' at row 3",
        "Out of range value for column 'age' at row 1",
        "Table 'evergreen.toy__facts' doesn't exist",
        "Unknown column 'age' in 'SELECT'",
        "Access denied for user 'evergreen'@'localhost' (using password: YES)",
    ],
)
def test_names_stay_in_a_servers_message(message: str) -> None:
    assert hide_values(message) == message


def test_every_engine_hides_its_parameters() -> None:
    """SQLAlchemy prints them with each error, and they are values of rows."""
    calls = [
        (path.name, call)
        for path in sorted(SOURCES.rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", getattr(call.func, "id", "")) in ("create_engine", "RDBStorage")
    ]
    assert len(calls) >= 4
    assert [name for name, call in calls if "hide_parameters" not in ast.unparse(call)] == []
