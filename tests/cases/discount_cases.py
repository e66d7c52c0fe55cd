"""Published discounts, coupons, commitments and credits."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from case_figures import Calculations, Figures

from domain.commitments import (
    Committed,
    WindowedCommitment,
    below_minimum,
    over_maximum,
    prorated_minimum,
)
from domain.coupons import Coupon, Discountable, redeemed
from domain.discounts import percentage_per_line, spread, spread_exactly
from domain.events import parse_instant
from domain.money import ZERO, Currency, Money, rounded_to, total
from domain.prices import parse_price
from domain.prices.adjustments import free_in
from domain.taxation import tax_on

_BY_SCALE = {0: "JPY", 2: "EUR", 3: "KWD", 4: "CLF"}
_DAY = date(2026, 1, 31)


def coupons_sequential(record: Figures) -> Figures:
    currency, params, given = _currency(record), record["params"], record["input"]
    subtotal = Money.of(given["subtotal"], currency)
    found = redeemed(
        [Discountable("all", subtotal)], _coupons(given["coupons"], currency), on=_DAY, order=params["order"]
    )
    discount = total((use.amount for use in found.uses), currency)
    return {
        "discount": discount.amount,
        "remaining": found.remaining[0].amount,
        "discounts": [use.amount.amount for use in found.uses],
    }


def coupons_then_tax(record: Figures) -> Figures:
    currency, given = _currency(record), record["input"]
    amounts = [Money.of(line["amount"], currency) for line in given["lines"]]
    found = redeemed(
        [Discountable(line["id"], amount) for line, amount in zip(given["lines"], amounts, strict=True)],
        _coupons(given["coupons"], currency),
        on=_DAY,
        order="as_listed",
        spreading="exact",
    )
    taxes = [
        net.times(Decimal(line["tax_rate_percent"]).scaleb(-2))
        for net, line in zip(found.remaining, given["lines"], strict=True)
    ]
    net, tax = total(found.remaining, currency), total(taxes, currency).rounded()
    return {
        "line_coupons": [(amount - left).amount for amount, left in zip(amounts, found.remaining, strict=True)],
        "line_taxes": [each.rounded().amount for each in taxes],
        "subtotal": total(amounts, currency).amount,
        "coupons": total((use.amount for use in found.uses), currency).amount,
        "tax_exclusive": net.rounded().amount,
        "tax": tax.amount,
        "total": (net.rounded() + tax).amount,
    }


def allocate_pro_rata(record: Figures) -> Figures:
    currency, given = _currency(record), record["input"]
    amounts = _money(given["amounts"], currency)
    prior = _money(given.get("prior") or ["0"] * len(amounts), currency)
    by = record["params"].get("base") == "net_of_prior"
    bases = [amount - before for amount, before in zip(amounts, prior, strict=True)] if by else amounts
    shares = spread_exactly(Money.of(given["discount"], currency), bases)
    return {
        "discount": total(shares, currency).amount,
        "allocated": [share.amount for share in shares],
        "allocated_total": [(before + share).amount for before, share in zip(prior, shares, strict=True)],
    }


def allocate_whole(record: Figures) -> Figures:
    currency, given = _currency(record), record["input"]
    amounts = _money(given["amounts"], currency)
    return _spread(amounts, spread(Money.of(given["discount"], currency), amounts))


def per_line(record: Figures) -> Figures:
    currency, given = _currency(record), record["input"]
    percent = next(
        Decimal(of[name])
        for of in (record["params"], given)
        for name in ("percent", "percentage", "rate_percent", "discount_percent")
        if name in of
    )
    amounts = _money(given["amounts"], currency)
    return _spread(amounts, percentage_per_line(percent, amounts))


def usage_allowance(record: Figures) -> Figures:
    before, quantity = (Decimal(record["input"][name]) for name in ("pre_line_quantity", "line_quantity"))
    used, free = free_in(Decimal(record["params"]["discount_quantity"]), before, quantity)
    return {
        "net_line_quantity": quantity - free,
        "net_pre_line_quantity": before - used,
        "discounted_in_line": free,
        "discounted_in_pre_line": used,
    }


def minimum_true_up(record: Figures) -> Figures:
    currency, params, given = _currency(record), record["params"], record["input"]
    is_by_day = params.get("unit", "day") == "day"
    ends = [
        date.fromisoformat(given[name][:10]) if is_by_day else parse_instant(given[name])
        for name in ("service_from", "service_to", "period_from", "period_to")
    ]
    part, whole = ends[1] - ends[0], ends[3] - ends[2]
    counts = [each.days if is_by_day else round(each.total_seconds()) for each in (part, whole)]
    minimum = prorated_minimum(Decimal(params["minimum_amount"]), part=counts[0], whole=counts[1])
    billed = Money.of(given["billed_amount"], currency)
    true_up = Money(below_minimum(ZERO, minimum, billed=billed.amount), currency).rounded()
    tax = tax_on(billed + true_up, Decimal(params.get("tax_rate_percent") or 0))
    return {
        "true_up": true_up.amount,
        "total": (billed + true_up).amount,
        "tax": tax.amount,
        "total_with_tax": (billed + true_up + tax).amount,
    }


def max_spend_overage(record: Figures) -> Figures:
    scale, given = record["params"]["scale"], record["input"]
    maximum, billed = (
        rounded_to(Decimal(number), scale) for number in (record["params"]["maximum_amount"], given["billed_before"])
    )
    amount = rounded_to(Decimal(given["line_amount"]), scale)
    discount = over_maximum(amount, maximum, billed=billed)
    return {"discount": discount, "line_total": amount - discount}


def windowed_commitment(record: Figures) -> Figures:
    found = [_window(each) for each in record["input"]["windows"]]
    return {
        name: sum((getattr(each, name) for each in found), ZERO)
        for name in ("amount", "utilized", "overage", "true_up")
    }


def _window(window: Figures) -> Committed:
    price = parse_price({"model": "per_unit", "unit_amount": window["unit_amount"]})
    cost = price.amount_for(Decimal(window["quantity"])).amount
    commitment = Decimal(window.get("commitment") or 0)
    if window.get("commitment_type") == "quantity":
        commitment = price.amount_for(commitment).amount
    factor = Decimal(window.get("overage_factor") or 1)
    if not commitment:
        return Committed(cost, ZERO, ZERO)
    return WindowedCommitment(commitment, bool(window.get("true_up")), factor).of(cost)


def _coupons(coupons: Sequence[Figures], currency: Currency) -> list[Coupon]:
    found = []
    for number, coupon in enumerate(coupons):
        applies = coupon.get("applies_to", "all")
        lines = {"only": None if applies == "all" else frozenset([applies] if isinstance(applies, str) else applies)}
        if coupon.get("type") == "percentage":
            found.append(Coupon(str(number), percent=Decimal(coupon["percent"]), **lines))
            continue
        used = Money.of(coupon.get("already_used") or "0", currency)
        found.append(Coupon(str(number), amount=Money.of(coupon["amount"], currency), used=used, **lines))
    return found


def _spread(amounts: Sequence[Money], shares: Sequence[Money]) -> Figures:
    return {
        "allocated": [share.amount for share in shares],
        "discounts": [share.amount for share in shares],
        "discount": total(shares, amounts[0].currency).amount,
        "net_amounts": [(amount - share).amount for amount, share in zip(amounts, shares, strict=True)],
    }


def _money(amounts: Sequence[str], currency: Currency) -> list[Money]:
    return [Money.of(amount, currency) for amount in amounts]


def _currency(record: Figures) -> Currency:
    return Currency(record.get("currency") or _BY_SCALE[record["params"].get("scale", 2)])


CALCULATIONS: Calculations = {
    "coupons_sequential": coupons_sequential,
    "coupons_then_tax": coupons_then_tax,
    "allocate_pro_rata": allocate_pro_rata,
    "allocate_fixed": allocate_whole,
    "allocate_to_lines": allocate_whole,
    "percentage_per_line": per_line,
    "usage_allowance": usage_allowance,
    "minimum_true_up": minimum_true_up,
    "max_spend_overage": max_spend_overage,
    "windowed_commitment": windowed_commitment,
}
