"""The accountant's own tool, to ask what a ledger says; it is part of the test environment, never skipped."""

import csv
import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path


def hledger(*arguments: str) -> str:
    """What hledger prints. A missing program is a failure that says how to name it."""
    program = os.environ.get("TALLYLINE_HLEDGER") or shutil.which("hledger") or "/usr/bin/hledger"
    assert Path(program).exists(), f"{program} is missing: install hledger or name it in TALLYLINE_HLEDGER"
    ran = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def balances(folder: Path) -> dict[tuple[str, str], Decimal]:
    """(account, currency) -> balance, as hledger adds it up."""
    rows = csv.DictReader(
        hledger(
            "-f", str(folder / "main.journal"), "balance", "--flat", "--no-total", "--layout=bare", "-O", "csv"
        ).splitlines()
    )
    return {(row["account"], row["commodity"]): Decimal(row["balance"]) for row in rows}
