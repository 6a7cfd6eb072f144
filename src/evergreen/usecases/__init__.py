"""Discovery and import of use cases: each is a folder with Python code that declares a `USE_CASE`.

Evergreen's examples are in this package; the setting EVERGREEN_USE_CASES names folders with more. A fault in
one use case is an error about it alone, and the others can be loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from evergreen.errors import UnknownUseCase, UntrustedFolder, UseCaseError
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecase.names import suggest_name

PACKAGED_FOLDER = Path(__file__).parent


def find_use_case_folders(settings: Settings) -> dict[str, Path]:
    """Every use-case folder by name: the package's own, then each folder of EVERGREEN_USE_CASES.

    Raises UntrustedFolder when one of the latter belongs to another user.
    """
    return {name: places[0] for name, places in _find_folders(settings).items()}


def _find_folders(settings: Settings) -> dict[str, list[Path]]:
    """All folders of each name; two folders of one name are a fault of that use case."""
    folders: dict[str, list[Path]] = {}
    roots = [PACKAGED_FOLDER, *(Path(part) for part in settings.use_cases.split(os.pathsep) if part)]
    for root in roots[1:]:
        settings.trust.check_use_cases(root)
    for root in dict.fromkeys(root.resolve() for root in roots):
        for init in sorted(root.glob("*/__init__.py")):
            folders.setdefault(init.parent.name, []).append(init.parent)
    return folders


def load_use_case(name: str, settings: Settings) -> UseCase:
    """The use case of that name.

    Raises UnknownUseCase with the most similar name, UseCaseError with the file and line at fault, also where
    files of the use case belong to another user, or UntrustedFolder for a whole folder of use cases.
    """
    places = _find_folders(settings)
    folder_by_name = {folder_name: folders[0] for folder_name, folders in places.items()}
    if name not in folder_by_name:
        names = f"known: {', '.join(sorted(folder_by_name)) or 'none'}"
        raise UnknownUseCase(f"there is no use case {name!r}", hint=suggest_name(name, folder_by_name, names))
    if len(places[name]) > 1:
        raise UseCaseError(
            f"use case {name!r} is declared twice: {' and '.join(map(str, places[name]))}",
            hint="rename one of the folders",
        )
    use_case = getattr(_import_use_case(name, folder_by_name[name], settings), "USE_CASE", None)
    if not isinstance(use_case, UseCase):
        raise UseCaseError(
            f"{folder_by_name[name] / '__init__.py'} declares no use case",
            hint="end it with USE_CASE = UseCase(...)",
        )
    if use_case.name != name:
        raise UseCaseError(
            f"the folder {folder_by_name[name]} declares the use case {use_case.name!r}",
            hint="the folder and the use case carry the same name",
        )
    return use_case


def load_valid_use_cases(settings: Settings) -> tuple[dict[str, UseCase], dict[str, UseCaseError]]:
    """Every use case that can be loaded by name, and the errors of the others by name.

    Raises UntrustedFolder for a whole folder of use cases.
    """
    sound: dict[str, UseCase] = {}
    faults: dict[str, UseCaseError] = {}
    for name in find_use_case_folders(settings):
        try:
            sound[name] = load_use_case(name, settings)
        except UseCaseError as error:
            faults[name] = error
    return sound, faults


def load_submodule(name: str, part: str, settings: Settings) -> ModuleType | None:
    """An optional module of a use case's folder, such as its `simulator`; None where there is none.

    Raises UseCaseError, as `load_use_case` does, also where the module ends the program.
    """
    folder = find_use_case_folders(settings).get(name)
    if folder is None or not (folder / f"{part}.py").exists():
        return None
    package = _import_use_case(name, folder, settings).__name__
    try:
        return importlib.import_module(f"{package}.{part}")
    except SystemExit as error:
        raise _build_exit_error(error, folder) from error


def _import_use_case(name: str, folder: Path, settings: Settings) -> ModuleType:
    """The use case's package, imported from its folder. The owners of its files are checked before, because
    importing runs them. Any error of the code is raised as UseCaseError."""
    try:
        if folder.parent == PACKAGED_FOLDER:
            return importlib.import_module(f"evergreen.usecases.{name}")
        settings.trust.check_code(folder, "the use case's folder")
        qualified = f"evergreen_usecases_{name}"
        path = (folder / "__init__.py").resolve()
        loaded_module = sys.modules.get(qualified)
        if loaded_module is not None and loaded_module.__file__ == str(path):
            return loaded_module
        spec = importlib.util.spec_from_file_location(
            qualified, path, submodule_search_locations=[str(path.parent)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[qualified] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[qualified]
            raise
        return module
    except UntrustedFolder as error:
        raise UseCaseError(f"use case {name!r} is not loaded: {error.message}", hint=error.hint) from error
    except UseCaseError as error:
        raise UseCaseError(
            f"{_find_error_location(error, folder)}: {error.message}", hint=error.hint
        ) from error
    except SystemExit as error:
        raise _build_exit_error(error, folder) from error
    except Exception as error:
        raise UseCaseError(
            f"{_find_error_location(error, folder)}: {type(error).__name__}: {error}",
            hint="mend that line; the other use cases are not affected",
        ) from error


def _build_exit_error(error: SystemExit, folder: Path) -> UseCaseError:
    # SystemExit is not an Exception: uncaught, it would silently end the command or Airflow's parsing of
    # DAGs.
    return UseCaseError(
        f"{_find_error_location(error, folder)}: the code ends the program (SystemExit: {error})",
        hint="take sys.exit or exit out of that line; the other use cases are not affected",
    )


def _find_error_location(error: BaseException, folder: Path) -> str:
    """File and line of the innermost frame that lies in the use case's folder."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if Path(f.filename).is_relative_to(folder.resolve()) or Path(f.filename).is_relative_to(folder)
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(folder / "__init__.py")
