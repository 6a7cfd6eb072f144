"""`evergreen deploy compose`: docker-compose.yml for the use cases that are declared here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evergreen.errors import StackError, UseCaseError
from evergreen.settings import Settings
from evergreen.stack.deploy.compose.compose_document import render_compose
from evergreen.usecase import FileSource, UseCase
from evergreen.usecases import PACKAGED_FOLDER, find_use_case_folders, load_use_case

COMPOSE_FILE = Path("docker-compose.yml")
# The folder beside the compose file that containers see; declared paths start there.
DATA_FOLDER = "data"


@dataclass(frozen=True)
class ComposeFile:
    """A compose file on disk, and what of it people should know.

    `is_changed`: it held, or holds, another text than what is written of the declarations. `folders` are
    those with declarations of one's own that containers read. `unreachable` are file sources, by the name of
    their use case, that no container can read.
    """

    path: str
    use_cases: tuple[str, ...]
    folders: tuple[str, ...]
    unreachable: dict[str, str]
    is_changed: bool

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


def write_compose_file(
    settings: Settings, path: Path, names: Sequence[str] = (), *, dry_run: bool = False
) -> ComposeFile:
    """Write the compose file for the named use cases, or for all that are declared.

    With `dry_run` nothing is written: `is_changed` says whether the file there is out of date. Raises
    UseCaseError for a declaration that cannot be loaded or where there is none, StackError where the file
    cannot be written.
    """
    places = find_use_case_folders(settings)
    use_cases = [load_use_case(name, settings) for name in names or places]
    if not use_cases:
        raise UseCaseError("no use case is declared", hint="evergreen new declares one for a table of yours")
    own_roots = {places[each.name].parent for each in use_cases} - {PACKAGED_FOLDER.resolve()}
    folders = [_format_folder(root, path) for root in sorted(own_roots)]
    text = render_compose(use_cases, folders)
    try:
        is_changed = not path.exists() or path.read_text("utf-8") != text
        if is_changed and not dry_run:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StackError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="choose another file with --output, in a folder that exists",
        ) from error
    return ComposeFile(
        path=str(path),
        use_cases=tuple(each.name for each in use_cases),
        folders=tuple(folders),
        unreachable={each.name: source for each in use_cases if (source := _find_unreachable_source(each))},
        is_changed=is_changed,
    )


def _format_folder(folder: Path, compose_file: Path) -> str:
    """The folder as seen from the compose file's, if it lies below it."""
    base = compose_file.resolve().parent
    return f"./{folder.relative_to(base).as_posix()}" if folder.is_relative_to(base) else os.fspath(folder)


def _find_unreachable_source(use_case: UseCase) -> str:
    """The first file source that containers do not see: neither a URL nor a path under data/. Else ""."""
    for part in use_case.parts.values():
        source = part.source
        if isinstance(source, FileSource) and "://" not in source.path:
            path = PurePosixPath(source.path)
            if path.is_absolute() or path.parts[:1] != (DATA_FOLDER,):
                return source.path
    return ""
