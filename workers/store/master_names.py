"""Names that a file of master data uses and does not hold: they have to be there before it can be loaded."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from workers.store.master_file import Document, Place
from workers.store.master_models import Contract, MasterData, Metric, Subscription

#: What a section holds, as an error calls it.
_WHAT: Final = {
    "connections": "connection", "legal_entities": "legal entity", "cycles": "cycle", "accounts": "account",
    "products": "product", "contracts": "contract", "subscriptions": "subscription", "sources": "source",
    "meters": "meter", "metrics": "metric", "features": "feature", "plans": "plan of a price book",
}  # fmt: skip

Named = tuple[Place, str, str | None]


@dataclass(frozen=True, slots=True)
class Outside:
    """A name that is not in the file, and where the file uses it first."""

    line: int
    what: str
    name: str


def outside(document: Document, master: MasterData) -> list[Outside]:
    """The names that the file uses and does not hold, each once, in the order of their lines."""
    held: dict[str, Collection[str]] = {
        section: getattr(master, section) if section in MasterData.model_fields else () for section in _WHAT
    }
    found: dict[tuple[str, str], int] = {}
    for place, section, name in _named(master):
        if name is not None and name not in held[section]:
            line = document.line_of(place)
            found[section, name] = min(found.get((section, name), line), line)
    every = [Outside(line, _WHAT[section], name) for (section, name), line in found.items()]
    return sorted(every, key=lambda each: (each.line, each.what, each.name))


def _named(master: MasterData) -> Iterator[Named]:
    for entity, said in master.legal_entities.items():
        yield ("legal_entities", entity), "connections", said.connection
    for cycle in master.cycles:
        yield ("cycles", cycle), "legal_entities", cycle.partition("/")[0]
    for ref, account in master.accounts.items():
        yield ("accounts", ref, "parent"), "accounts", account.parent
        yield ("accounts", ref, "bill_to"), "accounts", account.bill_to
    for ref, contract in master.contracts.items():
        yield from _of_contract(("contracts", ref), contract)
    for ref, subscription in master.subscriptions.items():
        yield from _of_subscription(("subscriptions", ref), subscription)
    for name, metric in master.metrics.items():
        yield from _of_metric(("metrics", name), metric)
    for book, prices in master.price_books.items():
        yield from _of_prices(("price_books", book), list(prices))
    for name, feature in master.features.items():
        yield ("features", name, "metric"), "metrics", feature.metric
    yield from _of_lists(master)


def _of_contract(place: Place, contract: Contract) -> Iterator[Named]:
    yield (*place, "account"), "accounts", contract.account
    yield (*place, "legal_entity"), "legal_entities", contract.legal_entity
    for n, version in enumerate(contract.versions):
        at = (*place, "versions", n)
        yield (*at, "plan"), "plans", version.plan
        if isinstance(version.prices, dict):
            yield from _of_prices((*at, "prices"), list(version.prices))
        for feature in version.entitlements:
            yield (*at, "entitlements", feature), "features", feature


def _of_subscription(place: Place, subscription: Subscription) -> Iterator[Named]:
    yield (*place, "contract"), "contracts", subscription.contract
    yield (*place, "cycle"), "cycles", subscription.cycle
    for n, phase in enumerate(subscription.phases):
        yield (*place, "phases", n, "plan"), "plans", phase.plan
        if isinstance(phase.prices, dict):
            yield from _of_prices((*place, "phases", n, "prices"), list(phase.prices))


def _of_metric(place: Place, metric: Metric) -> Iterator[Named]:
    yield (*place, "meter"), "meters", metric.meter
    yield (*place, "product"), "products", metric.product


def _of_prices(place: Place, metrics: Sequence[str]) -> Iterator[Named]:
    for metric in metrics:
        yield (*place, metric), "metrics", metric


def _of_lists(master: MasterData) -> Iterator[Named]:
    for name, rule in master.exclusion_rules.items():
        yield ("exclusion_rules", name, "meter"), "meters", rule.meter
        yield ("exclusion_rules", name, "metric"), "metrics", rule.metric
    for n, mapping in enumerate(master.mappings):
        yield ("mappings", n, "source"), "sources", mapping.source
        yield ("mappings", n, "subscription"), "subscriptions", mapping.subscription
    for n, each in enumerate(master.entitlements):
        yield ("entitlements", n, "subscription"), "subscriptions", each.subscription
        yield ("entitlements", n, "feature"), "features", each.feature
    for n, grant in enumerate(master.grants):
        yield ("grants", n, "subscription"), "subscriptions", grant.subscription
        yield ("grants", n, "feature"), "features", grant.feature
