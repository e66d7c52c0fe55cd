"""Every ERP under the conformance suite: the adapter, and how a test arranges the world behind it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Protocol

from erp_documents import document
from erp_two_step import TwoStepErp

from workers.erp.ledger_file import LedgerFile
from workers.erp.protocol import Erp, ErpDocument


class Bench(Protocol):
    """One ERP of its own for one test."""

    @property
    def erp(self) -> Erp:
        """The adapter under test; each look is a client of its own to the same ERP."""

    def count(self, key: str) -> int:
        """How many documents the ERP holds under the key, drafts too, counted without the adapter."""

    def set_period(self, on: date, *, is_open: bool) -> None:
        """Close or reopen the accounting period of that date."""

    @contextmanager
    def busy(self) -> Iterator[None]:
        """The ERP takes nothing meanwhile."""

    def refused(self) -> ErpDocument:
        """A document that this ERP refuses for good."""


@dataclass
class LedgerFileBench:
    """A folder of plain-text accounting."""

    folder: Path

    @property
    def erp(self) -> Erp:
        return LedgerFile(self.folder, lock_wait_s=0.05)

    def count(self, key: str) -> int:
        return len(list(self.folder.glob(f"*/{key}.journal")))

    def set_period(self, on: date, *, is_open: bool) -> None:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "periods").open("a") as periods:
            periods.write(f"{on:%Y-%m} {'open' if is_open else 'closed'}\n")

    @contextmanager
    def busy(self) -> Iterator[None]:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def refused(self) -> ErpDocument:
        (self.folder / "declarations").mkdir(parents=True)
        (self.folder / "declarations" / "chart.journal").write_text("account assets:receivable\naccount revenue\n")
        return document("TL-REFUSED")


@dataclass
class TwoStepBench:
    """The ERP in memory that books in two calls."""

    erp: TwoStepErp = field(default_factory=TwoStepErp)

    def count(self, key: str) -> int:
        return sum(held.document.key == key for held in self.erp.held.values())

    def set_period(self, on: date, *, is_open: bool) -> None:
        (self.erp.closed_months.discard if is_open else self.erp.closed_months.add)(f"{on:%Y-%m}")

    @contextmanager
    def busy(self) -> Iterator[None]:
        self.erp.is_busy = True
        yield
        self.erp.is_busy = False

    def refused(self) -> ErpDocument:
        self.erp.accounts_refused.add("ZZ")
        return document("TL-REFUSED", account_id="ZZ")


BENCHES = {"ledger-file": lambda folder: LedgerFileBench(folder / "ledger"), "two-step": lambda _folder: TwoStepBench()}
