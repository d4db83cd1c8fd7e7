"""What is told to Prometheus, as plain values: metrics, labels from closed sets, and a page of samples. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

OTHER: Final = "other"
"""In place of a label's value that is not of its set: names are of the configuration, of the catalogue and of ours."""


class Kind(enum.StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """``name`` ends with its base unit; a counter's with ``_total``. ``help``: one sentence."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names that a query may use."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.name}{end}" for end in ("_bucket", "_count", "_sum"))
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Buckets:
    """``counts``: one more than ``edges``, not added up."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


Values = dict[tuple[str, ...], float]
Histograms = dict[tuple[str, ...], Buckets]


class Page:
    """The samples of one scrape. ``bounds``: by label, every value that it may have besides :data:`OTHER`."""

    def __init__(self, bounds: Mapping[str, frozenset[str]]) -> None:
        self._bounds = bounds
        self.values: dict[Metric, Values] = {}
        self.histograms: dict[Metric, Histograms] = {}

    def put(self, metric: Metric, value: float | None, *labels: str) -> None:
        """``value`` None or not finite: not known, no sample. What meets under the same labels is added up.

        Raises ValueError for labels that are not the metric's.
        """
        if value is None or not isfinite(value):
            return
        found = self.values.setdefault(metric, {})
        key = self._key(metric, labels)
        found[key] = found.get(key, 0.0) + value

    def put_state(self, metric: Metric, state: str, states: Iterable[str]) -> None:
        """One sample of each state, 1 of the one that holds: ``metric`` has one label."""
        for each in states:
            self.put(metric, float(each == state), each)

    def put_histogram(
        self, metric: Metric, edges: Sequence[float], counts: Sequence[int], total: float, *labels: str
    ) -> None:
        """``counts`` as in :class:`Buckets`; of another length: not told."""
        if len(counts) == len(edges) + 1:
            found = self.histograms.setdefault(metric, {})
            found[self._key(metric, labels)] = Buckets(tuple(edges), tuple(counts), total)

    def _key(self, metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} has the labels {metric.labels}, and not {labels}")
        return tuple(
            value if value in self._bounds[name] else OTHER for name, value in zip(metric.labels, labels, strict=True)
        )
