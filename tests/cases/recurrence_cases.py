"""Published periods by our own recurrences."""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from case_figures import Calculations, Figures, NotAdopted

from domain.events import parse_instant
from domain.periods import local_date
from domain.recurrences import Interval, Recurrence

_INTERVALS: Final = {"day": "P1D", "week": "P1W", "month": "P1M", "quarter": "P3M", "semester": "P6M", "year": "P1Y"}
_LONGER: Final = {"biweekly": "P2W", "thirty_days": "P30D", "bimonthly": "P2M", "triannual": "P4M", "biennial": "P2Y"}
#: The same under the names that other systems give them.
_OTHER_NAMES: Final = {
    "daily": "day",
    "half_year": "semester",
    "semi_annual": "semester",
    "biannual": "semester",
    "annual": "year",
}


def interval(text: str) -> Interval:
    if text.lower() in _LONGER:
        return Interval.parse(_LONGER[text.lower()])
    name = text.lower().removesuffix("ly")
    name = _OTHER_NAMES.get(text.lower(), _OTHER_NAMES.get(name, name))
    return Interval.parse(_INTERVALS.get(name, text))


def instant(text: str) -> datetime:
    return parse_instant(text) if "T" in text else datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)


def day_of(text: str, zone: str = "UTC") -> date:
    return local_date(parse_instant(text), zone) if "T" in text else date.fromisoformat(text)


def grid(record: Figures) -> Recurrence:
    params = record["params"]
    if params.get("month_end", "clamp_to_anchor_day") != "clamp_to_anchor_day":
        raise NotAdopted("day 29 to 31 clamps to shorter months and returns")
    zone = params.get("timezone", "UTC")
    anchor = instant(params["anchor"]).astimezone(ZoneInfo(zone))
    day = int(params.get("anchor_day") or 0)
    return Recurrence(interval(params["interval"]), anchor.date(), day, at=anchor.time(), zone=zone)


def as_given(found: datetime, record: Figures) -> str:
    """The instant in the form of the record's own: a date where it speaks of dates."""
    text = found.isoformat().replace("+00:00", "Z")
    return text if "T" in record["params"]["anchor"] else text[: len("2025-01-31")]


def period_at(record: Figures) -> Figures:
    period = grid(record).period_at(instant(record["input"]["at"]))
    return {"from": as_given(period.starts_at, record), "to": as_given(period.ends_at, record)}


def recurrence_next(record: Figures) -> Figures:
    given, recurring = record["input"], grid(record)
    after = instant(given["after"])
    if record["params"].get("boundary") == "inclusive":
        after -= timedelta(microseconds=1)
    return {"next": as_given(recurring.next_after(after), record)}


def service_periods(record: Figures) -> Figures:
    given = record["input"]
    periods = grid(record).periods_between(instant(given["start"]), instant(given["until"]))
    return {"periods": [[as_given(each.starts_at, record), as_given(each.ends_at, record)] for each in periods]}


def anchored_sequence(record: Figures) -> Figures:
    params, given = record["params"], record["input"]
    first_on = date.fromisoformat(given["first"][: len("2025-01-31")])
    day = int(params.get("anchor_day") or first_on.day)
    recurring = Recurrence(interval(params.get("interval", "P1M")), first_on, day)
    dates = [first_on]
    while len(dates) < int(given["count"]):
        dates.append(recurring.days_at(dates[-1]).end_on)
    return {"dates": [each.isoformat() for each in dates]}


CALCULATIONS: Calculations = {
    "recurrence_period_at": period_at,
    "recurrence_next": recurrence_next,
    "service_periods": service_periods,
    "anchored_sequence": anchored_sequence,
}
