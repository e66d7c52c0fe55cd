"""Metrics for Prometheus, read from the database when asked, so that they are true after any restart."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

#: Values of the labels, and the figure.
Reading = tuple[Sequence[str], float]


@dataclass(frozen=True, slots=True)
class Gauge:
    """One metric: `read` answers its figures at this moment, one for each combination of labels."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    read: Callable[[], Iterable[Reading]]

    def __post_init__(self) -> None:
        assert self.name.startswith("tallyline_"), self.name


class FiguresAway(Exception):
    """The database that the figures lie in does not answer; a gauge of its own says so, so the rest is still told."""


class Gauges(Collector):
    """All gauges at once. If one cannot be read the whole answer fails: a missing figure raises an alarm.

    With the database away the answer ends at the first gauge that needs it; those before it need nothing.
    """

    def __init__(self, gauges: Sequence[Gauge]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every gauge with its figures of now."""
        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=gauge.labels)
            try:
                for labels, figure in gauge.read():
                    family.add_metric(labels, figure)
            except FiguresAway:
                return
            yield family

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The gauges without figures, so that nothing is read before the first question."""
        return iter([GaugeMetricFamily(gauge.name, gauge.meaning, labels=gauge.labels) for gauge in self._gauges])


@contextmanager
def serving(gauges: Sequence[Gauge], *, host: str, port: int) -> Iterator[int]:
    """Answers `http://host:port/metrics` meanwhile; yields the port, which differs from `port` only if that is 0."""
    registry = CollectorRegistry()
    registry.register(Gauges(gauges))
    server, thread = start_http_server(port, host, registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
