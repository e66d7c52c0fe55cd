"""What a master data file may hold: names, references by name, and definitions that `domain` reads."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from queues.contracts import SEQUENCE_DIGITS_MAX
from workers.store.master_coupon_models import ContractCoupon, Coupon, SpendLimits
from workers.store.master_fields import (
    STRICT,
    Code,
    CycleName,
    Day,
    Name,
    Number,
    PlanName,
    Quantities,
    Ref,
    Slug,
    Subject,
    Text,
    When,
)
from workers.store.master_party_models import (
    Account,
    Cancellation,
    CreditAccounts,
    Debtors,
    LegalEntity,
    Product,
    Renewal,
    RevenueRule,
    System,
)
from workers.store.master_price_models import BookEntry, Phase, Prices
from workers.store.master_tax_models import PaymentDays, TaxRate

#: Thirty days: whatever is missing longer is told before its month can be billed.
GAP_GRACE_S_MAX = 2_592_000
#: Longest that a close may be put off after the end of its period.
CLOSE_DAYS_MAX = 90


class _Part(BaseModel):
    model_config = STRICT


class Connection(_Part):
    """A way into one ERP; secrets are named in `settings` and read from the environment."""

    adapter: Ref
    settings: dict[str, Any] = {}
    per_second: Decimal = Field(default=Decimal(10), gt=0, strict=False)
    concurrency: Number = 1
    debtor: Debtors = Debtors()


class Cycle(_Part):
    """A calendar of billing periods: so many months of a zone each, the legal entity's unless it is given.

    They begin on `anchor_day`, on the last day of a month that is shorter, counted from `anchor_month`. Of a period
    that has ended, the run is asked for by itself `bill_after_days` later, or by a person only; its close is due
    `deadline_days` after the end.
    """

    zone: Name | None = None
    months: Literal[1, 2, 3, 4, 6, 12] = 1
    anchor_day: Number = Field(default=1, ge=1, le=31)
    anchor_month: Number = Field(default=1, ge=1, le=12)
    bill_after_days: int | None = Field(default=None, ge=0, le=CLOSE_DAYS_MAX)
    deadline_days: int | None = Field(default=None, ge=1, le=CLOSE_DAYS_MAX)


class Version(_Part):
    """The terms of a contract over a stretch of time: prices by metric, or a plan of a published price book.

    `prices` holds them or names a section of `price_books` in the same file; `plan` is `BOOK/PLAN`. `entitlements` by
    feature say what may be used meanwhile; read by `domain`. The owner answers for the prices: the legal entity that
    sells at them unless one is given. `limits` hold over all charges of a billing period that ends under the version.
    """

    version: Number
    starts: When = Field(alias="from")
    ends: When | None = Field(default=None, alias="to")
    prices: Prices | None = None
    plan: PlanName | None = None
    entitlements: dict[Ref, dict[str, Any]] = {}
    limits: SpendLimits | None = None
    owner: Name | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Version":
        if (self.prices is None) == (self.plan is None):
            raise ValueError("has to have either `prices` or a `plan`")
        return self


class Contract(_Part):
    """What was agreed between an account and a legal entity; of one that is there, what is left out stays.

    Its invoices are due so many days after their date, by default as the legal entity says.
    """

    account: Ref | None = None
    legal_entity: Slug | None = None
    currency: Code | None = None
    prices_include_tax: bool = False
    payment_days: PaymentDays | None = None
    versions: list[Version] = []
    renewals: list[Renewal] = []
    coupons: list[ContractCoupon] = []


class Quantity(_Part):
    """How much of an item, such as seats, a subscription has from a day on; without an end, until the next entry."""

    item: Ref
    quantity: Quantities
    starts: Day = Field(alias="from")
    ends: Day | None = Field(default=None, alias="to")


class Subscription(_Part):
    """One thing sold under a contract, billed by a cycle of the contract's legal entity.

    Of one that is there, what is left out stays; `to: null` lets it go on until further notice. A cancellation ends it
    for a reason; one of null is taken back.
    """

    contract: Ref | None = None
    cycle: CycleName | None = None
    starts: When | None = Field(default=None, alias="from")
    ends: When | None = Field(default=None, alias="to")
    activated: Day | None = None
    quantities: list[Quantity] = []
    phases: list[Phase] = []
    cancellation: Cancellation | None = None


class Source(_Part):
    """An upstream system by the name its events carry, and the broker users that may claim it."""

    owner: Name
    users: list[Ref] = []
    quota_per_hour: Number | None = None
    sequence_start: int | None = Field(default=None, ge=0, lt=10**SEQUENCE_DIGITS_MAX)
    gap_grace_s: int | None = Field(default=None, ge=0, le=GAP_GRACE_S_MAX)


class MeterVersion(_Part):
    """What the data of an event must hold from an instant on, for one `dataschema`; `fields` are read by `domain`."""

    version: Number
    dataschema: str = Field(default="", max_length=1_024)
    fields: list[dict[str, Any]]
    max_age_days: int = Field(default=400, ge=1, le=36_525)
    starts: When | None = Field(default=None, alias="from")
    owner: Name | None = None


class Meter(_Part):
    """What an upstream system reports, by the type its events carry."""

    owner: Name
    versions: list[MeterVersion] = []


class Metric(_Part):
    """A rule that turns a meter's events, or what a subscription has, into one quantity; read by `domain`."""

    meter: Name | None = None
    aggregation: Ref
    unit: Ref
    property: Ref | None = None
    requires: list[Ref] = []
    dimensions: list[Ref] = []
    product: Ref | None = None
    owner: Name | None = None
    operation: Ref | None = None
    percent: Any = None
    roll_over_at: Any = None
    jump_max: Any = None
    resets: Ref | None = None
    reset: Ref | None = None
    prorate: Ref | None = None
    amount: Ref | None = None
    by: Ref | None = None
    filter: dict[Ref, list[Any]] | None = None
    recurring: bool | None = None
    bucket: Ref | None = None
    negative: Ref | None = None
    convert: dict[Ref, Any] | None = None

    def definition(self, name: str) -> dict[str, Any]:
        """What `domain` reads: what is given, without who answers for it and which product it is."""
        return {"name": name, **self.model_dump(exclude={"owner", "product"}, exclude_none=True)}


class Dimension(_Part):
    """A property by whose values usage is kept apart: who answers for it, and what it means."""

    owner: Name
    meaning: str = Field(default="", max_length=1_000)


class Feature(_Part):
    """What a subscription may be entitled to; a metered one limits the quantity of a metric."""

    kind: Literal["boolean", "static", "metered"]
    metric: Ref | None = None
    owner: Name
    meaning: str = Field(default="", max_length=1_000)


class Entitlement(_Part):
    """That a subscription has terms of its own for a feature, which go before those of its contract."""

    subscription: Ref
    feature: Ref
    terms: dict[str, Any]
    starts: When | None = Field(default=None, alias="from")
    ends: When | None = Field(default=None, alias="to")


class Grant(_Part):
    """A quantity of a metered feature on top of its limit, from an instant until it expires; zero takes it back."""

    subscription: Ref
    feature: Ref
    name: Ref
    quantity: Decimal = Field(ge=0, max_digits=38, decimal_places=30, strict=False)
    priority: int = Field(default=1, ge=0, le=1_000)
    starts: When = Field(alias="from")
    expires: When | None = None
    rollover_max: Decimal | None = Field(default=None, ge=0, max_digits=38, decimal_places=30, strict=False)


class ExclusionRule(_Part):
    """Usage that is never billed, for a reason; of every metric of the meter unless one is named. Read by `domain`."""

    meter: Name
    metric: Ref | None = None
    conditions: list[dict[str, Any]]
    reason: Text
    starts: When | None = Field(default=None, alias="from")
    ends: When | None = Field(default=None, alias="to")


class Mapping(_Part):
    """That the usage a source reports of a subject belongs to a subscription."""

    source: Name
    subject: Subject
    subscription: Ref
    starts: When | None = Field(default=None, alias="from")
    ends: When | None = Field(default=None, alias="to")
    owner: Name | None = None


class MasterData(_Part):
    """A whole file; every section may be left out, and may name what an earlier file has loaded."""

    connections: dict[Slug, Connection] = {}
    legal_entities: dict[Slug, LegalEntity] = {}
    revenue_rules: dict[Slug, dict[Name, RevenueRule]] = {}
    credit_accounts: dict[Slug, CreditAccounts] = {}
    cycles: dict[CycleName, Cycle] = {}
    systems: dict[Ref, System] = {}
    accounts: dict[Ref, Account] = {}
    products: dict[Ref, Product] = {}
    price_books: dict[Ref, dict[Ref, BookEntry]] = {}
    coupons: dict[Ref, Coupon] = {}
    contracts: dict[Ref, Contract] = {}
    subscriptions: dict[Ref, Subscription] = {}
    sources: dict[Name, Source] = {}
    meters: dict[Name, Meter] = {}
    dimensions: dict[Ref, Dimension] = {}
    metrics: dict[Ref, Metric] = {}
    exclusion_rules: dict[Ref, ExclusionRule] = {}
    features: dict[Ref, Feature] = {}
    entitlements: list[Entitlement] = []
    grants: list[Grant] = []
    mappings: list[Mapping] = []
    tax_rates: list[TaxRate] = []
