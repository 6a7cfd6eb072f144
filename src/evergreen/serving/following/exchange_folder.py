"""The folder by which the parent process of a service and its workers tell each other of a take-over.

| file | written by | says |
|---|---|---|
| `follower.json` | parent | what it follows: `FollowerState` |
| `model.json` | workers | the champion that they know, and what they serve: `WorkerModel` |
| `successor-PID.json` | a new worker | whether it is ready: `SuccessorReport` |
| `retired-PID` | parent | that worker hands its connections over when it ends |

Each file is replaced as a whole, so that no reader sees half of one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from evergreen.private import replace_file
from evergreen.serving.following.refusal import DeclarationRefusal

# Set by the parent process for its workers; not settings, so they have another prefix.
FOLDER_VARIABLE = "_EVERGREEN_EXCHANGE_FOLDER"
SUCCESSOR_VARIABLE = "_EVERGREEN_SUCCESSOR"

_Document = TypeVar("_Document")


@dataclass(frozen=True)
class FollowerState:
    """How many changed declarations were taken over since the start, and why the present one is not."""

    takeovers: int = 0
    refusal: DeclarationRefusal | None = None


@dataclass(frozen=True)
class WorkerModel:
    """The champion that a worker knows, and the version that it answers with; "" and None without one."""

    champion: str = ""
    serves: int | None = None


@dataclass(frozen=True)
class SuccessorReport:
    """The digest of the declaration that a new worker has loaded, and why it is not to take over."""

    declaration: str
    refusal: DeclarationRefusal | None = None


class ExchangeFolder:
    """Reads and writes the files of one service. Missing and unreadable files read as None."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write_follower_state(self, state: FollowerState) -> None:
        """For the parent. Raises OSError."""
        self._write("follower.json", state)

    def read_follower_state(self) -> FollowerState | None:
        """For the workers."""
        return self._read("follower.json", FollowerState)

    def write_worker_model(self, model: WorkerModel) -> None:
        """For the workers. Raises OSError."""
        self._write("model.json", model)

    def read_worker_model(self) -> WorkerModel:
        """What a worker wrote last."""
        return self._read("model.json", WorkerModel) or WorkerModel()

    def write_successor_report(self, pid: int, report: SuccessorReport) -> None:
        """For a new worker. Raises OSError."""
        self._write(f"successor-{pid}.json", report)

    def read_successor_report(self, pid: int) -> SuccessorReport | None:
        """The report of the new worker with that number; None while there is none."""
        return self._read(f"successor-{pid}.json", SuccessorReport)

    def mark_retired(self, pid: int) -> None:
        """Have that worker hand over its connections when it ends. Raises OSError."""
        (self.path / f"retired-{pid}").touch()

    def is_retired(self, pid: int) -> bool:
        """Whether another worker has taken over from that one."""
        return (self.path / f"retired-{pid}").exists()

    def forget_worker(self, pid: int) -> None:
        """Remove the files about a worker that has ended, because numbers of processes are used again."""
        for name in (f"successor-{pid}.json", f"retired-{pid}"):
            (self.path / name).unlink(missing_ok=True)

    def _write(self, name: str, document: object) -> None:
        with replace_file(self.path / name) as draft:
            draft.write_bytes(msgspec.json.encode(document))

    def _read(self, name: str, kind: type[_Document]) -> _Document | None:
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=kind)
        except (OSError, msgspec.MsgspecError):
            return None


def find_exchange_folder() -> ExchangeFolder | None:
    """The folder of this worker's service; None in a service that does not follow its declaration."""
    path = os.environ.get(FOLDER_VARIABLE)
    return ExchangeFolder(Path(path)) if path else None
