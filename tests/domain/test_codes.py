import importlib
import pkgutil

import pytest

import domain
from domain.codes import CODES, code_named
from domain.errors import Rejection

pytestmark = pytest.mark.fast


def rejections(kind: type[Rejection] = Rejection) -> set[type[Rejection]]:
    return {found for child in kind.__subclasses__() for found in {child, *rejections(child)}}


def test_every_rejection_of_the_domain_has_its_code_in_the_table():
    for module in pkgutil.walk_packages(domain.__path__, "domain."):
        importlib.import_module(module.name)
    ours = {kind for kind in rejections() if kind.__module__.startswith("domain.")}

    assert len(ours) > 20
    assert {kind.code for kind in ours} <= set(CODES)


def test_every_code_says_what_it_means_and_what_to_do():
    for name, code in CODES.items():
        assert code.name == name == name.lower().replace(" ", "_")
        assert code.meaning.endswith(".")
        assert code.fix.endswith(".")


def test_no_code_is_listed_twice():
    from domain.code_table import OF_MONEY, OF_USAGE, TECHNICAL

    lines = [line for table in (TECHNICAL, OF_USAGE, OF_MONEY) for line in table.strip().splitlines()]

    assert len(lines) == 3 * len(CODES)


def test_a_code_is_looked_up_by_name():
    assert code_named("quantity_missing").kind == "business"
    with pytest.raises(AssertionError):
        code_named("no_such_code")
