"""The page about a first customer, done as it stands: every block is a file, every line with `tallyline` a command."""

import re
import shlex
from pathlib import Path

from operator_bench import DEMO
from two_people import begin

PAGE = DEMO / "first-customer.md"
#: A file's name, and the block that follows it.
FILES = re.compile(r"`(\S+\.(?:yaml|csv))`:\n\n```(?:yaml|csv)\n(.*?)```", re.DOTALL)
COMMANDS = re.compile(r"^    tallyline (.+)$", re.MULTILINE)


def test_whoever_follows_the_page_ends_with_a_posted_invoice(operator, tmp_path, monkeypatch):
    begin(operator)
    operator.run("insert into person_roles (person_id, role, granted_by) values ('admin', 'operator', 'test')")
    operator.run("""insert into approval_policies (action, role, needs, decided_by, recorded_by)
      values ('entitlements.publish', 'finance', 'always', 'approver', 'test')""")
    monkeypatch.setenv("TALLYLINE_PERSON", "admin")
    page = PAGE.read_text()
    for name, content in FILES.findall(page):
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)

    codes = []
    for line in COMMANDS.findall(page):
        words = shlex.split(line)
        if words[0] == "approve":
            words[1] = str(operator.one("select max(id) from approval_requests"))
        ran = operator(*words)
        codes.append((ran.code, line))
        assert ran.code in (0, 4), (line, ran.out, ran.err)

    assert sorted(Path(name).name for name, _ in FILES.findall(page)) == sorted(
        each.name for each in tmp_path.glob("*.*")
    )
    waits = [line for code, line in codes if code == 4]
    assert [each.split()[0] for each in waits] == ["master", "prices", "master", "close"]
    assert operator.rows("select net::text, tax::text, gross::text, state from invoices") == [
        ("2.02", "0.38", "2.40", "posted")
    ]
    assert "1,010 units at EUR 0.002 each" in operator("explain", "NIMBUS-000001").out
