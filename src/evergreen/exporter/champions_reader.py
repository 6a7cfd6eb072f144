"""The collector `mlflow`: which version is champion. MLflow's alias decides, whatever the ledger says."""

from __future__ import annotations

from evergreen.exporter.declarations import load_declarations
from evergreen.exporter.samples import Samples
from evergreen.registry.champion import read_champion
from evergreen.settings import Settings


class ChampionsReader:
    """Reads for the collector `mlflow`: one request for each use case."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, samples: Samples) -> None:
        """Add the values of every use case. Raises RegistryUnreachable."""
        for name in load_declarations(self._settings)[0]:
            with samples.guard(f"the champion of {name}"):
                champion = read_champion(self._settings, name)
                samples.add("evergreen_champion_version", champion.version if champion else 0, name)
