from decimal import Decimal

import pytest

from domain.definitions import Definition, DefinitionInvalid

pytestmark = pytest.mark.fast


def definition(**entries: object) -> Definition:
    return Definition(entries, DefinitionInvalid, "top")


@pytest.mark.parametrize(("given", "read"), [("0.250", "0.25"), (3, "3"), (Decimal("1E+2"), "100")])
def test_a_decimal_is_read_from_a_text_or_an_exact_number(given, read):
    assert definition(amount=given).decimal("amount") == Decimal(read)


def test_what_is_not_given_is_the_default():
    empty = definition()

    assert empty.boolean("on", default=True) is True
    assert empty.integer("most", default=7) == 7
    assert empty.optional_decimal("amount") is None
    assert empty.texts("names") == ()
    assert list(empty.objects("tiers")) == []
    assert empty.choice("kind", ("a", "b"), default="b") == "b"


def test_what_is_given_is_read():
    full = definition(on=False, most=3, values=["a", 1, None, True])

    assert full.boolean("on", default=True) is False
    assert full.integer("most") == 3
    assert full.scalars("values") == ("a", 1, None, True)


@pytest.mark.parametrize(
    ("entries", "reader", "field"),
    [
        ({"on": 1}, lambda d: d.boolean("on", default=True), "top.on"),
        ({"most": "3"}, lambda d: d.integer("most"), "top.most"),
        ({"most": True}, lambda d: d.integer("most"), "top.most"),
        ({"values": []}, lambda d: d.scalars("values"), "top.values"),
        ({"values": [[1]]}, lambda d: d.scalars("values"), "top.values"),
        ({"values": list(range(201))}, lambda d: d.scalars("values"), "top.values"),
        ({"extra": 1}, lambda d: d.only("name"), "top.extra"),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_with_its_path(entries, reader, field):
    with pytest.raises(DefinitionInvalid) as refused:
        reader(definition(**entries))

    assert refused.value.facts["field"] == field
    assert refused.value.sentence.startswith(field)


def test_an_error_about_the_whole_names_no_field():
    assert DefinitionInvalid("is empty", field="", fix="give fields").sentence == "is empty"
