"""What the service counts, for Prometheus. No label holds anything that a caller sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ammrg.studies.reasons import kind_of
from ammrg.studies.records import SetAside

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Measures:
    """Counters, histograms and gauges of one service.

    Args:
        waiting: returns the number of studies in the queue.
        inside: returns the number of studies in the service.
    """

    def __init__(self, waiting: Callable[[], float], inside: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("ammrg_requests", "Answered requests.", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "ammrg_request_seconds", "Time from a request to its answer.", ["route"], buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.batches = Histogram(
            "ammrg_batch_studies",
            "Studies described in one pass.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self._set_aside = Counter(
            "ammrg_set_aside",
            "Files of uploads that were not described, by reason.",
            ["reason"],
            registry=self.registry,
        )
        Gauge("ammrg_queue_studies", "Studies that wait for the model.", registry=self.registry).set_function(waiting)
        Gauge("ammrg_inside_studies", "Studies between upload and answer.", registry=self.registry).set_function(inside)

    def count(self, set_aside: Iterable[SetAside]) -> None:
        """Count files by the kind of their reasons."""
        for each in set_aside:
            self._set_aside.labels(kind_of(each.reason)).inc()

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)
