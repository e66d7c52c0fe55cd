"""The union of all price models, and its form as JSON with the model's name as tag."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from domain.canonical import Json
from domain.definitions import Definition
from domain.money import EXACT, QUOTIENT, ZERO
from domain.prices.adjusted import Adjusted
from domain.prices.adjustments import parse_adjustments
from domain.prices.bucketed import Bucketed
from domain.prices.converted import Converted
from domain.prices.matrix import Matrix
from domain.prices.measured import Measured, NotMeasured
from domain.prices.nested import INNER, Inner
from domain.prices.priced import PriceInvalid

#: A new model is added here or to `nested.Inner`; master data and database need no change.
Plain: TypeAlias = Inner | Matrix | Bucketed | Converted
#: A price as it is, or with what a contract changes about it.
Price: TypeAlias = Plain | Adjusted[Plain]

MODELS: Final[Mapping[str, type[Plain]]] = {
    **INNER,
    Matrix.model: Matrix,
    Bucketed.model: Bucketed,
    Converted.model: Converted,
}


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


def difference(price: Price, units: Decimal, *, held: Decimal, dimensions: Mapping[str, Json] | None = None) -> Decimal:
    """By how much `units` more than those held move the amount: as the units that come last; negative if it falls.

    Raises `NotMeasured` for a price that a quantity and its dimensions do not tell the amount of, `QuantityNegative`,
    or `UsageNotPriced`.
    """
    if isinstance(price, Adjusted) and price.adjustments.windowed is not None:
        raise NotMeasured("a quantity does not tell which time buckets it is used in", model=price.model)
    before, after = (Measured(each, dimensions=dimensions) for each in (held, EXACT.add(held, units)))
    return EXACT.subtract(price.price(after).amount, price.price(before).amount)


def moved_by(price: Price, units: Decimal, *, held: Decimal, dimensions: Mapping[str, Json] | None = None) -> Decimal:
    """As `difference`, without its sign.

    More units may cost less, as by volume. That is money at risk too, and must not make up for what others come to.
    """
    return EXACT.abs(difference(price, units, held=held, dimensions=dimensions))


def effective_unit_amount(amount: Decimal, units: Decimal) -> Decimal:
    """What one unit came to on average, cut at `money.QUOTIENT_DIGITS` digits; zero if there were none."""
    return QUOTIENT.divide(amount, units) if units else ZERO
