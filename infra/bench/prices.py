"""How fast usage is rated under each price model, on one core, beside a bare multiplication of decimals."""

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from statistics import median
from typing import Final

from domain.canonical import Json
from domain.money import EXACT, ZERO, Currency
from domain.prices import Measured, Price, parse_price
from domain.rating import rate
from infra.bench.figures import Figure, Floor

#: Aggregates a second that one core rates under any model, buckets where each is priced alone: a month of a million
#: windows in under a minute.
RATED_PER_S_MIN: Final = 20_000
#: What single models keep of the events: so many in a period, or the hours of a day.
EVENTS: Final = 20
BUCKETS: Final = 24

_TIERS: Final[Sequence[Mapping[str, Json]]] = (
    {"up_to": "1000", "unit_amount": "0.10", "flat_amount": "5"},
    {"up_to": "10000", "unit_amount": "0.08"},
    {"up_to": None, "unit_amount": "0.05"},
)
_GRADUATED: Final[Mapping[str, Json]] = {"model": "graduated", "tiers": _TIERS, "zero_usage": "none"}
#: Terms as contracts have them; the usage below lies in the middle of them.
TERMS: Final[Mapping[str, Mapping[str, Json]]] = {
    "flat": {"amount": "49", "due": "when_used"},
    "per_unit": {"unit_amount": "0.0125"},
    "graduated": {"tiers": _TIERS, "zero_usage": "none"},
    "graduated_percentage": {
        "tiers": [{"up_to": "1000", "rate_percent": "2.9"}, {"up_to": None, "rate_percent": "1.9"}]
    },
    "volume": {"tiers": _TIERS, "zero_usage": "none"},
    "stairstep": {
        "tiers": [{"up_to": "1000", "flat_amount": "50"}, {"up_to": None, "flat_amount": "80"}],
        "zero_usage": "none",
    },
    "package": {"package_size": "100", "package_amount": "2.50", "free_units": "500"},
    "blocks": {
        "charged": "all_tiers",
        "tiers": [
            {"block_size": "10", "block_amount": "1", "max_blocks": "100"},
            {"block_size": "100", "block_amount": "5", "max_blocks": None},
        ],
    },
    "percentage": {"rate_percent": "2.9", "fixed_amount": "0.30", "event_minimum": "0.50", "event_maximum": "12"},
    "dynamic": {"multiplier": "1.2"},
    "capacity": {
        "tiers": [
            {"amount": "500", "limits": {"cores": "2000", "memory": "9000"}},
            {"amount": "900", "limits": {"cores": None, "memory": None}},
        ],
        "zero_usage": "none",
    },
    "matrix": {
        "dimensions": ["region", "model"],
        "cells": [{"values": ["eu", str(n)], "unit_amount": "0.0125"} for n in range(200)],
    },
    "bucketed": {"price": _GRADUATED},
    "converted": {"pricing_unit": "credits", "conversion_rate": "0.01", "price": _GRADUATED},
}
_CURRENCY: Final = Currency("EUR")
_RATE: Final = Decimal("0.0125")


def measure(aggregates: int, *, runs: int) -> list[Figure]:
    """Aggregates rated a second on one core, for each model; each run multiplies the same quantities beside it."""
    usage = [_usage(number) for number in range(aggregates)]
    prices = {model: parse_price({"model": model, **terms}) for model, terms in TERMS.items()}
    bare: list[float] = []
    rated: dict[str, list[float]] = {model: [] for model in prices}
    for _ in range(runs):
        bare.append(aggregates / _multiplied(usage))
        for model, price in prices.items():
            rated[model].append(aggregates / _rated(price, usage))
    of_bare = Figure("decimals multiplied by a rate, and nothing else", "a second", bare)
    return [of_bare, *(_figure(model, found, bare) for model, found in rated.items())]


def _figure(model: str, rated: Sequence[float], bare: Sequence[float]) -> Figure:
    shares = [mine / theirs for mine, theirs in zip(rated, bare, strict=True)]
    if model == "bucketed":
        floor = Floor("buckets/s", median(rated) * BUCKETS, RATED_PER_S_MIN)
    else:
        floor = Floor("aggregates/s", median(rated), RATED_PER_S_MIN)
    more = {"percentage": f", {EVENTS} events each", "bucketed": f", {BUCKETS} buckets each"}.get(model, "")
    note = f"{median(shares):.4f} of the bare multiplication"
    return Figure(f"aggregates rated on one core: {model}{more}", "a second", rated, [floor], [note])


def _usage(number: int) -> Measured:
    """Usage that every model can price; no two alike in their quantity."""
    events = tuple(Decimal(40 + (number * 7 + place * 13) % 97) for place in range(EVENTS))
    quantity = ZERO
    for event in events:
        quantity = EXACT.add(quantity, event)
    buckets = tuple(Decimal((number * 3 + place * 11) % 1500) for place in range(BUCKETS))
    peaks = {"cores": quantity, "memory": EXACT.add(quantity, quantity)}
    dimensions: dict[str, Json] = {"region": "eu", "model": str(number % 200)}
    return Measured(quantity, events=events, amount=quantity, peaks=peaks, buckets=buckets, dimensions=dimensions)


def _multiplied(usage: Sequence[Measured]) -> float:
    began_s = time.process_time()
    for each in usage:
        each.quantity * _RATE
    return time.process_time() - began_s


def _rated(price: Price, usage: Sequence[Measured]) -> float:
    began_s = time.process_time()
    for each in usage:
        rate(each, price, currency=_CURRENCY)
    return time.process_time() - began_s
