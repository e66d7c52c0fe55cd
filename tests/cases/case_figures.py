"""How a published figure is compared with ours."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias

from domain.money import rounded_to

Figures: TypeAlias = dict[str, Any]
#: From the model's name to what works a record out by our own rules.
Calculations: TypeAlias = dict[str, Callable[[Figures], Figures]]


class NotAdopted(Exception):
    """The record needs a rule that is not ours; says which."""


def stated(record: Figures) -> Figures:
    """The record without what it sets to null, which means that it does not say; an open tier keeps its bound."""
    return {**record, **{part: _without_nulls(record[part]) for part in ("params", "input")}}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: each for name, each in value.items() if each is not None}
    return {name: each if name in {"tiers", "price"} else _without_nulls(each) for name, each in kept.items()}


def of_stated(calculations: Calculations) -> Calculations:
    """The calculations, each of a record without its nulls."""
    return {model: _of_stated(calculation) for model, calculation in calculations.items()}


def _of_stated(calculation: Callable[[Figures], Figures]) -> Callable[[Figures], Figures]:
    return lambda record: calculation(stated(record))


_SCALE_OF = {"precise_amount": "precise_scale", "groups": "value_scale"}


def agrees(found: object, expected: object, scale: int | None) -> bool:
    """Whether they are the same figures; decimals are compared as numbers, at `scale` decimals where one is given."""
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        return all(agrees(found[name], value, scale) for name, value in expected.items())
    if isinstance(expected, list):
        assert isinstance(found, list | tuple)
        return len(found) == len(expected) and all(map(agrees, found, expected, [scale] * len(expected)))
    if isinstance(found, Decimal):
        figures = found, Decimal(str(expected))
        return figures[0] == figures[1] if scale is None else len({rounded_to(f, scale) for f in figures}) == 1
    return found == expected


def differences(found: Figures, expect: Figures) -> dict[str, tuple[object, object]]:
    """What differs, by name: (ours, theirs). A scale says how the figure it is named after is compared."""
    scales = {name for name in expect if name.endswith("_scale")}
    return {
        name: (found.get(name), expected)
        for name, expected in expect.items()
        if name not in scales
        and not (name in found and agrees(found[name], expected, expect.get(_SCALE_OF.get(name, f"{name}_scale"))))
    }
