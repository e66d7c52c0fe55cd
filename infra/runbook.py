"""Writes `infra/runbooks/codes.md` and `degradation.md` from their tables: `python -m infra.runbook`."""

from pathlib import Path

from domain.codes import CODES, Code
from infra import degradation

PAGE = Path(__file__).with_name("runbooks") / "codes.md"
INTRODUCTION = """# Codes

Every reason for which something is refused, parked or dead. The code is the same word in the exception, in the
headers of a body in `.XQ`, in the refusal that a producer receives, in the labels of `/metrics` and here. Codes whose
repair takes more than a sentence have a page of their own beside this one. This page is written by
`python -m infra.runbook`.
"""


def page() -> str:
    """The page as it must be."""
    return INTRODUCTION + "".join(_section(code) for _, code in sorted(CODES.items()))


def _section(code: Code) -> str:
    own = PAGE.with_name(f"{code.name}.md")
    more = f"\nMore: [{own.name}]({own.name})\n" if own.exists() else ""
    return f"\n## {code.name}\n\n{code.kind}, severity {code.severity}. {code.meaning}\n\n**Fix.** {code.fix}\n{more}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    degradation.PAGE.write_text(degradation.page(), encoding="utf-8")
