"""Coupons, the contracts that have them, and the limits of contract versions; the caller has put what they name."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from sqlalchemy import text

from domain.canonical import decimal_text
from domain.coupons import Coupon, CouponInvalid
from domain.errors import Rejection
from domain.money import Currency, Money
from workers.store import master_coupon_models as models
from workers.store import master_kinds as kinds
from workers.store.master_file import Place
from workers.store.master_rows import Loading, Row, ids, put
from workers.store.master_schedules import Entry, Scheduled, put_schedules

CONTRACT_COUPONS: Final = Scheduled(
    "contract_coupons",
    {"contract_id": "integer", "coupon_id": "integer"},
    {"place": "integer", "is_given": "boolean"},
)


def put_coupons(loading: Loading) -> None:
    """Put coupons and which contract has which, from when on. Raises `MasterInvalid`."""
    coupons = loading.master.coupons
    named = [(("coupons", n, "metrics", k), m) for n, each in coupons.items() for k, m in enumerate(each.metrics or ())]
    ids(loading, kinds.METRICS, named, name="name", what="metric")
    named = [
        (("coupons", n, "products", k), p) for n, each in coupons.items() for k, p in enumerate(each.products or ())
    ]
    ids(loading, kinds.PRODUCTS, named, name="id", what="product")
    for name, each in coupons.items():
        _check(loading, ("coupons", name), name, each)
    loading.check()
    put(loading, kinds.COUPONS, {("coupons", name): _row(name, each) for name, each in coupons.items()})
    _put_of_contracts(loading)


def _check(loading: Loading, place: Place, name: str, each: models.Coupon) -> None:
    """Note a problem if `domain` refuses the coupon."""
    try:
        amount = None if each.amount is None or each.currency is None else Money(each.amount, Currency(each.currency))
        Coupon(name, percent=each.percent, amount=amount)
    except CouponInvalid as error:
        loading.refuse_definition(place, error)
    except Rejection as error:  # of the currency
        loading.refuse((*place, "currency"), error.sentence, fix="name a currency with minor units")


def _row(name: str, each: models.Coupon) -> Row:
    return {
        "name": name,
        "title": each.title,
        "percent": _decimal(each.percent),
        "amount": _decimal(each.amount),
        "currency": each.currency,
        "is_in_all": each.amount_is == "in_all",
        "products": None if each.products is None else sorted(set(each.products)),
        "metrics": None if each.metrics is None else sorted(set(each.metrics)),
        "uses": each.uses,
        "expires_on": each.expires and each.expires.isoformat(),
    }


def _decimal(number: Decimal | None) -> str | None:
    return None if number is None else decimal_text(number)


def _put_of_contracts(loading: Loading) -> None:
    said = list(_said(loading))
    coupons = ids(
        loading, kinds.COUPONS, [((*place, "coupon"), each.coupon) for place, _, each in said], name="name",
        what="coupon",
    )  # fmt: skip
    contracts = ids(loading, kinds.CONTRACTS, [(place[:2], ref) for place, ref, _ in said], name="ref", what="contract")
    other = _in_other_currencies(loading, coupons, contracts)
    for place, ref, each in said:
        if (contracts[ref], coupons[each.coupon]) in other:
            sentence = f"{each.coupon} is in another currency than the contract"
            loading.refuse((*place, "coupon"), sentence, fix="name a percentage, or an amount in its currency")
    loading.check()
    put_schedules(loading, CONTRACT_COUPONS, [
        Entry(
            place, (contracts[ref], coupons[each.coupon]), each.starts, each.ends, (each.place, each.given),
        ) for place, ref, each in said
    ])  # fmt: skip


def _said(loading: Loading) -> Iterator[tuple[Place, str, models.ContractCoupon]]:
    for ref, contract in loading.master.contracts.items():
        for n, each in enumerate(contract.coupons):
            yield ("contracts", ref, "coupons", n), ref, each


def _in_other_currencies(
    loading: Loading, coupons: Mapping[str, int], contracts: Mapping[str, int]
) -> set[tuple[int, int]]:
    """(contract, coupon) of those whose currencies differ."""
    found = loading.conn.execute(
        text("""select c.id, p.id from contracts c join coupons p on p.currency <> c.currency
             where c.id = any(cast(:contracts as integer[])) and p.id = any(cast(:coupons as integer[]))"""),
        {"contracts": sorted(contracts.values()), "coupons": sorted(coupons.values())},
    )
    return {(contract_id, coupon_id) for contract_id, coupon_id in found}


def put_limits(loading: Loading) -> None:
    """Put the limits of contract versions that are new; what is published stays. Raises `MasterInvalid`."""
    said = [
        (("contracts", ref, "versions", n, "limits"), ref, version.version, version.limits)
        for ref, contract in loading.master.contracts.items()
        for n, version in enumerate(contract.versions)
        if version.limits is not None
    ]
    found = loading.conn.execute(
        text("""select c.ref, v.version, v.id, v.recorded_at = now() or l.contract_version_id is not null as may_have,
               c.currency
             from unnest(cast(:refs as text[]), cast(:versions as integer[])) as t (ref, version)
             join contracts c on c.ref = t.ref
             join contract_versions v on v.contract_id = c.id and v.version = t.version and v.own_of = 0
             left join contract_limits l on l.contract_version_id = v.id"""),
        {"refs": [ref for _, ref, _, _ in said], "versions": [version for _, _, version, _ in said]},
    )
    known = {(row.ref, row.version): row for row in found}
    rows: dict[Place, Row] = {}
    for place, ref, version, limits in said:
        row = known[ref, version]
        if not row.may_have:
            fix = "add a version with the next number; what is published stays as it was"
            loading.refuse(place, f"version {version} is published without limits", fix=fix)
        _check_rounded(loading, place, limits, Currency(row.currency))
        rows[place] = {
            "contract_version_id": row.id, "minimum": _decimal(limits.minimum), "maximum": _decimal(limits.maximum),
            "tax_category": limits.tax_category, "revenue_account": limits.revenue_account,
        }  # fmt: skip
    loading.check()
    put(loading, kinds.CONTRACT_LIMITS, rows)


def _check_rounded(loading: Loading, place: Place, limits: models.SpendLimits, currency: Currency) -> None:
    for name, amount in (("minimum", limits.minimum), ("maximum", limits.maximum)):
        if amount is not None and not Money(amount, currency).is_rounded:
            loading.refuse((*place, name), f"is finer than {currency.code} has", fix="give whole minor units")
