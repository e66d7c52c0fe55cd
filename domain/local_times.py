"""Local times: the instant that a clock time of a zone names, or why it names none or two."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from domain.events import TimeInvalid, TimeNaive, parse_instant
from domain.periods import ZoneUnknown, local_date

#: Where the date ends and, in many files, a space stands for the `T` of RFC 3339.
_SPACE_AT = 10


def instant_in(text: str, zone: str | None) -> datetime:
    """The instant that a time names: by its own offset, else as a clock of the zone showed it.

    A space may stand between date and time. Raises `TimeNaive` where no zone is given or the clock showed it twice,
    and `TimeInvalid` where it never did, or for what is no time.
    """
    spelled = f"{text[:_SPACE_AT]}T{text[_SPACE_AT + 1 :]}" if text[_SPACE_AT : _SPACE_AT + 1] == " " else text
    try:
        return parse_instant(spelled)
    except TimeNaive:
        if zone is None:
            raise
    place, local = ZoneInfo(zone), datetime.fromisoformat(spelled)
    try:
        first, second = (local.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        raise TimeInvalid(f"{text} lies outside the years 1 to 9999", field="time") from None
    if first == second:
        return first
    if first.astimezone(place).replace(tzinfo=None) == local:
        raise TimeNaive(f"{text} comes twice in {zone}: give it with its offset", field="time")
    raise TimeInvalid(f"{text} does not exist in {zone}, where clocks were put forward", field="time")


def is_zone(name: str) -> bool:
    """Whether the zone database knows the name."""
    try:
        local_date(datetime(2000, 1, 1, tzinfo=UTC), name)
    except ZoneUnknown:
        return False
    return True
