"""The rows of each part on their way through an ingest: checked, rows of the future held back, and sorted."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.ingest.future_rows import compute_known_from, compute_known_until
from evergreen.ingest.input_notes import InputNote, RunInputs
from evergreen.ingest.loading.sorter import RowSorter
from evergreen.ingest.scratch import open_scratch_folder
from evergreen.sources.ahead import read_ahead
from evergreen.usecase import EVENT_TIME, FeatureView, Label, UseCase
from evergreen.validation.checker import Checker, RejectedRow
from evergreen.validation.report import Failure, Report

if TYPE_CHECKING:
    from pathlib import Path

    from evergreen.ingest.loading.load import LoadedPart

ProgressCallback = Callable[[str, int], None]


@dataclass
class InputTally:
    """The counts of one input of one part while its rows pass; they end in its `InputNote`.

    `source`: the input's ordinal among several of its part, None where there is only one.
    """

    note: InputNote
    source: int | None
    rows: int = 0
    held_back: int = 0
    known_from: datetime | None = None

    def build_note(self) -> InputNote:
        """The input's note with the counts so far."""
        return replace(self.note, rows=self.rows, held_back=self.held_back, known_from=self.known_from)


class PartCleaner:
    """Checks and sorts the rows of one part; what it keeps on disk lies under `folder`, which it creates.

    `rows` counts the raw rows, `held_back` those that are true only after `as_of`, and `sorter` holds the
    clean rows. `usual_rows`: how many rows the part usually has, None where that is not known.
    """

    def __init__(
        self,
        use_case: UseCase,
        name: str,
        part: FeatureView | Label,
        as_of: datetime,
        usual_rows: float | None,
        folder: Path,
    ) -> None:
        folder.mkdir()
        self.name = name
        self.rows = 0
        self.held_back = 0
        self.sorter = RowSorter(folder, [*use_case.entity.key_names, EVENT_TIME])
        self._checker = Checker(use_case, part, as_of=as_of, usual_rows=usual_rows)
        self._known_until = compute_known_until(part, as_of)
        self._delay = as_of - self._known_until if self._known_until else timedelta(0)
        self._rejected_path = folder / "rejected.jsonl"
        self._keeps_rejected_rows = bool(part.contract.max_rejected_share)

    def clean(self, raw: pa.Table, tally: InputTally) -> pa.Table:
        """The rows of one raw batch that are to be loaded, counted in the `tally` of their input."""
        clean = self._checker.clean(raw)
        if self._keeps_rejected_rows:
            self._write_rejected_rows(self._checker.take_rejected())
        due = self._hold_back_future_rows(clean, tally)
        held_back = clean.num_rows - due.num_rows
        self.rows += raw.num_rows
        self.held_back += held_back
        tally.rows += raw.num_rows
        tally.held_back += held_back
        return due

    def build_report(self, loaded: LoadedPart | None = None) -> Report:
        """The outcome of the checks so far; with `loaded` also that of the checks made during the load."""
        if loaded is None:
            return self._checker.finish(left_out=self.held_back)
        return self._finish_report(loaded.failures, loaded.left_out)

    def build_full_report(self) -> Report:
        """The report with repeated, corrected and duplicate keys, without a load: it takes another pass over
        the sorted rows."""
        for _ in self.sorter.merged():
            pass
        return self._finish_report(self.sorter.failures(), self.sorter.left_out)

    def read_rejected_rows(self) -> Iterator[RejectedRow]:
        """The rows that broke a row-level check, where the contract lets the others load."""
        if self._rejected_path.exists():
            with self._rejected_path.open(encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    yield RejectedRow(row["row"], tuple(row["reasons"]), row["content"])

    def _finish_report(self, failures: Iterable[Failure], left_out: int) -> Report:
        return self._checker.finish(list(failures), left_out=self.held_back + left_out)

    def _write_rejected_rows(self, rejected: list[RejectedRow]) -> None:
        # On disk, because a tenth of a hundred million rows does not fit into memory.
        if rejected:
            with self._rejected_path.open("a", encoding="utf-8") as lines:
                lines.writelines(json.dumps(asdict(row)) + "\n" for row in rejected)

    def _hold_back_future_rows(self, clean: pa.Table, tally: InputTally) -> pa.Table:
        """The rows without those that are true only after the run's moment: a later run reads these again.
        `tally` gets the moment at which the first of them will be known."""
        if self._known_until is None or not clean.num_rows:
            return clean
        if pc.max(clean[EVENT_TIME]).as_py() <= self._known_until:
            return clean
        later = pc.greater(clean[EVENT_TIME], pa.scalar(self._known_until, pa.timestamp("us", "UTC")))
        first = compute_known_from(pc.min(clean[EVENT_TIME].filter(later)).as_py(), self._delay)
        tally.known_from = first if tally.known_from is None else min(first, tally.known_from)
        return clean.filter(pc.invert(later)).combine_chunks()


@contextmanager
def open_part_cleaners(
    use_case: UseCase,
    as_of: datetime,
    inputs: RunInputs,
    usual_rows: Mapping[str, float | None],
) -> Iterator[dict[str, PartCleaner]]:
    """A cleaner for each part that has something to read in `inputs`; their files are removed at the end of
    the block."""
    with open_scratch_folder() as folder:
        yield {
            name: PartCleaner(use_case, name, part, as_of, usual_rows.get(name), folder / name)
            for name, part in use_case.parts.items()
            if inputs.list_read_notes(name)
        }


def clean_readings(
    cleaners: Mapping[str, PartCleaner],
    inputs: RunInputs,
    readings: Iterable[tuple[str, Iterable[pa.Table]]],
    progress: ProgressCallback | None = None,
) -> RunInputs:
    """Pass every batch of every reading (its number, its batches) to the cleaners of the parts that read it.

    Returns `inputs` with the counts of rows and of rows held back. Where a part has several inputs, a row of
    a later one in its list replaces one of an earlier one. `progress` is called with a part and the number of
    its rows so far.
    """
    tallies: dict[str, list[InputTally]] = {}
    readers: dict[str, list[tuple[PartCleaner, InputTally]]] = {}
    for name, cleaner in cleaners.items():
        notes = inputs.list_read_notes(name)
        tallies[name] = [
            InputTally(note, ordinal if len(notes) > 1 else None) for ordinal, note in enumerate(notes)
        ]
        for tally in tallies[name]:
            readers.setdefault(tally.note.staged or "", []).append((cleaner, tally))

    def clean_batches() -> Generator[tuple[PartCleaner, pa.Table, int | None], None, None]:
        for number, batches in readings:
            for batch in batches:
                for cleaner, tally in readers[number]:
                    yield cleaner, cleaner.clean(batch, tally), tally.source

    # Sorting and writing to disk overlap with checking the next batch.
    for cleaner, rows, source in read_ahead(clean_batches):
        cleaner.sorter.add(rows, source)
        if progress is not None:
            progress(cleaner.name, cleaner.rows)
    return RunInputs(
        {part: _merge_counts(notes, tallies.get(part, [])) for part, notes in inputs.parts.items()}
    )


def _merge_counts(notes: Iterable[InputNote], tallies: Iterable[InputTally]) -> tuple[InputNote, ...]:
    """The notes of one part with the counts of its tallies, one for each note that is read."""
    remaining = iter(tallies)
    return tuple(next(remaining).build_note() if note.is_read else note for note in notes)
