"""The values that a collection found, and what it could not read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from evergreen.errors import (
    EvergreenError,
    OrchestratorUnreachable,
    RegistryUnreachable,
    StoreUnreachable,
)
from evergreen.exporter.families import FAMILIES
from evergreen.store.connection.missing import ignore_missing_table

# Where a server does not answer at all, the next question would wait as long for nothing.
_UNREACHABLE = (StoreUnreachable, RegistryUnreachable, OrchestratorUnreachable)


class Sample(NamedTuple):
    """A value of a metric; `labels` are in the order of the family's."""

    name: str
    labels: tuple[str, ...]
    value: float


class Samples:
    """Collects the values of one collection. `troubles` says in words what could not be read."""

    def __init__(self) -> None:
        self.values: list[Sample] = []
        self.troubles: list[str] = []

    def add(self, name: str, value: float | None, *labels: str) -> None:
        """Add a value of a family of FAMILIES; None and NaN add nothing. Raises ValueError for labels that
        are too many or too few."""
        if len(labels) != len(FAMILIES[name].labels):
            raise ValueError(f"{name} has the labels {FAMILIES[name].labels}, not {labels}")
        if value is not None and not math.isnan(value):
            self.values.append(Sample(name, labels, float(value)))

    def add_moment(self, name: str, moment: datetime | None, *labels: str) -> None:
        """Add an aware moment in seconds since 1970; None adds nothing."""
        self.add(name, None if moment is None else moment.timestamp(), *labels)

    @contextmanager
    def guard(self, subject: str) -> Iterator[None]:
        """Note what cannot be read within the block as a trouble, and go on after it.

        A table that does not exist yet is no trouble. Raises what says that a whole server does not answer.
        """
        try:
            with ignore_missing_table():
                yield
        except _UNREACHABLE:
            raise
        except EvergreenError as error:
            self.troubles.append(f"{subject}: {error.message}")
        except sa.exc.SQLAlchemyError as error:
            # Its message has the statement, which says nothing to a reader of the log.
            self.troubles.append(f"{subject}: {type(error).__name__}")
