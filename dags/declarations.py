"""A broken use case shows up here, as an import error that names its file and line."""

from __future__ import annotations

from evergreen.errors import UseCaseError
from evergreen.settings import load_settings
from evergreen.usecases import folders, load

settings = load_settings()
faults: list[str] = []
for name in folders(settings):
    try:
        load(name, settings)
    except UseCaseError as error:
        faults.append(str(error))
if faults:
    raise UseCaseError("\n".join(faults))
