"""The deed `usage.withdraw`: usage that counts is taken back and waits as an exception, to be edited or dismissed."""

from typing import Final

from sqlalchemy import Connection

from domain.approvals import NO_MONEY
from queues import work
from queues.work import NewWork
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import audit, fence, withdrawals


def _plan(conn: Connection, order: Order) -> Plan:
    """Nothing is given up yet: whoever dismisses or edits the exception decides about the money."""
    source, event, metric = (str(order.payload[name]) for name in ("source", "event", "metric"))
    withdrawals.number_of(conn, source, event, metric)
    subject = f"usage/{source}/{event}/{metric}"[:300]
    return Plan(("exceptions.dismiss",), subject, f"withdraw {event} of {source} from {metric}"[:300], NO_MONEY)


def _withdraw(conn: Connection, order: Order) -> Carried:
    fence.share(conn)
    source, event, metric = (str(order.payload[name]) for name in ("source", "event", "metric"))
    event_no = withdrawals.number_of(conn, source, event, metric)
    sentence = f"withdrawn by {order.person}: {order.reason}"
    exception, batch = withdrawals.withdraw(conn, event_no, metric, sentence=sentence)
    after = {"event": event, "source": source, "metric": metric}
    audit.record(conn, "usage.withdraw", f"exception/{exception}", before=None, after=after)
    hints = work.insert(conn, [NewWork("aggregate", f"batch/{batch}", f"exception/{exception}")])
    return Carried({"exception": exception}, hints)


DEEDS: Final = (Deed("usage.withdraw", _plan, _withdraw),)
