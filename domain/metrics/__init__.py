"""Metrics: one file per aggregation. A metric turns a meter's events in a window into one quantity."""

from domain.metrics.aggregation import Aggregation, Contribution, Increment, Kept, Observation, Span
from domain.metrics.metric import Metric, MetricInvalid
from domain.metrics.parsing import metric_json, parse_metric

__all__ = [
    "Aggregation",
    "Contribution",
    "Increment",
    "Kept",
    "Metric",
    "MetricInvalid",
    "Observation",
    "Span",
    "metric_json",
    "parse_metric",
]
