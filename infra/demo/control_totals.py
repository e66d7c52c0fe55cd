"""What the month of the demo must come to, by a path of its own: the CSV, this file's own price book, plain Python.

    python infra/demo/control_totals.py [flights-2013-01.csv.gz]

Prints JSON. It imports nothing of Tallyline and reads nothing of `master.yaml`: prices and tax rates stand here a
second time on purpose, so that a slip in either shows as a difference. Who changes one changes the other.
"""

import csv
import gzip
import json
import sys
from collections import Counter, defaultdict
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

FLIGHTS = Path(__file__).with_name("flights-2013-01.csv.gz")
ZONE = ZoneInfo("America/New_York")
FIRST_ON, END_ON = date(2013, 1, 1), date(2013, 2, 1)
ENTITY_OF = {"JFK": "pony", "LGA": "pony", "EWR": "newark"}
METRICS = ("departures", "distance", "aircraft")

Tiers = tuple[tuple[Decimal | None, Decimal, Decimal], ...]


def tiers(*rows: tuple[str | None, str, str]) -> Tiers:
    """Make (up to and including, price of a mile, flat fee once a mile falls in it) of texts."""
    return tuple((None if end is None else Decimal(end), Decimal(unit), Decimal(flat)) for end, unit, flat in rows)


#: US dollars for a departure, and for each distinct aircraft seen in the month.
PER_UNIT = {
    "pony": {"departures": Decimal("41.2575"), "aircraft": Decimal("118.12505")},
    "newark": {"departures": Decimal("38.9050"), "aircraft": Decimal("97.50125")},
}
#: US dollars for miles flown in the month, tier by tier.
DISTANCE = {
    "pony": tiers(("100000", "0.02515", "250.00"), ("1000000", "0.018475", "125.50"), (None, "0.0142625", "0")),
    "newark": tiers(("50000", "0.02375", "175.00"), ("750000", "0.0171125", "90.25"), (None, "0.01391", "60.00")),
}
TAX_CATEGORY = {"departures": "runway", "distance": "runway", "aircraft": "stand"}
#: Percent.
TAX_RATE = {
    "pony": {"runway": Decimal("4.5"), "stand": Decimal("8.875")},
    "newark": {"runway": Decimal("3.5"), "stand": Decimal("6.625")},
}


def cents(amount: Decimal) -> Decimal:
    """Round to cents, a tie away from zero."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def graduated(quantity: Decimal, steps: Tiers) -> Decimal:
    """Price each mile in the tier it falls in; a tier's flat fee is due once a mile falls in it."""
    amount, start = Decimal(0), Decimal(0)
    for end, unit, flat in steps:
        inside = (quantity if end is None else min(quantity, end)) - start
        if inside <= 0:
            break
        amount += inside * unit + flat
        start += inside
    return amount


class Month:
    """Everything counted in one reading of the file."""

    def __init__(self) -> None:
        self.events = 0
        self.usage: dict[str, Counter[str]] = {metric: Counter(billed=0, excluded=0, excepted=0) for metric in METRICS}
        self.departures: Counter[tuple[str, str]] = Counter()
        self.miles: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.aircraft: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def add(self, row: dict[str, str]) -> None:
        """Count one scheduled departure under each metric."""
        self.events += 1
        sold = ENTITY_OF[row["origin"]], row["carrier"]
        if row["dep_time"] == "NA":
            for metric in METRICS:
                self.usage[metric]["excluded"] += 1
            return
        self.usage["departures"]["billed"] += 1
        self.departures[sold] += 1
        self.usage["distance"]["excepted" if row["air_time"] == "NA" else "billed"] += 1
        if row["air_time"] != "NA":
            self.miles[sold] += Decimal(row["distance"])
        self.usage["aircraft"]["excepted" if row["tailnum"] == "NA" else "billed"] += 1
        if row["tailnum"] != "NA":
            self.aircraft[sold].add(row["tailnum"])


def read(flights: Path) -> Month:
    """Count the departures scheduled in January by a calendar in New York."""
    month = Month()
    with gzip.open(flights, "rt", encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            if FIRST_ON <= datetime.fromisoformat(row["time_hour"]).astimezone(ZONE).date() < END_ON:
                month.add(row)
    return month


def document(month: Month, entity: str, airline: str) -> dict[str, Decimal]:
    """Net, tax and gross of what one airline owes one legal entity."""
    sold = entity, airline
    net = {
        "departures": cents(month.departures[sold] * PER_UNIT[entity]["departures"]),
        "distance": cents(graduated(month.miles[sold], DISTANCE[entity])),
        "aircraft": cents(len(month.aircraft[sold]) * PER_UNIT[entity]["aircraft"]),
    }
    per_category: defaultdict[str, Decimal] = defaultdict(Decimal)
    for metric, amount in net.items():
        per_category[TAX_CATEGORY[metric]] += amount
    tax = sum((cents(base * TAX_RATE[entity][kind] / 100) for kind, base in per_category.items()), Decimal(0))
    total = sum(net.values(), Decimal(0))
    return {"net": total, "tax": tax, "gross": total + tax}


def control_totals(month: Month) -> dict[str, object]:
    """Put together what the demo compares, amounts and quantities as decimal texts."""
    sold = sorted(month.departures)
    documents = {f"{entity}/{airline}": document(month, entity, airline) for entity, airline in sold}
    money: dict[str, Counter[str]] = defaultdict(Counter)
    quantity = {entity: dict.fromkeys(METRICS, Decimal(0)) for entity in PER_UNIT}
    for entity, airline in sold:
        for kind, amount in documents[f"{entity}/{airline}"].items():
            money[entity][kind] += amount  # type: ignore[assignment]
        quantity[entity]["departures"] += month.departures[entity, airline]
        quantity[entity]["distance"] += month.miles[entity, airline]
        quantity[entity]["aircraft"] += len(month.aircraft[entity, airline])
    return {
        "events": month.events,
        "usage": month.usage,
        "quantity": quantity,
        "documents": documents,
        "money": money,
    }


def main() -> int:
    """Print the control totals of the file that is named, or of the one beside this script."""
    flights = Path(sys.argv[1]) if len(sys.argv) > 1 else FLIGHTS
    json.dump(control_totals(read(flights)), sys.stdout, default=str, indent=2)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
