"""Taxes of master data: rates, the numbers of parties, what accounts are exempt from; and where parties are."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Final

from stdnum import get_cc_module
from stdnum.exceptions import ValidationError

from domain.canonical import decimal_text
from domain.tax_rules import StackedRates
from domain.vat import WITHOUT_REASON
from workers.store.master_file import Place
from workers.store.master_rows import Loading
from workers.store.master_schedules import Entry, Scheduled, put_schedules
from workers.store.master_tax_models import Address, TaxRate, TaxRegistration

_NUMBER: Final = {"number": "text", "is_checked": "boolean"}
_LINES: Final = dict.fromkeys(("line1", "line2", "city", "postal_code", "subdivision", "country"), "text")
OF_ENTITIES: Final = Scheduled("tax_registrations", {"legal_entity_id": "text", "country": "text"}, _NUMBER)
OF_ACCOUNTS: Final = Scheduled("account_tax_registrations", {"account_id": "text", "country": "text"}, _NUMBER)
EXEMPTIONS: Final = Scheduled(
    "account_tax_exemptions",
    {"account_id": "text", "jurisdiction": "text", "category": "text"},
    dict.fromkeys(("vat_category", "exemption_code", "exemption_reason", "certificate"), "text"),
)
ACCOUNT_ADDRESSES: Final = Scheduled("account_addresses", {"account_id": "text"}, _LINES)
ENTITY_ADDRESSES: Final = Scheduled("legal_entity_addresses", {"legal_entity_id": "text"}, _LINES)
#: Which of a country's numbers is that of a tax registration; the first that is known.
_NUMBERS: Final = ("vat", "ein", "tin")


def check_tax_rates(loading: Loading) -> None:
    """Note rates that end before they start, are said twice, or whose percent contradicts their VAT category."""
    seen: dict[tuple[str, str, date], int] = {}
    for n, rate in enumerate(loading.master.tax_rates):
        place: Place = ("tax_rates", n)
        if rate.ends is not None and rate.ends <= rate.starts:
            loading.refuse((*place, "to"), "is not after `from`", fix="the end is the first day without it")
        first = seen.setdefault((rate.jurisdiction, rate.category, rate.starts), n)
        if first != n:
            loading.refuse(place, f"says the same day as tax_rates[{first}]", fix="keep one of them")
        for field, sentence, fix in _contradictions(rate):
            loading.refuse((*place, field) if field else place, sentence, fix=fix)


def _contradictions(rate: TaxRate) -> Iterator[tuple[str, str, str]]:
    if (rate.rate is None) == (not rate.parts):
        yield "", "has to have either a `rate` or the `parts` it is made of", "keep one of them"
        return
    if rate.compound and not rate.parts:
        yield "compound", "says how parts come together, and there are none", "add `parts`, or leave it out"
    if len({part.name for part in rate.parts}) < len(rate.parts):
        yield "parts", "names one tax twice", "give each its own name"
    if rate.vat_category is not None and (rate.vat_category == "S") != (_percent(rate) > 0):
        sentence = f"is {rate.vat_category}, and the rate is {decimal_text(_percent(rate))} %"
        yield "vat_category", sentence, "S is for what is taxed; Z, E, AE, K, G and O ask for nothing"
    is_given = rate.exemption_code is not None or rate.exemption_reason is not None
    if is_given and (rate.vat_category is None or rate.vat_category in WITHOUT_REASON):
        yield "vat_category", "has no reason, and one is given", "name E, AE, K, G or O, or leave the reason out"
    if rate.vat_category == "E" and not is_given:
        yield "exemption_reason", "is missing: invoices say why no tax is asked for", "add it, or an `exemption_code`"


def _percent(rate: TaxRate) -> Decimal:
    if rate.rate is not None:
        return rate.rate
    return StackedRates(tuple(part.rate for part in rate.parts), compound=rate.compound).percent


def tax_rate_row(rate: TaxRate) -> dict[str, object]:
    """The columns of a rate but for its end."""
    parts = [[part.name, decimal_text(part.rate)] for part in rate.parts]
    return {
        "jurisdiction": rate.jurisdiction, "category": rate.category, "rate": decimal_text(_percent(rate)),
        "starts_on": rate.starts.isoformat(), "source": rate.source, "vat_category": rate.vat_category,
        "exemption_code": rate.exemption_code, "exemption_reason": rate.exemption_reason, "parts": parts or None,
        "is_compound": rate.compound,
    }  # fmt: skip


def put_taxes_of_entities(loading: Loading) -> None:
    """Put the tax numbers and addresses of legal entities. Raises `MasterInvalid`."""
    entities = loading.master.legal_entities.items()
    numbers = [
        entry
        for name, each in entities
        for entry in _registered(loading, ("legal_entities", name), each.tax_registrations)
    ]
    loading.check()
    put_schedules(loading, OF_ENTITIES, numbers)
    addresses = [entry for name, each in entities for entry in _located(("legal_entities", name), each.addresses)]
    put_schedules(loading, ENTITY_ADDRESSES, addresses)


def put_taxes_of_accounts(loading: Loading) -> None:
    """Put the tax numbers, exemptions and addresses of accounts. Raises `MasterInvalid`."""
    accounts = loading.master.accounts.items()
    numbers = [
        entry for name, each in accounts for entry in _registered(loading, ("accounts", name), each.tax_registrations)
    ]
    loading.check()
    put_schedules(loading, OF_ACCOUNTS, numbers)
    put_schedules(loading, EXEMPTIONS, [
        Entry(
            ("accounts", name, "tax_exemptions", n), (name, each.jurisdiction, each.category), each.starts, each.ends,
            (each.vat_category, each.code, each.reason, each.certificate),
        ) for name, account in accounts for n, each in enumerate(account.tax_exemptions)
    ])  # fmt: skip
    addresses = [entry for name, each in accounts for entry in _located(("accounts", name), each.addresses)]
    put_schedules(loading, ACCOUNT_ADDRESSES, addresses)


def _registered(loading: Loading, party: tuple[str, str], said: list[TaxRegistration]) -> Iterator[Entry]:
    for n, each in enumerate(said):
        place = (*party, "tax_registrations", n)
        yield Entry(place, (party[1], each.country), each.starts, each.ends, _checked(loading, place, each))


def _located(party: tuple[str, str], said: list[Address]) -> Iterator[Entry]:
    for n, each in enumerate(said):
        lines = tuple(getattr(each, name) for name in _LINES)
        yield Entry((*party, "addresses", n), (party[1],), each.starts or date.min, each.ends, lines)


def _checked(loading: Loading, place: Place, registration: TaxRegistration) -> tuple[str, bool]:
    """The number without its spaces and whether it was checked; notes a problem where its check digits are wrong."""
    modules = (get_cc_module(registration.country.lower(), name) for name in _NUMBERS)
    module = next((each for each in modules if each is not None), None)
    if module is None:
        return registration.number, False
    try:
        return module.validate(registration.number), True
    except ValidationError as error:
        sentence = f"is no tax number of {registration.country}: {error}"
        loading.refuse((*place, "number"), sentence, fix="correct it: a digit may be wrong or missing")
        return registration.number, False
