import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import domain

pytestmark = pytest.mark.fast

FILES = sorted(Path(domain.__file__).parent.rglob("*.py"))
#: A binary float, a clock, chance, input and output, and the thread's own decimal context: none has a place here.
BANNED_NAMES = {"float", "open", "print", "input", "random", "getcontext", "setcontext", "localcontext"}
BANNED_CALLS = {"now", "today", "utcnow", "time_ns", "uuid4", "getrandbits"}


def impurities(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()):
                yield f"line {node.lineno}: a float"
            case ast.Name(id=name) if name in BANNED_NAMES:
                yield f"line {node.lineno}: {name}"
            case ast.Attribute(attr=name) if name in BANNED_CALLS:
                yield f"line {node.lineno}: {name}"
            case ast.BinOp(op=ast.Div()):
                yield f"line {node.lineno}: a division outside a context"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_domain_has_no_float_no_clock_no_chance_and_no_input_or_output(path):
    found = list(impurities(ast.parse(path.read_text(encoding="utf-8"))))

    # A delay of seconds is neither money nor quantity.
    assert [line for line in found if path.name != "errors.py" or not line.endswith(": float")] == []


@pytest.mark.parametrize("source", ["x = 0.5", "float(x)", "datetime.now()", "open(x)", "a / b", "1 + 2j"])
def test_an_impurity_would_be_found(source):
    assert list(impurities(ast.parse(source)))
