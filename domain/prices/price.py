"""The union of all price models, and its form as JSON with the model's name as tag."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from domain.canonical import Json
from domain.definitions import Definition
from domain.money import EXACT, QUOTIENT, ZERO
from domain.prices.adjusted import Adjusted
from domain.prices.adjustments import parse_adjustments
from domain.prices.graduated import Graduated
from domain.prices.package import Package
from domain.prices.per_unit import PerUnit
from domain.prices.priced import PriceInvalid
from domain.prices.volume import Volume

Plain: TypeAlias = PerUnit | Graduated | Volume | Package
#: A price as it is, or with what a contract changes about it.
Price: TypeAlias = Plain | Adjusted[Plain]

#: A new model is added to the union above and here; master data and database need no change.
MODELS: Final[Mapping[str, type[Plain]]] = {model.model: model for model in (PerUnit, Graduated, Volume, Package)}


def parse_price(terms: Mapping[str, Json]) -> Price:
    """The price of terms such as `{"model": "per_unit", "unit_amount": "0.25", "adjustments": {"percentage": "10"}}`.

    Raises `PriceInvalid`, which names the field and the fix.
    """
    adjustments = parse_adjustments(terms)
    definition = Definition({name: terms[name] for name in terms if name != "adjustments"}, PriceInvalid)
    plain = MODELS[definition.choice("model", tuple(MODELS))].parse(definition)
    return plain if adjustments is None else Adjusted(plain, adjustments)


def price_json(price: Price) -> dict[str, Json]:
    """The terms that `parse_price` reads back as an equal price."""
    return {"model": price.model, **price.to_json()}


def moved_by(price: Price, units: Decimal, *, held: Decimal) -> Decimal:
    """By how much `units` more than those held move the amount, either way: as the units that come last.

    More units may cost less, as by volume. That is money at risk too, and must not make up for what others come to.
    Raises `QuantityNegative`.
    """
    after = price.amount_for(EXACT.add(held, units)).amount
    return EXACT.abs(EXACT.subtract(after, price.amount_for(held).amount))


def effective_unit_amount(amount: Decimal, units: Decimal) -> Decimal:
    """What one unit came to on average, cut at `money.QUOTIENT_DIGITS` digits; zero if there were none."""
    return QUOTIENT.divide(amount, units) if units else ZERO
