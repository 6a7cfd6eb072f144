"""Edits of the parcel use case's declaration, as its owner makes them in an editor."""

from __future__ import annotations

import sys
from pathlib import Path

from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

MAXIMUM = 'Feature("weight", "float", "Weight in kilograms", minimum=0.1, maximum=50)'
WIDER = MAXIMUM.replace("50", "500")
DEPOT = 'Feature("depot", "category", "Where it starts", max_null_share=0.2)'
DEPOT_UNUSED = DEPOT.replace(")", ", used_by_model=False)")


class EditedParcel:
    """The file with the declaration; `restore` undoes every edit."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = Path(settings.use_cases) / "parcel" / "__init__.py"
        self._before = self._path.read_text()

    def write(self, old: str, new: str) -> None:
        """Replace a part of the file, which may break it."""
        text = self._path.read_text()
        assert old in text
        self._path.write_text(text.replace(old, new))

    def edit(self, old: str, new: str) -> UseCase:
        """Replace a part of the file, and load the declaration as another process would."""
        self.write(old, new)
        sys.modules.pop("evergreen_usecases_parcel", None)
        return load_use_case("parcel", self._settings)

    def restore(self) -> None:
        """Write the file as it was."""
        self._path.write_text(self._before)
        sys.modules.pop("evergreen_usecases_parcel", None)
