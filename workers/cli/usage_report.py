"""What an import tells: how many rows became events, which were refused and why, and what registers used."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from workers.cli import console
from workers.cli.console import Failure, count
from workers.files.lines import RefusedRow
from workers.files.readings import Found

#: Refused rows and registers that JSON on standard output names; a report file names all.
NAMED_MAX = 1_000
#: The same on a terminal.
SHOWN_MAX = 20


@dataclass(slots=True)
class Report:
    """What is found while a file is read; each refused row goes to the report file at once."""

    to: IO[str] | None = None
    events: int = 0
    refused: int = 0
    by_code: Counter[str] = field(default_factory=Counter)
    first: list[RefusedRow] = field(default_factory=list)

    def refuse(self, row: RefusedRow) -> None:
        """Note a row that is no event."""
        self.refused += 1
        self.by_code[row.refused.code] += 1
        if len(self.first) < NAMED_MAX:
            self.first.append(row)
        self.write(told(row))

    def write(self, facts: Mapping[str, Any]) -> None:
        """Write a line of the report file."""
        if self.to is not None:
            self.to.write(json.dumps(facts, default=str, ensure_ascii=False) + "\n")


@contextmanager
def report_to(file: Path | None) -> Iterator[Report]:
    """A report, written to the file if there is one. Raises `Failure` if it cannot be written."""
    if file is None:
        yield Report()
        return
    try:
        opened = file.open("w", encoding="utf-8")
    except OSError as error:
        fix = "name a file that can be written with --report"
        raise Failure(f"{file} cannot be written: {error.strerror}", fix=fix) from None
    with opened:
        yield Report(opened)


def told(row: RefusedRow) -> dict[str, object]:
    """A refused row as it is told: where, what, and what to do."""
    refused = row.refused
    return {
        "line": row.line, "code": refused.code, "field": refused.field, "sentence": refused.sentence,
        "fix": refused.fix,
    }  # fmt: skip


def told_register(found: Found) -> dict[str, object]:
    """What was found of a register: its segments, its gaps, and where counting begins."""
    return {
        "register": found.register,
        "segments": [asdict(each) for each in found.segments],
        "gaps": [asdict(each) for each in found.gaps],
        "repeats": found.repeats,
        "begins_at": found.begins_at,
    }


def finish(report: Report, facts: Mapping[str, object], registers: Sequence[Found]) -> dict[str, object]:
    """All that is known at the end; it is the end of the report file, too."""
    for each in registers:
        report.write(told_register(each))
    summary = {**facts, "events": report.events, "rows_refused": report.refused, "by_code": dict(report.by_code)}
    report.write({"summary": summary})
    told_rows = [told(row) for row in report.first]
    return {**summary, "refused_rows": told_rows, "registers": [told_register(each) for each in registers[:NAMED_MAX]]}


def show(report: Report, registers: Sequence[Found], *, title: str) -> None:
    """Print refused rows and registers as tables."""
    out = console.out()
    if report.first:
        rows = [
            [each.line, each.refused.code, each.refused.field, f"{each.refused.sentence}\n-> {each.refused.fix}"]
            for each in report.first[:SHOWN_MAX]
        ]
        out.print(console.table(f"Refused rows of {title}", ["line#", "code", "field", "why, and what to do"], rows))
        if report.refused > len(rows):
            codes = ", ".join(f"{count(n)} {code}" for code, n in sorted(report.by_code.items()))
            out.print(f"these are the first of {count(report.refused)}: {codes}; --report FILE names all")
    if registers:
        _show_registers(registers)


def _show_registers(registers: Sequence[Found]) -> None:
    out = console.out()
    rows = [
        [
            each.register,
            f"{segment.starts_at:%Y-%m-%d %H:%M} - {segment.ends_at:%Y-%m-%d %H:%M}",
            f"{segment.first} - {segment.last}",
            segment.quantity,
            "after a reset" if segment.is_after_reset else f"roll-overs: {segment.roll_overs}",
        ]
        for each in registers
        for segment in each.segments
    ]
    columns = ["register", "from - to (UTC)", "readings", "used#", "how"]
    out.print(console.table("What each register used", columns, rows[:SHOWN_MAX]))
    if len(rows) > SHOWN_MAX:
        out.print(f"these are the first of {count(len(rows))}; --report FILE names all")
    begun = [each for each in registers if each.begins_at is not None]
    if begun:
        out.print(
            f"{count(len(begun))} registers begin here, such as {begun[0].register}: what they used before is not "
            "counted. Name the file before with --since-file if there is one"
        )
    gaps = sum(len(each.gaps) for each in registers)
    if gaps:
        out.print(f"{count(gaps)} gaps: what was used in one counts at its end")
