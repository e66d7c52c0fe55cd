"""What a master data file may hold of prices: those of one metric, where they stand, and phases that have their own."""

from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from workers.store.master_fields import STRICT, Day, Name, PlanName, Ref


class _Part(BaseModel):
    model_config = STRICT


class BookEntry(_Part):
    """The price of one metric with its tax category and revenue account; `terms` are those of a price model."""

    terms: dict[str, Any]
    tax_category: Ref
    revenue_account: Name


BOOK, HERE = "a price book", "prices"
Prices = Annotated[
    Annotated[Ref, Tag(BOOK)] | Annotated[dict[Ref, BookEntry], Tag(HERE)],
    Discriminator(lambda value: HERE if isinstance(value, dict) else BOOK),
]


class Phase(_Part):
    """A part of a subscription's life, such as a trial, from a day on; without an end, until the next.

    With `prices` or a `plan`, as a contract version has them, these are all prices of its days; without, it prices
    nothing and the contract does.
    """

    phase: Ref
    is_trial: bool = False
    prices: Prices | None = None
    plan: PlanName | None = None
    starts: Day = Field(alias="from")
    ends: Day | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _not_both(self) -> "Phase":
        if self.prices is not None and self.plan is not None:
            raise ValueError("has both `prices` and a `plan`: say one of them")
        return self
