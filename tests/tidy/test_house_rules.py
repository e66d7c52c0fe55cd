"""House rules as tests: sizes, words, layers and the files that belong together."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.codes import CODES
from infra import degradation, runbook
from queues.topology import STEPS

pytestmark = pytest.mark.fast

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("domain", "queues", "workers")
FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 40
ACTOR_LINES_MAX = 40
#: Words of other systems for things that have a name of their own here, and names that say nothing.
BANNED = ("helper", "util", "utils", "manager", "tenant", "tariff", "invoice_item", "line_item", "do_it", "foo")
#: Contracts of the rooms: what may not be imported where, beyond what import-linter holds.
FLOATS = re.compile(r"\bfloat\b")


def sources(*rooms: str) -> Iterator[Path]:
    for room in rooms or ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_a_reader_keeps_in_mind():
    too_long = {named(path): n for path in sources() if (n := len(path.read_text().splitlines())) > FILE_LINES_MAX}

    assert too_long == {}


def test_no_function_is_longer_than_a_screen():
    too_long = {
        f"{named(path)} {each.name}": (each.end_lineno or 0) - each.lineno + 1
        for path in sources()
        for each in functions(path)
        if (each.end_lineno or 0) - each.lineno + 1 > FUNCTION_LINES_MAX
    }

    assert too_long == {}


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_an_actor_file_that_reads_as_one_sentence(step):
    path = ROOT / "workers" / f"{step}.py"

    lines = path.read_text().splitlines()

    assert len(lines) <= ACTOR_LINES_MAX
    assert f'@step("{step}"' in path.read_text()


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_a_process_in_the_procfile(step):
    assert re.search(rf"^{step}(-[a-z]+)?:", (ROOT / "Procfile").read_text(), re.MULTILINE)


def test_domain_computes_nothing_in_binary_fractions():
    found = [
        f"{named(path)}:{node.lineno}"
        for path in sources("domain")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Name) and node.id == "float" and path.name != "errors.py")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
    ]

    assert found == []


def test_events_are_never_parsed_by_the_parser_that_rounds():
    found = [named(path) for path in sources() if "validate_json" in path.read_text()]

    assert found == []


def test_no_name_says_nothing():
    names = {
        f"{named(path)}:{node.lineno} {node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and any(word in re.split(r"_|(?<=[a-z])(?=[A-Z])", node.name) for word in BANNED)
    }

    assert names == set()


def test_the_runbook_has_every_code_with_its_meaning_and_fix():
    assert runbook.PAGE.read_text(encoding="utf-8") == runbook.page()


def test_a_page_of_its_own_in_the_runbook_belongs_to_a_code():
    pages = {path.stem for path in runbook.PAGE.parent.glob("*.md")} - {"codes", "degradation"}

    assert pages - set(CODES) == set()


def test_the_page_of_what_happens_in_an_outage_is_its_table():
    assert degradation.PAGE.read_text(encoding="utf-8") == degradation.page()


def test_every_code_that_the_programs_use_is_in_the_table():
    used = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.id for each in getattr(node, "targets", ()) if isinstance(each, ast.Name)]
            if "code" in names and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                used.add(node.value.value)
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                used.add(node.value.value)

    assert used - set(CODES) - {"rejected"} == set()  # the name of the kind, never of a case


def test_every_room_says_what_it_owns():
    for room in ROOMS:
        text = (ROOT / room / "README.md").read_text().lower()
        for heading in ("owns", "does not own", "invariants"):
            assert heading in text, (room, heading)


def test_the_rooms_import_only_downwards():
    linter = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout


def test_every_todo_names_what_it_waits_for():
    found = [
        f"{named(path)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\b(TODO|FIXME)\b", line)
    ]

    assert found == []


def test_no_two_modules_of_the_tests_share_a_name():
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name not in {"conftest.py", "__init__.py"}]

    assert {name for name in names if names.count(name) > 1} == set()
