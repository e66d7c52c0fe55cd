"""Matrix: the values of one or more dimensions choose the price, such as a region and a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias

from domain.canonical import Json, plain_text
from domain.definitions import Definition
from domain.money import ZERO
from domain.prices.measured import Measured, NotMeasured
from domain.prices.nested import Inner, inner_json, parse_inner
from domain.prices.per_unit import PerUnit
from domain.prices.priced import Priced, PriceInvalid, TraceStep, UsageNotPriced

#: Cells of one matrix: every country with four products.
CELLS_MAX: Final = 1_000
#: Dimensions of one matrix.
DIMENSIONS_MAX: Final = 8

#: The values of a cell as texts, in the order of the dimensions.
Values: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A price for each cell, and a `default` for usage whose values are in none; without one such usage is refused."""

    model: ClassVar[Literal["matrix"]] = "matrix"
    dimensions: tuple[str, ...]
    cells: Mapping[Values, Inner]
    default: Inner | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.dimensions) <= DIMENSIONS_MAX:
            fix = f"name 1 to {DIMENSIONS_MAX} dimensions of the metric"
            raise PriceInvalid(f"names {len(self.dimensions)}", field="dimensions", fix=fix)
        if not self.cells and self.default is None:
            raise PriceInvalid("has no cell and no default", field="cells", fix="give a cell or a default")

    @classmethod
    def parse(cls, terms: Definition) -> "Matrix":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "dimensions", "cells", "default")
        dimensions = terms.texts("dimensions")
        cells: dict[Values, Inner] = {}
        for cell in terms.objects("cells", entries_max=CELLS_MAX):
            cell.only("values", "unit_amount", "price")
            values = tuple(plain_text(value) for value in cell.scalars("values"))
            if len(values) != len(dimensions):
                raise cell.refuse("values", f"has {len(values)}", fix=f"give one for each of: {', '.join(dimensions)}")
            if values in cells:
                raise cell.refuse("values", "has a cell already", fix="remove one of the two")
            cells[values] = _parse_price(cell)
        if terms.entries.get("default") is None:
            return cls(dimensions, cells)
        default = terms.object("default")
        default.only("unit_amount", "price")
        return cls(dimensions, cells, _parse_price(default))

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        cells: list[Json] = [
            {"values": list(values), "price": inner_json(price)} for values, price in self.cells.items()
        ]
        default: dict[str, Json] = {} if self.default is None else {"default": {"price": inner_json(self.default)}}
        return {"dimensions": list(self.dimensions), "cells": cells, **default}

    def price(self, measured: Measured) -> Priced:
        """The exact amount by the price of the usage's cell; nothing if nothing was used at all.

        Raises `NotMeasured` if the metric lacks a dimension, `UsageNotPriced` for values without a cell, and what the
        price of the cell raises.
        """
        if measured.dimensions is None and measured.events == ():
            return Priced.of(TraceStep.of("no_usage", ZERO, quantity=ZERO))
        found = measured.dimensions or {}
        lacking = [name for name in self.dimensions if name not in found]
        if lacking:
            raise NotMeasured(f"the metric is not kept apart by {', '.join(lacking)}", model=self.model)
        values = tuple(plain_text(found[name]) for name in self.dimensions)
        told = ", ".join(f"{name} {value:.80}" for name, value in zip(self.dimensions, values, strict=True))
        price = self.cells.get(values, self.default)
        if price is None:
            raise UsageNotPriced(f"no cell and no default is for {told}", dimensions=told)
        cell = TraceStep.of("matrix_cell" if values in self.cells else "matrix_default", ZERO, cell=told)
        return Priced.of(cell, *price.price(measured).steps)


def _parse_price(cell: Definition) -> Inner:
    """The price of a cell: in full, or an amount by the unit."""
    if "unit_amount" not in cell.entries:
        return parse_inner(cell)
    if "price" in cell.entries:
        raise cell.refuse("price", "is given beside unit_amount", fix="give one of the two")
    unit_amount = cell.decimal("unit_amount")
    try:
        return PerUnit(unit_amount)
    except PriceInvalid as error:
        raise error.within(cell.path) from error
