"""Value added tax: the categories of EN 16931, who is registered where, and whose line is exempt or reverse-charged."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, get_args

#: EN 16931, BT-118 and BT-151: standard rate, zero rate, exempt, reverse charge, intra-community supply, export outside
#: the EU, and what is outside the scope of tax.
VatCategory = Literal["S", "Z", "E", "AE", "K", "G", "O"]
VAT_CATEGORIES: Final[tuple[VatCategory, ...]] = get_args(VatCategory)
#: Why no tax is asked for, where the category itself says it: the code of the VATEX list, and the words for people.
REASONS: Final[dict[str, tuple[str, str]]] = {
    "AE": ("VATEX-EU-AE", "Reverse charge"),
    "K": ("VATEX-EU-IC", "Intra-community supply"),
    "G": ("VATEX-EU-G", "Export outside the EU"),
    "O": ("VATEX-EU-O", "Not subject to VAT"),
}
#: Categories that say no reason: a document that named one would break BR-S-10 or BR-Z-10.
WITHOUT_REASON: Final = ("S", "Z")
MEMBER_STATES: Final = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()  # noqa: SIM905 -- a list of 27 words reads worse
)
#: Countries whose tax numbers are VAT identifiers (BT-31, BT-48) beside the member states.
_OTHERS_WITH_VAT: Final = frozenset({"CH", "GB", "IS", "LI", "NO", "XI"})
#: Greece's numbers begin with the letters of its name in Greek.
_PREFIXES: Final = {"GR": "EL"}
#: Any tax category, in an exemption.
EVERY_CATEGORY: Final = "*"


def vat_category_of(name: str | None, *, is_taxed: bool) -> VatCategory:
    """The category of that name; without one it is standard where tax is asked for, and zero-rated where it is not."""
    if name is None:
        return "S" if is_taxed else "Z"
    assert name in VAT_CATEGORIES, name
    return name


@dataclass(frozen=True, slots=True)
class Registration:
    """The number under which a party is registered for tax in a country, over the days `[starts_on, ends_on)`.

    `is_checked`: its check digits were found right. Whether the number was given out, no digit can say.
    """

    country: str
    number: str
    is_checked: bool
    starts_on: date = date.min
    ends_on: date = date.max

    def covers(self, day: date) -> bool:
        """Whether it is in force on the day."""
        return self.starts_on <= day < self.ends_on

    @property
    def is_vat(self) -> bool:
        """Whether the number is a VAT identifier, and no other number for taxes."""
        return self.country in MEMBER_STATES or self.country in _OTHERS_WITH_VAT

    @property
    def is_of_member(self) -> bool:
        """Whether it is a VAT identifier of a member state whose check digits are right."""
        return self.is_checked and self.country in MEMBER_STATES

    @property
    def identifier(self) -> str:
        """The number as it stands on an invoice: a VAT identifier begins with its country (BR-CO-9)."""
        prefix = _PREFIXES.get(self.country, self.country)
        return self.number if not self.is_vat or self.number.startswith(prefix) else f"{prefix}{self.number}"


@dataclass(frozen=True, slots=True)
class Exemption:
    """That a buyer pays no tax of a category (or of every one) in a jurisdiction, why, and what proves it."""

    jurisdiction: str
    category: str
    vat_category: str
    code: str | None
    reason: str | None
    certificate: str
    starts_on: date
    ends_on: date = date.max

    def covers(self, jurisdiction: str, category: str, day: date) -> bool:
        """Whether it says something of such a line."""
        of_line = self.jurisdiction == jurisdiction and self.category in (category, EVERY_CATEGORY)
        return of_line and self.starts_on <= day < self.ends_on


@dataclass(frozen=True, slots=True)
class TaxParties:
    """What is known for taxes of who sells and who buys: registrations, and what the buyer is exempt from."""

    seller: tuple[Registration, ...] = ()
    buyer: tuple[Registration, ...] = ()
    exemptions: tuple[Exemption, ...] = ()

    def exemption(self, jurisdiction: str, category: str, *, on: date) -> Exemption | None:
        """What the buyer is exempt by on the day; what is said of the very category goes before what is said of all."""
        found = [each for each in self.exemptions if each.covers(jurisdiction, category, on)]
        return min(found, key=lambda each: each.category == EVERY_CATEGORY, default=None)

    def reverse_charge(self, jurisdiction: str, *, on: date) -> tuple[Registration, Registration] | None:
        """The seller's and the buyer's registration where the buyer owes the tax: both of the EU, in different states.

        The seller's is that of the state whose tax it would be. A buyer who is registered there too is no foreigner.
        Source: Council Directive 2006/112/EC, articles 44 and 196.
        """
        country = jurisdiction[:2].upper()
        sellers = _members(self.seller, on)
        buyers = sorted(_members(self.buyer, on), key=lambda each: each.country)
        seller = next((each for each in sellers if each.country == country), None)
        if seller is None or not buyers or any(each.country == country for each in buyers):
            return None
        return seller, buyers[0]


def _members(registrations: Iterable[Registration], on: date) -> list[Registration]:
    return [each for each in registrations if each.is_of_member and each.covers(on)]


#: Nothing is known of either.
NOBODY: Final = TaxParties()
