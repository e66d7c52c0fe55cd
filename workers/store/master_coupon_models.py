"""What a master data file may say of coupons, of contracts that have them, and of limits of a contract version."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from domain.canonical import DIGITS_MAX, EXPONENT_MAX
from workers.store.master_fields import STRICT, Code, Day, Name, Ref

#: A decimal text above zero.
Positive = Annotated[
    Decimal, Field(gt=0, max_digits=DIGITS_MAX, decimal_places=EXPONENT_MAX, allow_inf_nan=False, strict=False)
]
#: A whole number above zero; a cell of a table holds it as text.
Count = Annotated[int, Field(ge=1, le=1_000_000, strict=False)]
#: Products or metrics that a coupon is for.
Names = Annotated[list[Ref], Field(min_length=1, max_length=1_000)]


class _Part(BaseModel):
    model_config = STRICT


class Coupon(_Part):
    """A percentage, or an amount for each billing period or once in all, until its uses are spent or it expires.

    A use is a billing period of a contract in which it gives something. Without products and metrics it is for all.
    """

    title: Name
    percent: Positive | None = None
    amount: Positive | None = None
    currency: Code | None = None
    amount_is: Literal["each_period", "in_all"] = "each_period"
    products: Names | None = None
    metrics: Names | None = None
    uses: Count | None = None
    expires: Day | None = None

    @model_validator(mode="after")
    def _amount_has_a_currency(self) -> "Coupon":
        if (self.amount is None) != (self.currency is None):
            raise ValueError("has to have a `currency` with its `amount`, and only then")
        if self.amount is None and self.amount_is == "in_all":
            raise ValueError("is no amount that could be given once in all")
        return self


class ContractCoupon(_Part):
    """That a contract has a coupon from a day on, or with `given: false` has it no more; the lowest place gives first.

    It counts for the billing periods whose last day of service it is given on.
    """

    coupon: Ref
    starts: Day = Field(alias="from")
    ends: Day | None = Field(default=None, alias="to")
    place: Annotated[int, Field(ge=1, le=1_000, strict=False)] = 1
    given: bool = True


class SpendLimits(_Part):
    """What a contract version asks for at least and at most of a billing period, over all its charges.

    What is topped up to the minimum has a tax category and a revenue account of its own.
    """

    minimum: Positive | None = None
    maximum: Positive | None = None
    tax_category: Ref | None = None
    revenue_account: Name | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> "SpendLimits":
        if self.minimum is None and self.maximum is None:
            raise ValueError("has to have a `minimum` or a `maximum`")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("has a `minimum` above its `maximum`")
        booked = [each is not None for each in (self.tax_category, self.revenue_account)]
        if any(booked) != (self.minimum is not None) or any(booked) != all(booked):
            raise ValueError("has to have a `tax_category` and a `revenue_account` with its `minimum`, and only then")
        return self
