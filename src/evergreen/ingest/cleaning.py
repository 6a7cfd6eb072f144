"""The rows of one part on their way through an ingest: checked, those of the future held back, sorted."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from evergreen.ingest.future_rows import KNOWN_FROM, compute_known_from, compute_known_until
from evergreen.ingest.inputs import Inputs
from evergreen.usecase import EVENT_TIME, FeatureView, Label, UseCase

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from evergreen.ingest.loading.load import LoadedPart
    from evergreen.validation.checker import RejectedRow
    from evergreen.validation.report import Failure, Report

Progress = Callable[[str, int], None]


class PartCleaner:
    """One part's rows in one process, under `folder`. `rows` came in, `held_back` are true only later."""

    def __init__(
        self,
        use_case: UseCase,
        name: str,
        part: FeatureView | Label,
        as_of: datetime,
        usual_rows: float | None,
        folder: Path,
    ) -> None:
        from evergreen.ingest.loading.sorter import RowSorter
        from evergreen.validation.checker import Checker

        folder.mkdir()
        self.name = name
        self.rows = 0
        self.held_back = 0
        self.spool = RowSorter(folder, [*use_case.entity.key_names, EVENT_TIME])
        self._checker = Checker(use_case, part, as_of=as_of, usual_rows=usual_rows)
        self._until = compute_known_until(part, as_of)
        self._delay = as_of - self._until if self._until else timedelta(0)
        self._rejected = folder / "rejected.jsonl"
        self._set_aside = bool(part.contract.max_rejected_share)

    def clean(self, raw: pa.Table, entry: dict[str, Any]) -> pa.Table:
        """What of one raw batch is to be loaded; `entry` is the note of the input that it comes from."""
        clean = self._checker.clean(raw)
        if self._set_aside:
            self._keep(self._checker.take_rejected())
        known = self._true_by_now(clean, entry)
        held_back = clean.num_rows - known.num_rows
        self.rows += raw.num_rows
        self.held_back += held_back
        entry["rows"] += raw.num_rows
        entry["held_back"] += held_back
        return known

    def report(self, loaded: LoadedPart | None = None) -> Report:
        """What is wrong with the rows; with what their load found, once they are loaded."""
        if loaded is None:
            return self._checker.finish(left_out=self.held_back)
        return self._finish(loaded.failures, loaded.left_out)

    def full_report(self) -> Report:
        """The report with repetitions, corrections and duplicate keys, without a load: one more pass."""
        for _ in self.spool.merged():
            pass
        return self._finish(self.spool.failures(), self.spool.left_out)

    def rejected(self) -> Iterator[RejectedRow]:
        """The rows that broke a row-level check, where the contract lets the others load."""
        from evergreen.validation.checker import RejectedRow

        if self._rejected.exists():
            with self._rejected.open(encoding="utf-8") as lines:
                for line in lines:
                    kept = json.loads(line)
                    yield RejectedRow(kept["row"], tuple(kept["reasons"]), kept["content"])

    def _finish(self, found: Iterable[Failure], left_out: int) -> Report:
        return self._checker.finish(list(found), left_out=self.held_back + left_out)

    def _keep(self, rejected: list[RejectedRow]) -> None:
        # On disk: a tenth of a hundred million rows is more than fits into memory.
        if rejected:
            with self._rejected.open("a", encoding="utf-8") as lines:
                lines.writelines(json.dumps(asdict(row)) + "\n" for row in rejected)

    def _true_by_now(self, clean: pa.Table, entry: dict[str, Any]) -> pa.Table:
        """Without what a source already holds of the time after the run: a later run reads it again. When the
        first of it will be known is noted in `entry`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._until is None or not clean.num_rows:
            return clean
        limit = pa.scalar(self._until, pa.timestamp("us", "UTC"))
        if pc.max(clean[EVENT_TIME]).as_py() <= self._until:
            return clean
        later = pc.greater(clean[EVENT_TIME], limit)
        first = compute_known_from(pc.min(clean[EVENT_TIME].filter(later)).as_py(), self._delay).isoformat()
        entry[KNOWN_FROM] = min(first, entry.get(KNOWN_FROM) or first)
        return clean.filter(pc.invert(later)).combine_chunks()


@contextmanager
def open_part_cleaners(
    use_case: UseCase,
    as_of: datetime,
    inputs: Inputs,
    usual_rows: Mapping[str, float | None],
) -> Iterator[dict[str, PartCleaner]]:
    """One for each part that has something to read in `inputs`; their files go with the block."""
    from evergreen.ingest.scratch import open_scratch_folder

    with open_scratch_folder() as folder:
        yield {
            name: PartCleaner(use_case, name, part, as_of, usual_rows.get(name), folder / name)
            for name, part in use_case.parts.items()
            if any("staged" in entry for entry in inputs.get(name, []))
        }


def clean_readings(
    works: Mapping[str, PartCleaner],
    inputs: Inputs,
    readings: Iterable[tuple[str, Iterable[pa.Table]]],
    progress: Progress | None = None,
) -> None:
    """Take every batch of every reading (its number, its batches) into the parts that read it, noting rows
    and rows held back in `inputs`. Where a part has several inputs, the later in its list counts."""
    from evergreen.sources.ahead import read_ahead

    readers: dict[str, list[tuple[PartCleaner, dict[str, Any], int | None]]] = {}
    for name, work in works.items():
        read = [entry for entry in inputs[name] if "staged" in entry]
        for ordinal, entry in enumerate(read):
            entry.update(rows=0, held_back=0)
            entry.pop(KNOWN_FROM, None)
            source = ordinal if len(read) > 1 else None
            readers.setdefault(entry["staged"], []).append((work, entry, source))

    def cleaned() -> Generator[tuple[PartCleaner, pa.Table, int | None], None, None]:
        for number, batches in readings:
            for batch in batches:
                for work, entry, source in readers[number]:
                    yield work, work.clean(batch, entry), source

    # Sorting and writing to disk overlap with checking the next batch.
    for work, known, source in read_ahead(cleaned):
        work.spool.add(known, source)
        if progress is not None:
            progress(work.name, work.rows)
