"""Which deeds there are; a line here is all that a new one needs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from workers.deeds import (
    breakers,
    documents,
    master,
    people,
    policies,
    prepaid,
    prices,
    replays,
    retention,
    revenue,
    runs,
    sources,
    usage,
)
from workers.deeds.deed import Deed

_MODULES: Final = (
    breakers, documents, master, people, policies, prepaid, prices, replays, retention, revenue, runs, sources, usage,
)  # fmt: skip
DEEDS: Final[Mapping[str, Deed]] = MappingProxyType({deed.name: deed for module in _MODULES for deed in module.DEEDS})


def deed_named(name: str) -> Deed:
    """The deed of that name; a name that is not registered is a mistake of ours."""
    assert name in DEEDS, name
    return DEEDS[name]
