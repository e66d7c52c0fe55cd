"""A price book as a file: read with everything that is wrong with it and where, and written as it is read."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import Field, ValidationError

from domain.canonical import Json
from domain.definitions import DefinitionInvalid
from domain.price_books import PriceBook, book_json, faults, parse_book
from domain.prices import PriceInvalid, parse_price
from domain.prices.needs import Kept, misfit
from workers.store.master_fields import Code, Day, Name, Ref, Slug
from workers.store.master_file import Bounds, Document, MasterInvalid, Place, Problem, content_of, read_as_far
from workers.store.price_forms import Form, Terms

#: What the published form of a file is called.
SCHEMA_ID: Final = "urn:tallyline:price-book"
#: A book of this size has some 8,000 charges, and takes half a minute to read; more belong into several books.
BYTES_MAX: Final = 2 * 2**20
PLANS_MAX: Final = 1_000
CHARGES_MAX: Final = 1_000
#: Names of metrics that are offered for one that is not there.
_OFFERED: Final = 3
_BOUNDS: Final = Bounds("price book", "name:", BYTES_MAX, "split it into several books")


class Charge(Form):
    """The price of one metric, with the category of its tax and the account that its revenue is booked on."""

    metric: Ref
    terms: Terms
    tax_category: Ref
    revenue_account: Name


class Plan(Form):
    """What is sold together under one name; a contract refers to it as `BOOK/PLAN`."""

    title: Name
    charges: Annotated[list[Charge], Field(min_length=1, max_length=CHARGES_MAX)]


class Book(Form):
    """A price book of Tallyline: plans in one currency, valid from a day in the calendar of whoever sells.

    Numbers are best written as decimal texts in quotes; nothing reads them as binary fractions.
    """

    name: Slug
    currency: Code
    valid_from: Day
    plans: Annotated[dict[Slug, Plan], Field(min_length=1, max_length=PLANS_MAX)]


#: What only master data have: they are another file, which another command loads.
_OF_MASTER = {"accounts", "contracts", "legal_entities", "mappings", "meters", "metrics", "sources", "subscriptions"}


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that was looked at: the book if it is one, and every problem in the order of the lines."""

    document: Document
    book: PriceBook | None
    problems: tuple[Problem, ...]


def read(file: Path, content: bytes | None = None) -> tuple[Document, PriceBook]:
    """The book of a file. Raises `MasterInvalid` with every problem found."""
    checked = check(file, content)
    if checked.book is None:
        raise MasterInvalid(file, checked.problems)
    return checked.document, checked.book


def check(file: Path, content: bytes | None = None, *, metrics: Mapping[str, Kept] | None = None) -> Checked:
    """Look for everything that is wrong with a file, also with what the metrics that there are keep, if it is given.

    Raises `MasterInvalid` for a file of which nothing can be read.
    """
    document, problems = read_as_far(file, content_of(file) if content is None else content, _BOUNDS)
    if "plans" not in document.values and _OF_MASTER & set(document.values):
        fix = "load it with `tallyline master load`"
        raise MasterInvalid(file, [document.problem((), "this is master data and no price book", fix=fix)])
    of_form = list(_of_form(document))
    for values in (document.values, _without_unknown(document.values, of_form)):
        problems += _unless_told(problems, [_of_fault(document, fault) for fault in faults(values)])
    problems += _unless_told(problems, [document.problem(each.place, each.sentence, fix=each.fix) for each in of_form])
    if metrics is not None:
        problems += misfits(document, metrics)
    if problems:
        return Checked(document, None, tuple(sorted(problems, key=lambda each: each.line)))
    return Checked(document, parse_book(document.values), ())


def _unless_told(told: list[Problem], problems: list[Problem]) -> list[Problem]:
    """The problems of fields about which nothing is told yet."""
    fields = {each.field for each in told}
    return [each for each in problems if each.field not in fields]


def misfits(document: Document, metrics: Mapping[str, Kept]) -> Iterator[Problem]:
    """A problem for each charge whose metric is not there, or keeps less than its price needs."""
    for place, charge in _charges(document.values):
        metric, terms = charge.get("metric"), charge.get("terms")
        if isinstance(metric, str) and metric not in metrics:
            like = get_close_matches(metric, sorted(metrics), _OFFERED)
            fix = f"did you mean {' or '.join(like)}?" if like else "correct the name, or load the metric first"
            yield document.problem((*place, "metric"), f"there is no metric {metric!r:.80}", fix=fix)
        elif isinstance(metric, str) and (fault := _misfit(terms, metrics[metric])) is not None:
            yield _of_fault(document, fault.within(f"plans.{place[1]}.charges[{place[3]}].terms"))


def _misfit(terms: Json, kept: Kept) -> PriceInvalid | None:
    """Why terms that are right by themselves never fit what a metric keeps, if they do not."""
    try:
        return misfit(parse_price(terms), kept) if isinstance(terms, Mapping) else None
    except PriceInvalid:
        return None


def _charges(values: Mapping[str, Any]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    plans = values.get("plans")
    for name, plan in plans.items() if isinstance(plans, dict) else ():
        charges = plan.get("charges") if isinstance(plan, dict) else None
        for n, charge in enumerate(charges) if isinstance(charges, list) else ():
            if isinstance(charge, dict):
                yield ("plans", name, "charges", n), charge


def _of_fault(document: Document, fault: DefinitionInvalid) -> Problem:
    names = re.findall(r"[^.\[\]]+", fault.field)
    place = tuple(int(name) if name.isdecimal() else name for name in names)
    return document.problem(place, fault.claim, fix=fault.fix)


#: What is wrong with a value of the wrong kind, and what to do; `domain` says it of all others.
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("is missing", "add it"),
    "extra_forbidden": ("is not known here", "remove it, or correct its spelling"),
    "string_type": ("is not a text", "write it as text, in quotes"),
    "int_type": ("is not a whole number", "write a whole number, without quotes"),
    "bool_type": ("is neither true nor false", "write true or false, without quotes"),
    "dict_type": ("is not a mapping", "write a mapping of names to values"),
    "model_type": ("is not a mapping", "write a mapping of names to values"),
    "model_attributes_type": ("is not a mapping", "write a mapping of names to values"),
    "list_type": ("is not a list", "write a list, each entry after a dash"),
    "too_short": ("is empty", "give at least one"),
    "too_long": ("is too long", "split the book"),
    "date_type": ("is no date", "write a day such as 2026-07-01"),
    "string_pattern_mismatch": ("is not spelled as it has to be", "use small letters, digits and hyphens"),
}
#: A currency is spelled otherwise than a name.
_SPELLED: Final = {"currency": "give three capital letters, such as EUR"}


@dataclass(frozen=True, slots=True)
class _Unfit:
    """Where a file has not the form of a book."""

    place: Place
    is_unknown: bool
    sentence: str
    fix: str


def _of_form(document: Document) -> Iterator[_Unfit]:
    """What of the file has not the form of a book; the model of a price is a matter of `domain`."""
    try:
        Book.model_validate(document.values)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            kind = each["type"]
            if kind.startswith("union_tag"):
                continue
            place = _place(document.values, each["loc"])
            said = each["msg"].removeprefix("Value error, ")
            sentence, fix = _KINDS.get(kind, (said[:1].lower() + said[1:], "correct it"))
            if kind == "string_pattern_mismatch":
                fix = _SPELLED.get(str(place[-1]), fix)
            elif kind == "value_error":
                fix = _KINDS["date_type"][1] if place[-1] == "valid_from" else 'write a decimal text such as "0.25"'
            yield _Unfit(place, kind == "extra_forbidden", sentence, fix)


def _without_unknown(values: Mapping[str, Any], unfit: list[_Unfit]) -> Mapping[str, Any]:
    """The values without fields that nobody knows, behind which `domain` would see nothing else of a price."""
    kept = deepcopy(values)
    for each in unfit:
        if each.is_unknown:
            within: Any = kept
            for part in each.place[:-1]:
                within = within[part]
            del within[each.place[-1]]
    return kept


def _place(values: Json, location: tuple[int | str, ...]) -> Place:
    """The part of a location that lies in the file, and the last name if that is what is missing."""
    place: list[int | str] = []
    within: Any = values
    for n, part in enumerate(location):
        if isinstance(within, list | dict) and (isinstance(part, int) or part in within):
            within = within[part]  # type: ignore[index]  # a list is entered by numbers alone
        elif n < len(location) - 1 or part == "[key]":
            continue  # the name of a price model, by which pydantic chose the form
        place.append(part)
    return tuple(place)


class _Dumper(yaml.SafeDumper):
    """YAML without the short forms that would be read as something else."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 -- asked for every value
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    """A plain word where nobody could read it as anything else, else a text in quotes."""
    is_plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_/:-]*[A-Za-z0-9_]|\d{4}-\d\d-\d\d", text) is not None
    is_word = is_plain and text not in {"null", "true", "false"}
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="" if is_word else '"')


_Dumper.add_representer(str, _text)


def written(book: PriceBook) -> str:
    """The book as YAML that `read` reads as an equal book."""
    return yaml.dump(book_json(book), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)


def schema() -> dict[str, Any]:
    """The published JSON Schema of a file."""
    made = Book.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **made, "title": "Price book"}
