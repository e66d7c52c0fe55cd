"""Price models as pydantic reads them, made from the classes of `domain`, so that a new model has a form at once.

A form says of which fields and kinds the terms of a price are; what they mean, and whether they contradict one another,
is read by `domain` alone. A form never refuses what `domain` takes.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal
from functools import cache, reduce
from inspect import cleandoc
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, create_model
from pydantic import Field as Described

from domain.canonical import NumberOutOfBounds, decimal_of
from domain.prices import Adjustments
from domain.prices.matrix import Matrix
from domain.prices.nested import INNER
from domain.prices.price import MODELS
from domain.prices.tiers import Tier

#: How a number is written where it stands in a text: in digits, without an exponent.
DECIMAL: Final = r"^-?[0-9]{1,31}(\.[0-9]{1,30})?$"
#: Fields that a file may leave out although the class of `domain` has no default for them.
_MAY_BE_LEFT_OUT: Final = frozenset({("Dynamic", "multiplier"), ("WindowedCommitment", "is_trued_up")})
#: Fields that a file calls otherwise than the class of `domain`.
_NAMES: Final[Mapping[tuple[str, str], str]] = {
    ("Bucketed", "of_bucket"): "price",
    ("Converted", "in_units"): "price",
    ("Minimum", "is_prorated"): "prorate",
    ("WindowedCommitment", "is_trued_up"): "true_up",
}


def _exact(value: object) -> object:
    """The number, exactly. Raises `ValueError` for what is none, or has more digits than are kept."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("is no number")  # noqa: TRY004 -- pydantic collects ValueErrors
    try:
        return decimal_of(value)
    except NumberOutOfBounds as error:
        raise ValueError(error.sentence) from None


#: A decimal as a text or a number; nothing reads it as a binary float on its way.
Exact = Annotated[
    Decimal,
    BeforeValidator(_exact),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": DECIMAL}, {"type": "number"}]}),
]


#: A single value of JSON, as a dimension has.
Scalar = str | bool | int | Exact | None


class Form(BaseModel):
    """What every form is: strict, and closed to fields that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Tier(Form):
    """Units above the tier before and up to and including `up_to`, null in the last tier."""

    up_to: Exact | None
    flat_amount: Exact | None = None
    cap_amount: Exact | None = None


@cache
def _tier_of(rate_field: str) -> type[Form]:
    """A tier of a ladder whose units cost what that field says."""
    member: dict[str, Any] = {rate_field: (Exact, ...)}
    return create_model(f"TierBy{rate_field.title().replace('_', '')}", __base__=_Tier, __doc__=_Tier.__doc__, **member)


@cache
def form_of(kind: type) -> type[Form]:
    """The form of a class of `domain`; of a price model with its name as tag."""
    hints = get_type_hints(kind)
    model = getattr(kind, "model", None)
    members: dict[str, Any] = {"model": (Literal[model], ...)} if model else {}
    for each in fields(kind):
        name = _NAMES.get((kind.__name__, each.name), each.name)
        members[name] = _member(kind, each, hints[each.name])
    named = f"{kind.__name__}Price" if model else kind.__name__
    form: type[Form] = create_model(named, __base__=Form, __doc__=cleandoc(kind.__doc__ or ""), **members)
    return form


def _member(kind: type, member: Field[Any], hint: object) -> tuple[Any, Any]:
    """A field of a form; a word may be left out, since `domain` decides whether it has a default."""
    is_optional = (
        member.default is not MISSING or get_origin(hint) is Literal or (kind.__name__, member.name) in _MAY_BE_LEFT_OUT
    )
    if hint == tuple[Tier, ...]:
        read: Any = list[_tier_of(kind.rate_field)]  # type: ignore[attr-defined,misc]  # a ladder
    elif (kind, member.name) == (Matrix, "cells"):
        read, is_optional = list[_cell()], True  # type: ignore[misc]
    elif (kind, member.name) == (Matrix, "default"):
        read = _cell_price()
    else:
        read = _read(hint)
    return (read | None, None) if is_optional else (read, ...)


@cache
def _cell_price() -> type[Form]:
    """The price of a cell: in full, or an amount by the unit."""
    inner = _one_of(list(INNER.values()), is_nullable=True)
    members: dict[str, Any] = {"unit_amount": (Exact | None, None), "price": (inner, None)}
    return create_model("CellPrice", __base__=Form, __doc__=_cell_price.__doc__, **members)


@cache
def _cell() -> type[Form]:
    """A cell of a matrix: the values of its dimensions, and its price."""
    return create_model("Cell", __base__=_cell_price(), __doc__=_cell.__doc__, values=(list[Scalar], ...))


def _read(hint: Any) -> Any:  # noqa: ANN401 -- annotations are values of every kind
    """What a form reads where `domain` has a value of that kind."""
    if hint is Decimal:
        return Exact
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _one_of([each for each in arguments if each is not type(None)], is_nullable=type(None) in arguments)
    if origin is tuple:
        return list[_read(arguments[0])]  # type: ignore[misc]
    if origin is Mapping:
        return dict[str, _read(arguments[1])]  # type: ignore[misc]
    return form_of(hint) if is_dataclass(hint) and isinstance(hint, type) else hint


def _one_of(kinds: Sequence[Any], *, is_nullable: bool) -> Any:  # noqa: ANN401 -- as `_read`
    read: Any = reduce(or_, [_read(each) for each in kinds])
    if len(kinds) > 1 and all(is_dataclass(each) for each in kinds):
        read = Annotated[read, Described(discriminator="model")]
    return read | None if is_nullable else read


def _terms_of(kind: type) -> type[Form]:
    """The form of a price that stands by itself: what a contract changes about it may be said beside its terms."""
    form = form_of(kind)
    members: dict[str, Any] = {"adjustments": (form_of(Adjustments) | None, None)}
    return create_model(f"{kind.__name__}Terms", __base__=form, __doc__=form.__doc__, **members)


if TYPE_CHECKING:
    Terms = Any
else:
    #: The terms of a price of any model.
    Terms = Annotated[reduce(or_, [_terms_of(each) for each in MODELS.values()]), Described(discriminator="model")]
