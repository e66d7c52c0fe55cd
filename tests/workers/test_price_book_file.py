"""A price book as a file: everything that is wrong is told at once and where; what is written is read as it was."""

import copy
import json
import re
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from domain.price_books import PriceBook, book_json
from domain.prices import PriceInvalid, parse_price, price_json
from domain.prices.needs import Kept
from domain.prices.price import MODELS
from workers.store import price_book_file
from workers.store.master_file import MasterInvalid
from workers.store.price_forms import DECIMAL, Terms

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "domain"))
from domain_strategies import json_values  # noqa: E402 -- the domain's strategies serve here too
from price_book_strategies import price_books  # noqa: E402 -- as above
from price_book_strategies import terms as terms_of_prices  # noqa: E402 -- as above

pytestmark = pytest.mark.fast

FILE = Path("book.yaml")
EXAMPLE = ROOT / "infra" / "demo" / "price-book.yaml"
TERMS = TypeAdapter(Terms)
PAID_IN = "give the ISO 4217 code of a currency that money is paid in, such as EUR"
TWICE = "two prices would be in force"
ONE_OF = "use one of: up_to, unit_amount, flat_amount, cap_amount"
FIRST, SECOND, THIRD = (f"plans.team.charges[{n}]" for n in range(3))
GOOD = """\
name: cloud
currency: EUR
valid_from: 2026-07-01
plans:
  team:
    title: Team
    charges:
      - metric: calls
        terms: {model: per_unit, unit_amount: 0.25}
        tax_category: standard
        revenue_account: revenue
"""


def problems(text: str, **how: object) -> list[str]:
    """What is told of a file, each in one line."""
    return [each.to_text(FILE) for each in price_book_file.check(FILE, text.encode(), **how).problems]


def terms(*lines: str) -> str:
    """The good book with other terms, from line 9 on."""
    return GOOD.replace("{model: per_unit, unit_amount: 0.25}", "\n          ".join(["", *lines]))


def without(value: object, path: tuple[str | int, ...]) -> object:
    """A copy of JSON without one member."""
    kept = copy.deepcopy(value)
    within = kept
    for part in path[:-1]:
        within = within[part]
    del within[path[-1]]
    return kept


def members(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all members of objects in JSON."""
    found: list[tuple[str | int, ...]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += [(*path, key)] if isinstance(value, dict) else []
        found += members(inner, (*path, key))
    return found


@given(price_books())
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read_as_the_same_book(book: PriceBook):
    assert price_book_file.read(FILE, price_book_file.written(book).encode())[1] == book


def replaced(value: object, path: tuple[str | int, ...], by: object) -> object:
    """A copy of JSON with another member at a path."""
    kept = copy.deepcopy(value)
    within = kept
    for part in path[:-1]:
        within = within[part]
    within[path[-1]] = by
    return kept


@given(price_books(), st.data())
@settings(max_examples=30, deadline=None)
def test_whatever_a_file_holds_is_told_and_nothing_else_happens(book: PriceBook, data: st.DataObject):
    values = json.loads(json.dumps(book_json(book)))
    path = data.draw(st.sampled_from(members(values)))
    text = json.dumps(replaced(values, path, data.draw(json_values())), default=str)

    for told in problems(text, metrics={}):
        assert re.fullmatch(r"book\.yaml:[0-9]+: .+; .+", told, re.DOTALL), told


@given(terms_of_prices())
@settings(max_examples=50, deadline=None)
def test_the_form_of_a_price_takes_what_domain_prints(price):
    printed = json.loads(json.dumps(price_json(price)))

    TERMS.validate_python(printed)


@given(terms_of_prices())
@settings(max_examples=50, deadline=None)
def test_the_form_of_a_price_refuses_no_terms_that_domain_takes(price):
    printed = json.loads(json.dumps(price_json(price)))

    for path in members(printed):
        fewer = without(printed, path)
        try:
            parse_price(fewer)
        except PriceInvalid:
            continue
        TERMS.validate_python(fewer)


@given(terms_of_prices())
def test_the_pattern_of_the_schema_fits_the_decimals_that_are_printed(price):
    texts = re.findall(r'"(-?[0-9][0-9.]*)"', json.dumps(price_json(price)))

    assert all(re.fullmatch(DECIMAL, text) for text in texts)


def test_every_price_model_is_in_the_schema():
    described = price_book_file.schema()["$defs"]

    models = {each["properties"]["model"]["const"] for each in described.values() if "model" in each["properties"]}
    assert models == set(MODELS)


def test_the_published_schema_is_what_the_forms_give():
    published = (ROOT / "infra" / "schemas" / "price-book.schema.json").read_text(encoding="utf-8")

    # renewed by: tallyline prices schema > infra/schemas/price-book.schema.json
    assert json.loads(published) == price_book_file.schema()


@pytest.mark.parametrize("written", [{"model": "per_unit"}, {"model": "moon"}, {"model": "per_unit", "x": "1"}, 7])
def test_a_form_refuses_what_is_no_price(written):
    with pytest.raises(ValidationError):
        TERMS.validate_python(written)


def test_the_example_is_in_order_and_keeps_its_figures():
    _, book = price_book_file.read(EXAMPLE)

    assert [each.metric for each in book.plans["hub"].charges] == ["aircraft", "departures", "distance"]
    # 50 of 4,051 departures are free, 41 packages of 100 are started
    assert book.plans["hub"].charges[1].price.amount_for(Decimal(4_051)).amount == 41 * 3900


def test_everything_that_is_wrong_is_told_at_once_with_line_field_and_fix():
    text = """\
name: Cloud
currency: XAU
valid_from: 2026-13-01
vaild_to: 2027-01-01
plans:
  team:
    title: 7
    charges:
      - metric: calls
        terms:
          model: graduated
          tiers:
            - {up_to: 1000, unit_amount: 0.02, colour: blue}
            - {up_to: 1000, unit_amount: true}
        tax_category: standard
        revenue_account: revenue
      - {metric: calls, terms: {model: per_moon}, tax_category: [standard]}
      - 7
  team: {title: Again, charges: []}
  Half_Open:
    charges: {}
  none: []
"""

    assert problems(text) == [
        "book.yaml:1: name: is not spelled as it has to be; use small letters, digits and hyphens",
        f"book.yaml:2: currency: XAU has no minor unit; {PAID_IN}",
        "book.yaml:3: valid_from: is no date; write a day such as 2026-07-01",
        "book.yaml:4: vaild_to: is not known here; remove it, or correct its spelling",
        "book.yaml:7: plans.team.title: is not a text; write it as text, in quotes",
        f"book.yaml:13: {FIRST}.terms.tiers[0].colour: is not known here; {ONE_OF}",
        'book.yaml:14: plans.team.charges[0].terms.tiers[1].unit_amount: is True; give a decimal text such as "0.25"',
        f"book.yaml:17: {SECOND}.metric: has a price in charges[0] already, so {TWICE} for calls; keep one of the two",
        "book.yaml:17: plans.team.charges[1].terms.model: is 'per_moon'; use one of: " + ", ".join(MODELS),
        "book.yaml:17: plans.team.charges[1].tax_category: is not a text; write it as text, in quotes",
        "book.yaml:17: plans.team.charges[1].revenue_account: is missing; add it",
        "book.yaml:18: plans.team.charges[2]: is not a mapping; write a mapping of names to values",
        "book.yaml:19: plans.team: is there twice; keep one of the two, or give the other another name",
        "book.yaml:20: plans.Half_Open: is not spelled as it has to be; use small letters, digits and hyphens",
        "book.yaml:20: plans.Half_Open.title: is missing; add it",
        "book.yaml:21: plans.Half_Open.charges: is not a list; write a list, each entry after a dash",
        "book.yaml:22: plans.none: is not a mapping; write a mapping of names to values",
    ]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (["model: graduated", "tiers:", '- {up_to: "9", unit_amount: "1"}', '- {up_to: "9", unit_amount: "1"}',
          '- {up_to: null, unit_amount: "1"}'], f"13: {FIRST}.terms.tiers[1].up_to: is 9"),
        (["model: graduated", "tiers:", '- {up_to: "9", unit_amount: "1"}'], f"12: {FIRST}.terms.tiers[0]"),
        (["{model: per_unit, unit_amount: 0.1234567890123456789012345678901234567891}"], "cannot be kept exactly"),
        (['{model: per_unit, unit_amount: "1,5"}'], "cannot be kept exactly"),
        (["{model: per_unit, unit_amount: .nan}"], "cannot be kept exactly"),
        (["{model: per_unit, unit_amount: [1]}"], "is [1]; give a decimal text"),
        (["{model: per_unit, unit_amount: -1}"], "is below zero"),
        (["{model: package, package_size: 1, package_amount: 1, free_units: many}"], "the number many"),
        (["{unit_amount: 1}"], "terms.model: is missing; use one of"),
        (["[per_unit]"], "terms: is not a mapping"),
    ],
)  # fmt: skip
def test_terms_that_contradict_themselves_are_told_with_their_line(written, says):
    told = problems(terms(*written))

    assert len(told) == 1
    assert says in told[0]
    assert "; " in told[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no price book; start with a heading such as `name:`"),
        ("- a", "holds no price book"),
        ("a: [", "is no YAML"),
        ("a: &x [1]\nb: [*x, *x]", "aliases (*name) are not read here"),
        ("a: !!python/object:os.system x", "tags (!name) are not read here"),
        ('a: "\\ud800"', "1: is no YAML: a text holds half of a character"),
        ('a: 1\n"\\0": 2', "2: is no YAML: a text holds the character NUL"),
        ("a: " + "[" * 40 + "]" * 40, "nests more than 32 deep"),
        (f"# {'x' * price_book_file.BYTES_MAX}", "split it into several books"),
    ],
)
def test_a_file_of_which_nothing_can_be_read_says_why(text, says):
    try:
        told = problems(text)
    except MasterInvalid as error:
        told = [str(error)]

    assert says in told[0]


def test_a_book_that_is_wrong_is_not_read():
    with pytest.raises(MasterInvalid) as refused:
        price_book_file.read(FILE, GOOD.replace("EUR", "ABC").encode())

    assert [each.field for each in refused.value.problems] == ["currency"]


def test_numbers_keep_all_their_digits_also_without_quotes():
    _, book = price_book_file.read(
        FILE, terms("{model: per_unit, unit_amount: 0.1000000000000000055511151231257}").encode()
    )

    assert book.plans["team"].charges[0].price.unit_amount == Decimal("0.1000000000000000055511151231257")


def test_a_character_that_json_writes_in_halves_is_whole():
    _, book = price_book_file.read(FILE, GOOD.replace("title: Team", r'title: "\ud83d\ude00"').encode())

    assert book.plans["team"].title == "\U0001f600"


def test_a_metric_that_is_not_there_is_told_with_those_that_it_may_be():
    assert problems(GOOD, metrics={name: Kept() for name in ("call", "call-s", "seats")}) == [
        "book.yaml:8: plans.team.charges[0].metric: there is no metric 'calls'; did you mean call-s or call?"
    ]
    assert "load the metric first" in problems(GOOD, metrics={})[0]
    assert problems(GOOD, metrics={"calls": Kept()}) == []


@pytest.mark.parametrize(
    ("written", "kept", "says"),
    [
        (["{model: bucketed, price: {model: per_unit, unit_amount: 1}}"], Kept(), "terms.model: bucketed needs time"),
        (
            ["model: matrix", "dimensions: [region]", "default: {unit_amount: 1}"],
            Kept(dimensions=frozenset({"zone"})),
            "terms.dimensions: the metric is not kept apart by region; name dimensions of the metric: zone",
        ),
        (
            ["model: per_unit", "unit_amount: 1", "adjustments: {windowed: {amount: 5, true_up: true}}"],
            Kept(),
            "adjustments.windowed: commits each time bucket, and the metric has none, so the commitment is without a",
        ),
    ],
)
def test_a_price_that_its_metric_can_never_be_priced_with_is_told(written, kept, says):
    told = problems(terms(*written), metrics={"calls": kept})

    assert len(told) == 1
    assert says in told[0]
    assert problems(terms("7"), metrics={"calls": kept}) == problems(terms("7"))
    assert problems(terms("{model: flat}"), metrics={"calls": kept}) == problems(terms("{model: flat}"))


def test_every_tier_that_is_wrong_is_told_at_once():
    ladder = ["model: graduated", "tiers:", "- {up_to: 100, unit_amount: 1}", "- {up_to: null, unit_amount: 1}",
              "- {up_to: 50, unit_amount: -1}", "- {up_to: 200, unit_amount: 1}"]  # fmt: skip

    assert [each.split("terms.")[1].partition(";")[0] for each in problems(terms(*ladder))] == [
        "tiers[1].up_to: is open although tiers follow",
        "tiers[2].unit_amount: is below zero",
        "tiers[2].up_to: is 50, so the tier is empty or overlaps the one before",
        "tiers[3].up_to: ends the ladder, so units above it have no price",
    ]


def test_names_of_metrics_are_looked_up_in_what_can_be_read_of_a_book():
    broken = GOOD.replace("charges:\n", "charges:\n      - {metric: 7}\n      - 8\n").replace("title: Team", "title: 1")

    told = problems(broken + "  other: 7\n  third: {charges: 7}\n", metrics={"seats": Kept()})

    assert [each for each in told if "there is no metric" in each] == [
        f"book.yaml:10: {THIRD}.metric: there is no metric 'calls'; correct the name, or load the metric first"
    ]


def test_a_word_that_yaml_reads_as_something_else_is_written_in_quotes(tmp_path):
    text = GOOD.replace("title: Team", 'title: "null"').replace("metric: calls", 'metric: "1.50"')

    _, book = price_book_file.read(FILE, text.encode())

    assert 'title: "null"' in price_book_file.written(book)
    assert 'metric: "1.50"' in price_book_file.written(book)
