from datetime import date

import pytest

from domain.vat import EVERY_CATEGORY, MEMBER_STATES, Exemption, Registration, TaxParties, vat_category_of

pytestmark = pytest.mark.fast

DAY = date(2026, 3, 31)
GERMAN = Registration("DE", "136695976", is_checked=True)
FRENCH = Registration("FR", "40303265045", is_checked=True)
SWISS = Registration("CH", "CHE107787577", is_checked=True)
AMERICAN = Registration("US", "042103594", is_checked=True)


def parties(*buyer, seller=(GERMAN,)):
    return TaxParties(tuple(seller), tuple(buyer))


def test_a_buyer_in_another_member_state_owes_the_tax():
    assert parties(FRENCH).reverse_charge("DE", on=DAY) == (GERMAN, FRENCH)


def test_a_jurisdiction_may_be_written_small():
    assert parties(FRENCH).reverse_charge("de-by", on=DAY) == (GERMAN, FRENCH)


@pytest.mark.parametrize(
    ("buyer", "seller"),
    [
        ((), (GERMAN,)),
        ((GERMAN,), (GERMAN,)),
        ((FRENCH, GERMAN), (GERMAN,)),
        ((SWISS,), (GERMAN,)),
        ((Registration("FR", "40303265045", is_checked=False),), (GERMAN,)),
        ((Registration("FR", "40303265045", is_checked=True, ends_on=DAY),), (GERMAN,)),
        ((FRENCH,), ()),
        ((FRENCH,), (Registration("DE", "136695976", is_checked=True, starts_on=date(2026, 4, 1)),)),
        ((FRENCH,), (Registration("AT", "U13585627", is_checked=True),)),
    ],
    ids=[
        "an unregistered buyer",
        "one at home",
        "one registered at home too",
        "one outside the EU",
        "an unchecked number",
        "one that has ended",
        "an unregistered seller",
        "a seller not registered yet",
        "a seller registered elsewhere",
    ],
)  # fmt: skip
def test_everybody_else_is_asked_for_it(buyer, seller):
    assert parties(*buyer, seller=seller).reverse_charge("DE", on=DAY) is None


def test_of_several_registrations_of_a_buyer_the_same_is_named_whatever_their_order():
    austrian = Registration("AT", "U13585627", is_checked=True)

    assert parties(FRENCH, austrian).reverse_charge("DE", on=DAY) == (GERMAN, austrian)
    assert parties(austrian, FRENCH).reverse_charge("DE", on=DAY) == (GERMAN, austrian)


def test_a_vat_identifier_begins_with_its_country_and_greece_with_el():
    greek = Registration("GR", "094259216", is_checked=True)

    assert [each.identifier for each in (GERMAN, greek, SWISS, AMERICAN)] == [
        "DE136695976", "EL094259216", "CHE107787577", "042103594",
    ]  # fmt: skip
    assert [each.is_vat for each in (GERMAN, greek, SWISS, AMERICAN)] == [True, True, True, False]


def test_there_are_27_member_states():
    assert len(MEMBER_STATES) == 27


def exemption(category, certificate, jurisdiction="DE"):
    return Exemption(jurisdiction, category, "E", None, "museum", certificate, date(2026, 1, 1), date(2027, 1, 1))


def test_what_is_said_of_a_category_goes_before_what_is_said_of_all():
    both = TaxParties(exemptions=(exemption(EVERY_CATEGORY, "all"), exemption("service", "one")))

    assert [both.exemption("DE", name, on=DAY).certificate for name in ("service", "goods")] == ["one", "all"]


def test_an_exemption_is_of_its_jurisdiction_and_its_days():
    exempt = TaxParties(exemptions=(exemption("service", "one"),))

    assert exempt.exemption("FR", "service", on=DAY) is None
    assert exempt.exemption("DE", "service", on=date(2025, 12, 31)) is None
    assert exempt.exemption("DE", "service", on=date(2027, 1, 1)) is None


def test_without_a_name_the_category_follows_from_whether_tax_is_asked_for():
    assert [vat_category_of(None, is_taxed=is_taxed) for is_taxed in (True, False)] == ["S", "Z"]
    assert vat_category_of("AE", is_taxed=False) == "AE"
