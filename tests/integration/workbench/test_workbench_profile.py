"""The profile of a use case's data: one page that tells the truth and needs no network."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from evergreen.errors import EmptyTrainingSet, SettingsError
from evergreen.loop import ingest
from evergreen.settings import Settings
from evergreen.workbench import profile

AS_OF = datetime(2026, 9, 1, tzinfo=UTC)


@pytest.fixture
def filled(toy_settings: Settings, toy_source: Callable[..., pd.DataFrame]) -> Settings:
    """The toy's 600 rows in the store."""
    toy_source().to_csv(toy_settings.sources["toy"], index=False)
    ingest.run_ingest(toy_settings, "toy", AS_OF)
    return toy_settings


def test_the_page_has_facts_target_correlations_and_every_column(filled: Settings, tmp_path: Path) -> None:
    path = profile.write_profile(filled, "toy", AS_OF, tmp_path / "page" / "toy.html")
    text = path.read_text(encoding="utf-8")
    assert [each.name for each in path.parent.iterdir()] == ["toy.html"]
    assert "600 labelled rows" in text
    for section in ("The store", "Features", "Target by group", "Correlations", "Every column"):
        assert f"<h2>{section}</h2>" in text
    assert "leaves = yes" in text  # in the correlations
    assert "spend_per_visit" in text  # the on-demand feature
    assert "Money spent in the month" in text
    assert "übel" in text


def test_as_of_an_early_moment_there_are_rows_but_no_labels(filled: Settings, tmp_path: Path) -> None:
    # On the second day of the first month the first facts are true, and no label is known.
    early = datetime(2026, 1, 2, tzinfo=UTC)
    ingest.run_ingest(filled, "toy", early)
    text = profile.write_profile(filled, "toy", early, tmp_path / "toy.html").read_text(encoding="utf-8")
    assert "100 stored rows" in text
    assert "<h2>Target by group</h2>" not in text
    assert "<h2>Every column</h2>" in text


def test_nothing_stored_is_said_and_nothing_written(filled: Settings, tmp_path: Path) -> None:
    with pytest.raises(EmptyTrainingSet, match="evergreen run ingest toy"):
        profile.write_profile(filled, "toy", datetime(2020, 1, 1, tzinfo=UTC), tmp_path / "toy.html")
    assert not (tmp_path / "toy.html").exists()


def test_the_default_place_is_in_the_home_and_a_rerun_replaces_the_page(filled: Settings) -> None:
    first = profile.write_profile(filled, "toy", AS_OF)
    assert first == filled.home / "profiles" / "toy.html"
    # It holds people's values: nobody else may read it.
    assert (first.stat().st_mode & 0o777, first.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    first.write_text("old")
    assert "600 labelled rows" in profile.write_profile(filled, "toy", AS_OF).read_text(encoding="utf-8")


def test_a_folder_gets_the_page_and_a_place_that_cannot_be_is_said(filled: Settings, tmp_path: Path) -> None:
    assert profile.write_profile(filled, "toy", AS_OF, tmp_path) == tmp_path / "toy.html"
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot be written"):
        profile.write_profile(filled, "toy", AS_OF, tmp_path / "file" / "toy.html")
    assert not list(tmp_path.glob(".*"))
