"""Fits of a backtest: each is done once, and found again on disk."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from evergreen.backtest.fits import cache as fit_cache
from evergreen.backtest.fits import worker as fit_worker
from evergreen.backtest.fits.cache import KeptFits
from evergreen.backtest.fits.fitting import fit_rows
from evergreen.backtest.fits.kept import find_fit
from evergreen.backtest.fits.worker import FitJob, FitSetup, choose_worker_count
from evergreen.backtest.past.requests import Requests
from evergreen.backtest.past.rows import PastRows
from evergreen.errors import TrainingError
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from support.shop_past import BASKET, SHOP, build_requests, day

PARAMETERS = {"depth": 2}


@pytest.fixture
def requests() -> Requests:
    return build_requests(SHOP, 20)


@pytest.fixture
def open_cache(tmp_path: Path, requests: Requests) -> Callable[[], KeptFits]:
    setup = FitSetup(Settings(home=tmp_path), "shop", tmp_path / "rows", tmp_path / "fits", PARAMETERS)
    setup.fits_folder.mkdir()
    return lambda: KeptFits(setup, requests, 1)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[FitJob]:
    """The jobs that are really fitted."""
    done: list[FitJob] = []
    run = fit_cache.run_job

    def note(setup: FitSetup, rows: PastRows, job: FitJob, threads: int = 1) -> None:
        done.append(job)
        run(setup, rows, job, threads)

    monkeypatch.setattr(fit_cache, "run_job", note)
    return done


def test_the_same_rows_are_fitted_once(
    open_cache: Callable[[], KeptFits], jobs: list[FitJob], requests: Requests
) -> None:
    with open_cache() as cache:
        identity, model, seconds = cache.fit(day(10), None, None)
        # Between two labels nothing becomes known, and no row is older than the first.
        again, other, same_seconds = cache.fit(day(10.01), day(-5), None)
        assert (again, same_seconds) == (identity, seconds)
        assert model is not None
        assert other is not None
        assert identity == requests.rows.identify(requests.rows.select_known(day(10)))
        assert cache.fit(day(11), None, None)[0] != identity
        assert cache.fit(day(10), day(2), None)[0] != identity
        assert cache.fit(day(10), None, day(6))[0] != identity
        assert (cache.done, cache.found, cache.shared) == (4, 0, 1)
    assert len(jobs) == 4


def test_threads_that_ask_at_the_same_time_share_a_fit(
    open_cache: Callable[[], KeptFits], jobs: list[FitJob]
) -> None:
    with open_cache() as cache, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: cache.fit(day(10), None, None), range(16)))
    assert len(jobs) == 1
    assert len({identity for identity, _, _ in answers}) == 1


def test_a_later_backtest_finds_the_fits_and_gives_the_same_answers(
    open_cache: Callable[[], KeptFits], jobs: list[FitJob], requests: Requests
) -> None:
    span = requests.find_span(day(10), day(20))
    with open_cache() as cache:
        _, model, seconds = cache.fit(day(10), None, None)
        assert model is not None
        before = model.predict(span).probabilities
    with open_cache() as cache:
        _, model, found_seconds = cache.fit(day(10), None, None)
        assert model is not None
        assert (cache.done, cache.found, found_seconds) == (0, 1, seconds)
        assert np.array_equal(model.predict(span).probabilities, before)
    assert len(jobs) == 1


def test_a_fit_that_was_killed_before_its_record_is_done_again(
    open_cache: Callable[[], KeptFits], jobs: list[FitJob], tmp_path: Path
) -> None:
    with open_cache() as cache:
        identity, _, _ = cache.fit(day(10), None, None)
    (tmp_path / "fits" / f"{identity}.json").write_text('{"rows": 1')
    with open_cache() as cache:
        cache.fit(day(10), None, None)
    assert len(jobs) == 2
    assert find_fit(tmp_path / "fits", identity) is not None


def test_rows_that_are_too_few_have_no_model_and_say_so(open_cache: Callable[[], KeptFits]) -> None:
    with open_cache() as cache:
        identity, model, _ = cache.fit(day(3), None, None)
        assert model is None
        assert "25 labelled rows" in cache.list_records()[identity].refusal


def test_memory_that_holds_files_can_be_had_by_the_processes_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "meminfo"
    monkeypatch.setattr(fit_worker, "_MEMORY", memory)
    settings = Settings(home=tmp_path, threads=4)
    counts = []
    for available in (8_000_000, 2_000_000, 100_000):
        memory.write_text(f"MemTotal: 9000000 kB\nMemFree:  90000 kB\nMemAvailable:  {available} kB\n")
        counts.append(choose_worker_count(settings, 1_000_000))
    assert counts == [4, 3, 1]


def test_parameters_that_catboost_refuses_are_named(tmp_path: Path, requests: Requests) -> None:
    with pytest.raises(TrainingError, match="depth=99"):
        fit_rows(requests.rows, requests.rows.select_known(day(10)), {"depth": 99})


@pytest.mark.parametrize("use_case", [SHOP, BASKET], ids=["classes", "numbers"])
def test_a_model_answers_in_blocks_as_at_once(use_case: UseCase, tmp_path: Path) -> None:
    requests = build_requests(use_case, 60)
    setup = FitSetup(Settings(home=tmp_path), use_case.name, tmp_path, tmp_path, PARAMETERS)
    with KeptFits(setup, requests, 1) as cache:
        _, model, _ = cache.fit(day(20), None, None)
    assert model is not None
    assert len(requests) > 2 * 512
    whole = model.predict(slice(0, len(requests))).predictions
    spans = [slice(0, 7), slice(500, 530), slice(511, 1025), slice(len(requests) - 1, len(requests))]
    for span in spans:
        assert np.array_equal(model.predict(span).predictions, whole[span])
    profile = model.profile
    assert set(profile) == {"spend", "double_spend", "kind", "__prediction__"}
    assert sum(profile["spend"].counts) == len(requests.rows.select_known(day(20)))
