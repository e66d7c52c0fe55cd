"""October 2025 of two telephone companies: its events, and what must come of them by another path than the product's.

Everything here is plain Python over the list of calls: no module of the product is used to say what is expected.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
CALLS = 3_600
#: Faults, and the code each is refused with.
FAULTS = {
    "naive": "time_naive",
    "words": "field_invalid",
    "meter": "meter_unknown",
    "stolen": "source_not_allowed",
    "nan": "number_out_of_bounds",
}


@dataclass(frozen=True)
class Company:
    """A legal entity with its upstream, its October as instants, its customers and its prices."""

    name: str
    source: str
    starts_at: datetime
    ends_at: datetime
    lines: tuple[int, ...]
    call: Decimal
    tiers: tuple[tuple[Decimal | None, Decimal, Decimal], ...]
    caller: Decimal
    tax: Decimal


#: October began and ended in New York in summer time; in Berlin winter time came on the 26th.
PONY = Company(
    "pony", "/phones/new-york", datetime(2025, 10, 1, 4, tzinfo=UTC), datetime(2025, 11, 1, 4, tzinfo=UTC),
    tuple(range(1, 9)), Decimal("0.0125"),
    ((Decimal(200), Decimal("0.0215"), Decimal(0)), (Decimal(1000), Decimal("0.0171"), Decimal("1.50")),
     (None, Decimal("0.0093"), Decimal(0))),
    Decimal("1.1025"), Decimal("8.875"),
)  # fmt: skip
ELBE = Company(
    "elbe", "/phones/hamburg", datetime(2025, 9, 30, 22, tzinfo=UTC), datetime(2025, 10, 31, 23, tzinfo=UTC),
    tuple(range(9, 13)), Decimal("0.0205"),
    ((Decimal(500), Decimal("0.0333"), Decimal("0.99")), (None, Decimal("0.0111"), Decimal(0))),
    Decimal("0.7775"), Decimal(19),
)  # fmt: skip
COMPANIES = (PONY, ELBE)
#: The line whose mapping is published only while the month flows, and one that nobody ever maps.
LATE_LINE, LOST_LINE = 5, 99
#: Lines 1 and 2 are two subscriptions of one contract.
SHARED_CONTRACT = {2: 1}


@dataclass(frozen=True)
class Call:
    """One event as an upstream means it."""

    name: str
    company: Company
    line: int
    at: datetime
    minutes: Decimal | None
    caller: str
    is_test: bool = False
    fault: str = ""

    def text(self) -> str:
        """The event as JSON text."""
        data = f'{{"minutes": {self._minutes()}, "caller": "{self.caller}", "is_test": {json.dumps(self.is_test)}}}'
        other = next(each for each in COMPANIES if each is not self.company)
        attributes = {
            "specversion": "1.0",
            "id": self.name,
            "source": other.source if self.fault == "stolen" else self.company.source,
            "type": "call.began" if self.fault == "meter" else "call.ended",
            "subject": f"line {self.line}",
            "time": self.at.isoformat().removesuffix("+00:00") + ("" if self.fault == "naive" else "Z"),
        }
        return json.dumps(attributes)[:-1] + f', "data": {data}}}'

    def _minutes(self) -> str:
        odd = {"words": '"two"', "nan": "NaN"}.get(self.fault)
        return odd or ("null" if self.minutes is None else str(self.minutes))


def calls(seed: int = 2025) -> list[Call]:
    """The calls of the month in order of time, the same for the same seed."""
    chance = random.Random(seed)
    made = [_call(number, chance) for number in range(CALLS)]
    made += [edge for company in COMPANIES for edge in _edges(company)]
    return sorted(made, key=lambda call: (call.at, call.name))


def _call(number: int, chance: random.Random) -> Call:
    company = PONY if chance.random() < 0.7 else ELBE
    kind = chance.random()
    length = company.ends_at - company.starts_at
    return Call(
        f"call {number}",
        company,
        LOST_LINE if kind < 0.02 else chance.choice(company.lines),
        company.starts_at + timedelta(milliseconds=chance.randrange(int(length.total_seconds()) * 1000)),
        None if 0.02 <= kind < 0.04 else Decimal(chance.randrange(1, 6_000)) / 100,
        f"caller {chance.randrange(40)}",
        is_test=0.04 <= kind < 0.07,
        fault=chance.choice(list(FAULTS)) if kind >= 0.97 else "",
    )


def _edges(company: Company) -> Iterator[Call]:
    """Calls at the first and last instants of the month, and right outside of it."""
    step = timedelta(microseconds=1)
    for name, at in (
        ("first", company.starts_at),
        ("last", company.ends_at - step),
        ("before", company.starts_at - step),
        ("after", company.ends_at),
    ):
        yield Call(f"{company.name} {name}", company, company.lines[0], at, Decimal("1.5"), "edge")


@dataclass
class Expected:
    """What must come of the calls, each of them once."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    excluded: int = 0
    excepted: Counter[str] = field(default_factory=Counter)
    #: By (line, month, metric): events, and the quantity that is billed.
    events: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    minutes: Counter[tuple[int, str]] = field(default_factory=Counter)
    callers: dict[tuple[int, str], set[str]] = field(default_factory=dict)

    def quantities(self) -> dict[tuple[int, str, str], Decimal]:
        """What is billable by (line, first day of the month, metric)."""
        found = {key: Decimal(count) for key, count in self.events.items() if key[2] == "calls"}
        found |= {(line, month, "minutes"): total for (line, month), total in self.minutes.items()}
        return found | {(line, month, "callers"): Decimal(len(who)) for (line, month), who in self.callers.items()}

    def documents(self) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
        """Net, tax and gross of October by contract."""
        nets: dict[str, list[Decimal]] = {}
        quantities = self.quantities()
        for company in COMPANIES:
            for line in company.lines:
                contract = f"contract {SHARED_CONTRACT.get(line, line)}"
                used = [quantities[line, "2025-10-01", metric] for metric in ("calls", "minutes", "callers")]
                nets.setdefault(contract, []).extend(_cents(amount) for amount in _amounts(company, *used))
        rates = {f"contract {line}": company.tax for company in COMPANIES for line in company.lines}
        found = {}
        for contract, parts in nets.items():
            net = sum(parts, Decimal(0))
            tax = _cents(net * rates[contract] / 100)
            found[contract] = (net, tax, net + tax)
        return found


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def _amounts(company: Company, made: Decimal, minutes: Decimal, callers: Decimal) -> Iterator[Decimal]:
    yield made * company.call
    total, below = Decimal(0), Decimal(0)
    for up_to, unit, flat in company.tiers:
        if minutes > below:
            total += ((minutes if up_to is None else min(minutes, up_to)) - below) * unit + flat
        below = up_to or below
    yield total
    yield callers * company.caller


def expected(month: list[Call]) -> Expected:
    """The fates of all calls once the late mapping is there."""
    sums = Expected()
    for call in month:
        if call.fault:
            sums.refused[FAULTS[call.fault]] += 1
            continue
        sums.accepted[call.company.source] += 1
        if call.is_test:
            sums.excluded += 3
        elif call.line == LOST_LINE:
            sums.excepted["subscription_not_found"] += 3 - (call.minutes is None)
            sums.excepted["quantity_missing"] += call.minutes is None
        else:
            _count(sums, call)
    return sums


def _count(sums: Expected, call: Call) -> None:
    company = call.company
    month = "2025-10-01" if company.starts_at <= call.at < company.ends_at else _neighbour(call)
    sums.events[call.line, month, "calls"] += 1
    sums.events[call.line, month, "callers"] += 1
    sums.callers.setdefault((call.line, month), set()).add(call.caller)
    if call.minutes is None:
        sums.excepted["quantity_missing"] += 1
    else:
        sums.events[call.line, month, "minutes"] += 1
        sums.minutes[call.line, month] += call.minutes


def _neighbour(call: Call) -> str:
    return "2025-09-01" if call.at < call.company.starts_at else "2025-11-01"
