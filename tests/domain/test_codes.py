import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

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


def written_codes(tree: ast.AST) -> Iterator[str]:
    """Codes that a source writes down: as a class's `code`, as an argument of that name, or first in a refusal."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(body=body):
                yield from (
                    each.value.value
                    for each in body
                    if isinstance(each, ast.Assign) and [ast.unparse(t) for t in each.targets] == ["code"]
                )
            case ast.keyword(arg="code", value=ast.Constant(value=str(code))):
                yield code
            case ast.Call(func=ast.Name(id="Refusal" | "Refused"), args=[ast.Constant(value=str(code)), *_]):
                yield code


def test_no_room_refuses_under_a_code_that_is_not_in_the_table():
    root = Path(domain.__file__).parent.parent
    sources = [path for room in ("domain", "queues", "workers") for path in (root / room).rglob("*.py")]
    written = {code for path in sources for code in written_codes(ast.parse(path.read_text(encoding="utf-8")))}

    assert len(written) > 40
    assert written - {Rejection.code} <= set(CODES)


def test_every_code_says_what_it_means_and_what_to_do():
    for name, code in CODES.items():
        assert code.name == name == name.lower().replace(" ", "_")
        assert code.meaning.endswith(".")
        assert code.fix.endswith(".")


def test_no_code_is_listed_twice():
    from domain.code_table import OF_MONEY, OF_USAGE, TECHNICAL
    from domain.code_table_documents import OF_DOCUMENTS
    from domain.code_table_files import OF_FILES
    from domain.code_table_master import OF_MASTER
    from domain.code_table_people import OF_AUTHORITY

    tables = (TECHNICAL, OF_USAGE, OF_MONEY, OF_DOCUMENTS, OF_FILES, OF_AUTHORITY, OF_MASTER)
    lines = [line for table in tables for line in table.strip().splitlines()]

    assert len(lines) == 3 * len(CODES)


def test_a_code_is_looked_up_by_name():
    assert code_named("quantity_missing").kind == "business"
    with pytest.raises(AssertionError):
        code_named("no_such_code")
