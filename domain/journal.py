"""Journal: what a document books. The postings of an entry sum to zero, or there is no entry."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from domain.documents import Document
from domain.errors import Rejection
from domain.money import Currency, Money


class JournalUnbalanced(Rejection):
    """The postings of an entry do not sum to zero in a currency."""

    code = "journal_unbalanced"


@dataclass(frozen=True, slots=True)
class Posting:
    """One leg: an amount on a ledger account, debit positive, credit negative, never zero."""

    ledger_account: str
    amount: Money

    def __post_init__(self) -> None:
        assert not self.amount.is_zero, self.ledger_account


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """Postings of one legal entity on one day that sum to zero in each currency.

    Never changed once booked: `reversal` is how it is undone.
    """

    legal_entity_id: str
    posting_on: date
    description: str
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        sums: dict[Currency, Money] = {}
        for posting in self.postings:
            currency = posting.amount.currency
            sums[currency] = sums.get(currency, Money.zero(currency)) + posting.amount
        off = {currency.code: amount.to_text() for currency, amount in sums.items() if not amount.is_zero}
        if off:
            raise JournalUnbalanced(f"{self.description} is off by {off}", off=off)


@dataclass(frozen=True, slots=True)
class LedgerAccounts:
    """Where documents are booked besides revenue: what accounts owe, and tax by category (`tax` for all others).

    Of a rate that is made of several taxes, each is booked by its own name where that has an account.
    """

    receivable: str
    tax: str
    tax_by_category: Mapping[str, str]


def document_entry(document: Document, accounts: LedgerAccounts, *, description: str) -> JournalEntry:
    """Debit receivable; credit revenue per revenue account and tax per tax account. A credit note books the opposite.

    Amounts on one account are one posting; an account that comes to nothing has none, so a document over nothing books
    an entry without postings.
    """
    amounts: dict[str, Money] = {accounts.receivable: document.gross}
    for part in document.parts:
        _add(amounts, part.revenue_account, -part.net)
    for tax in document.taxes:
        of_category = accounts.tax_by_category.get(tax.category, accounts.tax)
        for name, amount in tax.parts or ((tax.category, tax.tax),):
            _add(amounts, accounts.tax_by_category.get(name, of_category), -amount)
    postings = tuple(Posting(account, amount) for account, amount in amounts.items() if not amount.is_zero)
    return JournalEntry(document.legal_entity_id, document.posting_on, description, postings)


def reversal(entry: JournalEntry, *, posting_on: date, description: str) -> JournalEntry:
    """The entry that undoes another: every posting with its sign turned, on a day of its own."""
    postings = tuple(replace(posting, amount=-posting.amount) for posting in entry.postings)
    return replace(entry, posting_on=posting_on, description=description, postings=postings)


def _add(amounts: dict[str, Money], account: str, amount: Money) -> None:
    amounts[account] = amounts[account] + amount if account in amounts else amount
