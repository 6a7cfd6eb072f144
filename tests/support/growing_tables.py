"""Tables whose later rows are unlike the first: what real tables do when more of them comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

Column = Callable[[np.random.Generator, int, int], list[Any]]


def heavy_tail(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """Amounts, later a thousand times as large, or below zero."""
    amounts = np.round(rng.pareto(1.2, first) * 100, 2)
    return [*amounts, *np.round(rng.pareto(0.5, later) * rng.choice([1e5, -1e5], later), 2)]


def dates(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """Days of one year as texts, then of the next."""
    days = pd.date_range("2025-01-01", periods=365)
    return [
        *rng.choice(days.astype(str), first),
        *rng.choice((days + pd.DateOffset(years=1)).astype(str), later),
    ]


def new_levels(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """A category that gets values which nobody has seen."""
    return [*rng.choice(["north", "south"], first), *rng.choice(["north", "over sea", "-"], later)]


def new_gaps(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """Numbers that were never missing, and then are."""
    return [*rng.normal(10, 2, first).round(3), *[None if x < 0.6 else 9.5 for x in rng.random(later)]]


def new_category_gaps(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """A category that was never missing, and then is."""
    return [*rng.choice(["a", "b", "c"], first), *rng.choice(np.array(["a", None], dtype=object), later)]


def longer_texts(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """Notes that get twenty times as long."""
    return [f"note {n}" for n in range(first)] + [f"note {n} " * 20 for n in range(later)]


def counts(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """Small whole numbers, then larger ones."""
    return [*rng.integers(0, 5, first).tolist(), *rng.integers(0, 5000, later).tolist()]


def measures_with_fractions(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """Amounts that were whole by chance, and then are not."""
    return [*map(str, rng.integers(0, 500, first)), *map(str, rng.integers(0, 500, later) + 0.5)]


# What a column of the guessed type cannot hold: some of these rows are set aside.
def whole_numbers_with_fractions(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """Small whole numbers that return, then halves among them."""
    return [*map(str, rng.integers(0, 9, first)), *rng.choice(["3", "3.5"], later)]


def numbers_with_words(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """Numbers, then words among them."""
    return [*map(str, rng.normal(0, 1, first).round(2)), *rng.choice(["1.5", "broken"], later)]


def very_long_categories(rng: np.random.Generator, first: int, later: int) -> list[Any]:
    """Short categories, then texts longer than the store's columns of categories."""
    return [*rng.choice(["x", "y"], first), *["z" * 300] * later]


LOADED: tuple[Column, ...] = (
    *(
        heavy_tail,
        dates,
        new_levels,
        new_gaps,
        new_category_gaps,
        longer_texts,
        counts,
        measures_with_fractions,
    ),
)
SET_ASIDE: tuple[Column, ...] = (whole_numbers_with_fractions, numbers_with_words, very_long_categories)


def growing_table(kinds: tuple[Column, ...], first: int, later: int, seed: int) -> pd.DataFrame:
    """`first` rows, then `later` ones unlike them: a column of each kind, a key, a target of two classes."""
    rng = np.random.default_rng(seed)
    columns = {kind.__name__: pd.Series(kind(rng, first, later), dtype=object) for kind in kinds}
    rows = first + later
    goal = rng.choice(["no", "yes"], rows)
    return pd.DataFrame(
        {"row_id": np.arange(rows), "steady": rng.random(rows).round(3), **columns, "goal": goal}
    )
