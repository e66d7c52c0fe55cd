"""A fleet in which things are taken away: sends usage of a month, bills it, and says who did something meanwhile."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import month as oracle
import pika
from fake_sentry import FakeSentry
from month import ELBE, PONY, Call, Company
from procfile import ROOT, wait_until
from running_month import RunningMonth
from upstreams import PASSWORD, Message

from domain.degradation import BY_DEPENDENCY, PARTS, Row
from queues.contracts import STRUCTURED
from workers.store import billing_runs
from workers.store.acting import Named, name
from workers.store.billing_runs import Wanted

#: Lines with usage in every month here; one contract each.
LINES = {PONY: (3, 4), ELBE: (9,)}
CALLS_PER_LINE = 6
MINUTES = Decimal("61.25")
HEARD = "heard"
NOTICED_S_MAX = 30.0


def row_of(dependency: str) -> Row:
    """The row that a test is about."""
    return BY_DEPENDENCY[dependency]  # type: ignore[index]


def calls_of(month_no: int, company: Company) -> list[Call]:
    """A few calls on each line of a company in the middle of a month."""
    noon = datetime(2025, month_no, 15, 12, tzinfo=UTC)
    return [
        Call(f"{month_no}/{line}/{n}", company, line, noon + timedelta(minutes=n), MINUTES, f"caller {n % 4}")
        for line in LINES[company]
        for n in range(CALLS_PER_LINE)
    ]


def documents_of(company: Company) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    """Net, tax and gross by contract of a month with these calls, in plain Python."""
    found = {}
    for line in LINES[company]:
        used = (Decimal(CALLS_PER_LINE), CALLS_PER_LINE * MINUTES, Decimal(4))
        net = sum((oracle._cents(amount) for amount in oracle._amounts(company, *used)), Decimal(0))
        tax = oracle._cents(net * company.tax / 100)
        found[f"contract {line}"] = (net, tax, net + tax)
    return found


@dataclass
class OutageLine:
    """The fleet, and what a test does with it."""

    month: RunningMonth
    sentry: FakeSentry
    tax_engine_away: Path
    environment: dict[str, str]
    runs: dict[tuple[int, str], int] = field(default_factory=dict)
    heard: list[dict[str, Any]] = field(default_factory=list)

    def send(self, calls: Sequence[Call]) -> None:
        """Each call as a message of its own, confirmed."""
        for company in {call.company.name: call.company for call in calls}.values():
            self.month.region.producers[company.name].send(
                *(Message(each.text().encode(), STRUCTURED) for each in calls if each.company is company)
            )

    def aggregated(self, month_no: int, *companies: Company) -> None:
        """Wait until all calls of the month are in their windows."""
        for company in companies:
            for call in calls_of(month_no, company)[-1:]:
                wait_until(lambda call=call: self._events(month_no, call.line) == CALLS_PER_LINE, for_s=60,
                           what=f"line {call.line} of month {month_no} is in its windows")  # fmt: skip
        steps = "('validate', 'enrich', 'aggregate')"
        wait_until(
            lambda: self.month.value(f"select count(*) from work where state = 'ready' and step in {steps}") == 0,
            for_s=60, what="nothing waits before its window",
        )  # fmt: skip

    def _events(self, month_no: int, line: int) -> object:
        return self.month.value(
            """select coalesce(sum(g.events), 0)::integer from aggregates g join metrics m on m.id = g.metric_id
               join subscriptions u on u.id = g.subscription_id join billing_periods p on p.id = g.billing_period_id
               where m.name = 'calls' and u.ref = :line and p.starts_on = :day""",
            line=f"line {line}", day=date(2025, month_no, 1),
        )  # fmt: skip

    def request(self, month_no: int, *companies: Company) -> None:
        """Ask for the month of these companies to be billed."""
        for company in companies:
            period = self.month.value(
                """select p.id from billing_periods p join billing_cycles c on c.id = p.cycle_id
                   where c.legal_entity_id = :name and p.starts_on = :day""",
                name=company.name, day=date(2025, month_no, 1),
            )  # fmt: skip
            wanted = Wanted(int(str(period)), date(2025, 11, 1), date(2025, 10, 31), "ann")
            with self.month.engine.begin() as conn:
                run = billing_runs.request(conn, wanted)
                billing_runs.press(conn, run)
            self.runs[month_no, company.name] = run

    def approve(self, month_no: int, *companies: Company) -> None:
        """Approve the drafts of the month."""
        for company in companies:
            with self.month.engine.begin() as conn:
                name(conn, Named("carol", "agreed with finance"))
                billing_runs.approve(conn, self.runs[month_no, company.name], person="carol")
                billing_runs.press(conn, self.runs[month_no, company.name])

    def stage(self, month_no: int, company: Company) -> object:
        """How far the run is."""
        return self.month.value("select stage from billing_runs where id = :run", run=self.runs[month_no, company.name])

    def wait_for(self, stage: str, month_no: int, *companies: Company) -> None:
        """Wait until the runs have reached the stage."""
        for company in companies:
            wait_until(lambda company=company: self.stage(month_no, company) == stage, for_s=90,
                       what=f"{company.name} {month_no} is {stage}")  # fmt: skip

    def assert_billed(self, month_no: int, *companies: Company) -> None:
        """Every document of the month is in the ledger once, with the right money; the identities hold."""
        for company in companies:
            found = self.month.rows(
                """select c.ref, i.net, i.tax, i.gross, p.state, p.external_key from invoices i
                   join contracts c on c.id = i.contract_id join erp_postings p on p.invoice_id = i.id
                   where i.billing_run_id = :run and i.state = 'posted'""",
                run=self.runs[month_no, company.name],
            )
            assert {row[0]: row[1:4] for row in found} == documents_of(company)
            assert {row[4] for row in found} == {"confirmed"}
            keys = {path.stem for path in self.month.home.glob(f"ledgers/books-{company.name}/????-??/*.journal")}
            assert {row[5] for row in found} <= keys
        self.month.look()
        assert self.month.rows("select step, subject, outcome, error from work where state = 'dead'") == []

    def progress(self, connection: str = "") -> Counter[str]:
        """How many rows of each part are done; those of `post` of one connection alone, if it is named."""
        found: Counter[str] = Counter(dict.fromkeys(PARTS, 0))
        for step, rows in self.month.rows(
            """select step, count(*) from work where state = 'done' and outcome = 'done'
               and (step <> 'post' or :connection in ('', connection_id)) group by step""",
            connection=connection,
        ):
            found[str(step)] = int(str(rows))
        found["intake"] = int(str(self.month.value("select count(*) from receipts")))
        return found

    def moved_since(self, before: Counter[str], connection: str = "") -> set[str]:
        """The parts that did something."""
        after = self.progress(connection)
        return {part for part in PARTS if after[part] > before[part]}

    def metrics(self) -> dict[str, float]:
        """What the scheduler serves, by name and labels."""
        port = [json.loads(line)["port"] for line in self._lines("scheduler") if '"serves metrics"' in line][-1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(figure) for name, figure in pairs}

    def is_up(self, dependency: str, name: str = "") -> bool | None:
        """What `tallyline_dependency_up` says; None if it says nothing."""
        found = self.metrics().get(f'tallyline_dependency_up{{dependency="{dependency}",name="{name}"}}')
        return None if found is None else found == 1

    def _lines(self, process: str) -> list[str]:
        return [line for line in self.month.fleet.processes[process].log().splitlines() if line.startswith("{")]

    def said(self, dependency: str) -> Counter[str]:
        """How often the scheduler's log says that it is away, and back."""
        lines = (json.loads(line) for line in self._lines("scheduler") if '"dependency ' in line)
        return Counter(line["event"] for line in lines if line["dependency"] == dependency)

    def repeated(self, since: datetime) -> dict[tuple[str, ...], int]:
        """What any process has warned of more than three times since then, by process, logger and sentence."""
        found: Counter[tuple[str, ...]] = Counter()
        for process in self.month.fleet.processes:
            for line in map(json.loads, self._lines(process)):
                is_new = datetime.fromisoformat(line["timestamp"]) >= since
                if is_new and line["level"] in ("warning", "error", "critical"):
                    found[process, line["logger"], re.sub(r"\d+", "N", line["event"])] += 1
        return {key: times for key, times in found.items() if times > 3}

    def notices(self, label: str) -> list[tuple[str, str]]:
        """(type, id) of what was heard on the exchange about a dependency; what came twice counts once."""
        with pika.BlockingConnection(pika.URLParameters(self.month.region.url)) as connection:
            channel = connection.channel()
            while True:
                method, _, body = channel.basic_get(HEARD, auto_ack=True)
                if method is None:
                    break
                self.heard.append(json.loads(body))
        return sorted(
            {(each["type"].rpartition(".")[2], each["id"]) for each in self.heard if each["subject"] == label}
        )

    def cli(self, *commands: str) -> list[tuple[int, str, str]]:
        """Commands of the operator, at the same time: how each ended, and what it printed."""
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "workers", command, "--json"], env=self.environment, cwd=ROOT, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for command in commands
        ]  # fmt: skip
        said = [each.communicate(timeout=90) for each in started]
        return [(each.returncode, *words) for each, words in zip(started, said, strict=True)]

    def assert_shown(self, row: Row, *, check: str, name: str = "") -> None:
        """`status` and `doctor` name what is away, and what waits for it; nobody shows a secret."""
        (code, status, error), (_, doctor, _) = told = self.cli("status", "doctor")
        if row.dependency == "postgresql":
            assert (code, "the database does not answer" in error) == (3, True), error
        else:
            (away,) = [each for each in json.loads(status)["away"] if each["dependency"] == row.dependency]
            assert (away["name"], away["sentence"]) == (name, row.waits_where), away
            assert set(away["waits"]) <= set(row.waits), away
        (found,) = [each for each in json.loads(doctor) if each["name"] == check]
        assert found["state"] != "ok", found
        assert row.waits_where in found["fix"], found
        assert not [secret for secret in (PASSWORD, "publickey", *self.secrets) if secret in str(told)]

    @contextmanager
    def tax_engine_is_away(self) -> Iterator[None]:
        """The tax engine answers nobody meanwhile."""
        self.tax_engine_away.touch()
        try:
            yield
        finally:
            self.tax_engine_away.unlink()

    @contextmanager
    def erp_is_away(self, connection: str) -> Iterator[None]:
        """A file lies where the folder of that ledger was."""
        folder = self.month.home / "ledgers" / connection
        kept = folder.with_name("unplugged")
        folder.mkdir(parents=True, exist_ok=True)
        folder.rename(kept)
        folder.write_text("no folder")
        try:
            yield
        finally:
            folder.unlink()
            kept.rename(folder)

    @property
    def secrets(self) -> list[str]:
        """The passwords in the addresses of the fleet."""
        urls = [url for name, url in self.environment.items() if name.endswith("_URL")]
        return [word for url in urls if (word := urlsplit(url).password)]

    @contextmanager
    def told(self, row: Row, *, name: str = "") -> Iterator[None]:
        """Within the block the outage begins and ends; it is told once, and its end once."""
        label = f"{row.dependency}.{name}" if name else row.dependency
        before, said, began_at = self.notices(label), self.said(row.dependency), datetime.now(UTC)
        yield
        wait_until(lambda: self.is_up(row.dependency, name), for_s=60, what=f"{label} is up again")
        wait_until(lambda: len(self.notices(label)) >= len(before) + 2, for_s=60, what=f"{label} is told")
        new = sorted(set(self.notices(label)) - set(before))
        assert [kind for kind, _ in new] == ["away", "back"], new
        assert new[0][1].rpartition("/")[0] == new[1][1].rpartition("/")[0], new
        if not name and row.dependency != "tax_engine":  # partners are seen by the steps that call them
            news = self.said(row.dependency) - said
            assert news == {"dependency away": 1, "dependency back": 1}, news
        assert not (again := self.repeated(began_at)), again

    def wait_until_away(self, row: Row, *, name: str = "") -> None:
        """Wait until the metric says so."""
        wait_until(lambda: self.is_up(row.dependency, name) is False, for_s=NOTICED_S_MAX, what=f"{row.name} is away")


def still(seconds: float, holds: Any) -> None:
    """Assert that something holds for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert holds()
        time.sleep(0.2)
