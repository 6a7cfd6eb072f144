"""`evergreen rollback`: make a former champion champion again, and wait until the service answers with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from evergreen.documents import JsonObject
from evergreen.errors import EvergreenError
from evergreen.registry.actor import identify_actor
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.rollback import roll_back
from evergreen.serving.calls.client import open_own_client
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.usecases import load_use_case
from evergreen.waiting import wait_until

if TYPE_CHECKING:
    from evergreen.serving.http.bodies import MetadataBody

# How long to wait for the service, which asks for the champion every two seconds.
WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class RollbackReport:
    """A rollback that was done: its line in the ledger, and what the service does with it.

    `from_version` is None where nobody was champion. `at` is aware UTC. `seconds` run from when the alias
    began to change until the service answered with `to_version`; None where no service does, and `remark`
    says why.
    """

    use_case: str
    from_version: int | None
    to_version: int
    at: datetime
    actor: str
    reason: str
    seconds: float | None
    remark: str

    def to_json(self) -> JsonObject:
        """The report as `evergreen rollback --json` prints it."""
        return {
            "use_case": self.use_case,
            "from": self.from_version,
            "to": self.to_version,
            "at": self.at.isoformat(),
            "actor": self.actor,
            "reason": self.reason,
            "seconds": self.seconds,
            "remark": self.remark,
        }


def roll_back_champion(
    settings: Settings, use_case_name: str, to: int | None = None, *, actor: str = "", reason: str = ""
) -> RollbackReport:
    """Make a former champion champion again, and wait until the service answers with it.

    `to` is a version that has been champion; None: the one before the present champion. Raises NoChampion
    when there is none to go back to, RegistryError when there is nothing to do, or the version was never
    champion, was deleted or cannot be loaded, SignatureMismatch when it does not fit the declaration.
    """
    use_case = load_use_case(use_case_name, settings)
    database = get_engine(settings)
    with lock_use_case(database, use_case_name):
        restoration = roll_back(
            settings, database, use_case, to, actor=actor or identify_actor(), reason=reason
        )
    entry = restoration.entry
    assert entry.to_version is not None
    seconds, remark = _wait_for_service(settings, use_case_name, entry.to_version, restoration.began)
    return RollbackReport(
        use_case=use_case_name,
        from_version=entry.from_version,
        to_version=entry.to_version,
        at=entry.at,
        actor=entry.actor,
        reason=entry.reason,
        seconds=seconds,
        remark=remark,
    )


def _wait_for_service(
    settings: Settings, use_case_name: str, version: int, began: float
) -> tuple[float | None, str]:
    """Seconds from `began` until the service answered with that version (None: it does not), and a remark."""
    url = settings.service_urls.get(use_case_name)
    if not url:
        return None, "the service's address is not known here; it follows by itself within seconds"
    metadata: MetadataBody
    with open_own_client(settings, url, timeout=2.0) as client:

        def is_served() -> bool:
            """Whether the service answers with that version; keeps what it says of itself."""
            nonlocal metadata
            metadata = client.metadata()
            return metadata["model_version"] == version

        try:
            is_version_served = wait_until(is_served, WAIT_SECONDS)
        except EvergreenError as error:
            return None, f"{error.message}; it will serve v{version} when it is up"
    seconds = time.monotonic() - began
    if is_version_served:
        return round(seconds, 1), ""
    trouble = metadata["trouble"] or "it has not noticed yet"
    return None, f"after {seconds:.0f} s {url} still serves v{metadata['model_version']}: {trouble}"
