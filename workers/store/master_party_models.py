"""What a master data file may hold of parties: legal entities, accounts with their names elsewhere, and products."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from domain.revenue import (
    ASSET_ACCOUNT,
    BREAKAGE_ACCOUNT,
    DEFERRED_ACCOUNT,
    GIVEN_ACCOUNT,
    LIABILITY_ACCOUNT,
    RECEIVED_ACCOUNT,
    Method,
)
from workers.store.master_fields import STRICT, Code, Day, Name, Ref, Slug, Text
from workers.store.master_tax_models import Address, PaymentDays, TaxExemption, TaxRegistration

Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


class _Part(BaseModel):
    model_config = STRICT


class Breakers(_Part):
    """When a draft is parked until a person has looked: lines a day, jumps, and what each contract should not do."""

    lines_max: Annotated[int, Field(ge=1)] | None = 10_000
    jump_percent: Annotated[Decimal, Field(gt=0, max_digits=12)] | None = Field(default=None, strict=False)
    jump_from: Annotated[Decimal, Field(ge=0, max_digits=20)] = Field(default=Decimal(0), strict=False)
    usage_missing: bool = False
    total_negative: bool = True
    currency_changed: bool = True


class LegalEntity(_Part):
    """Our company that sells and books; its tax is booked by category where that has an account of its own.

    Of one that is there, what is left out stays.
    """

    name: Name | None = None
    currency: Code | None = None
    zone: Name | None = None
    jurisdiction: Ref | None = None
    connection: Slug | None = None
    receivable_account: Name = "assets:receivable"
    tax_account: Name = "liabilities:tax"
    tax_accounts: dict[Ref, Name] = {}
    tax_registrations: list[TaxRegistration] = []
    addresses: list[Address] = []
    payment_days: PaymentDays | None = None
    breakers: Breakers = Breakers()


class RevenueRule(_Part):
    """How what is booked on a revenue account is earned, and on which accounts it waits for that, or to be billed.

    Without a method fees and seats are earned by the days of their service, usage as it is used.
    """

    method: Method | None = None
    deferred_account: Name = DEFERRED_ACCOUNT
    asset_account: Name = ASSET_ACCOUNT


class CreditAccounts(_Part):
    """Where prepaid credits are booked: what was paid ahead and for it, what of it expired, and what was given."""

    liability_account: Name = LIABILITY_ACCOUNT
    received_account: Name = RECEIVED_ACCOUNT
    breakage_account: Name = BREAKAGE_ACCOUNT
    given_account: Name = GIVEN_ACCOUNT


class Identity(_Part):
    """What another system calls the account, as which kind of thing: a CRM account, a tenant, a debtor."""

    system: Name
    kind: Kind
    identifier: Name
    starts: Day | None = Field(default=None, alias="from")
    ends: Day | None = Field(default=None, alias="to")


class Debtors(_Part):
    """Which identity of an account an ERP knows it by: of which system, unless it is the connection's own name.

    Where one is `required` no document goes out to an account that has none.
    """

    system: Name | None = None
    kind: Kind = "debtor"
    required: bool = False


class Account(_Part):
    """Who pays. What is left out stays as it is; a `parent` or `bill_to` of null is taken away."""

    name: Name | None = None
    parent: Ref | None = None
    bill_to: Ref | None = None
    identities: list[Identity] = []
    tax_registrations: list[TaxRegistration] = []
    tax_exemptions: list[TaxExemption] = []
    addresses: list[Address] = []


class Product(_Part):
    """What is sold, by the name that a catalogue has for it; metrics belong to one."""

    name: Name


class Renewal(_Part):
    """From a day on, terms of so many months one after the other; notice is given so many days before the end."""

    starts: Day = Field(alias="from")
    ends: Day | None = Field(default=None, alias="to")
    term_months: int = Field(ge=1, le=1_200)
    auto_renew: bool
    notice_days: int = Field(default=0, ge=0, le=3_660)


class Cancellation(_Part):
    """That a subscription ends, on which first day without it, and why."""

    on: Day
    reason: Text


class System(_Part):
    """Another system that keeps master data: who may speak for it, and which fields of which kind it writes.

    Where a change takes an approval it is asked for in the name of `person`; without one it is refused.
    """

    owner: Name
    users: list[Ref] = []
    person: Ref | None = None
    fields: dict[Ref, list[Ref]] = {}
