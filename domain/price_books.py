"""Price books: plans with their prices, which version is in force when, what is wrong with one, how two differ."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Protocol, TypeVar

from domain.canonical import Json, plain_text
from domain.contracts import PriceTerms
from domain.definitions import DefinitionInvalid
from domain.money import Currency, CurrencyUnknown, CurrencyWithoutMinorUnits
from domain.prices import PriceInvalid, parse_price, price_json

#: What to do about a currency that no book can be in.
_CURRENCY_FIX: Final = "give the ISO 4217 code of a currency that money is paid in, such as EUR"


class PriceBookInvalid(DefinitionInvalid):
    """A price book contradicts itself, or names what is not there; `facts` name the field and the fix."""

    code = "price_book_invalid"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sold together under a name: the price of each metric; in the order of the metrics' names."""

    title: str
    charges: tuple[PriceTerms, ...]

    def __post_init__(self) -> None:
        metrics = [charge.metric for charge in self.charges]
        assert metrics == sorted(set(metrics)), metrics


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Plans by name, in one currency, from a day on: until the next day from which a version of the book is valid."""

    name: str
    currency: Currency
    valid_from: date
    plans: Mapping[str, Plan]


class BookVersion(Protocol):
    """A version of a book, valid from a day on in the calendar of whoever sells, and recorded at an instant."""

    @property
    def valid_from(self) -> date:
        """The first day it is meant for."""

    @property
    def recorded_at(self) -> datetime:
        """When it was recorded; it may be valid from earlier, which is backdating."""


V = TypeVar("V", bound=BookVersion)


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which two books differ, with its text in both; None where a book lacks it."""

    field: str
    before: str | None
    after: str | None


def book_in_force(versions: Iterable[V], *, on: date, known_at: datetime) -> V | None:
    """The version for a day, as far as was known at an instant, or None: of those that are valid by then the latest.

    Of two that are valid from the same day the one that was recorded last counts; a correction of an earlier day never
    takes back a price change that was announced for a later one.
    """
    known = (each for each in versions if each.recorded_at <= known_at and each.valid_from <= on)
    return max(known, key=lambda each: (each.valid_from, each.recorded_at), default=None)


def faults(entries: Mapping[str, Json]) -> Iterator[DefinitionInvalid]:
    """Everything in a book that contradicts itself, wherever the rest of it can be read at all."""
    currency = entries.get("currency")
    if isinstance(currency, str):
        try:
            Currency(currency)
        except (CurrencyUnknown, CurrencyWithoutMinorUnits) as error:
            yield PriceBookInvalid(error.sentence, field="currency", fix=_CURRENCY_FIX)
    plans = entries.get("plans")
    for name, plan in plans.items() if isinstance(plans, Mapping) else ():
        charges = plan.get("charges") if isinstance(plan, Mapping) else None
        if isinstance(charges, Sequence) and not isinstance(charges, str):
            yield from _charge_faults(charges, f"plans.{name}.charges")


def _charge_faults(charges: Sequence[Json], path: str) -> Iterator[DefinitionInvalid]:
    first: dict[str, int] = {}
    for place, charge in enumerate(charges):
        if not isinstance(charge, Mapping):
            continue
        metric, terms = charge.get("metric"), charge.get("terms")
        if isinstance(metric, str) and first.setdefault(metric, place) != place:
            sentence = (
                f"has a price in charges[{first[metric]}] already, so two prices would be in force for {metric:.80}"
            )
            yield PriceBookInvalid(sentence, field=f"{path}[{place}].metric", fix="keep one of the two")
        if isinstance(terms, Mapping):
            try:
                parse_price(terms)
            except PriceInvalid as error:
                within = error.within(f"{path}[{place}].terms")
                yield from (within, *within.others)


def parse_book(entries: Mapping[str, Json]) -> PriceBook:
    """The book of entries of the right shape, such as `book_json` prints. Raises the first of its `faults`."""
    for fault in faults(entries):
        raise fault
    plans = entries["plans"]
    assert isinstance(plans, Mapping), plans
    return PriceBook(
        plain_text(entries["name"]),
        Currency(plain_text(entries["currency"])),
        date.fromisoformat(plain_text(entries["valid_from"])),
        {name: parse_plan(plan) for name, plan in sorted(plans.items())},
    )


def parse_plan(plan: Json) -> Plan:
    """The plan of entries of the right shape, such as a book has. Raises `PriceInvalid`."""
    assert isinstance(plan, Mapping), plan
    charges = plan["charges"]
    assert isinstance(charges, Sequence), charges
    parsed = (_parse_charge(charge) for charge in charges)
    return Plan(plain_text(plan["title"]), tuple(sorted(parsed, key=lambda charge: charge.metric)))


def _parse_charge(charge: Json) -> PriceTerms:
    assert isinstance(charge, Mapping), charge
    terms = charge["terms"]
    assert isinstance(terms, Mapping), terms
    texts = (plain_text(charge[name]) for name in ("tax_category", "revenue_account"))
    return PriceTerms(plain_text(charge["metric"]), parse_price(terms), *texts)


def book_json(book: PriceBook) -> dict[str, Json]:
    """The entries that `parse_book` reads back as an equal book."""
    return {
        "name": book.name,
        "currency": book.currency.code,
        "valid_from": book.valid_from.isoformat(),
        "plans": {
            name: {"title": plan.title, "charges": [_charge_json(each) for each in plan.charges]}
            for name, plan in book.plans.items()
        },
    }


def _charge_json(charge: PriceTerms) -> dict[str, Json]:
    return {
        "metric": charge.metric,
        "terms": price_json(charge.price),
        "tax_category": charge.tax_category,
        "revenue_account": charge.revenue_account,
    }


def differences(old: PriceBook | None, new: PriceBook) -> tuple[Difference, ...]:
    """Every field in which two books differ, in the order of the new one, then what is gone; no old one has nothing."""
    before, after = {} if old is None else dict(_fields(old)), dict(_fields(new))
    fields = [*after, *(field for field in before if field not in after)]
    return tuple(
        Difference(field, before.get(field), after.get(field))
        for field in fields
        if before.get(field) != after.get(field)
    )


def _fields(book: PriceBook) -> Iterator[tuple[str, str]]:
    """Each single value with its path; a charge is named by its metric, so that its place says nothing."""
    yield from (("name", book.name), ("currency", book.currency.code), ("valid_from", book.valid_from.isoformat()))
    for name, plan in book.plans.items():
        yield f"plans.{name}.title", plan.title
        for charge in plan.charges:
            for key, value in _charge_json(charge).items():
                if key != "metric":
                    yield from _leaves(value, f"plans.{name}.charges[{charge.metric}].{key}")


def _leaves(value: Json, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{place}]")
    else:
        yield path, plain_text(value)
