"""The plain-text ERP: one folder per connection, one file per document, readable by hledger at every moment."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from domain.money import Currency
from workers.erp.journal_text import commodity_text, document_text, escaped_account, read_document
from workers.erp.protocol import (
    KEY_TAKEN,
    PERIOD_CLOSED,
    Busy,
    ErpAway,
    ErpDocument,
    ErpUnreadable,
    Found,
    Limits,
    Outcome,
    PeriodStatus,
    Posted,
    ReadBack,
    Rejected,
    Resume,
    Unknown,
)

MAIN: Final = "main.journal"
DECLARATIONS: Final = "declarations"
CHART: Final = "chart.journal"
PERIODS: Final = "periods"
STAGING: Final = ".staging"
LOCK: Final = ".lock"

#: How long a writer waits for its turn; a writer holds the lock for a few fsyncs.
LOCK_WAIT_S: Final = 2.0
LOCK_POLL_S: Final = 0.02
#: When a full or broken disk is looked at again.
DISK_REST_S: Final = 60.0
#: When a folder that does not answer a question is asked again: longer than a call waits for its turn, so that others
#: meanwhile do not wait for it in vain.
AWAY_REST_S: Final = 10.0
LIMITS: Final = Limits(key_is_unique=True, call_s=3.0, quiet_s=1.0, lines_max=100_000, amount_decimals_max=28)

_KEY = re.compile(r"[A-Za-z0-9_-]{1,35}")
_MONTH = re.compile(r"\d{4}-\d{2}")
_PERIOD = re.compile(r"(?P<month>\d{4}-(?:0[1-9]|1[0-2]))\s+(?P<status>open|closed)\s*(?:[;#].*)?")
_MAIN_TEXT: Final = (
    "; Every document of this ledger; `hledger -f main.journal balance` reads them all.\ninclude */*.journal\n"
)
_FORMAT_TEXT: Final = "; Kept so that `include */*.journal` always finds a file.\ndecimal-mark .\n"


class LedgerLocked(Exception):
    """Another process is writing, and did not finish in time."""


class LedgerFile:
    """A folder that answers as an ERP.

    `<folder>/<year>-<month>/<key>.journal` holds one document. It is written and synced under another name, then linked
    to its own, which the file system refuses if that exists: so a document is there whole or not at all, and once.
    `periods` lists months as `2013-01 closed`; of several lines about a month the last one counts. If
    `declarations/chart.journal` exists, only the accounts it declares, and those below them, may be booked.
    """

    def __init__(self, folder: Path, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        self.folder = folder
        self._lock_wait_s = lock_wait_s

    def limits(self) -> Limits:
        """What a folder allows."""
        return LIMITS

    def ping(self) -> None:
        """Return if a document could be written now."""
        try:
            with self._locked():
                self._periods()
        except (LedgerLocked, OSError) as error:
            raise ErpAway(f"the ledger folder cannot be written: {error}", delay_s=DISK_REST_S) from error

    def period_status(self, on: date) -> PeriodStatus:
        """What `periods` says about the month of that date; a month it does not name is open."""
        try:
            return self._periods().get(f"{on:%Y-%m}", "open")
        except OSError as error:
            raise _away(error) from error

    def find(self, key: str) -> Found | None:
        """The document of that key; it waits for a writer, so that none appears right after the answer."""
        try:
            with self._locked():
                path = self._path_of(key)
                if path is None:
                    return None
                _sync(path.parent)
                ref = self._ref(path)
                return Found(ref=ref, is_posted=True, number=self.read_back(ref).number)
        except LedgerLocked as error:
            raise ErpAway(f"the ledger folder does not answer: {error}", delay_s=1.0) from error
        except OSError as error:
            raise _away(error) from error

    def post(self, document: ErpDocument, resume: Resume) -> Outcome:
        """Write the document; there is no draft, so there is nothing to resume."""
        del resume
        refusal = _refusal(document)
        if refusal is not None:
            return refusal
        try:
            with self._locked():
                return self._post(document)
        except LedgerLocked as error:
            return Busy(retry_after_s=1.0, sentence=str(error))
        except ErpUnreadable as error:
            return Rejected(error.code, error.sentence)
        except OSError as error:
            return Busy(retry_after_s=DISK_REST_S, sentence=f"nothing was written: {error}")

    def read_back(self, ref: str) -> ReadBack:
        """What the file says now. Raises `ErpUnreadable`, also if it is gone, and `ErpAway` if the disk is."""
        try:
            return read_document((self.folder / ref).read_text("ascii"), ref=ref)
        except (FileNotFoundError, UnicodeError) as error:
            raise ErpUnreadable(f"{ref} cannot be read: {error}", ref=ref) from error
        except OSError as error:
            raise _away(error) from error

    def _post(self, document: ErpDocument) -> Outcome:
        """The part that holds the lock."""
        if self.period_status(document.entry.posting_on) == "closed":
            return Rejected(PERIOD_CLOSED, f"{document.entry.posting_on:%Y-%m} is closed in this ledger")
        unknown = sorted(self._not_in_chart(document))
        if unknown:
            return Rejected("ledger_account_unknown", f"not in the chart of accounts: {', '.join(unknown)}")
        written = document_text(document)
        path = self._path_of(document.key)
        if path is None:
            path = self.folder / f"{document.entry.posting_on:%Y-%m}" / f"{document.key}.journal"
            self._declare(document.document.currency)
            staged = self._staged(path, written)
            return self._publish(staged, path, document.number)
        if path.read_text("ascii") != written:
            return Rejected(KEY_TAKEN, f"{self._ref(path)} has the key of {document.number} and says something else")
        _sync(path.parent)
        return Posted(ref=self._ref(path), number=document.number)

    def _publish(self, staged: Path, path: Path, number: str) -> Outcome:
        try:
            os.link(staged, path)
            _sync(path.parent)
            staged.unlink()
        except OSError as error:
            return Unknown(f"the file system failed while {path.name} was given its name: {error}")
        return Posted(ref=self._ref(path), number=number)

    def _declare(self, currency: Currency) -> None:
        """See to it that the folder can be read as a whole before a document is in it; each file appears complete."""
        for path, written in (
            (self.folder / DECLARATIONS / "format.journal", _FORMAT_TEXT),
            (self.folder / MAIN, _MAIN_TEXT),
            (self.folder / DECLARATIONS / f"{currency.code}.journal", commodity_text(currency)),
        ):
            if not path.exists():
                staged = self._staged(path, written)
                os.link(staged, path)
                _sync(path.parent)
                staged.unlink()

    def _staged(self, path: Path, written: str) -> Path:
        """The text on disk under a name that nobody reads, with the folder that it goes to."""
        staged = self.folder / STAGING / f"{path.name}.staged"
        for folder in (staged.parent, path.parent):
            if not folder.exists():
                folder.mkdir()
                _sync(folder.parent)
        staged.unlink(missing_ok=True)  # after a crash it may be the same file as a document: never written over
        with staged.open("x", encoding="ascii") as file:
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        return staged

    def _path_of(self, key: str) -> Path | None:
        """Where the document of that key is, whatever its month."""
        months = (entry for entry in self.folder.iterdir() if _MONTH.fullmatch(entry.name))
        return next((path for month in months if (path := month / f"{key}.journal").exists()), None)

    def _ref(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _periods(self) -> dict[str, PeriodStatus]:
        path = self.folder / PERIODS
        rows = _read(path).splitlines() if path.exists() else []
        statuses: dict[str, PeriodStatus] = {}
        for row in rows:
            if not row.strip() or row.lstrip().startswith(("#", ";")):
                continue
            match = _PERIOD.fullmatch(row.strip())
            if match is None:
                raise ErpUnreadable(f"no period and status in {path.name}: {row!r}", row=row)
            statuses[match["month"]] = "closed" if match["status"] == "closed" else "open"
        return statuses

    def _not_in_chart(self, document: ErpDocument) -> set[str]:
        chart = self.folder / DECLARATIONS / CHART
        if not chart.exists():
            return set()
        rows = [row for row in _read(chart).splitlines() if row.startswith("account ")]
        declared = [row.removeprefix("account ").partition(";")[0].strip() for row in rows]
        booked = {escaped_account(posting.ledger_account) for posting in document.entry.postings}
        return {name for name in booked if not any(f"{name}:".startswith(f"{above}:") for above in declared)}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder alone among all processes and threads. Raises `LedgerLocked` after `lock_wait_s`."""
        if not self.folder.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            _sync(self.folder.parent)
        descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            give_up_at = monotonic() + self._lock_wait_s
            while not _try_lock(descriptor):
                if monotonic() >= give_up_at:
                    raise LedgerLocked(f"another process has held {LOCK} for {self._lock_wait_s} s")
                sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)


def _away(error: OSError) -> ErpAway:
    return ErpAway(f"the ledger folder does not answer: {error}", delay_s=AWAY_REST_S)


def _read(path: Path) -> str:
    """What a person wrote into a file of the folder."""
    try:
        return path.read_text("utf-8")
    except UnicodeError as error:
        raise ErpUnreadable(f"{path.name} is not UTF-8", file=path.name) from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refusal(document: ErpDocument) -> Rejected | None:
    """Why no ledger could take this document, if so."""
    currencies = {posting.amount.currency for posting in document.entry.postings} | {document.document.currency}
    if not _KEY.fullmatch(document.key):
        return Rejected("key_unfit", f"{document.key!r} cannot be a file name")
    if len(currencies) > 1:
        return Rejected("currencies_mixed", f"the journal entry of {document.number} has {len(currencies)} currencies")
    if len(document.document.lines) > LIMITS.lines_max:
        return Rejected("too_many_lines", f"{document.number} has {len(document.document.lines)} lines")
    return None


def _sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
