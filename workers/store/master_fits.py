"""Prices that are new must fit their metrics: one that needs more than its metric keeps would stop every run."""

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import text

from domain.canonical import Json
from domain.prices import parse_price
from domain.prices.needs import Kept, misfit
from workers.store.master_file import Place
from workers.store.master_rows import Loading

_KEPT = text("""
select id, aggregation, coalesce(dimensions, '{}') as dimensions,
  to_jsonb(metrics) #>> '{options,bucket}' is not null as has_buckets
from metrics where id = any(cast(:ids as integer[]))
""")


def check(loading: Loading, prices: Mapping[Place, Mapping[str, Any]]) -> None:
    """Note a problem for each row of `prices` whose terms its metric can never be priced with."""
    found = loading.conn.execute(_KEPT, {"ids": sorted({row["metric_id"] for row in prices.values()})})
    kept = {
        row.id: Kept.by(row.aggregation, has_buckets=row.has_buckets, dimensions=tuple(row.dimensions)) for row in found
    }
    for place, row in prices.items():
        error = misfit(parse_price(cast("Mapping[str, Json]", row["terms"])), kept[row["metric_id"]])
        if error is not None:
            loading.refuse_definition((*place, "terms"), error)
