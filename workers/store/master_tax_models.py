"""What a master data file may hold for taxes: rates, tax numbers, exemptions; and addresses, which invoices say."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints, model_validator

from domain.vat import VatCategory
from workers.store.master_fields import STRICT, Day, Name, Ref, Text

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
PaymentDays = Annotated[int, Field(ge=0, le=3_660)]
#: As many digits of a percentage as any tax has, and some to spare.
Percent = Annotated[Decimal, Field(ge=0, le=1_000, max_digits=20, decimal_places=15, allow_inf_nan=False, strict=False)]
#: Taxes that one rate is made of.
PARTS_MAX = 10


class _Part(BaseModel):
    model_config = STRICT


class TaxPart(_Part):
    """One of several taxes of a rate, such as that of a state or of a city."""

    name: Ref
    rate: Percent


class TaxRate(_Part):
    """Percent of a tax category in a jurisdiction from a day on, and where that is written.

    A rate is a number, or the taxes it is made of: side by side, or if `compound` each on the net and those before it.
    A VAT category other than S and Z asks for nothing, for a reason.
    """

    jurisdiction: Ref
    category: Ref
    rate: Percent | None = None
    parts: Annotated[list[TaxPart], Field(max_length=PARTS_MAX)] = []
    compound: bool = False
    vat_category: VatCategory | None = None
    exemption_code: Ref | None = None
    exemption_reason: Text | None = None
    starts: Day = Field(alias="from")
    ends: Day | None = Field(default=None, alias="to")
    source: Name


class TaxRegistration(_Part):
    """Under which number a party is registered for tax in a country, from a day on."""

    country: Country
    number: Ref
    starts: Day = Field(alias="from")
    ends: Day | None = Field(default=None, alias="to")


class TaxExemption(_Part):
    """That an account pays no tax of a category in a jurisdiction, or of any: why, since when, and what proves it."""

    jurisdiction: Ref
    category: Ref = "*"
    vat_category: Literal["Z", "E", "K", "G", "O"] = "E"
    code: Ref | None = None
    reason: Text | None = None
    certificate: Name
    starts: Day = Field(alias="from")
    ends: Day | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _with_its_reason(self) -> "TaxExemption":
        is_given = self.code is not None or self.reason is not None
        if self.vat_category == "E" and not is_given:
            raise ValueError("has to have a `code` or a `reason`: invoices say why no tax is asked for")
        if self.vat_category == "Z" and is_given:
            raise ValueError("has a reason, and a zero rate has none; use the VAT category E for an exemption")
        return self


class Address(_Part):
    """Where a party is, as it stands on invoices, from a day on; the country is what no invoice goes without."""

    line1: Name | None = None
    line2: Name | None = None
    city: Name | None = None
    postal_code: Ref | None = None
    subdivision: Name | None = None
    country: Country
    starts: Day | None = Field(default=None, alias="from")
    ends: Day | None = Field(default=None, alias="to")
