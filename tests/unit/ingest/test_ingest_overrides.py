"""What takes the place of declared files: one path, or one by part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evergreen.errors import SourceError
from evergreen.ingest.inputs import parse_overrides
from evergreen.usecase import FileSource, SqlSource, UseCase

SQL = SqlSource("shop", "SELECT 1")


def of(use_case: UseCase, facts: FileSource | SqlSource, label: FileSource | SqlSource) -> UseCase:
    return replace(
        use_case,
        views=(replace(use_case.views[0], source=facts),),
        label=replace(use_case.label, source=label),
    )


def test_one_path_for_one_file(toy_use_case: UseCase) -> None:
    assert parse_overrides(toy_use_case, "") == {}
    assert parse_overrides(toy_use_case, "a.csv") == {"facts": "a.csv", "label": "a.csv"}
    assert parse_overrides(toy_use_case, "a.csv", "b.csv")["facts"] == "a.csv"
    assert parse_overrides(toy_use_case, "", "b.csv")["facts"] == "b.csv"
    assert parse_overrides(of(toy_use_case, SQL, FileSource("b.csv")), "a.csv") == {"label": "a.csv"}


def test_the_setting_leaves_databases_alone_but_a_source_does_not(toy_use_case: UseCase) -> None:
    databases = of(toy_use_case, SQL, SQL)
    assert parse_overrides(databases, "", "a.csv") == {}
    # So that reading says why it cannot be.
    assert parse_overrides(databases, "a.csv") == {"facts": "a.csv", "label": "a.csv"}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("facts=a.csv", {"facts": "a.csv"}),
        ("facts=a.csv,label=b.csv", {"facts": "a.csv", "label": "b.csv"}),
        ("label=b,1.csv,facts=s3://x/day=1/*.csv", {"label": "b,1.csv", "facts": "s3://x/day=1/*.csv"}),
    ],
)
def test_paths_by_part(toy_use_case: UseCase, given: str, wanted: dict[str, str]) -> None:
    two = of(toy_use_case, FileSource("a"), FileSource("b"))
    assert parse_overrides(two, given) == wanted


@pytest.mark.parametrize(
    "given", ["fact\n=c.csv", "https://x/y?facts=1", "s3://x/day=1/rows.csv", "/data/x=1,y=2.csv"]
)
def test_a_path_with_equals_signs_is_a_path(toy_use_case: UseCase, given: str) -> None:
    assert parse_overrides(toy_use_case, given) == {"facts": given, "label": given}


def test_what_could_mean_two_things_is_refused(
    toy_use_case: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = of(toy_use_case, FileSource("a.csv"), FileSource("b.csv"))
    with pytest.raises(SourceError, match=r"cannot take the place of the 2 files of toy \(a.csv, b.csv\)"):
        parse_overrides(two, "c.csv")
    with pytest.raises(SourceError, match="names the part 'fact'") as raised:
        parse_overrides(two, "fact=c.csv")
    assert "facts, label" in raised.value.hint
    # Unless there is such a file.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x=1.csv").touch()
    assert parse_overrides(toy_use_case, "x=1.csv")["facts"] == "x=1.csv"
