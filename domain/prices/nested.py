"""Prices inside a price: those that hold no other, so that terms nest one level deep."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from domain.canonical import Json
from domain.definitions import Definition
from domain.prices.blocks import Blocks
from domain.prices.capacity import Capacity
from domain.prices.dynamic import Dynamic
from domain.prices.flat import Flat
from domain.prices.graduated import Graduated
from domain.prices.graduated_percentage import GraduatedPercentage
from domain.prices.package import Package
from domain.prices.per_unit import PerUnit
from domain.prices.percentage import Percentage
from domain.prices.priced import PriceInvalid
from domain.prices.stairstep import Stairstep
from domain.prices.volume import Volume

#: Models that need a quantity and nothing else.
OfOneQuantity: TypeAlias = Flat | PerUnit | Graduated | GraduatedPercentage | Volume | Stairstep | Package | Blocks
#: Models that hold no other price.
Inner: TypeAlias = OfOneQuantity | Percentage | Dynamic | Capacity

OF_ONE_QUANTITY: Final[Mapping[str, type[OfOneQuantity]]] = {
    model.model: model for model in (Flat, PerUnit, Graduated, GraduatedPercentage, Volume, Stairstep, Package, Blocks)
}
INNER: Final[Mapping[str, type[Inner]]] = {
    **OF_ONE_QUANTITY,
    Percentage.model: Percentage,
    Dynamic.model: Dynamic,
    Capacity.model: Capacity,
}


def parse_inner(terms: Definition, models: Sequence[str] = tuple(INNER)) -> Inner:
    """The price that lies in the field `price`, of one of those models.

    Raises `PriceInvalid`, which names the field from the top.
    """
    inner = terms.object("price")
    try:
        terms_inside = Definition(inner.entries, PriceInvalid)
        return INNER[terms_inside.choice("model", models)].parse(terms_inside)
    except PriceInvalid as error:
        raise error.within(inner.path) from error


def inner_json(price: Inner) -> dict[str, Json]:
    """The terms that `parse_inner` reads back as an equal price."""
    return {"model": price.model, **price.to_json()}
