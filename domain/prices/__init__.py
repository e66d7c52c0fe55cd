"""Prices: one file per model. A price turns the quantity of one metric and period into an unrounded amount."""

from domain.prices.adjusted import Adjusted
from domain.prices.adjustments import Adjustments
from domain.prices.measured import Measured, NotMeasured
from domain.prices.price import Price, difference, effective_unit_amount, moved_by, parse_price, price_json
from domain.prices.priced import Priced, PriceInvalid, QuantityNegative, TraceStep, UsageNotPriced

__all__ = [
    "Adjusted",
    "Adjustments",
    "Measured",
    "NotMeasured",
    "Price",
    "PriceInvalid",
    "Priced",
    "QuantityNegative",
    "TraceStep",
    "UsageNotPriced",
    "difference",
    "effective_unit_amount",
    "moved_by",
    "parse_price",
    "price_json",
]
