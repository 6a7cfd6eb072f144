"""The notes of an ingest run on its inputs: for each part, what is known of each of its files or queries.

A part is one feature view or the label of a use case. The notes are kept as JSON in the column
`ingest_run.inputs`; `InputNote` and `RunInputs` are their form within the program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evergreen.store.records.ingest_run import IngestRun


class InputNoteDocument(TypedDict, total=False):
    """An `InputNote` as JSON. Fields from `start` on are there only where they say something."""

    name: str
    digest: str
    size: int | None
    rows: int
    held_back: int
    start: str
    catch_up: bool
    unchanged: str
    staged: str
    known_from: str


InputsDocument: TypeAlias = dict[str, list[InputNoteDocument]]


@dataclass(frozen=True)
class InputNote:
    """What a run's record says of one file or query of one part.

    `name`: its path, URL or connection, without secrets. `digest`: SHA-256 (hex) of a file's content, or of
    the clean rows of a query once they are loaded. `size`: bytes of a file, None for a query. `rows` were
    read, and `held_back` of them are true only after the run's moment.

    `start`: from when on (exclusive, aware UTC) a query asks for rows; `catch_up`: it asks for all rows of
    its database. `unchanged`: the id of the run that loaded this very content, where nothing is read.
    `staged`: the number of the reading that the rows come from, until they are loaded. `known_from` (aware
    UTC): when the first of the rows that were held back will be known.
    """

    name: str
    digest: str = ""
    size: int | None = None
    rows: int = 0
    held_back: int = 0
    start: datetime | None = None
    catch_up: bool = False
    unchanged: str | None = None
    staged: str | None = None
    known_from: datetime | None = None

    @property
    def is_read(self) -> bool:
        """Whether the run reads this input, and has not loaded it yet."""
        return self.staged is not None

    def to_json(self) -> InputNoteDocument:
        """The note for the column `ingest_run.inputs`."""
        note = InputNoteDocument(
            name=self.name, digest=self.digest, size=self.size, rows=self.rows, held_back=self.held_back
        )
        if self.start is not None:
            note["start"] = self.start.isoformat()
        if self.catch_up:
            note["catch_up"] = True
        if self.unchanged is not None:
            note["unchanged"] = self.unchanged
        if self.staged is not None:
            note["staged"] = self.staged
        if self.known_from is not None:
            note["known_from"] = self.known_from.isoformat()
        return note

    @classmethod
    def from_json(cls, note: InputNoteDocument) -> InputNote:
        """The inverse of `to_json`; notes of earlier versions may lack fields or have others."""
        return cls(
            name=note["name"],
            digest=note.get("digest", ""),
            size=note.get("size"),
            rows=note.get("rows", 0),
            held_back=note.get("held_back", 0),
            start=_parse_moment(note.get("start")),
            catch_up=note.get("catch_up", False),
            unchanged=note.get("unchanged"),
            staged=note.get("staged"),
            known_from=_parse_moment(note.get("known_from")),
        )


@dataclass(frozen=True)
class RunInputs:
    """The notes of one run by part, in the order in which a part's inputs count."""

    parts: Mapping[str, tuple[InputNote, ...]]

    def notes(self) -> Iterator[InputNote]:
        """The notes of all parts, one after the other."""
        for notes in self.parts.values():
            yield from notes

    def list_part_notes(self, part: str) -> tuple[InputNote, ...]:
        """The notes of one part; none for a part that the run does not know."""
        return self.parts.get(part, ())

    def list_read_notes(self, part: str) -> list[InputNote]:
        """The notes of those inputs of a part that the run reads."""
        return [note for note in self.list_part_notes(part) if note.is_read]

    def list_contents(self) -> dict[str, list[tuple[str, str]]]:
        """By part, name and digest of each input."""
        return {part: [(note.name, note.digest) for note in notes] for part, notes in self.parts.items()}

    @property
    def rows(self) -> int:
        """How many rows were read for all parts together."""
        return sum(note.rows for note in self.notes())

    @property
    def held_back(self) -> int:
        """How many rows of all parts are true only after the run's moment."""
        return sum(note.held_back for note in self.notes())

    def mark_loaded(self, digests: Mapping[str, str]) -> RunInputs:
        """The same notes after the load. `digests` has the digest of each part's clean rows, which stands for
        the content of a query."""

        def mark(part: str, note: InputNote) -> InputNote:
            if not note.is_read:
                return note
            return replace(note, staged=None, digest=note.digest or digests[part])

        return RunInputs(
            {part: tuple(mark(part, note) for note in notes) for part, notes in self.parts.items()}
        )

    def to_json(self) -> InputsDocument:
        """The document for the column `ingest_run.inputs`."""
        return {part: [note.to_json() for note in notes] for part, notes in self.parts.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Sequence[InputNoteDocument]]) -> RunInputs:
        """The inverse of `to_json`."""
        return cls({part: tuple(map(InputNote.from_json, notes)) for part, notes in document.items()})


def parse_run_inputs(run: IngestRun) -> RunInputs:
    """The notes in a run's record; no parts where nothing was recorded yet."""
    return RunInputs.from_json(cast("InputsDocument", run.inputs or {}))


def _parse_moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
