"""The storage of a search in MariaDB: a process checks the version of Optuna's tables, once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.training.search import studies
from evergreen.usecase import UseCase

RUN: Any = SimpleNamespace(id="a-training", dataset_digest="a-digest")


def count_trials(settings: Settings, use_case: UseCase) -> int:
    """Open the study, add a trial, and return how many there are."""
    with studies.open_study(settings, get_engine(settings), use_case, RUN) as study:
        study.add_trial(optuna.trial.create_trial(value=0.5))
        return len(study.trials)


def test_a_process_checks_the_tables_once(
    settings: Settings, toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped = []

    def record(*args: Any, **options: Any) -> optuna.storages.RDBStorage:
        skipped.append(options["skip_compatibility_check"])
        return optuna.storages.RDBStorage(*args, **options)

    monkeypatch.setattr(studies, "RDBStorage", record)
    assert [count_trials(settings, toy_use_case) for _ in range(3)] == [1, 2, 3]
    assert skipped == [False, True, True]


def test_tables_of_another_version_are_refused_by_the_next_process(
    settings: Settings, toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count_trials(settings, toy_use_case) == 1
    with get_engine(settings).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v0.9.0.a'"))
    monkeypatch.setattr(studies, "_checked_databases", set())
    for _ in range(2):
        with pytest.raises(StoreError, match="of another version") as caught:
            count_trials(settings, toy_use_case)
        assert "optuna storage upgrade" in caught.value.hint
