"""Which row of a view answers a label at which moments: the point-in-time join for all moments at once.

`asof.py` finds the row that a label gets as of one moment. Here each label gets all its rows in turn: a row
answers from the moment at which it became known until a better one did. Of a key's rows, ordered by event
time and then by when they became known, the later one is the better one; so the row that answers before row p
was known is the nearest row in front of p that was known earlier than p.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from evergreen.store.connection.arrow import flatten_column, to_integers
from evergreen.store.history.asof import Labels, find_changes, find_newest_rows
from evergreen.store.tables.declared import INGESTED_AT
from evergreen.usecase import EVENT_TIME

Moments = npt.NDArray[np.int64]  # microseconds since 1970
Places = npt.NDArray[np.int64]

FOREVER = int(np.iinfo(np.int64).max)
LONG_AGO = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, eq=False)
class Entries:
    """Rows of a view that answer labels, each of the arrays of shape (entries,), sorted by label and moment.

    Entry e: row `row[e]` answers label `label[e]` at moments from `known_from[e]` on, until the same label's
    next entry. `stated_at`, of shape (labels,), is the moment at which the store first knew the row that was
    true at the label's event time; LONG_AGO for a label without any row.
    """

    label: Places
    row: Places
    known_from: Moments
    stated_at: Moments


def compute_known_times(rows: pa.Table, keys: Sequence[str], delay: int, by_event: bool) -> Moments:
    """When each row became known, of rows sorted by keys, event time and ingestion time.

    No row is known before its event time + `delay` (microseconds). It is known when it was ingested; or, with
    `by_event`, the first version of a key and event time at that earliest moment, whenever it was ingested.
    """
    earliest = to_integers(rows[EVENT_TIME]) + delay
    known_at: Moments = np.maximum(to_integers(rows[INGESTED_AT]), earliest)
    if by_event:
        is_first = find_changes([flatten_column(rows[name]) for name in (*keys, EVENT_TIME)])
        known_at = np.where(is_first, earliest, known_at)
    return known_at


def find_answering_rows(labels: Labels, rows: pa.Table, keys: Sequence[str], known: Moments) -> Entries:
    """The rows that answer each label at its event time or later.

    `rows` are sorted by keys, event time and ingestion time and hold all rows of their keys; `known`, of
    shape (rows,), says when each became known.
    """
    best = find_newest_rows(labels, rows, keys, FOREVER)
    before = _find_earlier_known(known, find_changes([flatten_column(rows[name]) for name in keys]))
    times = to_integers(rows[EVENT_TIME])
    label_parts, row_parts = [], []
    stated_at = np.full(len(labels), LONG_AGO, dtype=np.int64)
    label, row = np.arange(len(labels)), best
    while True:
        has_row = row >= 0
        label, row = label[has_row], row[has_row]
        if not len(label):
            break
        label_parts.append(label)
        row_parts.append(row)
        # Of the event time of the best row, the version that was known first comes last in this walk.
        same = times[row] == times[best[label]]
        stated_at[label[same]] = known[row[same]]
        late = known[row] > labels.times[label]
        label, row = label[late], before[row[late]]
    label = np.concatenate(label_parts) if label_parts else np.empty(0, np.int64)
    row = np.concatenate(row_parts) if row_parts else np.empty(0, np.int64)
    order = np.lexsort((known[row], label))
    label, row = label[order], row[order]
    return Entries(label, row, known[row], stated_at)


def _find_earlier_known(known: Moments, is_first_of_key: npt.NDArray[np.bool_]) -> Places:
    """For each row the nearest row in front of it, of the same key, that was known earlier; -1 for none."""
    places = np.arange(len(known), dtype=np.int64)
    before = np.where(is_first_of_key, -1, places - 1)
    open_places = places
    while len(open_places):
        # Between a row and `before` of it, all rows were known as late as the row itself or later. So a jump
        # along `before` of such a row passes over none that was known earlier.
        nearest = before[open_places]
        has_candidate = nearest >= 0
        open_places, nearest = open_places[has_candidate], nearest[has_candidate]
        too_late = known[nearest] >= known[open_places]
        open_places = open_places[too_late]
        before[open_places] = before[nearest[too_late]]
    return before
