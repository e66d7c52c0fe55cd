"""Refunds: what is given back of what was billed ahead and not used, and credited of usage billed within its period."""

from dataclasses import dataclass
from decimal import Decimal

from domain.money import Money
from domain.proration import Proportion
from domain.tax_rules import percent_of


@dataclass(frozen=True, slots=True)
class Refund:
    """The net and the tax that are given back, rounded apart from each other; the total is their sum."""

    net: Money
    tax: Money

    @property
    def total(self) -> Money:
        """What the account gets back."""
        return self.net + self.tax


def unused_refund(amount: Money, percent: Decimal, *, unused: Proportion) -> Refund:
    """The unused part of a net amount and of its tax."""
    net = unused.of(amount)
    return Refund(net.rounded(), Money(percent_of(net.amount, percent), amount.currency).rounded())


def progressive_credit(usage: Money, *, billed: Money) -> Money:
    """What the last invoice of a period takes off its usage because invoices within the period asked for it already.

    Never more than the usage: what was billed beyond it is given back by a credit note. Raises `CurrenciesMixed`.
    """
    return min(usage, billed)
