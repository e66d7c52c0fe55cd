"""The look at an accounting period that documents wait for: one question, and all of them go on when it opens."""

from typing import Final

from domain.errors import Snooze
from queues import work
from workers.erp import registry
from workers.posting_call import passage_to, work_lease_s
from workers.store import erp_postings, holds
from workers.unit import Errand

_PREFIX: Final = f"{holds.WAITS_KIND}/"


def is_period(subject: str) -> bool:
    """Whether a row of `post` is about a period and not about a document."""
    return subject.startswith(_PREFIX)


def look(errand: Errand) -> None:
    """Ask the ERP once whether the period is open now; wake what waits for it, or look again later."""
    key = errand.ready.subject.removeprefix(_PREFIX)
    with errand.transaction() as unit:
        connection = erp_postings.connection(unit.conn, key.rpartition("/")[0])
        erp = registry.connect(connection)
        limits = erp.limits()
        work.relet(unit.conn, errand.ready.id, lease_no=errand.lease_no, lease_s=work_lease_s(limits))
        day = holds.asked_about(unit.conn, key)
    if day is not None:
        with passage_to(connection, limits):
            is_closed = erp.period_status(day) == "closed"
        if is_closed:
            raise Snooze(f"{day:%Y-%m} is still closed in {connection.id}", delay_s=holds.LOOK_S)
    with errand.finish() as unit:
        woken = holds.wake(unit.conn, key, step=errand.ready.step)
    errand.hints += woken
