"""Metrics that no meter feeds: fees and seats, whose quantity is what a subscription has."""

from collections.abc import Mapping
from typing import Final

from domain.definitions import DefinitionInvalid
from domain.metrics.subscribed import NAME, parse_subscribed
from workers.store import master_kinds as kinds
from workers.store import master_owners
from workers.store.master_accounts import products_of_metrics
from workers.store.master_file import Place
from workers.store.master_models import Metric
from workers.store.master_rows import Loading, Row, put

#: Who answers for a fee unless the file says so.
_OWNER: Final = "finance"


def put_subscribed(loading: Loading) -> Mapping[str, Metric]:
    """Put the metrics that no meter feeds; returns the others. Raises `MasterInvalid`."""
    metrics = loading.master.metrics
    mine = {name: each for name, each in metrics.items() if each.aggregation == NAME}
    kept_owners = master_owners.by_name(loading, "metrics", mine)
    products = products_of_metrics(loading)
    rows: dict[Place, Row] = {}
    for name, each in mine.items():
        try:
            metric = parse_subscribed(
                {"name": name, **each.model_dump(exclude={"owner", "product"}, exclude_defaults=True)}
            )
        except DefinitionInvalid as error:
            loading.refuse_definition(("metrics", name), error)
            continue
        rows["metrics", name] = {
            "name": name, "aggregation": NAME, "property": metric.item, "unit": metric.unit, "requires": [],
            "dimensions": [], "options": {}, "meter_id": None, "owner": each.owner or kept_owners.get(name, _OWNER),
            "product_id": products.get(name),
        }  # fmt: skip
    loading.check()
    put(loading, kinds.METRICS, {place: {c: row.get(c) for c in kinds.METRICS.columns} for place, row in rows.items()})
    lacking = [name for name, each in metrics.items() if name not in mine and each.meter is None]
    for name in lacking:
        loading.refuse(("metrics", name), "has no meter", fix=f"name the meter, or say aggregation: {NAME}")
    loading.check()
    return {name: each for name, each in metrics.items() if name not in mine}
