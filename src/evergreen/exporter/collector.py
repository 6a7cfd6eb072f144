"""The values of all parts as Prometheus' client library takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from evergreen.exporter.background import BackgroundPart
from evergreen.exporter.families import FAMILIES
from evergreen.exporter.samples import Samples


class PartsCollector(Collector):
    """Gives what the parts collected last. It asks no server, so reading never waits."""

    def __init__(self, parts: Sequence[BackgroundPart]) -> None:
        self._parts = parts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every family, also those without a value now."""
        own = Samples()
        for part in self._parts:
            own.add("evergreen_exporter_up", part.is_up, part.name)
            if part.last is not None:
                own.add("evergreen_exporter_collection_seconds", part.last.took, part.name)
                own.add("evergreen_exporter_collected_timestamp_seconds", part.last.at, part.name)
        families = {
            name: GaugeMetricFamily(name, family.text, labels=family.labels)
            for name, family in FAMILIES.items()
        }
        for sample in [*own.values, *(each for part in self._parts for each in part.samples)]:
            families[sample.name].add_metric(sample.labels, sample.value)
        yield from families.values()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The names alone, for the check that no other collector has them."""
        return [GaugeMetricFamily(name, family.text) for name, family in FAMILIES.items()]
