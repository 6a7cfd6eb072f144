"""The values of all collectors as Prometheus' client library takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from evergreen.exporter.background import BackgroundCollector
from evergreen.exporter.families import FAMILIES
from evergreen.exporter.samples import Samples


class PublishedValues(Collector):
    """Gives what the collectors found last. It asks no server, so reading never waits."""

    def __init__(self, collectors: Sequence[BackgroundCollector]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every family, also those without a value now."""
        own = Samples()
        for collector in self._collectors:
            own.add("evergreen_exporter_up", collector.is_up, collector.name)
            if collector.last is not None:
                own.add("evergreen_exporter_collection_seconds", collector.last.took, collector.name)
                own.add("evergreen_exporter_collected_timestamp_seconds", collector.last.at, collector.name)
        families = {
            name: GaugeMetricFamily(name, family.text, labels=family.labels)
            for name, family in FAMILIES.items()
        }
        for sample in [*own.values, *(each for collector in self._collectors for each in collector.samples)]:
            families[sample.name].add_metric(sample.labels, sample.value)
        yield from families.values()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The names alone, for the check that no other collector has them."""
        return [GaugeMetricFamily(name, family.text) for name, family in FAMILIES.items()]
